"""What a virtual key or a team may be, as a person says it: in JSON to the admin API, in options to the command.

The words are those of the configuration, `expires` also in days or hours from now, `budget` also as `50/30d`. Whatever
is wrong is found at once. A key that storage knows is the same thing as one that the configuration knows; of its text
there is only the digest (CONTRACT section 3).
"""

import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from gateway.errors import InvalidRequest, Problem
from gateway.money import MICROS, parse_micros
from gateway.periods import PERIODS
from gateway.structs import Struct
from gateway.video import Budget, Caller

# The rules of the configuration's own names and amounts (`config/values.py`); a test holds the two together.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", re.ASCII)
AMOUNT_MAX = 1_000_000_000
_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?", re.ASCII)
_SPAN = re.compile(r"([1-9][0-9]{0,4})([dh])", re.ASCII)
_SPAN_S = {"d": 86_400, "h": 3_600}
_COUNT_MAX = 1_000_000  # far above any limit that limits, and far below what a column holds
_GLOBS_MAX, _GLOB_CHARACTERS_MAX = 100, 256


class VirtualKey(Struct, frozen=True, kw_only=True):
    """What a key that was given to somebody may do."""

    id: str
    team: str | None = None
    models: tuple[str, ...] = ("*",)
    dialect: str | None = None
    budget: Budget | None = None
    rpm: int | None = None
    max_tasks: int | None = None
    passthrough: bool = False
    expires_at: float | None = None

    def caller(self, team_budget: Budget | None) -> Caller:
        """Who asks with this key."""
        return Caller(
            key_id=self.id,
            team=self.team,
            models=self.models,
            dialect=self.dialect,
            rpm=self.rpm,
            max_tasks=self.max_tasks,
            expires_at=self.expires_at,
            budget=self.budget,
            team_budget=team_budget,
            passthrough=self.passthrough,
        )


class Team(Struct, frozen=True):
    """Virtual keys that share a budget and see each other's tasks."""

    id: str
    budget: Budget | None = None


class Issued(Struct, frozen=True, kw_only=True):
    """A key that was given out. One that storage knows has a `created_at`, one of the configuration has none."""

    key: VirtualKey
    digest: str
    hint: str | None = None
    """The last characters of its text, to tell one from another."""
    created_at: float | None = None
    revoked_at: float | None = None

    @property
    def is_configured(self) -> bool:
        return self.created_at is None

    def __repr__(self) -> str:
        return f"Issued({self.key.id!r})"  # the digest is nobody's business

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.key.id)]


class Roll(Struct, frozen=True, kw_only=True):
    """The keys and teams that storage knows, and the switches that are for every replica."""

    version: int = 0
    """Grows with every change that a person makes, so that an unchanged roll need not be read."""
    keys: tuple[Issued, ...] = ()
    teams: tuple[Team, ...] = ()
    frozen_since: float | None = None
    """Since when creates are refused; None: they are not."""


def read_key(said: Mapping[str, Any], *, dialects: Collection[str], now: float) -> VirtualKey:
    """The key that somebody wants made. Raises InvalidRequest with all that is wrong."""
    readers: Mapping[str, _Reader] = {
        "id": _name,
        "team": _optional(_name),
        "models": _globs,
        "dialect": _optional(lambda value: _one_of(value, dialects)),
        "budget": _optional(_budget),
        "rpm": _optional(_count),
        "max_tasks": _optional(_count),
        "passthrough": _flag,
        "expires": _optional(lambda value: _moment(value, now)),
    }
    found = _read(said, readers)
    if "expires" in found:
        found["expires_at"] = found.pop("expires")
    return VirtualKey(**found)


def read_team(said: Mapping[str, Any]) -> Team:
    """The team that somebody wants made. Raises InvalidRequest with all that is wrong."""
    return Team(**_read(said, _TEAM))


def read_team_change(said: Mapping[str, Any]) -> Team:
    """The team as somebody wants it to be. Its budget must be said, None for no limit: left out, it may be a slip."""
    return Team(**_read(said, _TEAM, required=("id", "budget")))


_Reader = Callable[[Any], Any]


