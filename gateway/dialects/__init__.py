"""The dialects, in one list. To add one: a module beside this file and a line here; routes are made from it."""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.dialects import evolink, minimax, newapi, openai, toapis
from gateway.dialects.speaking import Dialect

_ALL: tuple[Dialect, ...] = (evolink, toapis, newapi, openai, minimax)

DIALECTS: Mapping[str, Dialect] = MappingProxyType({dialect.NAME: dialect for dialect in _ALL})
