"""What the house talks about: a request, an offer, a caller, a task and its receipt.

Nothing here knows a dialect, a provider, a clock or a table. Times are seconds since 1970, durations of videos whole
seconds, prices millionths of the currency (`money.py`).
"""

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum

from gateway.errors import Problem
from gateway.structs import Struct, field, replace


class Mode(StrEnum):
    """How a video comes about; found from the images that were given (FACTS 7.3)."""

    TEXT = "t2v"
    IMAGE = "i2v"
    FIRST_LAST = "flf"
    SUBJECT = "s2v"


class State(StrEnum):
    """Where a task stands in its life (DESIGN section 4). COMPLETED, FAILED and REFUSED are final."""

    QUEUED = "queued"
    OPENED = "opened"
    RUNNING = "running"
    UNCONFIRMED = "unconfirmed"
    COMPLETED = "completed"
    FAILED = "failed"
    REFUSED = "refused"


FINAL = frozenset({State.COMPLETED, State.FAILED, State.REFUSED})


class Money(StrEnum):
    """Where the price of a task stands. It leaves HELD or SUSPENDED for SETTLED or RELEASED exactly once."""

    HELD = "held"
    SUSPENDED = "suspended"
    """Still set aside; only a person can say what became of it."""
    SETTLED = "settled"
    RELEASED = "released"


