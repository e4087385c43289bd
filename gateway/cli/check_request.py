"""`reelgate check-request FILE`: would this request pass, where would it go, and for how much?

Offline: nothing is opened and nobody is asked, so images behind links are not looked at and names of hosts not looked
up. `--probe` does both, and nothing else. Ends with status 0 for a request that may be sent, 1 for one that is refused.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from gateway import jsontext
from gateway.app import offline
from gateway.cli import completion
from gateway.cli.endings import FAILED, misused
from gateway.cli.options import ConfigOption, read_config, refuse_unknown_providers
from gateway.cli.printing import JsonOption, shown, table, tell
from gateway.config import Config
from gateway.dialects import DIALECTS
from gateway.egress.urls import IPAddress
from gateway.errors import GatewayError
from gateway.flows import quote
from gateway.flows.preflight import preflight
from gateway.structs import asdict
from gateway.video import Caller

BYTES_MAX = 64 << 20  # two bodies of the largest size that a gateway takes as it is shipped


def check_request(
    file: Annotated[Path, typer.Argument(help="The JSON body of a create; - is standard input.")],
    config: ConfigOption = None,
    dialect: Annotated[
        str | None, typer.Option(help=f"How it speaks: {', '.join(DIALECTS)}.", autocompletion=completion.dialects)
    ] = None,
    probe: Annotated[bool, typer.Option("--probe", help="Look up hosts, and look at images behind links.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a request as a create would, and send nothing."""
    settings = read_config(config)
    refuse_unknown_providers(settings)
    body = _read(file)
    speaker = _choose_dialect(body, dialect, settings)
    try:
        answer = asyncio.run(_check(body, speaker, settings, probe=probe))
    except GatewayError as error:
        tell(_refusal(error, speaker), _draw_refusal, as_json=as_json)
        raise typer.Exit(FAILED) from None
    tell(answer, _draw, as_json=as_json)


async def _check(body: Mapping[str, Any], dialect: str, settings: Config, *, probe: bool) -> dict[str, Any]:
    async with offline(settings, resolve=None if probe else _anywhere) as rules:
        checked = await preflight(DIALECTS[dialect].parse(body), Caller(key_id="local"), rules)
        quoted = quote.tell(checked, rules)
    return {"dialect": dialect, **quoted.body, "why": quoted.why}


async def _anywhere(name: str) -> tuple[IPAddress, ...]:
    """Stands for the address of whatever host is named; nobody connects to it."""
    return (ip_address("1.1.1.1"),)


def _read(file: Path) -> dict[str, Any]:
    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as source:
            data = source.read(BYTES_MAX + 1)
    except OSError as error:
        misused(f"{file}: {error.strerror or error}")
    if len(data) > BYTES_MAX:
        misused(f"{file}: is larger than {BYTES_MAX} bytes")
    try:
        body = jsontext.read_strict(data)
    except jsontext.JsonError as error:
        misused(f"{file}: {error}")
    if not isinstance(body, dict):
        misused(f"{file}: the body must be a JSON object")
    return body


def _choose_dialect(body: Mapping[str, Any], told: str | None, settings: Config) -> str:
    """What is told, else the only one whose marks the body has, else the configured default."""
    if told is not None and told not in DIALECTS:
        misused(f"--dialect: {told} is not a dialect; use one of {', '.join(DIALECTS)}")
    marked = [name for name in DIALECTS if DIALECTS[name].MARKS & body.keys()]
    if told is None and len(marked) > 1:
        misused(f"the body has marks of {' and '.join(marked)}; name one with --dialect")
    return told or next(iter(marked), settings.server.default_dialect)


def _refusal(error: GatewayError, dialect: str) -> dict[str, Any]:
    problems = [asdict(problem) for problem in error.problems]
    return {"dialect": dialect, "valid": False, "code": error.code, "message": error.message, "problems": problems}


def _draw_refusal(console: Console, answer: Mapping[str, Any]) -> None:
    if not answer["problems"]:
        console.print(f"refused: {shown(answer['message'])}")
        return
    rows = [(problem["param"], problem["message"], ", ".join(problem["allowed"])) for problem in answer["problems"]]
    console.print(table(f"Refused, in the words of {answer['dialect']}", ("field", "rule", "allowed"), rows))


def _draw(console: Console, answer: Mapping[str, Any]) -> None:
    price = "none is known" if answer["price"] is None else f"{answer['price']} {answer['currency']}"
    console.print("This request may be sent.")
    for name in ("dialect", "model", "mode", "upstream", "why"):
        console.print(f"{name:<9} {shown(answer[name])}", soft_wrap=True)
    console.print(f"{'price':<9} {price}")
    for sentence in answer["warnings"]:
        console.print(f"{'note':<9} {shown(sentence)}", soft_wrap=True)
    call = answer["upstream_request"]
    console.print(f"\n{call['method']} {call['url']}\n{shown(json.dumps(call['body'], indent=2, ensure_ascii=False))}")
