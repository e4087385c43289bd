"""What holds values by name: msgspec's structs, whose making, copying and comparing is C.

A gateway has some hundred such classes. As dataclasses they were a tenth of its start, because each is a page of source
that Python compiles again in every process, and a `replace` of a task took 20 µs of every step of its life.

`asdict` is of one level: a struct within stays a struct.
"""

from msgspec import Struct, field
from msgspec.structs import asdict, replace

__all__ = ["Struct", "asdict", "field", "replace"]
