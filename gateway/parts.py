"""The frozen bundle a flow may use. Plain values only: no flow knows the configuration file."""

from collections.abc import Callable
from typing import Literal, Protocol

from gateway.admission import Admission
from gateway.archive import Archive
from gateway.bounds import Bounds
from gateway.camera import Policy
from gateway.catalog import Catalog
from gateway.egress import Door
from gateway.memory import Memory
from gateway.metrics import Metrics
from gateway.secret import Secret
from gateway.store import Books, Callers, Database, Journal, Leases, Outbox, Presence, Registry, Rests, Sessions
from gateway.stories import Stories
from gateway.structs import Struct
from gateway.upstreams import Upstreams


class Settings(Struct, frozen=True, kw_only=True):
    """The numbers and words the flows go by; seconds unless they say otherwise."""

    currency: str = "USD"
    answer_within_s: float = 8.0
    min_interval_s: float = 2.0
    max_interval_s: float = 30.0
    give_up_after_s: float = 1800.0
    queue_places: int = 0
    """How many tasks may wait for a key; 0: none."""
    queue_wait_s: float = 3600.0
    longest_submit_s: float = 120.0
    links: str = "auto"
    link_ttl_s: int = 86_400
    link_secret: bytes = b""
    keep_s: float | None = None
    """How long a kept film is kept; None: for ever."""
    images: Literal["strict", "lenient", "off", "unseen"] = "strict"
    """How images are judged; `unseen`: addresses are read and not asked, which a warning says."""
    camera_commands: Policy = "warn"
    public_url: str | None = None
    """How upstreams and the receivers of callbacks reach this gateway, if they do."""
    signing_secret: Secret | None = None
    """What callbacks are signed with."""
    hint_secret: bytes = b""
    passthrough: str | None = None
    """The upstream that every other /v1 route goes to; None: there are no other routes."""


class Desk(Protocol):
    """What the decisions of a person need, made at a running gateway or on the command line beside it."""

    @property
    def registry(self) -> Registry: ...
    @property
    def rests(self) -> Rests: ...
    @property
    def journal(self) -> Journal: ...
    @property
    def callers(self) -> Callers: ...
    @property
    def books(self) -> Books: ...
    @property
    def admission(self) -> Admission: ...
    @property
    def clock(self) -> Callable[[], float]: ...


class Rules(Protocol):
    """What pre-flight judges a request by, at a running gateway or on the command line without one."""

    @property
    def catalog(self) -> Catalog: ...
    @property
    def upstreams(self) -> Upstreams: ...
    @property
    def door(self) -> Door: ...
    @property
    def memory(self) -> Memory: ...
    @property
    def bounds(self) -> Bounds: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def clock(self) -> Callable[[], float]: ...


class Parts(Struct, frozen=True, kw_only=True):
    """A `Desk`, the `Rules`, and what serving needs beside them."""

    catalog: Catalog
    upstreams: Upstreams
    door: Door
    database: Database
    registry: Registry
    rests: Rests
    presence: Presence
    journal: Journal
    outbox: Outbox
    leases: Leases
    callers: Callers
    books: Books
    sessions: Sessions
    admission: Admission
    archive: Archive | None
    memory: Memory
    bounds: Bounds
    metrics: Metrics
    stories: Stories
    settings: Settings
    clock: Callable[[], float]
