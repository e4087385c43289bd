"""The house rules of imports: which room may know which, and who owns the door to which package."""

import ast
from collections.abc import Iterator
from pathlib import Path

GATEWAY = Path(__file__).parent.parent / "gateway"

# A room is a file or a folder of gateway/. Imports only go to a lower floor, or to a room listed beside it.
FLOORS: list[dict[str, set[str]]] = [
    {"structs": set()},
    {"errors": set(), "money": set(), "ids": set(), "wire": set(), "jsontext": set(), "documents": set()}
    | {"periods": set(), "quantiles": set(), "secret": set(), "masking": set(), "video": {"errors"}, "__init__": set()}
    | {"deadline": set(), "headers": set(), "aside": set()},
    {"catalog": set(), "keys": set(), "links": set(), "signing": set(), "dialects": set(), "providers": set()}
    | {
        "durations": set(),
        "camera": set(),
        "measures": set(),
        "totals": {"measures"},
        "images": set(),
        "line": set(),
        "virtual_keys": set(),
    },
    {
        "transport": set(),
        "crossing": {"transport"},
        "paid_call": {"transport"},
        "upstreams": {"transport", "crossing", "paid_call"},
        "egress": set(),
        "store": set(),
        "fleet": set(),
        "siblings": {"fleet"},
        "tallies": set(),
        "metrics": {"tallies"},
        "tracing": set(),
        "archive": set(),
        "memory": set(),
        "stories": set(),
        "admission": set(),
        "bounds": set(),
        "logs": set(),
    },
    {"parts": set(), "flows": {"parts"}},
    {"web": set()},
    {"config": set(), "serving": set(), "app": {"config", "serving"}, "cli": {"app", "config", "serving", "sandbox"}}
    | {"__main__": {"cli"}},
]
SANDBOX = "sandbox"

# One flow calls another only downward, by name.
FLOWS = {
    "submit": {"preflight", "carry"},
    "queue": {"preflight", "carry"},
    "carry": {"hints", "preflight", "receipts"},
    "sweep": {"receipts"},
    "watch": {"poll"},
    "wait": {"poll"},
    "outlook": set(),
    "callbacks": {"content"},
    "hints": {"poll", "receipts"},
    "callers": set(),
    "decisions": {"poll"},
    "overview": {"decisions"},
    "board": {"overview"},
    "receipts": {"poll"},
    "quote": {"preflight", "carry"},
    "pictures": set(),
    "keeping": {"content"},
    "preflight": {"pictures"},
    "neighbours": set(),
    "poll": set(),
    "content": set(),
    "passthrough": set(),
}

# Siblings of one kind never know each other; what they share has a name of its own.
SIBLINGS = {
    "dialects": {"shared": {"fields", "reading", "speaking"}, "list": "__init__"},
    "providers": {"shared": {"protocol", "verdicts", "reading", "base_resp"}, "list": "__init__"},
}

# Each outside package has one door.
DOORS = {
    "httpx": {
        "transport",
        "line",
        "crossing",
        "paid_call",
        "upstreams",
        "cli",
    },  # the command line is a client of its own gateway
    "httpcore": {"egress"},
    "httptools": {"line", "serving"},
    "aiohappyeyeballs": {"line"},
    "sqlalchemy": {"store"},
    "psycopg": {"store"},
    "alembic": {"store"},
    "starlette": {"web", "app", "serving", SANDBOX},
    "uvicorn": {"serving", SANDBOX},
    "yaml": {"documents", SANDBOX},
    "python_multipart": {"web"},
    "jinja2": {"web"},
    "markupsafe": {"web"},
    "obstore": {"archive"},
    "orjson": {"jsontext"},
    "msgspec": {"structs"},
    "cachetools": {"memory"},
    "prometheus_client": {"metrics", "tallies"},
    "opentelemetry": {"tracing"},
    "pydantic": {"config"},
    "typer": {"cli"},
    "rich": {"cli"},
}


def room_of(path: Path) -> str:
    return path.relative_to(GATEWAY).parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[str]:
    """Dotted names a file imports; `from gateway import ids` counts as `gateway.ids`."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module
            is_package = (GATEWAY.parent / node.module.replace(".", "/")).is_dir()
            yield from (f"{node.module}.{alias.name}" if is_package else node.module for alias in node.names)


def files() -> list[Path]:
    found = sorted(GATEWAY.rglob("*.py"))
    assert len(found) > 30
    return found


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def is_below(target: str, room: str) -> bool:
    return target != SANDBOX and floor_of(target) < floor_of(room)


def test_every_room_has_a_floor() -> None:
    assert {room_of(path) for path in files()} == {room for rooms in FLOORS for room in rooms} | {SANDBOX}


def test_imports_only_go_down() -> None:
    wrong = []
    for path in files():
        room = room_of(path)
        for name in imports_of(path):
            target = name.split(".")[1] if name.startswith("gateway.") else None
            if target is None or target == room or target.startswith("__version"):
                continue
            if room == SANDBOX:
                wrong.append(f"{path.name} imports {name}: the sandbox knows nothing of the gateway")
            elif target not in FLOORS[floor_of(room)][room] and not is_below(target, room):
                wrong.append(f"{path.relative_to(GATEWAY)} imports {name}")
    assert wrong == []


def test_siblings_never_know_each_other() -> None:
    wrong = []
    for folder, rule in SIBLINGS.items():
        for path in (GATEWAY / folder).glob("*.py"):
            known = {name.split(".")[2] for name in imports_of(path) if name.startswith(f"gateway.{folder}.")}
            if path.stem != rule["list"]:
                wrong += [f"{folder}/{path.name} knows {other}" for other in known - set(rule["shared"])]
    assert wrong == []


def test_flows_call_each_other_only_as_listed() -> None:
    found = {}
    for path in (GATEWAY / "flows").glob("*.py"):
        if path.stem != "__init__":
            found[path.stem] = {
                name.split(".")[2] for name in imports_of(path) if name.startswith("gateway.flows.")
            } - {path.stem}
    assert found == FLOWS


def test_each_outside_package_has_one_door() -> None:
    wrong = []
    for path in files():
        for name in imports_of(path):
            doors = DOORS.get(name.split(".")[0])
            if doors is not None and room_of(path) not in doors:
                wrong.append(f"{path.relative_to(GATEWAY)} imports {name}")
    assert wrong == []


def test_only_these_places_catch_everything() -> None:
    """Who needs each is said beside it: the handler that renders errors, the background loop, the store's threads."""
    # The archive's library loses the class of what its source raises, so the source keeps it and raises it again.
    allowed = {"archive.py", "web/surface.py", "stories.py", "store/lane.py", "store/sqlite.py", "store/postgres.py"}
    found = set()
    for path in files():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                names = [node.type] if not isinstance(node.type, ast.Tuple) else node.type.elts
                if any(
                    name is None or (isinstance(name, ast.Name) and name.id in ("Exception", "BaseException"))
                    for name in names
                ):
                    found.add(path.relative_to(GATEWAY).as_posix())
    assert found <= allowed, found - allowed
