"""The key pool of one upstream: which key next, which keys rest.

Decides, never sends; time is an argument. Keys of one `account` share balance and limits, so rests for rate, empty
balances, the submits of a minute and the tasks in flight are kept per account; a refused credential and a barred
model concern the key alone (CONTRACT section 7).

Other processes use the same keys. What a pool learns is a `Rest`, which they are told, and of two that speak of the
same the later one holds; what they have in flight and have sent lately is counted from storage (`flows/neighbours.py`).
"""

import math
import random
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum, StrEnum

from gateway import errors
from gateway.structs import Struct, field
from gateway.video import Route

RPM_WINDOW_S = 60.0
EXHAUSTED_S = 300.0  # until an empty balance is tried again, where no free call says it is filled
BARRED_S = 3600.0  # H12
BUSY_FIRST_S, BUSY_MAX_S, BUSY_JITTER = 5.0, 120.0, 0.2  # H21
UNREACHABLE_S, UNREACHABLE_MAX_S = 5.0, 30.0  # T1–T3: 5 s × n, told to callers as 5..30
OVERLOADED_S, OVERLOADED_MAX_S = 15.0, 300.0  # H24
WALLED_S, WALLED_MAX_S = 60.0, 600.0  # H13
NO_API_S, NO_API_MAX_S = 60.0, 600.0  # T4, T11, H4: as behind a wall
IN_A_ROW_RESTS = 3  # of those: one may be an accident, and so may a second
FULL_RETRY_S = 10.0  # when a task in flight will end is not known; this is when asking again is not rude
VAGUE_RETIRES = 2  # H10: a 401 without a JSON error may be an edge's mood, twice is not
BUSY_STREAK_MAX = 10  # the rest has long stopped growing
FOR_EVER = math.inf  # until somebody acts
# A place is taken for a task that is about to be written down; one that has not been for so long never will be.
PENDING_S = 60.0
# Later than what it replaces, whatever the clocks of two machines say; far more than a float of today's seconds rounds.
JUST_LATER_S = 1e-3


class KeyState(StrEnum):
    """The closed set of `key_state{state}` (CONTRACT section 7)."""

    OK = "ok"
    RESTING = "resting"
    EXHAUSTED = "exhausted"
    RETIRED = "retired"
    BARRED = "barred"
    DRAINING = "draining"


class KeySpec(Struct, frozen=True):
    """What is configured of a key; the secret itself stays at the door to upstreams."""

    id: str
    account: str
    weight: int = 1
    rpm: int | None = None
    max_tasks: int | None = None
    is_draining: bool = False
    """Kept only for asking about its own tasks."""


class Why(StrEnum):
    """What a rest is for, and so whose it is."""

    COOLING = "cooling"  # the upstream's: it failed in passing
    RESTING = "resting"  # an account's: for rate
    EXHAUSTED = "exhausted"  # an account's: no balance
    RETIRED = "retired"  # a key's: its credential was refused
    BARRED = "barred"  # a key's: for one model


class Rest(Struct, frozen=True):
    """One thing that a pool has learnt, as one process tells it to the others."""

    why: Why
    of: str
    """The key's id or the account; empty where it is the upstream's own."""
    model: str = ""
    until: float = 0.0
    """FOR_EVER until somebody acts; in the past where it is over."""
    streak: int = 0
    """How often in a row that happened which a rest is for."""
    learnt_at: float = 0.0
    credential: str = ""
    """Which secret it was learnt with, where that matters; never the secret, nor anything that tells it."""

    @property
    def is_of_key(self) -> bool:
        """Whether it was learnt of a key itself, and so of its secret."""
        return self.why in (Why.RETIRED, Why.BARRED)

    @property
    def subject(self) -> "Subject":
        return self.why, self.of, self.model


Subject = tuple[Why, str, str]
"""What a rest speaks of: no two of a pool speak of the same."""
_UPSTREAM: Subject = (Why.COOLING, "", "")


class Limit(Struct, frozen=True):
    """What a key may have at once, together with the others of its account."""

    upstream: str
    account: str
    keys: tuple[str, ...]
    """All keys of the account."""
    rpm: int | None
    max_tasks: int | None


