"""The ledger and a task's life beside a plain model of both (`model.py`), on both kinds of database.

Hypothesis makes up what two gateways on one storage do: they open, send, doubt, requeue, finish, give up, adopt, with
handles on tasks that may be stale, while budgets change, the clock walks over the ends of periods and back, and
gateways end and start again. After every step all of storage must be what the model says, to the millionth.
"""

import asyncio
import itertools
import shutil
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection

from gateway import errors
from gateway.store import Database, ReceiptTaken, Registry, Verdict, Wait, WrongState, prepare
from gateway.store import database as database_module
from gateway.store import sqlite as sqlite_module
from gateway.store.accounts import balances
from gateway.store.audit import audit
from gateway.structs import replace
from gateway.video import (
    NO_CLAIM,
    Balance,
    Budget,
    Caller,
    Claim,
    Failure,
    Look,
    Mode,
    Money,
    Offer,
    Receipt,
    Route,
    State,
    Status,
    Task,
    VideoRequest,
)
from tests.money.model import LEGAL, OVER, Model, Order, budgets_of, stretch_of, word_of
from tests.postgres import clean_database

T = TypeVar("T")

START = datetime(2028, 2, 28, 23, 59, 50, tzinfo=UTC).timestamp()  # a day, a leap day and a month end soon
TO_MIDNIGHT = 0.0
STEPS_S = (0.5, 10.0, 61.0, TO_MIDNIGHT, 3_600.0, 86_400.0, 7 * 86_400.0, 30 * 86_400.0, -10.0, -86_400.0)
PLACES = 3
FULL_IN_S = 7
ROUTES = (Route("evo", "key-1"), Route("evo", "key-2"), Route("toa", "key-1"))
KEYS = ("ada", "bob", "cy", "dee")
OWNERS = (*(f"key:{key}" for key in KEYS), "team:film", "team:press")
LIMITS: dict[str, dict[str, int]] = {"cy": {"max_tasks": 3}, "dee": {"rpm": 4}}
REFUSAL, DOUBT = Verdict("rate_limited", "H20", 429), Verdict("submission_unconfirmed", "T9")
FAILURE = Failure("upstream_error", "it did not work out")

prices = st.sampled_from([1, 2, 5, 0, None])
periods = st.sampled_from([None, "1d", "7d", "30d", "1mo"])
budgets = st.none() | st.builds(Budget, st.sampled_from([0, 3, 7, 20]), periods)
claims = st.sampled_from([NO_CLAIM, NO_CLAIM, Claim("k-1"), Claim("k-2"), Claim("k-1", True), Claim(is_repeat=True)])
gateways = st.sampled_from([0, 1])


@dataclass(frozen=True)
class Wish:
    """An order that somebody places."""

    by: int
    key: str
    price: int | None
    prompt: str
    claim: Claim
    asked_s: float | None
    """For how long others were asked about it before it is opened."""
    route: Route | None


@dataclass(frozen=True)
class Step:
    """Something that happens to one of the tasks. What the numbers choose among is said where they are used."""

    by: int
    task: int
    move: int
    is_fitting: bool
    """Of the moves that the task may make, or of all."""
    age: int
    """Of the handles on the task that were given out, which is used: 0 is the last."""
    route: Route
    is_known: bool
    """A receipt that some task holds already."""


wishes = st.builds(
    Wish,
    by=gateways,
    key=st.sampled_from(KEYS),
    price=prices,
    prompt=st.sampled_from(["a cat", "a dog", "a bird"]),
    claim=claims,
    asked_s=st.sampled_from([None, None, 0.0, 60.0]),
    route=st.sampled_from([*ROUTES, None]),
)
steps = st.builds(
    Step,
    by=gateways,
    task=st.integers(0, 11),
    move=st.integers(0, 59),
    is_fitting=st.sampled_from([True, True, True, False]),
    age=st.sampled_from([0, 0, 0, 1, 2]),
    route=st.sampled_from(ROUTES),
    is_known=st.sampled_from([False, False, False, True]),
)


