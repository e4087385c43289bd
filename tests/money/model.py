"""A plain model of money and of a task's life: lists, dictionaries and sums, and nothing of the store's own code.

It says what must come of every move before the store is asked. Prices are small whole numbers; times seconds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gateway.video import Budget, Caller, Money, Route, State, VideoRequest

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FOR_EVER = (0.0, 253_402_300_800.0)
KEY_KEPT_S, REPEAT_WITHIN_S, CLOCKS_DIFFER_S, MINUTE_S = 86_400.0, 1_860.0, 0.5, 60.0
IN_FLIGHT = frozenset({State.QUEUED, State.OPENED, State.RUNNING, State.UNCONFIRMED})
OVER = frozenset({State.COMPLETED, State.FAILED, State.REFUSED})

# From which states a move may begin; what it does is said where it is made.
LEGAL: Mapping[str, frozenset[State]] = {
    "turn": frozenset({State.OPENED}),
    "requeue": frozenset({State.OPENED}),
    "doubt": frozenset({State.OPENED}),
    "dispatch": frozenset({State.QUEUED}),
    "drop": frozenset({State.QUEUED}),
    "start": frozenset({State.OPENED, State.UNCONFIRMED}),
    "abandon": frozenset({State.OPENED, State.UNCONFIRMED}),
    "note": frozenset({State.RUNNING}),
    "fail": frozenset({State.RUNNING, State.UNCONFIRMED}),
}

Stretch = tuple[float, float]


@dataclass
class Order:
    """One task, as it must be."""

    id: int
    caller: str
    team: str | None
    price: int | None
    prompt: str
    created_at: float
    state: State
    route: Route | None
    money: Money = Money.HELD
    upstream_id: str | None = None
    is_hidden: bool = False
    attempts: list[tuple[int, str]] = field(default_factory=list)
    """The process that made it, and its outcome."""
    lines: list[str] = field(default_factory=list)

    def pay(self, to: Money) -> None:
        """The money goes on, and the ledger says so."""
        kinds = {Money.HELD: "resume", Money.SUSPENDED: "suspend", Money.SETTLED: "settle", Money.RELEASED: "release"}
        if to is not self.money and self.price is not None:
            self.lines.append(kinds[to])
        self.money = to

    def end_attempt(self, outcome: str) -> None:
        if self.attempts:
            self.attempts[-1] = (self.attempts[-1][0], outcome)

    @property
    def owners(self) -> list[str]:
        return [f"key:{self.caller}", *([] if self.team is None else [f"team:{self.team}"])]

    @property
    def was_surely_not_bought(self) -> bool:
        return self.money is Money.RELEASED and self.upstream_id is None


@dataclass
class Model:
    """Everything that was ordered, and what idempotency keys stand for."""

    orders: dict[int, Order] = field(default_factory=dict)
    keys: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    """(caller, idempotency key) → the task, and since when."""

    def sums(self, owner: str, stretch: Stretch) -> tuple[int, int]:
        """(held, spent) of an owner's tasks that were ordered in a stretch of time."""
        own = [order for order in self.orders.values() if owner in order.owners and order.price is not None]
        within = [order for order in own if stretch[0] <= order.created_at < stretch[1]]
        held = sum(order.price or 0 for order in within if order.money in (Money.HELD, Money.SUSPENDED))
        return held, sum(order.price or 0 for order in within if order.money is Money.SETTLED)

    def twins_of_key(self, caller: str, key: str, now: float) -> list[Order]:
        number, since = self.keys.get((caller, key), (0, -1.0))
        return [self.orders[number]] if number and since > now - KEY_KEPT_S else []

    def twins_of_word(self, caller: str, prompt: str, came_at: float) -> list[Order]:
        """The order that a marked repeat of this one opened since it came, where no other create took that word."""
        number, since = self.keys.get((caller, word_of(prompt)), (0, -1.0))
        return [self.orders[number]] if number and since > came_at - CLOCKS_DIFFER_S else []

    def twins_of_mark(self, caller: str, prompt: str, now: float) -> list[Order]:
        """The newest of the caller's same orders; several where they were ordered at the same moment."""
        same = [
            order
            for order in self.orders.values()
            if (order.caller, order.prompt) == (caller, prompt)
            and order.created_at > now - REPEAT_WITHIN_S
            and not order.was_surely_not_bought
            and not (order.is_hidden and order.state in (State.COMPLETED, State.FAILED))
        ]
        newest = max((order.created_at for order in same), default=0.0)
        return [order for order in same if order.created_at == newest]

    def refusal(self, caller: Caller, price: int | None, now: float, *, waits: bool, places: int) -> str | None:
        """Which error a new order must meet, by its name; None where it must be opened."""
        own = [order for order in self.orders.values() if order.caller == caller.key_id]
        if caller.max_tasks is not None and sum(order.state in IN_FLIGHT for order in own) >= caller.max_tasks:
            return "TooManyTasks"
        if caller.rpm is not None and sum(order.created_at > now - MINUTE_S for order in own) >= caller.rpm:
            return "TooFast"
        for owner, budget in budgets_of(caller):
            if price is not None and budget is not None:
                held, spent = self.sums(owner, stretch_of(budget, now))
                if held + spent + price > max(budget.amount, held + spent):
                    return "BudgetSpent"
        if waits and len(self.waiting()) >= places:
            return "QueueFull"
        return None

    def waiting(self) -> list[Order]:
        return [order for order in self.orders.values() if order.state is State.QUEUED]

    def holder(self, route: Route | None, upstream_id: str) -> Order | None:
        """Whoever holds this receipt."""
        found = (
            order
            for order in self.orders.values()
            if order.upstream_id == upstream_id
            and route is not None
            and order.route is not None
            and order.route.upstream == route.upstream
        )
        return next(found, None)

    def free_keys(self, order: Order) -> None:
        self.keys = {name: meaning for name, meaning in self.keys.items() if meaning[0] != order.id}


def word_of(prompt: str) -> str:
    """What a marked repeat that found no first stands under."""
    return f"repeat\n{VideoRequest(model='m', prompt=prompt, dialect='evolink').fingerprint()}"


def budgets_of(caller: Caller) -> Iterator[tuple[str, Budget | None]]:
    yield f"key:{caller.key_id}", caller.budget
    if caller.team is not None:
        yield f"team:{caller.team}", caller.team_budget


def stretch_of(budget: Budget | None, now: float) -> Stretch:
    """The stretch of time that a budget counts in now, by the calendar."""
    today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match None if budget is None else budget.period:
        case None:
            return FOR_EVER
        case "1d":
            first, following = today, today + timedelta(days=1)
        case "7d":
            first = today - timedelta(days=today.weekday())
            following = first + timedelta(days=7)
        case "30d":
            first = today - timedelta(days=(today - EPOCH).days % 30)
            following = first + timedelta(days=30)
        case _:
            first = today.replace(day=1)
            following = (first + timedelta(days=32)).replace(day=1)
    return first.timestamp(), following.timestamp()
