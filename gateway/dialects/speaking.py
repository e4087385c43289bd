"""What every dialect has in common: the endpoints it lists, what it is shown of a task, and what it must be able to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from gateway.errors import GatewayError
from gateway.video import Task, VideoRequest


class Action(StrEnum):
    """What a client wants of an endpoint. Some dialects word an error differently for each."""

    CREATE = "create"
    READ = "read"
    CREDITS = "credits"
    CONTENT = "content"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route of a dialect. `path` may hold `{id}`."""

    action: Action
    method: str
    path: str


@dataclass(frozen=True, slots=True)
class View:
    """What a task's rendering needs beside the task: the absolute link to the film, and when that link dies."""

    link: str | None = None
    link_expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """A caller's own money, in millionths. `limit` is None for a caller without a budget."""

    limit: int | None
    held: int
    spent: int


class Dialect(Protocol):
    """A client's way of speaking. A module satisfies this by having these names; none of them does I/O."""

    NAME: str
    ENDPOINTS: tuple[Endpoint, ...]
    MARKS: frozenset[str]
    """Top-level fields of a create body that no other dialect of a shared path has."""

    def parse(self, body: Mapping[str, Any]) -> VideoRequest:
        """What is wanted. Never raises: what cannot be read stands in the request's `problems`."""

    def prompt_required(self, model: str) -> bool:
        """Whether this dialect asks for a prompt where the model itself would do without (canonical model name)."""

    def spell(self, name: str, value: str) -> str:
        """A canonical value in this dialect's own spelling, for lists of allowed values."""

    def render_created(self, task: Task) -> dict[str, Any]:
        """The answer to a create."""

    def render_task(self, task: Task, view: View) -> dict[str, Any]:
        """The answer to a poll."""

    def render_balance(self, balance: Balance, caller: Balance) -> dict[str, Any]:
        """The answer to a question for credits: the virtual key's own money and its owner's (team or key)."""

    def render_error(self, error: GatewayError, action: Action) -> tuple[int, dict[str, Any]]:
        """HTTP status and body. `error.problems` already carries the caller's own field names and spellings."""
