"""The OpenAPI document: what the gateway says of itself, made of the tables that it goes by; whole or for a dialect."""

from typing import Any

from gateway.web.openapi.document import Terms, document

__all__ = ["Terms", "document", "of_dialect"]


def of_dialect(whole: dict[str, Any], name: str) -> dict[str, Any]:
    """What a client of this dialect needs: its paths without the prefix, which the base URL has instead."""
    prefix, mark = f"/{name}", f"{name}_prefixed_"
    paths = {path.removeprefix(prefix): of for path, of in whole["paths"].items() if path.startswith(f"{prefix}/")}
    url = whole["servers"][0]["url"].rstrip("/") + prefix
    found = {
        **whole,
        "info": {**whole["info"], "title": f"Reelgate in the {name} dialect"},
        "servers": [{"url": url}],
        "tags": [{"name": name}],
        "paths": _renamed(paths, mark, f"{name}_"),
    }
    found["components"] = _used(found)
    return found


def _renamed(value: Any, old: str, new: str) -> Any:
    """The same with another beginning of every operation's name."""
    if isinstance(value, dict):
        return {_renamed(key, old, new): _renamed(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, old, new) for item in value]
    return value.replace(old, new, 1) if isinstance(value, str) and value.startswith(old) else value


def _used(found: dict[str, Any]) -> dict[str, Any]:
    """The components that something refers to, from the paths on."""
    components: dict[str, Any] = found["components"]
    used: dict[str, dict[str, Any]] = {"securitySchemes": components["securitySchemes"]}
    pending: list[Any] = [found["paths"]]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            target = value.get("$ref")
            if isinstance(target, str):
                _, _, kind, name = target.split("/")
                if name not in used.setdefault(kind, {}):
                    used[kind][name] = components[kind][name]
                    pending.append(components[kind][name])
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    return used
