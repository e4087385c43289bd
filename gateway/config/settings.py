"""Every setting, its type and its default.

What is read from the file, frozen to the bottom: sections are models, lists are tuples, mappings are read-only.
`config.example.yaml` documents what stands here, and `tests/test_config.py` holds the two together. Only what a
gateway cannot guess is required: for an upstream its name, provider, address and keys, for a virtual key its id and
the key, for a team its id, for a budget its amount.
"""

from types import MappingProxyType
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.bounds import Most
from gateway.config.values import (
    Amount,
    Archive,
    BaseUrl,
    Count,
    Currency,
    Dialect,
    DigestOfSecret,
    Glob,
    HeaderSecret,
    Moment,
    Name,
    Network,
    OffWord,
    OptionalHeaderSecret,
    OptionalSigningSecret,
    Period,
    PriceList,
    Provider,
    Seconds,
    Sha256,
    StorageUrl,
    Url,
)
from gateway.secret import Secret

LINK_TTL_S_MAX = 315_360_000  # ten years: no link is wanted for longer, and it says its end in at most twelve digits
_EVOLINK_HOST = "api.evolink.ai"
_EVOLINK_FILES = "https://files-api.evolink.ai"


class Section(BaseModel):
    """A part of the configuration. Unknown settings are refused and types are strict."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )


class Limits(Section):
    """What one HTTP request may weigh and how long it may take to arrive (CONTRACT section 5), and how many connections
    there may be."""

    header_bytes: Count = 65_536
    header_fields: Count = 100
    header_s: Seconds = 10
    body_bytes: Count = 33_554_432
    body_s: Seconds = 30
    idle_s: Seconds = 75
    connections: Count = 10_000


class Server(Section):
    """Where the gateway listens and how it answers."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    public_url: Url | None = None
    workers: Count = 1
    leave_s: Annotated[Seconds, Field(le=60)] = 5
    answer_within_s: Seconds = 8
    default_dialect: Dialect = "evolink"
    limits: Limits = Limits()


class Storage(Section):
    """Where tasks and money are written down. The address is a secret because it may hold a password."""

    url: StorageUrl = Field(default_factory=lambda: Secret("sqlite:///reelgate.db"))

    @property
    def kind(self) -> Literal["sqlite", "postgresql"]:
        return "sqlite" if self.url.reveal().startswith("sqlite:") else "postgresql"


class UpstreamKey(Section):
    """A secret we hold for an upstream."""

    value: HeaderSecret
    # Not its place in the list: a task is polled with the key that submitted it, also after the list was reordered.
    id: Name = Field(default_factory=lambda data: f"key-{data['value'].digest()[:8]}")
    account: Name = Field(default_factory=lambda data: data["id"])
    weight: Count = 1
    rpm: Count | None = None
    max_tasks: Count | None = None
    draining: bool = False


class Timeouts(Section):
    """How long one call to an upstream may take."""

    connect_s: Seconds = 5
    read_s: Seconds = 60
    total_s: Seconds = 120


def _files_url(data: dict[str, Any]) -> str | None:
    """EvoLink's own file host only beside EvoLink's own address, so that no key goes to a host nobody named."""
    if data["provider"] != "evolink":
        return None
    base_url: str = data["base_url"]
    return _EVOLINK_FILES if urlsplit(base_url).hostname == _EVOLINK_HOST else base_url


class Upstream(Section):
    """One place we call. `models` is None for all that the catalog says the provider sells."""

    name: Name
    provider: Provider
    base_url: BaseUrl
    files_url: Url | None = Field(default_factory=_files_url)
    priority: Annotated[int, Field(ge=0)] = 0
    weight: Count = 1
    models: tuple[Glob, ...] | None = None
    keys: Annotated[tuple[UpstreamKey, ...], Field(min_length=1)]
    timeouts: Timeouts = Timeouts()
    failed_generations: Literal["release", "settle"] = "release"
    camera_commands: Literal["en", "zh", "as-is"] = "as-is"


