"""YAML → frozen Config. Everything that can be wrong is said at once, before anything else starts.

`settings` says what there is, `expansion` fills in the environment and wraps secrets, pydantic types the result,
`checks` look at settings together, and `mistakes` are what any of them found. `source` runs them in that order.
"""

from gateway.config.checks import is_loopback
from gateway.config.mistakes import ConfigError, Mistake
from gateway.config.settings import (
    Budget,
    Callbacks,
    Config,
    Limits,
    Passthrough,
    Polling,
    Preflight,
    Queue,
    Reconcile,
    Results,
    Server,
    Storage,
    Team,
    Timeouts,
    Upstream,
    UpstreamKey,
    VirtualKey,
    json_schema,
)
from gateway.config.source import find, from_environment, inherit, load, override

__all__ = [
    "Budget",
    "Callbacks",
    "Config",
    "ConfigError",
    "Limits",
    "Mistake",
    "Passthrough",
    "Polling",
    "Preflight",
    "Queue",
    "Reconcile",
    "Results",
    "Server",
    "Storage",
    "Team",
    "Timeouts",
    "Upstream",
    "UpstreamKey",
    "VirtualKey",
    "find",
    "from_environment",
    "inherit",
    "is_loopback",
    "json_schema",
    "load",
    "override",
]