class Status(StrEnum):
    """What a client is told about a task; every dialect has its own word for each (FACTS 7.4)."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


class VideoRequest(Struct, frozen=True, kw_only=True):
    """What is wanted, free of any dialect. A field is None where the caller said nothing.

    `resolution` is folded to upper case (`768P`). What follows `callback_url` only serves to speak of the request: it
    takes no part in comparing two requests.
    """

    model: str = ""
    prompt: str | None = None
    first_frame_image: str | None = None
    last_frame_image: str | None = None
    subject_reference: str | None = None
    resolution: str | None = None
    duration_s: int | None = None
    prompt_optimizer: bool = True
    fast_pretreatment: bool = False
    aigc_watermark: bool = False
    callback_url: str | None = None
    dialect: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    """Canonical field → the caller's own spelling of it."""
    problems: tuple[Problem, ...] = ()
    """What the reader of the dialect could not make sense of; pre-flight refuses with these and its own findings."""
    reached_at: str | None = None
    """The base address at which the caller reached the gateway, for links in what it is told by callback."""
    hint_url: str | None = None
    """Where the upstream may tell us to look at this attempt; never an address of the caller's."""

    @property
    def mode(self) -> Mode:
        if self.subject_reference is not None:
            return Mode.SUBJECT
        if self.last_frame_image is not None:
            return Mode.FIRST_LAST
        if self.first_frame_image is not None:
            return Mode.IMAGE
        return Mode.TEXT

    def param(self, name: str) -> str:
        """The caller's own spelling of a canonical field."""
        return self.params.get(name, name)

    def options(self) -> dict[str, bool]:
        """The options that differ from their documented default; the default itself needs no saying."""
        defaults = {"prompt_optimizer": True, "fast_pretreatment": False, "aigc_watermark": False}
        return {name: value for name, default in defaults.items() if (value := getattr(self, name)) is not default}

    def canonical(self) -> dict[str, object]:
        """The fields that make two requests the same, in a fixed order, JSON-ready."""
        return {name: getattr(self, name) for name in _SAYS_WHAT}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VideoRequest):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _SAYS_WHAT)

    def __ne__(self, other: object) -> bool:  # a struct has one of its own
        return not self == other

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in _SAYS_WHAT))

    def inline_characters(self) -> int:
        """How many characters of the request are pictures."""
        images = (self.first_frame_image, self.last_frame_image, self.subject_reference)
        return sum(len(image) for image in images if image is not None and _is_inline(image))

    def to_keep(self) -> "VideoRequest":
        """The request as a task remembers it: an inline image, megabytes that nobody reads again, by its digest."""
        if not self.inline_characters():
            return self
        return replace(
            self,
            first_frame_image=_to_keep(self.first_frame_image),
            last_frame_image=_to_keep(self.last_frame_image),
            subject_reference=_to_keep(self.subject_reference),
        )

    def fingerprint(self) -> str:
        """Equal for two requests exactly if their parsed fields are, but for the labels of inline pictures; 64 hex
        digits. It is that of what is kept, too."""
        text = json.dumps(self.to_keep().canonical(), ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


_FIELDS = VideoRequest.__struct_fields__
_SAYS_WHAT = _FIELDS[: _FIELDS.index("callback_url") + 1]
"""The fields that make a request itself; the others only serve to speak of it."""


def _is_inline(image: str) -> bool:
    return image[:5].lower() == "data:"


def _to_keep(image: str | None) -> str | None:
    if image is None or not _is_inline(image):
        return image
    begin = image.find(",") + 1  # what stands before is a label, which clients give as they like (CONTRACT section 4)
    digest = hashlib.sha256(memoryview(image.encode())[begin:]).hexdigest()
    return f"inline:sha256:{digest},{len(image) - begin}"


class Offer(Struct, frozen=True):
    """One combination that a model sells. `resolution` and `duration_s` are None where the model has no such field.

    `price` is None where no price is known. `unsaid` are the request fields that are never sent for this offer,
    because the model knows only one value of them.
    """

    model: str
    mode: Mode
    resolution: str | None
    duration_s: int | None
    price: int | None
    unsaid: frozenset[str] = frozenset()


class Budget(Struct, frozen=True):
    """What may be held and spent together, in millionths, within each `period` (`periods.py`); None is a lifetime."""

    amount: int
    period: str | None = None


class Balance(Struct, frozen=True):
    """What a budget allows and what became of it, in millionths; `limit` is None where nothing is limited."""

    limit: int | None
    held: int
    spent: int

    @property
    def remaining(self) -> int | None:
        """What can still be ordered, or None without a budget.

        Never below zero: a budget may be lowered under what is spent, and -1 reads as unlimited (FACTS 2.4).
        """
        return None if self.limit is None else max(0, self.limit - self.held - self.spent)


class Held(Struct, frozen=True):
    """What is set aside for several tasks together, in millionths, and since when for the first of them, if for any."""

    amount: int = 0
    since: float | None = None


class Caller(Struct, frozen=True):
    """Who asks: a virtual key and its team, authenticated, for one request."""

    key_id: str
    team: str | None = None
    models: tuple[str, ...] = ("*",)
    dialect: str | None = None
    """The dialect this key is pinned to on shared paths."""
    rpm: int | None = None
    """Creates that may be opened in any minute."""
    max_tasks: int | None = None
    """Tasks that may be in flight at once."""
    expires_at: float | None = None
    """From then on the key opens nothing."""
    budget: Budget | None = None
    team_budget: Budget | None = None
    passthrough: bool = False
    """May use the other /v1 routes although it has a budget, which counts nothing of what they spend."""

    def has_expired(self, now: float) -> bool:
        """Whether the key opens nothing any more."""
        return self.expires_at is not None and self.expires_at <= now

    @property
    def has_budget(self) -> bool:
        """Its own, or its team's."""
        return self.budget is not None or self.team_budget is not None

    @property
    def may_pass_through(self) -> bool:
        return self.passthrough or not self.has_budget

    def may_see(self, task: "Task") -> bool:
        """Its own tasks, but for hidden ones, which nobody sees."""
        return not task.hidden and self.owns(task)

    def owns(self, task: "Task") -> bool:
        """A task belongs to the caller's team; without a team, to the very key that made it."""
        if self.team is not None or task.team is not None:
            return self.team == task.team
        return self.key_id == task.caller


class Claim(Struct, frozen=True):
    """That a create may be one that was made before: by the caller's idempotency key, or by an SDK's mark of a repeat.

    Within the caller's own requests, whatever their dialect (CONTRACT section 7).
    """

    key: str | None = None
    is_repeat: bool = False
    came_at: float | None = None
    """When it came, where others were asked about it since: a repeat may have been opened meanwhile."""

    @property
    def is_marked(self) -> bool:
        """Only the mark says so: a key says more."""
        return self.key is None and self.is_repeat

    @property
    def overtaken_since(self) -> float | None:
        """From when on a marked repeat of it may have been opened; None for what is a repeat itself, or has a key, as
        its repeat would have."""
        return self.came_at if self.key is None and not self.is_repeat else None


NO_CLAIM = Claim()


class Route(Struct, frozen=True):
    """Which key of which upstream carries a task."""

    upstream: str
    key_id: str


class Receipt(Struct, frozen=True):
    """Proof of acceptance: the upstream's own id, and what it said it reserved (its own unit), where it says so."""

    upstream_id: str
    reserved: float | None = None


class Failure(Struct, frozen=True):
    """Why a task has no video: a word from the dialects' published lists and a sentence for people."""

    code: str
    message: str


class Look(Struct, frozen=True):
    """What one look at the upstream found. `progress` is 0–100 where the provider reports one."""

    status: Status
    progress: int | None = None
    link: str | None = None
    failure: Failure | None = None
    strange: str | None = None
    """A status word that the provider's documents do not list; the task counts as processing."""


class Task(Struct, frozen=True, kw_only=True):
    """One request that was opened here, as storage knows it."""

    id: int
    state: State
    caller: str
    team: str | None
    dialect: str
    request: VideoRequest
    """Canonical: model, resolution and duration are filled in."""
    fingerprint: str
    mode: Mode
    price: int | None
    currency: str
    money: Money = Money.HELD
    upstream: str
    key_id: str
    upstream_id: str | None = None
    attempts: int = 1
    progress: int = 0
    generating: bool = False
    """The upstream was seen at work (as opposed to: accepted, waiting)."""
    link: str | None = None
    failure: Failure | None = None
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    looked_at: float | None = None
    hidden: bool = False
    """Its owner deleted it: it runs on and is paid for, and nobody reads it any more."""

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def status(self) -> Status:
        if self.state is State.COMPLETED:
            return Status.COMPLETED
        if self.state in (State.FAILED, State.REFUSED):
            return Status.FAILED
        if self.state is State.RUNNING and self.generating:
            return Status.PROCESSING
        return Status.PENDING

    @property
    def submission(self) -> str | None:
        """The extension field that tells an unusual submission apart (CONTRACT section 7), else None."""
        return _SUBMISSION.get(self.state)


class Waiting(Struct, frozen=True):
    """A task that waits for a key, for those who decide whose turn it is."""

    task_id: int
    caller: str
    model: str


_SUBMISSION = {State.QUEUED: "queued", State.OPENED: "sending", State.UNCONFIRMED: "unconfirmed"}