class Standing(Struct, frozen=True):
    """How the upstreams stand with all processes together, at one moment, as storage knows it."""

    in_flight: Mapping[int, Route]
    """Task → the key that is, or may be, busy with it."""
    submits: Mapping[Route, Sequence[float]]
    """When other processes than this one submitted in the last minute, oldest first; for keys with an `rpm`."""
    rests: Sequence[tuple[str, Rest]]
    """What was learnt of each upstream, by its name."""


class KeySight(Struct, frozen=True):
    """A key as whoever runs the gateway sees it. `live_tasks` are those of its account."""

    spec: KeySpec
    state: KeyState
    until: float | None
    """When the state ends by itself, where it does."""
    barred: tuple[str, ...]
    """The models it may not use for now."""
    live_tasks: int


class Cause(Enum):
    """What stands between a request and a key."""

    RATE = "rate"  # a key is fine and only rests for rate, or is full
    REST = "rest"  # the upstream itself rests after failing in passing
    KEYS = "keys"  # every key is exhausted, retired or barred


class Blocked(Struct, frozen=True):
    """Why no key can take a submit now, and in how many seconds one can, where that is known."""

    cause: "Cause"
    retry_after_s: float | None = None


class _Account(Struct):
    name: str
    submits: deque[float] = field(default_factory=deque)
    """Of this process, in the last minute."""
    submits_elsewhere: Sequence[float] = ()
    pending: deque[float] = field(default_factory=deque)
    """When places were taken whose task is not durable yet."""
    tasks: set[int] = field(default_factory=set)
    """In flight, of this process and all others."""

    @property
    def live(self) -> int:
        return len(self.tasks) + len(self.pending)


class _Key(Struct):
    spec: KeySpec
    account: _Account
    balance: int = 0
    """Of the smooth weighted rotation, not of money."""