class _Wrong(Exception):
    """What is wrong with one value."""

    def __init__(self, message: str, *allowed: str) -> None:
        super().__init__(message)
        self.message = message
        self.allowed = allowed


def _read(
    said: Mapping[str, Any], readers: Mapping[str, _Reader], required: Collection[str] = ("id",)
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    problems = [Problem(name, "there is no such field", tuple(readers)) for name in said if name not in readers]
    problems += [Problem(name, "is required") for name in required if name not in said]
    for name, reader in readers.items():
        if name in said:
            try:
                found[name] = reader(said[name])
            except _Wrong as wrong:
                problems.append(Problem(name, wrong.message, wrong.allowed))
    if problems:
        raise InvalidRequest.of(problems)
    return found


def _optional(reader: _Reader) -> _Reader:
    return lambda value: None if value is None else reader(value)


def _name(value: Any) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise _Wrong("must be 1 to 64 letters, digits or . _ @ + -, beginning with a letter or digit")
    return value


def _one_of(value: Any, words: Collection[str]) -> str:
    if value not in words:
        raise _Wrong("is not one of the words there are", *words)
    return str(value)


def _globs(value: Any) -> tuple[str, ...]:
    is_list = isinstance(value, list | tuple) and 0 < len(value) <= _GLOBS_MAX
    if not is_list or not all(isinstance(item, str) and 0 < len(item) <= _GLOB_CHARACTERS_MAX for item in value):
        raise _Wrong(f'must be a list of 1 to {_GLOBS_MAX} patterns of model names, like ["MiniMax-Hailuo-*"]')
    return tuple(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _COUNT_MAX:
        raise _Wrong(f"must be a whole number from 1 to {_COUNT_MAX}")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong("must be true or false", "true", "false")
    return value


def _budget(value: Any) -> Budget:
    """`{"amount": 50, "period": "30d"}`, or `50/30d`, or `50` for a lifetime."""
    if isinstance(value, Mapping):
        strange = [name for name in value if name not in ("amount", "period")]
        if strange or "amount" not in value:
            raise _Wrong("must have an amount and may have a period, and nothing else", "amount", "period")
        return Budget(_micros(value["amount"]), _period(value.get("period")))
    if isinstance(value, str):
        amount, slash, period = value.partition("/")
        return Budget(_micros(amount), _period(period) if slash else None)
    return Budget(_micros(value))


_TEAM: Mapping[str, _Reader] = {"id": _name, "budget": _optional(_budget)}


def _micros(value: Any) -> int:
    wrong = _Wrong(f"must be an amount from 0 to {AMOUNT_MAX} with at most six decimals, like 0.28")
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise wrong
    if isinstance(value, str) and not _AMOUNT.fullmatch(value):
        raise wrong
    try:
        micros = parse_micros(str(value))  # a float's shortest spelling is what was written
    except ValueError:
        raise wrong from None
    if micros > AMOUNT_MAX * MICROS:
        raise wrong
    return micros


def _period(value: Any) -> str | None:
    if value is not None and value not in PERIODS:
        raise _Wrong("has a period that is none; without a period a budget is for a lifetime", *PERIODS)
    return value if value is None else str(value)


def _moment(value: Any, now: float) -> float:
    """`90d` or `12h` from now, or a date, or a date and time; UTC unless it says otherwise."""
    wrong = _Wrong("must be a time to come, like 90d, 12h, 2030-12-31 or 2030-12-31T18:00:00Z")
    if not isinstance(value, str):
        raise wrong
    span_s = span_s_of(value)
    moment = moment_of(value) if span_s is None else now + span_s
    if moment is None or moment <= now:
        raise wrong
    return moment


def span_s_of(text: str) -> int | None:
    """Seconds of `90d` or `12h`; None when it is neither."""
    span = _SPAN.fullmatch(text)
    return None if span is None else int(span[1]) * _SPAN_S[span[2]]


def moment_of(text: str) -> float | None:
    """Seconds since 1970 of a date, or a date and time, in ISO's spelling; None when it is neither."""
    try:
        if len(text) == len("2030-12-31"):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
