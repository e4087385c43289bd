"""The key pool of one upstream: which key next, which keys rest.

Decides, never sends; time is an argument. Keys of one `account` share balance and limits, so rests for rate, empty
balances, the submits of a minute and the tasks in flight are kept per account; a refused credential and a barred
model concern the key alone (CONTRACT section 7).
"""

import math
import random
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum

from gateway import errors

RPM_WINDOW_S = 60.0
EXHAUSTED_S = 300.0  # until an empty balance is tried again, where no free call says it is filled
BARRED_S = 3600.0  # H12
BUSY_FIRST_S, BUSY_MAX_S, BUSY_JITTER = 5.0, 120.0, 0.2  # H21
UNREACHABLE_S, UNREACHABLE_MAX_S = 5.0, 30.0  # T1–T3: 5 s × n, told to callers as 5..30
OVERLOADED_S, OVERLOADED_MAX_S = 15.0, 300.0  # H24
WALLED_S, WALLED_MAX_S = 60.0, 600.0  # H13
FULL_RETRY_S = 10.0  # when a task in flight will end is not known; this is when asking again is not rude
VAGUE_RETIRES = 2  # H10: a 401 without a JSON error may be an edge's mood, twice is not


class KeyState(StrEnum):
    """The closed set of `key_state{state}` (CONTRACT section 7)."""

    OK = "ok"
    RESTING = "resting"
    EXHAUSTED = "exhausted"
    RETIRED = "retired"
    BARRED = "barred"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class KeySpec:
    """What is configured of a key; the secret itself stays at the door to upstreams."""

    id: str
    account: str
    weight: int = 1
    rpm: int | None = None
    max_tasks: int | None = None


@dataclass(frozen=True, slots=True)
class KeySight:
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


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why no key can take a submit now, and in how many seconds one can, where that is known."""

    cause: "Cause"
    retry_after_s: float | None = None


@dataclass(slots=True)
class _Account:
    submits: deque[float] = field(default_factory=deque)
    live: int = 0
    resting_until: float = 0.0
    busy_streak: int = 0
    exhausted_until: float = 0.0


@dataclass(slots=True)
class _Key:
    spec: KeySpec
    account: _Account
    balance: int = 0
    """Of the smooth weighted rotation, not of money."""
    is_retired: bool = False
    vague_refusals: int = 0
    barred_until: dict[str, float] = field(default_factory=dict)


class KeyPool:
    """The keys of one upstream and their rest, and the upstream's own."""

    def __init__(self, specs: Sequence[KeySpec], *, jitter: Callable[[], float] = random.random) -> None:
        accounts: dict[str, _Account] = {}
        self._keys = {spec.id: _Key(spec, accounts.setdefault(spec.account, _Account())) for spec in specs}
        self._jitter = jitter
        self._cooling_until = 0.0
        self._failures = 0

    def choose(self, model: str, now: float, *, without: Collection[str] = ()) -> str | Blocked:
        """The id of the next key for `model`, by smooth weighted rotation among the free ones; else why there is none.

        `without` are keys this request has tried already.
        """
        if now < self._cooling_until:
            return Blocked(Cause.REST, self._cooling_until - now)
        free = [key for key in self._keys.values() if key.spec.id not in without and _is_free(key, model, now)]
        if not free:
            return self._why_blocked(model, now)
        for key in free:
            key.balance += key.spec.weight
        chosen = max(free, key=lambda key: key.balance)
        chosen.balance -= sum(key.spec.weight for key in free)
        return chosen.spec.id

    def take(self, key_id: str, now: float) -> None:
        """A submit is about to be sent with this key."""
        account = self._keys[key_id].account
        account.submits.append(now)
        account.live += 1

    def untake(self, key_id: str) -> None:
        """The submit that was about to be sent was not.

        The oldest submit is forgotten, not this one: others may have come since, and their minute must not end early.
        """
        account = self._keys[key_id].account
        if account.submits:
            account.submits.popleft()
        account.live = max(0, account.live - 1)

    def has_room(self, key_id: str, model: str, now: float) -> bool:
        """Whether this very key could take a submit now, were it not for its upstream's rest."""
        return _is_free(self._keys[key_id], model, now)

    def is_open(self, model: str, now: float) -> bool:
        """Whether some key could take a submit now."""
        return now >= self._cooling_until and any(_is_free(key, model, now) for key in self._keys.values())

    def occupy(self, key_id: str, count: int) -> None:
        """Tasks in flight that were submitted before this process started."""
        self._keys[key_id].account.live += count

    def give_back(self, key_id: str) -> None:
        """A task of this key came to its end, or never came about."""
        key = self._keys.get(key_id)
        if key is not None:
            key.account.live = max(0, key.account.live - 1)

    def accepted(self, key_id: str) -> None:
        """The upstream took a submit: whatever streak of failures there was is over."""
        key = self._keys[key_id]
        key.account.busy_streak = 0
        key.vague_refusals = 0
        self._failures = 0

    def learn(self, key_id: str, error: errors.UpstreamError, model: str, now: float) -> None:
        """Apply what an answer means for the key or the upstream (FAILURES, column Key / provider state)."""
        effect = _EFFECTS.get(type(error))
        if effect is not None and error.row not in _TEACHES_NOTHING:
            effect(self, self._keys[key_id], error, model, now)

    def recover(self, key_id: str) -> None:
        """A free call found the key good: it may be used again."""
        key = self._keys[key_id]
        key.is_retired = False
        key.vague_refusals = 0
        key.account.exhausted_until = 0.0

    def needing_check(self, now: float) -> list[str]:
        """Keys that a free call could bring back."""
        return [key_id for key_id, key in self._keys.items() if key.is_retired or now < key.account.exhausted_until]

    def rest_s(self, now: float) -> int | None:
        """Whole seconds that the upstream itself rests; None when it does not."""
        return math.ceil(self._cooling_until - now) if now < self._cooling_until else None

    def states(self, now: float) -> Iterator[tuple[str, KeyState]]:
        for key_id, key in self._keys.items():
            yield key_id, _state(key, now, self._cooling_until)

    def sights(self, now: float) -> Iterator[KeySight]:
        for key in self._keys.values():
            barred = tuple(model for model, until in key.barred_until.items() if now < until)
            until = _state_ends_at(key, now, self._cooling_until)
            yield KeySight(key.spec, _state(key, now, self._cooling_until), until, barred, key.account.live)

    def live_tasks(self) -> int:
        """Tasks in flight on all accounts of the upstream."""
        return sum(account.live for account in {id(key.account): key.account for key in self._keys.values()}.values())

    def live(self, key_id: str) -> int:
        """Tasks in flight on the key's account."""
        return self._keys[key_id].account.live

    def _why_blocked(self, model: str, now: float) -> Blocked:
        rests = [rest for key in self._keys.values() if (rest := _rate_rest_s(key, model, now)) is not None]
        if rests:
            return Blocked(Cause.RATE, min(rests))
        return Blocked(Cause.KEYS)

    def _cool(self, first_s: float, max_s: float, now: float, said_s: float | None = None) -> None:
        if now >= self._cooling_until:  # what fails while it rests was sent before, and is no failure more
            self._failures += 1
        rest_s = said_s if said_s is not None else min(max_s, first_s * self._failures)
        self._cooling_until = max(self._cooling_until, now + rest_s)


