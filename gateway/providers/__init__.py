"""The providers, in one list. To add one: a module beside this file and a line here."""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.providers import evolink
from gateway.providers.protocol import Provider

_ALL: tuple[Provider, ...] = (evolink,)

PROVIDERS: Mapping[str, Provider] = MappingProxyType({provider.NAME: provider for provider in _ALL})
