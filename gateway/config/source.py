"""Where the configuration comes from: `-c`, else REELGATE_CONFIG, else ./config.yaml, else keys in the environment.

A file that was named must be there. Only when nothing was named and there is no config.yaml do the well-known
variables of the providers start their upstreams on their public addresses.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from gateway.config.checks import OPEN_HOST, OPEN_HOST_FIX, check, is_loopback
from gateway.config.expansion import expand
from gateway.config.mistakes import ConfigError, Finding, from_validation, in_file_order, wrong_type
from gateway.config.settings import Config
from gateway.config.shape import Loc
from gateway.documents import DocumentError, read_yaml

VARIABLE = "REELGATE_CONFIG"
DEFAULT_FILE = "config.yaml"
ENVIRONMENT = "environment"

_PUBLIC = (
    ("evolink", "EVOLINK_API_KEY", "https://api.evolink.ai"),
    ("toapis", "TOAPIS_API_KEY", "https://toapis.com"),
    ("minimax", "MINIMAX_API_KEY", "https://api.minimax.io"),
)
# What YAML's own messages quote; a secret may stand there (`value: *secret`). Only the name of a setting is repeated.
_QUOTED = re.compile(r"'[^'<]{2,}'|\"[^\"]{2,}\"")
_TWICE = re.compile(r"'[a-z0-9_]{1,32}' stands twice$")


def find(option: Path | None, environ: Mapping[str, str], cwd: Path) -> Config:
    """The configuration of a process that was started in `cwd` with `-c option`. Raises ConfigError."""
    named = option
    if named is None and environ.get(VARIABLE):
        named = Path(environ[VARIABLE])
    if named is None and os.path.lexists(cwd / DEFAULT_FILE):  # a link that leads nowhere was meant to be one
        named = Path(DEFAULT_FILE)
    if named is None:
        return from_environment(environ)
    return _read(cwd / named, str(named), environ)


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """The configuration in a file; without one, of the environment. Raises ConfigError with every mistake."""
    return from_environment(environ) if path is None else _read(path, str(path), environ)


def from_environment(environ: Mapping[str, str]) -> Config:
    """An upstream for every provider whose key the environment holds. Raises ConfigError."""
    upstreams: list[object] = [
        {"name": name, "provider": name, "base_url": url, "keys": [{"id": "main", "value": f"${{{variable}}}"}]}
        for name, variable, url in _PUBLIC
        if environ.get(variable)
    ]
    if not upstreams:
        *others, last = (variable for _, variable, _ in _PUBLIC)
        fix = f"set {', '.join(others)} or {last}, or copy config.example.yaml to {DEFAULT_FILE} and edit it"
        raise _error(ENVIRONMENT, [Finding((), f"there is no {DEFAULT_FILE} and no upstream key", fix)])
    return _build({"admin_key": "${REELGATE_ADMIN_KEY:-}", "upstreams": upstreams}, ENVIRONMENT, environ)


def override(config: Config, *, host: str | None = None, port: int | None = None, workers: int | None = None) -> Config:
    """The configuration with what the command line says instead. Raises ConfigError where that opens the gateway."""
    if host is not None:
        _refuse_open(config, host, "--host")
    said = {name: value for name, value in (("host", host), ("port", port), ("workers", workers)) if value is not None}
    return config.model_copy(update={"server": config.server.model_copy(update=said)})


def inherit(config: Config, host: str) -> Config:
    """The configuration of a process that was handed a listener on `host`: the file may name another host by now, and
    that listener stays where it is. Raises ConfigError where that opens the gateway."""
    _refuse_open(config, host, f"the listener on {host}, which stays there until the gateway is started anew")
    return config.model_copy(update={"server": config.server.model_copy(update={"host": host})})


def _refuse_open(config: Config, host: str, label: str) -> None:
    if not is_loopback(host) and not config.virtual_keys and config.admin_key is None:
        raise _error(label, [Finding((), OPEN_HOST, OPEN_HOST_FIX)])


def _read(path: Path, label: str, environ: Mapping[str, str]) -> Config:
    findings = []
    tree: object = None
    try:
        tree = read_yaml(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        findings.append(_not_there(path))
    except OSError as error:
        findings.append(Finding((), f"cannot be read ({error.strerror})", "check what it is and who may read it"))
    except UnicodeDecodeError:
        findings.append(Finding((), "is not UTF-8 text", "save it as UTF-8"))
    except DocumentError as error:
        findings.append(Finding((), _without_quotes(str(error)), "mend the YAML there"))
    except ValueError:
        findings.append(Finding((), "holds a date or number that YAML cannot read", "put such a value in quotes"))
    if findings:
        raise _error(label, findings)
    return _build({} if tree is None else tree, label, environ)


def _not_there(path: Path) -> Finding:
    if path.is_symlink():
        return Finding((), "is a link to a file that is not there", "mend the link, or remove it")
    return Finding((), "there is no such file", f"check -c and {VARIABLE}")


def _build(tree: object, label: str, environ: Mapping[str, str]) -> Config:
    """Expand, type, check; everything that each of them finds is raised together."""
    if not isinstance(tree, dict):
        raise _error(label, [wrong_type((), "a mapping", tree)])
    expanded, findings = expand(tree, environ)
    config, type_findings = _validate(expanded)
    findings += _elsewhere(type_findings, {finding.loc for finding in findings})
    if isinstance(expanded, dict):
        findings += _elsewhere(check(expanded), {finding.loc for finding in findings})
    if config is None or findings:
        raise _error(label, in_file_order(findings, tree))
    return config


def _validate(tree: object) -> tuple[Config | None, list[Finding]]:
    try:
        return Config.model_validate(tree), []
    except ValidationError as error:
        return None, from_validation(error)


def _elsewhere(findings: Iterable[Finding], reported: set[Loc]) -> list[Finding]:
    """Findings at places of which nothing was said yet."""
    return [finding for finding in findings if finding.loc not in reported]


def _error(label: str, findings: Iterable[Finding]) -> ConfigError:
    return ConfigError(label, [finding.as_mistake() for finding in findings])


def _without_quotes(message: str) -> str:
    """YAML's message on one line, without the words it quotes from the file."""
    line = " ".join(message.split())
    return line if _TWICE.search(line) else _QUOTED.sub("'…'", line)
