"""`reelgate fetch`: wait for a video that was ordered before, and save it."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from gateway.cli.client import BASE_URL, ApiKeyOption, BaseUrlOption, Declined, Gateway, NoAnswer, is_task_id
from gateway.cli.download import Incomplete, download, target_of, unusable
from gateway.cli.endings import fail, misused
from gateway.cli.following import Screen, follow
from gateway.cli.printing import JsonOption, shown
from gateway.structs import Struct, field

OutOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE", help="Where the film goes; TASK.mp4 in this folder if unsaid."),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite a file that is there already.")]


def fetch(
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task's id, in either spelling.")],
    out: OutOption = None,
    force: ForceOption = False,
    base_url: BaseUrlOption = BASE_URL,
    api_key: ApiKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Wait for a video that was ordered before, and save it. Costs nothing, however often."""
    if not is_task_id(task):
        misused(f"{shown(task)} is not a task's id")
    errand = Errand(out=out, overwrites=force, as_json=as_json)
    errand.refuse_unusable(None if out is None else target_of(task, out))
    with opened(base_url, api_key) as gateway:
        errand.is_known(task)
        bring(errand, gateway)


class Errand(Struct):
    """What one command is to bring home, and what it knows of it so far."""

    out: Path | None
    overwrites: bool
    as_json: bool
    task_id: str = ""
    state: str = "unknown"
    facts: dict[str, Any] = field(default_factory=dict)
    """What programs are told beside the task's id and state."""

    @property
    def console(self) -> Console:
        """For people, on standard error: standard output is for what a program reads."""
        return Console(stderr=True, highlight=False, markup=False, quiet=self.as_json)

    def is_known(self, task_id: str) -> None:
        self.task_id = task_id
        self.refuse_unusable(target_of(task_id, self.out))

    def refuse_unusable(self, target: Path | None) -> None:
        """End with status 2, before anything is ordered, where nothing could be put at the target."""
        why = None if target is None else unusable(target, overwrites=self.overwrites)
        if why is not None:
            misused(f"--out: {why}")

    def again(self) -> str:
        """How to fetch the film later."""
        return f"reelgate fetch {self.task_id}" + ("" if self.out is None else f" -o {self.out}")

    def report(self) -> None:
        """What programs are told."""
        if self.as_json:
            print(json.dumps({"id": self.task_id or None, "state": self.state, **self.facts}, indent=2))

    def fail(self, message: str) -> NoReturn:
        """Tell programs how things stand, and people why, and end with status 1."""
        self.report()
        fail(message)


@contextmanager
def opened(base_url: str, api_key: str | None) -> Iterator[Gateway]:
    """The gateway at this address; status 2 where that is none."""
    try:
        gateway = Gateway(base_url, api_key)
    except ValueError as error:
        misused(str(error))
    with gateway:
        yield gateway


def bring(errand: Errand, gateway: Gateway) -> None:
    """Wait for the task and save its film. Whatever goes wrong, the film can be fetched later."""
    screen = Screen(errand.console, errand.task_id)
    try:
        with screen:
            last = follow(gateway, errand.task_id, _noting(errand, screen.tell), screen.worry)
        if last.get("status") == "failed":
            _tell_failure(errand, last)
        target = target_of(errand.task_id, errand.out)
        with screen.downloading() as watcher:
            size = download(gateway, errand.task_id, target, overwrites=errand.overwrites, watcher=watcher)
    except KeyboardInterrupt:
        errand.fail(f"interrupted. {_goes_on(errand)} Fetch it later: {errand.again()}")
    except Declined as error:
        errand.facts["error"] = {"code": error.code, "message": str(error)}
        errand.fail(f"{shown(error)}{_about_key(error)}")
    except (NoAnswer, Incomplete) as error:
        errand.fail(f"{shown(error)}. Try again, it costs nothing: {errand.again()}")
    except OSError as error:
        errand.fail(f"the film cannot be kept: {error}. Try again, it costs nothing: {errand.again()}")
    else:
        errand.facts |= {"file": str(target), "bytes": size}
        errand.report()
        if not errand.as_json:
            print(target)


def _noting(errand: Errand, tell: Callable[[Mapping[str, Any]], None]) -> Callable[[Mapping[str, Any]], None]:
    def note(answer: Mapping[str, Any]) -> None:
        errand.state = str(answer.get("status"))
        errand.facts.pop("submission", None)
        if "submission" in answer:
            errand.facts["submission"] = answer["submission"]
        tell(answer)

    return note


def _tell_failure(errand: Errand, last: Mapping[str, Any]) -> None:
    error = last.get("error")
    error = error if isinstance(error, dict) else {}
    errand.facts["error"] = {"code": str(error.get("code")), "message": str(error.get("message"))}
    errand.fail(f"{errand.task_id} failed: {shown(error.get('message'))} ({shown(error.get('code'))})")


def _goes_on(errand: Errand) -> str:
    if errand.state in ("completed", "failed"):
        return f"{errand.task_id} is over."
    return f"{errand.task_id} is made all the same, and paid for."


def _about_key(error: Declined) -> str:
    return "; see --api-key or REELGATE_API_KEY" if error.status == 401 else ""