class KeyPool:
    """The keys of one upstream and their rest, and the upstream's own."""

    def __init__(self, specs: Sequence[KeySpec], *, jitter: Callable[[], float] = random.random) -> None:
        self._accounts: dict[str, _Account] = {spec.account: _Account(spec.account) for spec in specs}
        self._keys = {spec.id: _Key(spec, self._accounts[spec.account]) for spec in specs}
        self._jitter = jitter
        self._rests: dict[Subject, Rest] = {}
        self._untold: set[Subject] = set()

    def choose(self, model: str, now: float, *, without: Collection[str] = ()) -> str | Blocked:
        """The id of the next key for `model`, by smooth weighted rotation among the free ones; else why there is none.

        `without` are keys this request has tried already.
        """
        cooling_until = self._until(Why.COOLING)
        if now < cooling_until:
            return Blocked(Cause.REST, cooling_until - now)
        free = [key for key in self._keys.values() if key.spec.id not in without and self._is_free(key, model, now)]
        if not free:
            return self._why_blocked(model, now)
        for key in free:
            key.balance += key.spec.weight
        chosen = max(free, key=lambda key: key.balance)
        chosen.balance -= sum(key.spec.weight for key in free)
        return chosen.spec.id

    def take(self, key_id: str, now: float) -> None:
        """A submit is about to be written down and sent with this key."""
        account = self._keys[key_id].account
        account.submits.append(now)
        account.pending.append(now)

    def untake(self, key_id: str) -> None:
        """The submit that was about to be written down was not."""
        self.unsent(key_id)
        _pop(self._keys[key_id].account.pending)

    def unsent(self, key_id: str) -> None:
        """Nothing of a submit has left this machine.

        The oldest submit is forgotten, not this one: others may have come since, and their minute must not end early.
        """
        _pop(self._keys[key_id].account.submits)

    def opened(self, key_id: str, task_id: int) -> None:
        """The place that was taken is this task's from now on: it is written down."""
        _pop(self._keys[key_id].account.pending)
        self.occupy(key_id, task_id)

    def occupy(self, key_id: str, task_id: int) -> None:
        """The key is, or may be, busy with this task."""
        self._keys[key_id].account.tasks.add(task_id)

    def leave(self, task_id: int) -> None:
        """No key here is busy with this task."""
        for account in self._accounts.values():
            account.tasks.discard(task_id)

    def count(self, tasks: Mapping[int, str], submits: Mapping[str, Sequence[float]], now: float) -> None:
        """What all processes have in flight, task → key, and what the others have submitted lately, by key."""
        for account in self._accounts.values():
            account.tasks.clear()
            while account.pending and account.pending[0] <= now - PENDING_S:
                account.pending.popleft()
        for task_id, key_id in tasks.items():
            if key_id in self._keys:
                self.occupy(key_id, task_id)
        for account in self._accounts.values():
            mine = (key_id for key_id, key in self._keys.items() if key.account is account)
            account.submits_elsewhere = sorted(at for key_id in mine for at in submits.get(key_id, ()))

    def has_room(self, key_id: str, model: str, now: float) -> bool:
        """Whether this very key could take a submit now, were it not for its upstream's rest."""
        return self._is_free(self._keys[key_id], model, now)

    def is_open(self, model: str, now: float) -> bool:
        """Whether some key could take a submit now."""
        return now >= self._until(Why.COOLING) and any(self._is_free(key, model, now) for key in self._keys.values())

    def is_usable(self, model: str, now: float) -> bool:
        """Whether some key could take a submit, now or once it is less busy: nothing but rate may be in its way, which
        time alone mends."""
        is_cooling = now < self._until(Why.COOLING)
        return not is_cooling and any(not self._is_unusable(key, model, now) for key in self._keys.values())

    def accepted(self, key_id: str, now: float) -> None:
        """The upstream took a submit: whatever streak of failures there was is over."""
        for subject in ((Why.RESTING, self._keys[key_id].account.name, ""), (Why.RETIRED, key_id, ""), _UPSTREAM):
            rest = self._rests.get(subject)
            if rest is not None:
                self._know(*subject, until=rest.until, streak=0, now=now)

    def learn(self, key_id: str, error: errors.UpstreamError, model: str, now: float) -> None:
        """Apply what an answer means for the key or the upstream (FAILURES, column Key / provider state)."""
        effect = _EFFECTS.get(type(error))
        if effect is not None and error.row not in _TEACHES_NOTHING:
            effect(self, self._keys[key_id], error, model, now)

    def recover(self, key_id: str, now: float) -> None:
        """A free call found the key good: it may be used again."""
        self._know(Why.RETIRED, key_id, until=0.0, streak=0, now=now)
        self._know(Why.EXHAUSTED, self._keys[key_id].account.name, until=0.0, streak=0, now=now)

    @property
    def has_news(self) -> bool:
        """Whether something was learnt that the other processes do not know yet."""
        return bool(self._untold)

    def untold(self) -> list[Rest]:
        """What was learnt here, and the other processes do not know yet."""
        return [self._rests[subject] for subject in self._untold]

    def told(self, rests: Iterable[Rest]) -> None:
        """The others know this now, unless something newer was learnt meanwhile."""
        self._untold -= {rest.subject for rest in rests if self._rests[rest.subject].learnt_at == rest.learnt_at}

    def hear(self, rests: Iterable[Rest]) -> None:
        """What any process has learnt. Of two that speak of the same, the later one holds."""
        for rest in rests:
            if self._is_ours(rest) and rest.learnt_at > self._rest(*rest.subject).learnt_at:
                self._rests[rest.subject] = rest
                self._untold.discard(rest.subject)

    def limited(self) -> list[str]:
        """The keys whose submits of a minute count."""
        accounts = {key.spec.account for key in self._keys.values() if key.spec.rpm is not None}
        return [key_id for key_id, key in self._keys.items() if key.spec.account in accounts]

    def limit(self, name: str, key_id: str) -> Limit | None:
        """What this key of an upstream of that name may have at once; None where nothing is limited."""
        spec = self._keys[key_id].spec
        if spec.rpm is None and spec.max_tasks is None:
            return None
        together = tuple(other_id for other_id, other in self._keys.items() if other.spec.account == spec.account)
        return Limit(name, spec.account, together, spec.rpm, spec.max_tasks)

    def account_of(self, key_id: str) -> str:
        return self._keys[key_id].spec.account

    def needing_check(self, now: float) -> list[str]:
        """Keys that a free call could bring back."""
        return [
            key_id
            for key_id, key in self._keys.items()
            if now < self._until(Why.RETIRED, key_id) or now < self._until(Why.EXHAUSTED, key.account.name)
        ]

    def rest_s(self, now: float) -> int | None:
        """Whole seconds that the upstream itself rests; None when it does not."""
        until = self._until(Why.COOLING)
        return math.ceil(until - now) if now < until else None

    def states(self, now: float) -> Iterator[tuple[str, KeyState]]:
        for key_id, key in self._keys.items():
            yield key_id, self._state(key, now)[0]

    def sights(self, now: float) -> Iterator[KeySight]:
        for key_id, key in self._keys.items():
            barred = tuple(rest.model for rest in self._barred(key_id, now))
            yield KeySight(key.spec, *self._state(key, now), barred, key.account.live)

    def live_tasks(self) -> int:
        """Tasks in flight on all accounts of the upstream."""
        return sum(account.live for account in self._accounts.values())

    # --- which keys are free ----------------------------------------------------------------------------------------

    def _why_blocked(self, model: str, now: float) -> Blocked:
        rests = [rest for key in self._keys.values() if (rest := self._rate_rest_s(key, model, now)) is not None]
        if rests:
            return Blocked(Cause.RATE, min(rests))
        return Blocked(Cause.KEYS)

    def _is_free(self, key: _Key, model: str, now: float) -> bool:
        return not self._is_unusable(key, model, now) and self._rate_rest_s(key, model, now) is None

    def _is_unusable(self, key: _Key, model: str, now: float) -> bool:
        """For a cause other than rate."""
        return (
            key.spec.is_draining
            or now < self._until(Why.RETIRED, key.spec.id)
            or now < self._until(Why.EXHAUSTED, key.account.name)
            or now < self._until(Why.BARRED, key.spec.id, model)
        )

    def _rate_rest_s(self, key: _Key, model: str, now: float) -> float | None:
        """Seconds until a key that is fine but for its rate may be used; None when it may be used now, or is not
        fine."""
        if self._is_unusable(key, model, now):
            return None
        account, rests = key.account, list[float]()
        resting_until = self._until(Why.RESTING, account.name)
        if now < resting_until:
            rests.append(resting_until - now)
        submits = _of_last_minute(account, now)
        if key.spec.rpm is not None and len(submits) >= key.spec.rpm:
            rests.append(submits[-key.spec.rpm] + RPM_WINDOW_S - now)
        if key.spec.max_tasks is not None and account.live >= key.spec.max_tasks:
            rests.append(FULL_RETRY_S)
        return max(rests, default=None)

    def _state(self, key: _Key, now: float) -> tuple[KeyState, float | None]:
        """The state, and when it ends by itself, where it does."""
        if key.spec.is_draining:
            return KeyState.DRAINING, None
        if now < self._until(Why.RETIRED, key.spec.id):
            return KeyState.RETIRED, None
        exhausted_until = self._until(Why.EXHAUSTED, key.account.name)
        if now < exhausted_until:
            return KeyState.EXHAUSTED, exhausted_until
        resting_until = max(self._until(Why.RESTING, key.account.name), self._until(Why.COOLING))
        if now < resting_until:
            return KeyState.RESTING, resting_until
        barred_until = max((rest.until for rest in self._barred(key.spec.id, now)), default=None)
        return (KeyState.OK, None) if barred_until is None else (KeyState.BARRED, barred_until)

    # --- what is known ----------------------------------------------------------------------------------------------

    def _rest(self, why: Why, of: str = "", model: str = "") -> Rest:
        return self._rests.get((why, of, model)) or Rest(why, of, model)

    def _until(self, why: Why, of: str = "", model: str = "") -> float:
        rest = self._rests.get((why, of, model))
        return 0.0 if rest is None else rest.until

    def _barred(self, key_id: str, now: float) -> list[Rest]:
        return [rest for rest in self._rests.values() if rest.subject[:2] == (Why.BARRED, key_id) and now < rest.until]

    def _know(self, why: Why, of: str, model: str = "", *, until: float, streak: int, now: float) -> None:
        """Whatever is new in this is told to the others."""
        known = self._rest(why, of, model)
        if (until, streak) == (known.until, known.streak):
            return
        rest = Rest(why, of, model, until, streak, max(now, known.learnt_at + JUST_LATER_S))
        self._rests[rest.subject] = rest
        self._untold.add(rest.subject)

    def _is_ours(self, rest: Rest) -> bool:
        """Whether a rest speaks of what is configured here: others may have another configuration."""
        match rest.why:
            case Why.COOLING:
                return True
            case Why.RESTING | Why.EXHAUSTED:
                return rest.of in self._accounts
            case Why.RETIRED | Why.BARRED:
                return rest.of in self._keys

    def _cool(
        self, first_s: float, max_s: float, now: float, said_s: float | None = None, *, rests_from: int = 1
    ) -> None:
        """One failure more. From so many in a row on the upstream rests, and for longer with each."""
        known = self._rest(Why.COOLING)
        failures = known.streak + (now >= known.until)  # what fails while it rests was sent before, and is none more
        rest_s = said_s if said_s is not None else min(max_s, first_s * max(0, failures - rests_from + 1))
        until = max(known.until, now + rest_s) if rest_s else known.until
        self._know(Why.COOLING, "", until=until, streak=failures, now=now)