def _is_free(key: _Key, model: str, now: float) -> bool:
    return not _is_unusable(key, model, now) and _rate_rest_s(key, model, now) is None


def _is_unusable(key: _Key, model: str, now: float) -> bool:
    """For a cause other than rate."""
    return key.is_retired or now < key.account.exhausted_until or now < key.barred_until.get(model, 0.0)


def _rate_rest_s(key: _Key, model: str, now: float) -> float | None:
    """Seconds until a key that is fine but for its rate may be used; None when it may be used now, or is not fine."""
    if _is_unusable(key, model, now):
        return None
    account = key.account
    while account.submits and account.submits[0] <= now - RPM_WINDOW_S:
        account.submits.popleft()
    rests = []
    if now < account.resting_until:
        rests.append(account.resting_until - now)
    if key.spec.rpm is not None and len(account.submits) >= key.spec.rpm:
        rests.append(account.submits[-key.spec.rpm] + RPM_WINDOW_S - now)
    if key.spec.max_tasks is not None and account.live >= key.spec.max_tasks:
        rests.append(FULL_RETRY_S)
    return max(rests, default=None)


def _state(key: _Key, now: float, cooling_until: float) -> KeyState:
    if key.is_retired:
        return KeyState.RETIRED
    if now < key.account.exhausted_until:
        return KeyState.EXHAUSTED
    if now < key.account.resting_until or now < cooling_until:
        return KeyState.RESTING
    if any(now < until for until in key.barred_until.values()):
        return KeyState.BARRED
    return KeyState.OK


def _state_ends_at(key: _Key, now: float, cooling_until: float) -> float | None:
    match _state(key, now, cooling_until):
        case KeyState.EXHAUSTED:
            return key.account.exhausted_until
        case KeyState.RESTING:
            return max(key.account.resting_until, cooling_until)
        case KeyState.BARRED:
            return max(key.barred_until.values())
        case _:
            return None


def _busy(pool: KeyPool, key: _Key, error: errors.UpstreamError, model: str, now: float) -> None:
    account = key.account
    is_new = now >= account.resting_until  # else it was sent before the rest began, with the one that began it
    if error.retry_after is not None:
        rest_s = float(error.retry_after)
    elif is_new:
        spread = 1 + BUSY_JITTER * (2 * pool._jitter() - 1)
        rest_s = min(BUSY_MAX_S, BUSY_FIRST_S * 2**account.busy_streak) * spread
    else:
        return
    account.busy_streak = min(account.busy_streak + is_new, 10)
    account.resting_until = max(account.resting_until, now + rest_s)


def _exhausted(pool: KeyPool, key: _Key, error: errors.UpstreamError, model: str, now: float) -> None:
    key.account.exhausted_until = now + EXHAUSTED_S


def _rejected(pool: KeyPool, key: _Key, error: errors.UpstreamError, model: str, now: float) -> None:
    key.vague_refusals += 1
    key.is_retired = not error.is_vague or key.vague_refusals >= VAGUE_RETIRES


def _barred(pool: KeyPool, key: _Key, error: errors.UpstreamError, model: str, now: float) -> None:
    key.barred_until[model] = now + BARRED_S


def _unreachable(pool: KeyPool, key: _Key, error: errors.UpstreamError, model: str, now: float) -> None:
    pool._cool(UNREACHABLE_S, UNREACHABLE_MAX_S, now)


def _overloaded(pool: KeyPool, key: _Key, error: errors.UpstreamError, model: str, now: float) -> None:
    said_s = None if error.retry_after is None else float(error.retry_after)
    pool._cool(OVERLOADED_S, OVERLOADED_MAX_S, now, said_s)


def _walled(pool: KeyPool, key: _Key, error: errors.UpstreamError, model: str, now: float) -> None:
    pool._cool(WALLED_S, WALLED_MAX_S, now)


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
}
