"""What every dialect has in common: its endpoints, what it is shown of a task, and what it must be able to do."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from gateway.dialects.reading import PIXELS
from gateway.errors import GatewayError, Problem, UnknownModel
from gateway.money import MICROS
from gateway.structs import Struct
from gateway.video import Balance, Mode, Status, Task, VideoRequest

if TYPE_CHECKING:
    from gateway.dialects.fields import Fields


class Action(StrEnum):
    """What a client wants of an endpoint. Some dialects word an error differently for each."""

    CREATE = "create"
    READ = "read"
    LIST = "list"
    DELETE = "delete"
    FILE = "file"
    CREDITS = "credits"
    CONTENT = "content"
    OTHER = "other"


class Endpoint(Struct, frozen=True):
    """One route of a dialect. Which task it is about stands in its `{id}`, or in a parameter of the query."""

    action: Action
    method: str
    path: str
    query_id: str | None = None
    takes_forms: bool = False
    """Bodies may also come as multipart forms."""


class View(Struct, frozen=True):
    """What a task's rendering needs beside the task: the absolute link to the film, and when that link dies; while it
    runs, how long it is expected to take in all, and whether its progress is an estimate of ours."""

    link: str | None = None
    link_expires_at: int | None = None
    expected_s: int | None = None
    is_estimate: bool = False


class Row(NamedTuple):
    """How a dialect says one of the house's error codes."""

    status: int
    code: str
    type: str


NO_ROWS: Mapping[str, Row] = {}


class Dialect(Protocol):
    """A client's way of speaking. A module satisfies this by having these names; none of them does I/O."""

    NAME: str
    ENDPOINTS: tuple[Endpoint, ...]
    MARKS: frozenset[str]
    """Top-level fields of a create body that no other dialect of a shared path has."""
    LACKS: frozenset[str]
    """Canonical fields that this dialect has no word for."""
    FIELDS: "Fields"
    """What a create body may hold; `parse` reads by it."""

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


@runtime_checkable
class Lister(Protocol):
    """What a dialect with LIST and DELETE among its endpoints can do besides."""

    def render_list(self, shown: Sequence[tuple[Task, View]], *, has_more: bool) -> dict[str, Any]:
        """One page of tasks, in the order they are given."""

    def render_deleted(self, task: Task) -> dict[str, Any]:
        """The answer to a delete."""


@runtime_checkable
class FileDialect(Protocol):
    """What a dialect with FILE among its endpoints can do besides."""

    def render_file(self, task: Task, view: View) -> dict[str, Any]:
        """Where the film of a completed task is. Whoever asks has made sure that there is one."""


@runtime_checkable
class FormDialect(Protocol):
    """What a dialect whose forms hold other fields than its JSON can do besides."""

    FORM_FIELDS: "Fields"
    """What a create's form may hold; `parse_form` reads by it."""

    def parse_form(self, body: Mapping[str, Any]) -> VideoRequest:
        """What is wanted by a form; otherwise as `parse`."""


@runtime_checkable
class CallbackDialect(Protocol):
    """What a dialect whose callbacks are worded otherwise than its polls can do besides."""

    def render_callback(self, task: Task, view: View) -> dict[str, Any]:
        """What the caller is told of a task that is over."""


def progress(task: Task) -> int:
    """0–100; only a completed task has 100, whatever the upstream said before."""
    return 100 if task.status is Status.COMPLETED else max(0, min(task.progress, 99))


def estimate(view: View) -> dict[str, bool]:
    """The mark of a progress that the upstream did not report, nothing otherwise. No document has a word for it."""
    return {"progress_estimated": True} if view.is_estimate else {}


def pixels(task: Task) -> tuple[int, int] | None:
    """Width and height, where they are known: a film that is not made of text alone follows its image (FACTS 4.2)."""
    return PIXELS.get(task.request.resolution or "") if task.mode is Mode.TEXT else None


def extension(task: Task) -> dict[str, str]:
    """The `submission` field of an unusual submission, nothing otherwise (CONTRACT section 7)."""
    return {} if task.submission is None else {"submission": task.submission}


def failure(task: Task, rows: Mapping[str, Row] = NO_ROWS) -> dict[str, dict[str, str]]:
    """The `error` of a task that failed, nothing otherwise.

    What an answer to its create would have said, the task says in the same words (CONTRACT section 4): a refusal may
    come after that answer. Of a task that was accepted, the code is the upstream's or speaks of a generation.
    """
    if task.status is not Status.FAILED:
        return {}
    if task.failure is None:
        return {"error": {"code": "unknown_error", "message": "the task failed for an unknown reason"}}
    known = rows.get(task.failure.code) if task.upstream_id is None else None
    return {"error": {"code": task.failure.code if known is None else known.code, "message": task.failure.message}}


def amount(micros: int) -> float:
    """Millionths as the JSON number that is nearest to the exact amount."""
    return micros / MICROS


def row(rows: Mapping[str, Row], error: GatewayError) -> Row:
    """The dialect's words for an error. A code without a row speaks for itself: better than to hide it."""
    general = "invalid_request_error" if error.status < 500 else "api_error"
    return rows.get(error.code, Row(error.status, error.code, general))


def sentence(error: GatewayError) -> str:
    """An error for people who are shown only its message: the field, the rule and the allowed values."""
    if not error.problems:
        return error.message
    first = error.problems[0]
    field = "" if f"`{first.param}`" in error.message else f"{first.param}: "
    allowed = f"; allowed: {', '.join(first.allowed)}" if first.allowed else ""
    return field + error.message + allowed


def field_of(error: GatewayError) -> str | None:
    """The field an error is about, where one is known."""
    return error.param or ("model" if error.code == UnknownModel.code else None)


def findings(error: GatewayError) -> dict[str, list[dict[str, Any]]]:
    """All `problems` of a request, nothing where the error is not about fields."""
    return {"problems": [_finding(problem) for problem in error.problems]} if error.problems else {}


def _finding(problem: Problem) -> dict[str, Any]:
    return {"param": problem.param, "message": problem.message, "allowed": list(problem.allowed)}
