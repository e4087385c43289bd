"""The composition root: configuration → parts → an ASGI application. The only room that knows them all."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from starlette.types import ASGIApp

from gateway import tracing
from gateway.admission import Admission
from gateway.archive import Archive
from gateway.bounds import Bounds, Most
from gateway.catalog import Catalog
from gateway.config import Budget as BudgetConfig
from gateway.config import Config, is_loopback
from gateway.config import Upstream as UpstreamConfig
from gateway.config import UpstreamKey as UpstreamKeyConfig
from gateway.config import VirtualKey as VirtualKeyConfig
from gateway.egress import Door, Kind
from gateway.egress.listeners import Listener
from gateway.egress.resolving import Resolve
from gateway.flows import callbacks, callers, keeping, neighbours, queue, sweep, watch
from gateway.keys import KeyPool, KeySpec
from gateway.memory import Memory
from gateway.metrics import Metrics
from gateway.parts import Parts, Settings
from gateway.providers import PROVIDERS
from gateway.providers.protocol import Site
from gateway.serving import Limits
from gateway.siblings import Siblings
from gateway.store import (
    Books,
    Callers,
    Database,
    Journal,
    Leases,
    Outbox,
    Presence,
    Registry,
    Rests,
    Sessions,
    prepare,
)
from gateway.stories import Stories
from gateway.structs import Struct, replace
from gateway.transport import Timeouts
from gateway.upstreams import Upstream, Upstreams
from gateway.video import Budget, Caller
from gateway.virtual_keys import Issued, Team, VirtualKey
from gateway.web.admin import Admin
from gateway.web.auth import Doorkeeper
from gateway.web.document import Document
from gateway.web.events import Events
from gateway.web.films import Films
from gateway.web.hints import HintPath
from gateway.web.operations import Operations
from gateway.web.passthrough import Passthrough
from gateway.web.routes import build_routes
from gateway.web.surface import Way
from gateway.web.tasks import Tasks
from gateway.web.videos import CreateSettings, Videos

log = logging.getLogger("reelgate.start")

# A submit may be three calls (two uploads and the create), on three upstreams, and once more (FAILURES T1).
_CALLS_MAX = 12
# What goes on without being asked.
BACKGROUND = (sweep, queue, callers, keeping, watch, callbacks, neighbours)
# What requests ask of storage, each a span where they are traced.
TRACED = (
    *("open", "find_twin", "start", "turn", "requeue", "doubt", "abandon", "drop"),
    *("get", "of_caller", "hide", "balances", "note", "relocate"),
)
DRAIN_S = 27.0  # SIGTERM to exit is promised within 30 s (CONTRACT section 5)


def unknown_providers(config: Config) -> list[str]:
    """One line for every upstream whose protocol this version does not speak."""
    return [
        f"upstreams[{index}].provider: {item.provider} is not in this version; use one of {', '.join(PROVIDERS)}"
        for index, item in enumerate(config.upstreams)
        if item.provider not in PROVIDERS
    ]


class Gateway(Struct, frozen=True):
    """A gateway that is open: its ASGI application and the parts behind it."""

    app: ASGIApp
    parts: Parts
    limits: Limits
    """Of the connections on which it is served."""


@asynccontextmanager
async def gateway(
    config: Config,
    *,
    clock: Callable[[], float] = time.time,
    listeners: Sequence[Listener] = (),
    resolve: Resolve | None = None,
    counts: Path | None = None,
) -> AsyncIterator[Gateway]:
    """Open everything, recover what the last process left, serve, and close in the right order.

    `listeners` are the sockets on which this gateway will answer: no address that others name leads there. `resolve`
    looks up the names in such addresses, instead of the machine's own way. `counts` is where the workers on one port
    tell each other what they have counted.

    Raises StorageRefused for a database that is not ours to use, StorageDown when it cannot be opened.
    """
    metrics, bounds = Metrics(), Bounds(Most(**config.bounds.model_dump()))
    async with AsyncExitStack() as closing:
        await closing.enter_async_context(tracing.exporting())
        database = Database.open(config.storage.url.reveal())
        closing.push_async_callback(database.close)
        upstreams = Upstreams(
            [_upstream(item) for item in config.upstreams], clock=clock, on_call=tracing.calls(metrics.call)
        )
        closing.push_async_callback(upstreams.close)
        await prepare(database)
        presence = await Presence.open(database)
        closing.push_async_callback(presence.close)
        registry = Registry(database, presence.number)
        tracing.watch(registry, "storage", TRACED)
        journal = Journal.beside(database.path)
        await journal.replay(registry)  # before recovery, so that a receipt is not mistaken for a doubt
        await registry.recover(clock(), await presence.dead(await registry.senders()))
        parts = Parts(
            catalog=_catalog(config),
            upstreams=upstreams,
            door=_door(config, listeners, resolve),
            database=database,
            registry=registry,
            rests=Rests(database, presence.number),
            presence=presence,
            journal=journal,
            outbox=Outbox(database),
            leases=Leases(database, presence.number),
            callers=Callers(database),
            books=Books(database),
            sessions=Sessions(database),
            admission=admission(config),
            archive=None if config.results.archive is None else Archive.open(config.results.archive),
            memory=Memory(),
            bounds=bounds,
            metrics=metrics,
            stories=Stories(),
            settings=_settings(config, await registry.secret("links"), await registry.secret("hints")),
            clock=clock,
        )
        metrics.begin(parts.catalog.names())
        metrics.mirror(upstreams.key_states, bounds)
        parts.stories.at_stop(parts.memory.wake_all)
        await neighbours.begin(parts)
        await callers.refresh(parts)
        for sentence in parts.admission.conflicts():
            log.warning(sentence)
        siblings = None if counts is None else await Siblings.open(counts, metrics.families)
        if siblings is not None:
            closing.push_async_callback(siblings.close)
        background = [asyncio.create_task(flow.run(parts)) for flow in BACKGROUND]
        try:
            yield Gateway(_router(config, parts, siblings), parts, _limits(config))
        finally:
            await parts.stories.drain(DRAIN_S)
            for story in background:
                story.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await neighbours.end(parts)


class Offline(Struct, frozen=True, kw_only=True):
    """The `Rules` of a configuration, with nothing opened."""

    catalog: Catalog
    upstreams: Upstreams
    door: Door
    memory: Memory
    bounds: Bounds
    settings: Settings
    clock: Callable[[], float]


@asynccontextmanager
async def offline(config: Config, *, resolve: Resolve | None) -> AsyncIterator[Offline]:
    """What pre-flight judges by, without storage. Where names are looked up by a given `resolve`, nobody is asked."""
    upstreams = Upstreams([_upstream(item) for item in config.upstreams], clock=time.time, on_call=lambda record: None)
    settings = _settings(config, b"", b"")
    if resolve is not None and settings.images != "off":
        settings = replace(settings, images="unseen")
    try:
        yield Offline(
            catalog=_catalog(config),
            upstreams=upstreams,
            door=Door(opened=config.preflight.allow_private_networks, resolve=resolve),
            memory=Memory(),
            bounds=Bounds(),
            settings=settings,
            clock=time.time,
        )
    finally:
        await upstreams.close()


def _catalog(config: Config) -> Catalog:
    return Catalog.shipped(config.prices, forwards_unknown=config.preflight.unknown_models == "forward")


def _door(config: Config, listeners: Sequence[Listener], resolve: Resolve | None) -> Door:
    """The door with a place for whatever may be under way, so that nothing waits in front of it."""
    bounds = config.bounds
    at_once = {
        Kind.IMAGE: bounds.probes,
        Kind.CALLBACK: bounds.callbacks,
        Kind.FILM: bounds.films + keeping.AT_ONCE,
    }
    opened = config.preflight.allow_private_networks
    return Door(opened=opened, listeners=listeners, resolve=resolve, at_once=at_once)


def _router(config: Config, parts: Parts, siblings: Siblings | None) -> ASGIApp:
    doorkeeper = Doorkeeper(parts.admission, own_hosts=_hosts(config), clock=parts.clock)
    tasks = Tasks(parts, doorkeeper, public_url=config.server.public_url)
    videos = Videos(parts, tasks, _create_settings(config))
    return build_routes(
        videos,
        Films(parts, tasks),
        Events(parts, tasks, videos),
        Operations(parts, siblings),
        Passthrough(parts, tasks),
        Document(
            parts,
            default_dialect=config.server.default_dialect,
            has_admin=config.admin_key is not None,
            public_url=config.server.public_url,
        ),
        parts.metrics,
        admin={**HintPath(parts).ways(), **_admin_ways(config, parts)},
        default_dialect=config.server.default_dialect,
        look_again=partial(callers.look_again, parts),
    )


def _admin_ways(config: Config, parts: Parts) -> Mapping[str, Mapping[str, Way]]:
    """The admin API and the dashboard. Without an admin key neither is there, nor loaded."""
    if config.admin_key is None:
        return {}
    from gateway.web.dashboard.dashboard import Dashboard, DashboardSettings

    limits = config.server.limits
    settings = DashboardSettings(config.admin_key, config.server.public_url, limits.body_bytes, limits.body_s)
    dashboard = Dashboard(parts, settings)
    return {**Admin(parts, config.admin_key, is_logged_in=dashboard.lets_in).ways(), **dashboard.ways()}


def _upstream(item: UpstreamConfig) -> Upstream:
    return Upstream(
        name=item.name,
        provider=PROVIDERS[item.provider],
        site=Site(item.base_url, item.files_url),
        pool=KeyPool([_key(key) for key in item.keys]),
        secrets={key.id: key.value.reveal for key in item.keys},
        priority=item.priority,
        weight=item.weight,
        models=item.models,
        charges_failures=item.failed_generations == "settle",
        camera_commands=item.camera_commands,
        timeouts=Timeouts(item.timeouts.connect_s, item.timeouts.read_s, item.timeouts.total_s),
    )


def _key(item: UpstreamKeyConfig) -> KeySpec:
    return KeySpec(item.id, item.account, item.weight, item.rpm, item.max_tasks, is_draining=item.draining)


def _settings(config: Config, link_secret: bytes, hint_secret: bytes) -> Settings:
    return Settings(
        currency=config.currency,
        answer_within_s=config.server.answer_within_s,
        min_interval_s=config.polling.min_interval_s,
        max_interval_s=config.polling.max_interval_s,
        give_up_after_s=config.reconcile.give_up_after_s,
        queue_places=config.queue.max_tasks,
        queue_wait_s=config.queue.max_wait_s,
        longest_submit_s=_CALLS_MAX * max(item.timeouts.total_s for item in config.upstreams),
        links=config.results.links,
        link_ttl_s=config.results.link_ttl_s,
        keep_s=config.results.keep_s,
        link_secret=link_secret,
        images=config.preflight.images,
        camera_commands=config.preflight.camera_commands,
        public_url=config.server.public_url,
        signing_secret=config.callbacks.signing_secret,
        hint_secret=hint_secret,
        passthrough=config.passthrough.upstream,
    )


def _limits(config: Config) -> Limits:
    limits = config.server.limits
    return Limits(
        header_bytes=limits.header_bytes,
        header_fields=limits.header_fields,
        header_s=limits.header_s,
        idle_s=limits.idle_s,
        connections=limits.connections,
    )


def _create_settings(config: Config) -> CreateSettings:
    return CreateSettings(
        default_dialect=config.server.default_dialect,
        answer_within_s=config.server.answer_within_s,
        body_bytes_max=config.server.limits.body_bytes,
        body_within_s=config.server.limits.body_s,
    )


def admission(config: Config) -> Admission:
    """Whom the configuration lets in, before storage is asked."""
    # With an admin key alone a gateway may listen to the network, and then nobody may use it before a key is made.
    is_open = is_loopback(config.server.host)
    return Admission(
        [_issued(key) for key in config.virtual_keys],
        [Team(team.id, _budget(team.budget)) for team in config.teams],
        anyone=Caller(key_id="local") if is_open else None,
    )


def _issued(configured: VirtualKeyConfig) -> Issued:
    key = VirtualKey(
        id=configured.id,
        team=configured.team,
        models=configured.models,
        dialect=configured.dialect,
        budget=_budget(configured.budget),
        rpm=configured.rpm,
        max_tasks=configured.max_tasks,
        passthrough=configured.passthrough,
        expires_at=None if configured.expires is None else configured.expires.timestamp(),
    )
    return Issued(key=key, digest=configured.digest)


def _budget(configured: BudgetConfig | None) -> Budget | None:
    return None if configured is None else Budget(configured.amount, configured.period)


def _hosts(config: Config) -> frozenset[str]:
    """The names under which an open gateway answers, beside this machine's own."""
    public = urlsplit(config.server.public_url or "").hostname
    return frozenset({public} if public else ())
