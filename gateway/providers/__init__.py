"""The providers, in one list. To add one: a module beside this file and a line here."""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.providers import evolink, minimax, newapi, toapis
from gateway.providers.protocol import Provider

_ALL: tuple[Provider, ...] = (evolink, toapis, newapi, minimax)

PROVIDERS: Mapping[str, Provider] = MappingProxyType({provider.NAME: provider for provider in _ALL})