def _pop(times: deque[float]) -> None:
    if times:
        times.popleft()


def _of_last_minute(account: _Account, now: float) -> Sequence[float]:
    """When the account's submits were, everybody's, oldest first."""
    while account.submits and account.submits[0] <= now - RPM_WINDOW_S:
        account.submits.popleft()
    elsewhere = [at for at in account.submits_elsewhere if at > now - RPM_WINDOW_S]
    return sorted([*account.submits, *elsewhere]) if elsewhere else account.submits


def _busy(pool: KeyPool, key: _Key, error: errors.UpstreamError, model: str, now: float) -> None:
    known = pool._rest(Why.RESTING, key.account.name)
    is_new = now >= known.until  # else it was sent before the rest began, with the one that began it
    if error.retry_after is not None:
        rest_s = float(error.retry_after)
    elif is_new:
        spread = 1 + BUSY_JITTER * (2 * pool._jitter() - 1)
        rest_s = min(BUSY_MAX_S, BUSY_FIRST_S * 2**known.streak) * spread
    else:
        return
    streak = min(known.streak + is_new, BUSY_STREAK_MAX)
    pool._know(Why.RESTING, key.account.name, until=max(known.until, now + rest_s), streak=streak, now=now)


def _exhausted(pool: KeyPool, key: _Key, error: errors.UpstreamError, model: str, now: float) -> None:
    pool._know(Why.EXHAUSTED, key.account.name, until=now + EXHAUSTED_S, streak=0, now=now)


