"""The frozen bundle a flow may use. Plain values only: no flow knows the configuration file."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol

from gateway.admission import Admission
from gateway.catalog import Catalog
from gateway.memory import Memory
from gateway.metrics import Metrics
from gateway.store import Books, Callers, Database, Journal, Presence, Registry
from gateway.stories import Stories
from gateway.upstreams import Upstreams


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
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
    private_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks that callbacks may name although they are not public."""
    passthrough: str | None = None
    """The upstream that every other /v1 route goes to; None: there are no other routes."""


class Desk(Protocol):
    """What the decisions of a person need, made at a running gateway or on the command line beside it."""

    @property
    def registry(self) -> Registry: ...
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A `Desk`, and what serving needs beside it."""

    catalog: Catalog
    upstreams: Upstreams
    database: Database
    registry: Registry
    presence: Presence
    journal: Journal
    callers: Callers
    books: Books
    admission: Admission
    memory: Memory
    metrics: Metrics
    stories: Stories
    settings: Settings
    clock: Callable[[], float]