class Ledger(RuleBasedStateMachine):
    """Two gateways on one storage, and the model beside them."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.runner = asyncio.Runner()
        self.model = Model()
        self.now = START
        self.handles: dict[int, list[Task]] = {}
        self.numbers = itertools.count(1)
        self.counted: set[tuple[str, float, float]] = set()
        """The owners and stretches of time for which there must be an account."""
        self.budgets: dict[str, Budget | None] = dict.fromkeys(OWNERS)
        self.teams: dict[str, str | None] = {"ada": "film", "bob": "film", "cy": None, "dee": "press"}
        self.databases = [Database.open(url) for _ in range(2)]
        self.registries = [Registry(database, number) for number, database in enumerate(self.databases, 1)]

    def run(self, story: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(asyncio.wait_for(story, 60))

    def teardown(self) -> None:
        for database in self.databases:
            self.run(database.close())
        self.runner.close()

    def caller(self, key: str) -> Caller:
        team = self.teams[key]
        return Caller(
            key,
            team=team,
            budget=self.budgets[f"key:{key}"],
            team_budget=None if team is None else self.budgets[f"team:{team}"],
            max_tasks=LIMITS.get(key, {}).get("max_tasks"),
            rpm=LIMITS.get(key, {}).get("rpm"),
        )

    # --- what changes around the tasks ----------------------------------------------------------------------------

    @initialize(amount=st.sampled_from([7, 20]), period=st.sampled_from([None, "1d"]))
    def begin(self, amount: int, period: str | None) -> None:
        self.budgets["key:ada"] = Budget(amount, period)
        self.budgets["team:film"] = Budget(amount + 3, "1mo")

    @rule(
        seconds=st.sampled_from(STEPS_S),
        changes=st.dictionaries(st.sampled_from(OWNERS), budgets, max_size=2),
        team_of_bob=st.sampled_from(["film", "film", "press", None]),
        ends=st.sampled_from([None, None, 0, 1]),
    )
    def meanwhile(
        self, seconds: float, changes: dict[str, Budget | None], team_of_bob: str | None, ends: int | None
    ) -> None:
        """Time passes, budgets and a key's team are changed, and a gateway may have to start anew."""
        self.now = stretch_of(Budget(0, "1d"), self.now)[1] if seconds == TO_MIDNIGHT else self.now + seconds
        self.budgets.update(changes)
        self.teams["bob"] = team_of_bob
        if ends is not None:
            self.restart(ends)
        self.everything_agrees()

    def restart(self, which: int) -> None:
        """One gateway ends; when it is there again, what it was sending is in doubt."""
        self.run(self.databases[which].close())
        self.databases[which] = Database.open(self.url)
        self.registries[which] = Registry(self.databases[which], which + 1)
        sending = [
            order
            for order in self.model.orders.values()
            if order.state is State.OPENED and order.attempts[-1][0] == which + 1
        ]
        assert self.run(self.registries[which].recover(self.now, {which + 1})) == len(sending)
        for order in sending:
            order.state = State.UNCONFIRMED
            order.end_attempt("doubt")

    # --- what happens to tasks ------------------------------------------------------------------------------------

    @rule(orders=st.lists(wishes, min_size=2, max_size=6))
    def order(self, orders: list[Wish]) -> None:
        for wish in orders:
            self.open(wish)
            self.everything_agrees()

    @precondition(lambda self: self.handles)
    @rule(several=st.lists(steps, min_size=4, max_size=16))
    def go_on(self, several: list[Step]) -> None:
        for step in several:
            unsettled = [order for order in self.model.orders.values() if is_unsettled(order)]
            orders = unsettled if step.is_fitting and unsettled else list(self.model.orders.values())
            order = orders[-1 - step.task % len(orders)]
            fitting = [name for name in BEGINNINGS if order.state in BEGINNINGS[name]]
            names = fitting if step.is_fitting and fitting else list(MOVES)
            handles = self.handles[order.id]
            task = handles[max(0, len(handles) - 1 - step.age)]
            MOVES[names[step.move % len(names)]](self, self.registries[step.by], task, order, step)
            self.everything_agrees()

    def open(self, wish: Wish) -> None:
        caller, model, claim = self.caller(wish.key), self.model, wish.claim
        if wish.asked_s is not None:
            claim = replace(claim, came_at=self.now - wish.asked_s)
        # Pre-flight lets nothing without a price come so far where money is counted.
        price = 1 if caller.has_budget and wish.price is None else wish.price
        request = VideoRequest(model="m", prompt=wish.prompt, dialect="evolink")
        opening = self.registries[wish.by].open(
            request,
            caller,
            Offer("m", Mode.TEXT, None, 6, price),
            Wait(request, PLACES, FULL_IN_S) if wish.route is None else wish.route,
            currency="USD",
            now=self.now,
            claim=claim,
        )
        if claim.key is not None:
            twins = model.twins_of_key(wish.key, claim.key, self.now)
            if twins and twins[0].prompt != wish.prompt:
                self.refused(errors.KeyReused, opening)
                return
        elif claim.is_repeat:
            twins = model.twins_of_mark(wish.key, wish.prompt, self.now)
        else:
            twins = [] if claim.came_at is None else model.twins_of_word(wish.key, wish.prompt, claim.came_at)
        if twins:
            task, is_new = self.run(opening)
            assert not is_new
            assert task.id in {order.id for order in twins}
            if claim.key is None and not claim.is_repeat:
                model.free_keys(model.orders[task.id])
            self.remember(task)
            return
        refusal = model.refusal(caller, price, self.now, waits=wish.route is None, places=PLACES)
        if refusal is not None:
            self.refused(getattr(errors, refusal), opening)
            return
        task, is_new = self.run(opening)
        assert is_new
        self.handles[task.id] = [task]
        order = Order(task.id, wish.key, caller.team, price, wish.prompt, self.now, task.state, wish.route)
        order.state = State.QUEUED if wish.route is None else State.OPENED
        order.lines = [] if price is None else ["reserve"]
        order.attempts = [] if wish.route is None else [(wish.by + 1, "intent")]
        model.orders[task.id] = order
        if claim.key is not None or claim.is_repeat:
            model.keys[wish.key, claim.key or word_of(wish.prompt)] = task.id, self.now
        for owner, budget in budgets_of(caller):
            if budget is not None and price:
                self.counted.add((owner, *stretch_of(budget, self.now)))
                assert sum(model.sums(owner, stretch_of(budget, self.now))) <= budget.amount

    # --- the way to an upstream and back --------------------------------------------------------------------------

    def turn(self, registry: Registry, task: Task, order: Order, step: Step) -> None:
        if self.move("turn", order, registry.turn(task, REFUSAL, step.route, self.now), task):
            order.end_attempt("refused")
            order.attempts.append((step.by + 1, "intent"))
            order.route = step.route

    def requeue(self, registry: Registry, task: Task, order: Order, step: Step) -> None:
        requeueing = registry.requeue(task, REFUSAL, Wait(task.request, PLACES, FULL_IN_S), self.now)
        if self.may("requeue", order, task) and len(self.model.waiting()) >= PLACES:
            self.refused(errors.QueueFull, requeueing)
        elif self.move("requeue", order, requeueing, task):
            order.end_attempt("refused")
            order.state = State.QUEUED

    def dispatch(self, registry: Registry, task: Task, order: Order, step: Step) -> None:
        if self.move("dispatch", order, registry.dispatch(task, step.route, self.now), task):
            order.attempts.append((step.by + 1, "intent"))
            order.state, order.route = State.OPENED, step.route

    def drop(self, registry: Registry, task: Task, order: Order, step: Step) -> None:
        if self.move("drop", order, registry.drop(task.id, FAILURE, self.now)):
            order.state = State.FAILED
            order.pay(Money.RELEASED)
            self.model.free_keys(order)

    def doubt(self, registry: Registry, task: Task, order: Order, step: Step) -> None:
        if self.move("doubt", order, registry.doubt(task, DOUBT, self.now), task):
            order.end_attempt("doubt")
            order.state = State.UNCONFIRMED

    def abandon(self, registry: Registry, task: Task, order: Order, step: Step) -> None:
        if self.move("abandon", order, registry.abandon(task, FAILURE, REFUSAL, self.now), task):
            order.end_attempt("refused")
            order.state = State.REFUSED
            order.pay(Money.RELEASED)
            self.model.free_keys(order)

    def start(self, registry: Registry, task: Task, order: Order, step: Step) -> None:
        upstream_id = self.some_receipt(step.is_known)
        starting = registry.start(task, Receipt(upstream_id), self.now)
        if not self.may("start", order, task):
            held = (order.route and order.route.upstream, order.upstream_id)
            if held == (task.upstream, upstream_id):
                self.remember(self.run(starting))
            else:
                self.refused(WrongState, starting)
        elif self.model.holder(order.route, upstream_id):
            self.refused(ReceiptTaken, starting)
        else:
            self.remember(self.run(starting))
            order.end_attempt("accepted")
            order.state, order.upstream_id = State.RUNNING, upstream_id

    # --- the end --------------------------------------------------------------------------------------------------

    def see_work(self, registry: Registry, task: Task, order: Order, step: Step) -> None:
        self.note(order, registry.note(task.id, Look(Status.PROCESSING, 40), self.now))

    def see_film(self, registry: Registry, task: Task, order: Order, step: Step) -> None:
        if self.note(order, registry.note(task.id, Look(Status.COMPLETED, link="https://x/v.mp4"), self.now)):
            order.state = State.COMPLETED
            order.pay(Money.SETTLED)

    def see_failure(self, registry: Registry, task: Task, order: Order, step: Step) -> None:
        is_charged = step.is_known
        look = Look(Status.FAILED, failure=FAILURE)
        if self.note(order, registry.note(task.id, look, self.now, failed_is_spent=is_charged)):
            order.state = State.FAILED
            order.pay(Money.SETTLED if is_charged else Money.RELEASED)

    def note(self, order: Order, noting: Coroutine[Any, Any, Task]) -> bool:
        """Whether the look may have changed anything; at a task that is over it changes nothing."""
        if order.state in OVER:
            self.remember(self.run(noting))
            return False
        return self.move("note", order, noting)

    def fail(self, registry: Registry, task: Task, order: Order, step: Step) -> None:
        if self.move("fail", order, registry.fail(task.id, FAILURE, self.now)):
            order.state = State.FAILED
            order.pay(Money.SUSPENDED)

    def adopt(self, registry: Registry, task: Task, order: Order, step: Step) -> None:
        upstream_id = self.some_receipt(step.is_known)
        adopting = registry.adopt(task.id, Receipt(upstream_id), self.now)
        holder = self.model.holder(order.route, upstream_id)
        if order.state is State.RUNNING and order.upstream_id == upstream_id:
            self.remember(self.run(adopting))
        elif order.state is not State.UNCONFIRMED and order.money is not Money.SUSPENDED:
            self.refused(WrongState, adopting)
        elif holder is not None and holder is not order:
            self.refused(ReceiptTaken, adopting)
        else:
            self.remember(self.run(adopting))
            order.end_attempt("accepted")
            order.state, order.upstream_id = State.RUNNING, upstream_id
            order.pay(Money.HELD)

    def release(self, registry: Registry, task: Task, order: Order, step: Step) -> None:
        releasing = registry.resolve(task.id, Money.RELEASED, "asked them", self.now)
        if order.state is State.UNCONFIRMED:
            self.remember(self.run(releasing))
            order.state = State.REFUSED
            order.pay(Money.RELEASED)
            self.model.free_keys(order)
        elif order.money is Money.SUSPENDED:
            self.remember(self.run(releasing))
            order.pay(Money.RELEASED)
        else:
            self.refused(WrongState, releasing)

    def settle(self, registry: Registry, task: Task, order: Order, step: Step) -> None:
        settling = registry.resolve(task.id, Money.SETTLED, "on the invoice", self.now)
        if order.money is Money.SUSPENDED:
            self.remember(self.run(settling))
            order.pay(Money.SETTLED)
        else:
            self.refused(WrongState, settling)

    def hide(self, registry: Registry, task: Task, order: Order, step: Step) -> None:
        self.remember(self.run(registry.hide(task.id)))
        order.is_hidden = True

    # --- what must hold after each of them ------------------------------------------------------------------------

    def everything_agrees(self) -> None:
        """Storage is what the model says, and everybody is told so."""
        callers = [self.caller(key) for key in KEYS]
        found = self.run(self.databases[0].read(partial(everything, callers=callers, now=self.now)))
        model, orders = self.model, self.model.orders
        assert found["tasks"] == {
            number: (order.state, order.money, order.upstream_id, order.price) for number, order in orders.items()
        }
        assert found["attempts"] == {number: order.attempts for number, order in orders.items() if order.attempts}
        assert found["lines"] == {
            number: [(kind, order.price) for kind in order.lines] for number, order in orders.items() if order.lines
        }
        assert found["waiting"] == {order.id for order in model.waiting()}
        assert found["keys"] == model.keys
        for owner, starts_at, ends_at, held, spent in found["accounts"]:
            assert (held, spent) == model.sums(owner, (starts_at, ends_at))
        assert self.counted <= {tuple(row[:3]) for row in found["accounts"]}
        limited = [owner for owner, limit in found["limits"] if limit is not None]
        assert len(limited) == len(set(limited)), "a budget is kept in one account"
        for caller, told in zip(callers, found["balances"], strict=True):
            expected = [
                Balance(None if budget is None else budget.amount, *model.sums(owner, stretch_of(budget, self.now)))
                for owner, budget in budgets_of(caller)
            ]
            assert told == (expected[0], expected[-1])
        assert found["drift"] == []

    # --- helpers --------------------------------------------------------------------------------------------------

    def remember(self, task: Task) -> None:
        self.handles[task.id].append(task)

    def may(self, move: str, order: Order, task: Task | None = None) -> bool:
        """Whether the move is legal, and the handle, where one is used, speaks of the task as it is."""
        is_fresh = task is None or (task.attempts, task.money) == (len(order.attempts), order.money)
        return order.state in LEGAL[move] and is_fresh

    def move(self, move: str, order: Order, step: Coroutine[Any, Any, Task], task: Task | None = None) -> bool:
        """Make the move; whether the model says that it was legal, as the store must have found too."""
        is_legal = self.may(move, order, task)
        if is_legal:
            self.remember(self.run(step))
        else:
            self.refused(WrongState, step)
        return is_legal

    def refused(self, error: type[Exception], step: Awaitable[Any]) -> None:
        async def story() -> None:
            with pytest.raises(error):
                await step

        self.run(story())

    def some_receipt(self, is_known: bool) -> str:
        """A new upstream id, or one that some task holds."""
        known = [order.upstream_id for order in self.model.orders.values() if order.upstream_id is not None]
        return known[-1] if is_known and known else f"u-{next(self.numbers)}"