def _rejected(pool: KeyPool, key: _Key, error: errors.UpstreamError, model: str, now: float) -> None:
    known = pool._rest(Why.RETIRED, key.spec.id)
    refusals = known.streak + 1
    until = FOR_EVER if not error.is_vague or refusals >= VAGUE_RETIRES else known.until
    pool._know(Why.RETIRED, key.spec.id, until=until, streak=refusals, now=now)


def _barred(pool: KeyPool, key: _Key, error: errors.UpstreamError, model: str, now: float) -> None:
    pool._know(Why.BARRED, key.spec.id, model, until=now + BARRED_S, streak=0, now=now)


def _unreachable(pool: KeyPool, key: _Key, error: errors.UpstreamError, model: str, now: float) -> None:
    pool._cool(UNREACHABLE_S, UNREACHABLE_MAX_S, now)


def _overloaded(pool: KeyPool, key: _Key, error: errors.UpstreamError, model: str, now: float) -> None:
    said_s = None if error.retry_after is None else float(error.retry_after)
    pool._cool(OVERLOADED_S, OVERLOADED_MAX_S, now, said_s)


def _walled(pool: KeyPool, key: _Key, error: errors.UpstreamError, model: str, now: float) -> None:
    pool._cool(WALLED_S, WALLED_MAX_S, now)


def _no_api(pool: KeyPool, key: _Key, error: errors.UpstreamError, model: str, now: float) -> None:
    pool._cool(NO_API_S, NO_API_MAX_S, now, rests_from=IN_A_ROW_RESTS)


_TEACHES_NOTHING = frozenset({"T5", "H19"})  # our own pool was full; the connection was the wrong one

_Effect = Callable[[KeyPool, _Key, errors.UpstreamError, str, float], None]
_EFFECTS: dict[type[errors.UpstreamError], _Effect] = {
    errors.KeyBusy: _busy,
    errors.KeyExhausted: _exhausted,
    errors.KeyRejected: _rejected,
    errors.KeyBarred: _barred,
    errors.Unreachable: _unreachable,
    errors.EdgeDown: _unreachable,
    errors.Overloaded: _overloaded,
    errors.Walled: _walled,
    errors.Distrusted: _no_api,
    errors.NoApi: _no_api,
}
