"""The shape of what the gateway says, read off what it does say: JSON Schema of a set of answers.

A member that stands in all of them is required; where a text is one of a closed set of words, the schema lists them.
Descriptions come from one glossary, because a name means the same wherever it stands.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

Schema = dict[str, Any]

# Members whose texts are words of ours, never a client's or an upstream's.
WORDS = frozenset({"action", "code", "format", "object", "platform", "purpose", "status", "submission", "type"})
GLOSSARY: Mapping[str, str] = {
    "allowed": "What would have been allowed, where that is a list.",
    "download_url": "The film's address, which needs no key.",
    "error": "What went wrong.",
    "estimated_time": "Seconds that the task is expected to take in all, learnt from earlier ones.",
    "expires_at": "When the link dies, in seconds since 1970.",
    "fail_reason": "Why there is no film.",
    "fallback_suggestion": "What may help.",
    "file_id": "The film of a completed task.",
    "message": "For people; the wording may change.",
    "param": "The field at fault, in the caller's own spelling.",
    "problems": "Everything that is wrong with the request, not only the first.",
    "progress": "Percent; only a completed task has 100.",
    "progress_estimated": "The upstream reports no progress, so it was estimated.",
    "remaining_credits": "-1 stands for unlimited.",
    "remain_balance": "-1 stands for unlimited.",
    "result_url": "The film's address, which needs no key.",
    "results": "The film's address, which needs no key.",
    "status_code": "0 where all is well.",
    "submission": "Only of an unusual submission: being sent, waiting for a key, or not known to be accepted.",
    "task_id": "The task, by which it is read.",
    "url": "The film's address, which needs no key.",
}


def shape_of(samples: Iterable[Any], free: Collection[str] = (), name: str = "") -> Schema:
    """The schema that all samples fit. `free` are members (`error.code`) whose texts are somebody else's after all."""
    kinds: dict[str, list[Any]] = {}
    for sample in samples:
        kinds.setdefault(_kind(sample), []).append(sample)
    if "number" in kinds:
        kinds["number"] += kinds.pop("integer", [])
    shapes = [_SHAPES.get(kind, _plain)(kind, found, free, name) for kind, found in sorted(kinds.items())]
    schema = shapes[0] if len(shapes) == 1 else _either(shapes)
    description = GLOSSARY.get(name.rpartition(".")[2])
    return schema if description is None else {**schema, "description": description}


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names[type(value)]


def _plain(kind: str, found: list[Any], free: Collection[str], name: str) -> Schema:
    return {"type": kind}


def _string(kind: str, found: list[Any], free: Collection[str], name: str) -> Schema:
    is_word = name not in free and name.rpartition(".")[2] in WORDS
    return {"type": "string", **({"enum": sorted(set(found))} if is_word else {})}


def _array(kind: str, found: list[Any], free: Collection[str], name: str) -> Schema:
    items = [item for sample in found for item in sample]
    return {"type": "array", **({"items": shape_of(items, free)} if items else {})}


def _object(kind: str, found: list[Any], free: Collection[str], name: str) -> Schema:
    own = name.rpartition(".")[2]
    names = dict.fromkeys(inner for sample in found for inner in sample)
    members = {inner: [sample[inner] for sample in found if inner in sample] for inner in names}
    required = [inner for inner in names if len(members[inner]) == len(found)]
    return {
        "type": "object",
        "properties": {inner: shape_of(values, free, f"{own}.{inner}") for inner, values in members.items()},
        **({"required": required} if required else {}),
    }


def _either(shapes: list[Schema]) -> Schema:
    """Several types: in one list where the rest of the schemas does not get in the way."""
    nulls = [shape for shape in shapes if shape == {"type": "null"}]
    others = [shape for shape in shapes if shape not in nulls]
    if nulls and len(others) == 1 and "enum" not in others[0]:
        return {**others[0], "type": [others[0]["type"], "null"]}
    return {"anyOf": shapes}


_SHAPES = {"string": _string, "array": _array, "object": _object}
