"""`reelgate generate`: order one video from a running gateway, watch it being made, and save it.

It is ordered once. Every order carries an idempotency key, and where nobody knows whether it arrived, that key is said:
the same command with it gets the same video, and buys no second one.
"""

import json
import secrets
import shlex
import sys
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from gateway.cli import completion
from gateway.cli.client import BASE_URL, ApiKeyOption, BaseUrlOption, Declined, Gateway, NoAnswer, Told, is_task_id
from gateway.cli.download import target_of
from gateway.cli.endings import FAILED, USAGE, misused
from gateway.cli.fetch import Errand, ForceOption, OutOption, bring, opened
from gateway.cli.following import SUBMISSIONS
from gateway.cli.order import OPTIONS, Misused, Order
from gateway.cli.printing import JsonOption, shown, tell

MODEL = "MiniMax-Hailuo-2.3"
_KEY = "idempotency_key"
UNSPENT = (502, 503)  # of all that a gateway says of itself, these prove that nothing was bought (CONTRACT section 4)


def generate(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What is to be seen.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="One of GET /v1/models.", autocompletion=completion.models)
    ] = MODEL,
    image: Annotated[
        str | None, typer.Option("--image", "-i", metavar="FILE|URL", help="The first frame: JPEG, PNG or WebP.")
    ] = None,
    last_frame: Annotated[str | None, typer.Option(metavar="FILE|URL", help="The last frame.")] = None,
    resolution: Annotated[
        str | None,
        typer.Option(
            "--resolution", "-r", help="As 768P; the model's own if unsaid.", autocompletion=completion.resolutions
        ),
    ] = None,
    duration: Annotated[
        int | None,
        typer.Option(
            "--duration", "-d", min=1, help="Seconds; the model's own if unsaid.", autocompletion=completion.durations
        ),
    ] = None,
    out: OutOption = None,
    force: ForceOption = False,
    max_price: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="Order nothing that is dearer, as 0.30.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check it, and say what it would cost.")] = False,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Of an order that may have arrived: it is not ordered again.")
    ] = None,
    base_url: BaseUrlOption = BASE_URL,
    api_key: ApiKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Order a video from a running gateway and save it. Prints the file's name."""
    errand = Errand(out=out, overwrites=force, as_json=as_json)
    errand.refuse_unusable(None if out is None or dry_run or out.is_dir() else out)
    order = Order(
        prompt=prompt, model=model, image=image, last_frame=last_frame, resolution=resolution, duration_s=duration
    )
    try:
        body = order.body()
    except Misused as error:
        _refuse(error.lines, USAGE)
    for option, value in (("--max-price", max_price), ("--idempotency-key", idempotency_key)):
        if value is not None and not (value.isascii() and value.isprintable()):
            misused(f"{option}: must be printable ASCII characters")
    headers = {} if max_price is None else {"x-reelgate-max-price": max_price}
    with opened(base_url, api_key) as gateway:
        if dry_run:
            _quote(gateway, body, headers, as_json=as_json)
            return
        key = secrets.token_hex(16) if idempotency_key is None else idempotency_key
        errand.facts[_KEY] = key
        headers["idempotency-key"] = key
        _note(errand, _ordered(errand, gateway, body, headers, is_repeat=idempotency_key is not None))
        bring(errand, gateway)


def _ordered(
    errand: Errand, gateway: Gateway, body: Mapping[str, Any], headers: Mapping[str, str], *, is_repeat: bool
) -> Told:
    """The answer to the one create that is sent. A repeat may have been ordered before."""
    try:
        return gateway.create(body, headers)
    except Declined as error:
        _decline(error, errand, is_repeat=is_repeat)
    except NoAnswer as error:
        if error.was_sent or is_repeat:
            errand.fail(f"{shown(error)}. {_doubt(headers['idempotency-key'])}")
        errand.fail(f"{shown(error)}. Nothing was ordered; is the gateway running, and is --base-url right?")
    except KeyboardInterrupt:
        errand.fail(f"interrupted. {_doubt(headers['idempotency-key'])}")


def _doubt(key: str) -> str:
    return (
        "Nobody here knows whether the video was ordered. Give the same command again with "
        f"--idempotency-key {shlex.quote(key)}: what was ordered is not ordered again"
    )