# The first ones are tried most often.
MOVES: Mapping[str, Callable[[Ledger, Registry, Task, Order, Step], None]] = {
    "start": Ledger.start,
    "see film": Ledger.see_film,
    "fail": Ledger.fail,
    "see failure": Ledger.see_failure,
    "requeue": Ledger.requeue,
    "dispatch": Ledger.dispatch,
    "doubt": Ledger.doubt,
    "adopt": Ledger.adopt,
    "settle": Ledger.settle,
    "release": Ledger.release,
    "abandon": Ledger.abandon,
    "drop": Ledger.drop,
    "turn": Ledger.turn,
    "see work": Ledger.see_work,
    "hide": Ledger.hide,
}
_LOOKS = dict.fromkeys(("see film", "see failure", "see work"), LEGAL["note"])
_BY_HAND = {
    "adopt": frozenset({State.UNCONFIRMED, State.FAILED}),
    "settle": frozenset({State.FAILED}),
    "release": frozenset({State.UNCONFIRMED, State.FAILED}),
}
BEGINNINGS: Mapping[str, frozenset[State]] = {
    name: {**LEGAL, **_LOOKS, **_BY_HAND}[name] for name in MOVES if name != "hide"
}
"""From where a move can succeed."""


def is_unsettled(order: Order) -> bool:
    """Whether anything but hiding can still become of it."""
    return order.state not in OVER or order.money is Money.SUSPENDED