class Budget(Section):
    """What may be spent, in millionths of the currency; `period` is None for a lifetime."""

    amount: Amount
    period: Period | None = None


class VirtualKey(Section):
    """A key given to people. Only its digest is kept, whichever way the file gave it."""

    id: Name
    value_digest: DigestOfSecret = Field(default=None, alias="value", repr=False)
    sha256: Sha256 | None = Field(default=None, repr=False)
    team: Name | None = None
    dialect: Dialect | None = None
    models: tuple[Glob, ...] = ("*",)
    budget: Budget | None = None
    rpm: Count | None = None
    max_tasks: Count | None = None
    passthrough: bool = False
    expires: Moment | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the key in hex."""
        return self.value_digest or self.sha256 or ""


class Team(Section):
    """Virtual keys that share a budget and see each other's tasks."""

    id: Name
    budget: Budget | None = None


class Preflight(Section):
    """What is looked at before anything is spent."""

    images: Annotated[Literal["strict", "lenient", "off"], OffWord] = "strict"
    camera_commands: Annotated[Literal["warn", "reject", "off"], OffWord] = "warn"
    unknown_models: Literal["reject", "forward"] = "reject"
    allow_private_networks: tuple[Network, ...] = ()


class Polling(Section):
    """How often an upstream is asked about a running task."""

    min_interval_s: Seconds = 2
    max_interval_s: Seconds = 30


class Reconcile(Section):
    """When a submission that nobody confirmed is given up."""

    give_up_after_s: Seconds = 1800


class Results(Section):
    """How finished videos are handed out and kept."""

    links: Literal["auto", "upstream", "gateway"] = "auto"
    link_ttl_s: Annotated[Count, Field(le=LINK_TTL_S_MAX)] = 86_400
    archive: Archive | None = None
    keep_s: Seconds | None = None


class Callbacks(Section):
    """How the gateway tells callers that a task is done."""

    signing_secret: OptionalSigningSecret = None


class Queue(Section):
    """Tasks that wait while every key rests; `max_tasks` 0 means there is no queue."""

    max_tasks: Annotated[int, Field(ge=0)] = 1000
    max_wait_s: Seconds = 3600


class Bounds(Section):
    """How much of each kind of work may be under way at once, in each process."""

    creates: Count = Most.creates
    body_bytes: Count = Most.body_bytes
    probes: Count = Most.probes
    looks: Count = Most.looks
    waits: Count = Most.waits
    streams: Count = Most.streams
    films: Count = Most.films
    passthrough: Count = Most.passthrough
    callbacks: Count = Most.callbacks
    listings: Count = Most.listings


class Passthrough(Section):
    """Where every other /v1 route goes; None is nowhere, because such a route can spend money that nobody counts."""

    upstream: Name | None = None


def _queue_off(value: object) -> object:
    return {"max_tasks": 0} if value is None else value


def _passthrough_off(value: object) -> object:
    return {} if value is None else value


class Config(Section):
    """The whole configuration."""

    server: Server = Server()
    storage: Storage = Field(default_factory=Storage)
    admin_key: OptionalHeaderSecret = None
    upstreams: Annotated[tuple[Upstream, ...], Field(min_length=1)]
    virtual_keys: tuple[VirtualKey, ...] = ()
    teams: tuple[Team, ...] = ()
    currency: Currency = "USD"
    preflight: Preflight = Preflight()
    polling: Polling = Polling()
    reconcile: Reconcile = Reconcile()
    results: Results = Results()
    callbacks: Callbacks = Callbacks()
    queue: Annotated[Queue, BeforeValidator(_queue_off, json_schema_input_type=Queue | None)] = Queue()
    passthrough: Annotated[
        Passthrough, BeforeValidator(_passthrough_off, json_schema_input_type=Passthrough | None)
    ] = Passthrough()
    bounds: Bounds = Bounds()
    prices: PriceList = Field(default_factory=lambda: MappingProxyType({}))


def json_schema() -> dict[str, Any]:
    """The published JSON Schema of config.yaml, for editors."""
    return Config.model_json_schema()