def _note(errand: Errand, told: Told) -> None:
    """What is known of the task from the answer to its create."""
    task_id = told.headers.get("x-reelgate-task-id") or str(told.body.get("id"))
    if not is_task_id(task_id):
        errand.fail(f"the gateway calls the video {shown(task_id)}, which is no id. {_doubt(errand.facts[_KEY])}")
    errand.task_id, errand.state = task_id, str(told.body.get("status"))
    price = told.headers.get("x-reelgate-price")
    warnings = _warnings(told)
    is_replay = told.headers.get("idempotent-replayed") == "true"
    errand.facts |= {
        "model": told.body.get("model"),
        "price": price,
        "upstream": told.headers.get("x-reelgate-upstream"),
        "warnings": warnings,
        "replayed": is_replay,
    }
    console = errand.console
    for sentence in warnings:
        console.print(f"note: {shown(sentence)}", soft_wrap=True)
    if is_replay:
        console.print(f"{task_id} was ordered before under this key; nothing is bought again", soft_wrap=True)
    if (submission := told.body.get("submission")) in SUBMISSIONS:
        errand.facts["submission"] = submission
    console.print(f"{task_id}: {shown(told.body.get('model'))}, {shown(price or 'without a price')}", soft_wrap=True)
    target = target_of(task_id, errand.out)
    if target.exists() and not errand.overwrites:
        errand.fail(f"{target} is there already; the video is made all the same. Fetch it: reelgate fetch {task_id}")


def _quote(gateway: Gateway, body: Mapping[str, Any], headers: Mapping[str, str], *, as_json: bool) -> None:
    try:
        told = gateway.create(body, {**headers, "x-reelgate-dry-run": "true"})
    except Declined as error:
        _decline(error, Errand(out=None, overwrites=False, as_json=as_json))
    except NoAnswer as error:
        _refuse([f"{shown(error)}. Nothing was ordered"], FAILED)
    tell(dict(told.body), _draw, as_json=as_json)


def _draw(console: Console, answer: Mapping[str, Any]) -> None:
    price = "none is known" if answer["price"] is None else f"{answer['price']} {answer['currency']}"
    console.print("This video could be ordered; nothing was.")
    for name, value in (*((name, answer[name]) for name in ("model", "mode", "upstream")), ("price", price)):
        console.print(f"{name:<9} {shown(value)}", soft_wrap=True)
    for sentence in answer["warnings"]:
        console.print(f"{'note':<9} {shown(sentence)}", soft_wrap=True)


def _decline(error: Declined, errand: Errand, *, is_repeat: bool = False) -> NoReturn:
    """The gateway's refusal, its words for fields put into ours. A wrong option is a matter of usage (status 2)."""
    named = [(OPTIONS.get(problem.param), problem) for problem in error.problems]
    lines = []
    for option, problem in named:
        allowed = f"; allowed: {', '.join(problem.allowed)}" if problem.allowed else ""
        lines.append(f"{option or problem.param}: {problem.message}{allowed}")
    if not lines:
        when = f" in {error.retry_after_s:g} s" if error.retry_after_s else ""
        hint = f"; nothing was bought, try again{when}" if error.may_repeat else ""
        if error.may_repeat and is_repeat:  # it says nothing of the time before
            hint = f"; try again{when} with the same key: what was ordered before is not ordered again"
        if error.status == 401:
            hint = "; see --api-key or REELGATE_API_KEY"
        elif error.status >= 500 and error.status not in UNSPENT and _KEY in errand.facts:
            hint = f". {_doubt(errand.facts[_KEY])}"
        lines = [f"{error}{hint}"]
    problems = [
        {"option": option, "param": problem.param, "message": problem.message, "allowed": list(problem.allowed)}
        for option, problem in named
    ]
    errand.state = "refused"
    errand.facts["error"] = {"code": error.code, "message": str(error), "problems": problems}
    errand.report()
    is_misuse = error.code != "content_policy_violation" and any(option for option, _ in named)
    _refuse(lines, USAGE if is_misuse else FAILED)


def _refuse(lines: list[str], status: int) -> NoReturn:
    for line in lines:
        print(f"reelgate: {shown(line)}", file=sys.stderr)
    raise typer.Exit(status)


def _warnings(told: Told) -> list[str]:
    try:
        listed = json.loads(told.headers.get("x-reelgate-warnings", "[]"))
    except ValueError:
        return []
    return [str(sentence) for sentence in listed] if isinstance(listed, list) else []