def everything(connection: Connection, callers: Iterable[Caller], now: float) -> dict[str, Any]:
    """What stands in storage, asked in plain SQL; what these callers are told of it; and what the auditor finds."""

    def rows(query: str) -> list[Any]:
        return list(connection.exec_driver_sql(query).all())

    def grouped(query: str) -> dict[int, list[Any]]:
        return {
            number: [tuple(row[1:]) for row in lines]
            for number, lines in itertools.groupby(rows(query), key=lambda row: int(row[0]))
        }

    return {
        "tasks": {row[0]: tuple(row[1:]) for row in rows("SELECT id, state, money, upstream_id, price FROM tasks")},
        "attempts": grouped("SELECT task_id, owner, outcome FROM attempts ORDER BY task_id, number"),
        "lines": grouped("SELECT task_id, kind, amount FROM entries ORDER BY task_id, number"),
        "waiting": {row[0] for row in rows("SELECT task_id FROM waiting")},
        "keys": {tuple(row[:2]): tuple(row[2:]) for row in rows(_KEYS)},
        "accounts": rows("SELECT owner, starts_at, ends_at, held, spent FROM accounts"),
        "limits": rows('SELECT owner, "limit" FROM accounts'),
        "balances": [balances(connection, caller, now) for caller in callers],
        "drift": audit(connection),
    }


