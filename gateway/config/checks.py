"""What no single setting can know: names used twice, names that lead nowhere, settings that exclude each other.

The checks read the expanded tree and not the finished settings, so that they also speak when something else is wrong.
They therefore take nothing for granted: what has the wrong type is skipped here and reported by the types.
"""

from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from ipaddress import ip_address

from gateway.config.mistakes import Finding
from gateway.config.settings import Polling
from gateway.config.shape import Loc
from gateway.secret import Secret

Entry = tuple[Loc, dict[object, object]]
"""A section in a list, and where it stands."""

_LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})
OPEN_HOST = "would let anyone on the network spend: it is not loopback, and there is no virtual key or admin key"
OPEN_HOST_FIX = "add a virtual key or an admin_key, or listen on 127.0.0.1"


def check(tree: dict[object, object]) -> list[Finding]:
    """Every mistake that shows only when settings are seen together."""
    return [finding for rule in _RULES for finding in rule(tree)]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address to listen on."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.casefold() in _LOOPBACK_NAMES


def _names_twice(tree: dict[object, object]) -> Iterator[Finding]:
    upstreams = _entries(tree, "upstreams")
    yield from _twice(_texts(upstreams, "name"), "name")
    yield from _twice(_texts(_entries(tree, "virtual_keys"), "id"), "id")
    yield from _twice(_texts(_entries(tree, "teams"), "id"), "id")
    for loc, upstream in upstreams:
        yield from _twice(_texts(_entries(upstream, "keys", loc), "id"), "id")


def _keys_twice(tree: dict[object, object]) -> Iterator[Finding]:
    for loc, upstream in _entries(tree, "upstreams"):
        yield from _twice(_digests(_entries(upstream, "keys", loc)), "key")
    yield from _twice(_digests(_entries(tree, "virtual_keys")), "key")


def _key_of_the_admin(tree: dict[object, object]) -> Iterator[Finding]:
    admin_key = tree.get("admin_key")
    if isinstance(admin_key, Secret):
        for loc, digest in _digests(_entries(tree, "virtual_keys")):
            if digest == admin_key.digest():
                fix = "give it a key of its own: who orders videos would rule over keys and money, too"
                yield Finding(loc, "is the same key as admin_key", fix)


def _keys_without_value(tree: dict[object, object]) -> Iterator[Finding]:
    for loc, key in _entries(tree, "virtual_keys"):
        given = [name for name in ("value", "sha256") if key.get(name) is not None]
        if not given and "value" not in key:
            yield Finding(loc, "has no key", "add value, or sha256 with the key's digest")
        elif len(given) > 1:
            yield Finding(loc, "has both value and sha256", "keep one of them")


def _unknown_teams(tree: dict[object, object]) -> Iterator[Finding]:
    teams = [team for _, team in _texts(_entries(tree, "teams"), "id")]
    for loc, team in _texts(_entries(tree, "virtual_keys"), "team"):
        if team not in teams:
            yield Finding(loc, f"{team!r} is not a team", _use_one_of(team, teams, "add it to teams"))


def _unknown_passthrough(tree: dict[object, object]) -> Iterator[Finding]:
    names = [name for _, name in _texts(_entries(tree, "upstreams"), "name")]
    section = tree.get("passthrough")
    name = section.get("upstream") if isinstance(section, dict) else None
    if isinstance(name, str) and name not in names:
        fix = _use_one_of(name, names, "add it to upstreams")
        yield Finding(("passthrough", "upstream"), f"{name!r} is not an upstream", fix)


def _files_url_elsewhere(tree: dict[object, object]) -> Iterator[Finding]:
    for loc, upstream in _entries(tree, "upstreams"):
        provider = upstream.get("provider")
        if isinstance(provider, str) and provider != "evolink" and upstream.get("files_url") is not None:
            yield Finding((*loc, "files_url"), "is only for the provider evolink", "remove it")


def _open_host(tree: dict[object, object]) -> Iterator[Finding]:
    server = tree.get("server")
    host = server.get("host") if isinstance(server, dict) else None
    has_keys = bool(tree.get("virtual_keys")) or tree.get("admin_key") is not None
    if isinstance(host, str) and host and not is_loopback(host) and not has_keys:
        yield Finding(("server", "host"), OPEN_HOST, OPEN_HOST_FIX)


def _polling_reversed(tree: dict[object, object]) -> Iterator[Finding]:
    section = tree.get("polling")
    if not isinstance(section, dict):
        return
    least = section.get("min_interval_s", Polling().min_interval_s)
    most = section.get("max_interval_s", Polling().max_interval_s)
    if isinstance(least, int | float) and isinstance(most, int | float) and least > most > 0:
        loc = ("polling", "min_interval_s" if "min_interval_s" in section else "max_interval_s")
        fix = "let min_interval_s be at most max_interval_s"
        yield Finding(loc, f"the shortest interval, {least:g} s, is longer than the longest, {most:g} s", fix)


_RULES: tuple[Callable[[dict[object, object]], Iterator[Finding]], ...] = (
    _names_twice,
    _keys_twice,
    _key_of_the_admin,
    _keys_without_value,
    _unknown_teams,
    _unknown_passthrough,
    _files_url_elsewhere,
    _open_host,
    _polling_reversed,
)


def _twice(values: Iterable[tuple[Loc, str]], word: str) -> Iterator[Finding]:
    """Names the earlier place and not the value, which may be a secret."""
    seen: dict[str, Loc] = {}
    for loc, value in values:
        first = seen.setdefault(value, loc)
        if first != loc:
            place = next(step for step in reversed(first) if isinstance(step, int))
            yield Finding(
                loc, f"is the same {word} as in entry {place} of this list", f"give each entry its own {word}"
            )


def _use_one_of(name: str, known: list[str], otherwise: str) -> str:
    near = get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"use one of {', '.join(known)}, or {otherwise}" if known else otherwise


def _entries(section: dict[object, object], name: str, loc: Loc = ()) -> list[Entry]:
    items = section.get(name)
    if not isinstance(items, tuple):
        return []
    return [((*loc, name, index), item) for index, item in enumerate(items) if isinstance(item, dict)]


def _texts(entries: Iterable[Entry], name: str) -> Iterator[tuple[Loc, str]]:
    for loc, entry in entries:
        value = entry.get(name)
        if isinstance(value, str):
            yield (*loc, name), value


def _digests(entries: Iterable[Entry]) -> Iterator[tuple[Loc, str]]:
    """Where each key stands and its digest, however the file gave it."""
    for loc, entry in entries:
        value, sha256 = entry.get("value"), entry.get("sha256")
        if isinstance(value, Secret):
            yield (*loc, "value"), value.digest()
        elif isinstance(sha256, str):
            yield (*loc, "sha256"), sha256.lower()
