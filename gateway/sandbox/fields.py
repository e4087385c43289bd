"""The fields of a JSON object: read by their type, refused aloud by their full names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.sandbox.calls import Refusal


@dataclass(frozen=True, slots=True)
class Fields:
    """An object of a request's body; `parent` is its name there, None for the body itself."""

    values: Mapping[str, Any]
    parent: str | None = None

    def name(self, name: str) -> str:
        """A field's name as the caller would look for it."""
        return name if self.parent is None else f"{self.parent}.{name}"

    def read(self, name: str, kind: type, words: str) -> Any:
        """A field of a type, or None where it is not said. JSON's null is a value, and of no type taken here."""
        if name not in self.values:
            return None
        value = self.values[name]
        # Python's booleans are integers, JSON's are not.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise refuse_field(self.name(name), f"must be {words}")
        return value

    def read_object(self, name: str) -> "Fields":
        """An object within; empty where it is not said."""
        return Fields(self.read(name, dict, "an object") or {}, self.name(name))

    def refuse_unknown(self, known: Iterable[str]) -> None:
        allowed = list(known)
        for name in self.values:
            if name not in allowed:
                raise refuse_field(self.name(name), "is not a field of this request", allowed)

    def check_switches(self, names: Iterable[str]) -> None:
        for name in names:
            self.read(name, bool, "a boolean")


def refuse_field(param: str, rule: str, allowed: Iterable[str] = ()) -> Refusal:
    """A refusal that names the field, the rule and the way out."""
    words = ", ".join(allowed)
    return Refusal(400, f"{param}: {rule}{f'; allowed: {words}' if words else ''}", param=param)


def quote(value: object) -> str:
    return "nothing" if value is None else repr(value)[:100]