_KEYS = "SELECT caller, key, task_id, created_at FROM idempotency"


async def _prepare(url: str) -> None:
    database = Database.open(url)
    try:
        await prepare(database)
    finally:
        await database.close()


def files(folder: Path) -> Callable[[], str]:
    """Addresses of files with the gateway's tables and nothing in them."""
    numbers, empty = itertools.count(1), folder / "empty.db"
    asyncio.run(_prepare(f"sqlite:///{empty}"))

    def fresh() -> str:
        path = folder / f"{next(numbers)}.db"
        shutil.copyfile(empty, path)
        return f"sqlite:///{path}"

    return fresh


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_storage_agrees_with_a_plain_model_of_money_whatever_happens(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No power is cut here, and every thread of a database opens a connection of its own.
    monkeypatch.setattr(sqlite_module, "_WRITER", ("PRAGMA synchronous=OFF", "PRAGMA foreign_keys=ON"))
    monkeypatch.setattr(database_module, "_POSTGRES_WRITERS", 1)
    monkeypatch.setattr(database_module, "_POSTGRES_READERS", 1)
    fresh = files(tmp_path) if kind == "sqlite" else clean_database

    class OnFreshStorage(Ledger):
        def __init__(self) -> None:
            super().__init__(fresh())

    run_state_machine_as_test(
        OnFreshStorage,
        settings=settings(
            max_examples=EXAMPLES[kind],
            stateful_step_count=16,
            deadline=None,
            derandomize=True,  # a release is judged by the same stories each time
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )


def test_a_budget_that_was_taken_away_limits_nothing_any_more(url: str) -> None:
    async def story() -> None:
        await _prepare(url)
        database = Database.open(url)
        request, offer = VideoRequest(model="m", prompt="a cat"), Offer("m", Mode.TEXT, None, 6, 6)
        for budget in (None, Budget(20, "1d"), None, None):
            caller = Caller("ada", budget=budget)
            task, _ = await Registry(database).open(request, caller, offer, ROUTES[0], currency="USD", now=START)
            assert task.money is Money.HELD
        await database.close()

    asyncio.run(story())


EXAMPLES = {"sqlite": 40, "postgresql": 12}
