"""A task that is waited for, until it is over, and what a person is shown meanwhile.

The gateway is asked to answer when the status changes; where it does not wait, it says when to ask again. An answer
that does not come changes nothing about the task, so it is asked for again, for a while.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.cli.client import Declined, Gateway, NoAnswer
from gateway.cli.printing import shown

WAIT_S = 5  # for a change of status; the progress is told anew as often
PAUSE_S = 2.0  # where the gateway neither waits nor says when to ask
GIVE_UP_S = 300.0  # of a gateway that does not answer any more: a restart takes less
_FINAL = ("completed", "failed")
SUBMISSIONS: Mapping[str, str] = {
    "queued": "every upstream key is busy: it waits for one, and nothing is spent until it is sent",
    "sending": "the upstream takes its time to accept it; it is not sent again",
    "unconfirmed": (
        "nobody knows whether the upstream accepted it. It may have been bought, and is never sent again; the gateway "
        "goes on looking for it. Ordering it anew may buy a second video"
    ),
}


def follow(
    gateway: Gateway,
    task_id: str,
    tell: Callable[[Mapping[str, Any]], None],
    worry: Callable[[NoAnswer | Declined], None],
) -> Mapping[str, Any]:
    """The last answer about a task; every answer until then is told, and why there is none for now.

    Raises Declined for a task that there is not, NoAnswer where the gateway has been silent for too long.
    """
    heard_at = time.monotonic()
    while True:
        pause_s = PAUSE_S
        try:
            told = gateway.read(task_id, WAIT_S)
        except (NoAnswer, Declined) as error:
            if not _may_pass(error) or time.monotonic() - heard_at > GIVE_UP_S:
                raise
            worry(error)
            pause_s = getattr(error, "retry_after_s", None) or PAUSE_S
        else:
            heard_at = time.monotonic()
            tell(told.body)
            if told.body.get("status") in _FINAL:
                return told.body
            pause_s = 0.0 if "preference-applied" in told.headers else told.retry_after_s() or PAUSE_S
        time.sleep(pause_s)


def _may_pass(error: NoAnswer | Declined) -> bool:
    return isinstance(error, NoAnswer) or error.status == 429 or error.status >= 500


class Screen:
    """What a person sees on standard error: a bar where there is a terminal, else a line for every change."""

    def __init__(self, console: Console, task_id: str) -> None:
        self.console = console
        self.task_id = task_id
        self._said = ""
        self._is_worried = False
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=self.console, disable=not self.console.is_terminal, expand=True)
        self._bar = self._progress.add_task(self.task_id, total=100, note="")

    def __enter__(self) -> "Screen":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def tell(self, answer: Mapping[str, Any]) -> None:
        """Show how far the task is, and say once what there is to know of its submission."""
        self._is_worried = False
        submission = str(answer.get("submission") or "")
        words = SUBMISSIONS.get(submission) or str(answer.get("status"))
        if words != self._said:
            self._said = words
            if submission or self._progress.disable:
                self.console.print(f"{self.task_id}: {shown(words)}", soft_wrap=True)
        self._progress.update(self._bar, completed=_percent(answer), note=_note(answer, submission))

    def worry(self, error: Exception) -> None:
        """Say that no answer comes for now, once until one does: whoever waits wants to know for what."""
        if not self._is_worried:
            self._is_worried = True
            words = f"{shown(error)}; it is asked again for {GIVE_UP_S / 60:.0f} minutes (Ctrl-C ends this)"
            self.console.print(words, soft_wrap=True)

    def downloading(self) -> AbstractContextManager[Callable[[int, int | None], None]]:
        """A bar for the film itself."""
        return _Download(self.console)


class _Download(AbstractContextManager[Callable[[int, int | None], None]]):
    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), DownloadColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal, expand=True)
        self._bar = self._progress.add_task("download", total=None)

    def __enter__(self) -> Callable[[int, int | None], None]:
        self._progress.start()
        return lambda size, total: self._progress.update(self._bar, completed=size, total=total)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def _percent(answer: Mapping[str, Any]) -> float:
    progress = answer.get("progress")
    return float(progress) if isinstance(progress, int | float) else 0.0


def _note(answer: Mapping[str, Any], submission: str) -> str:
    """How far, of how long; `~` where that is the gateway's estimate and not the upstream's word."""
    info = answer.get("task_info")
    info = info if isinstance(info, dict) else {}
    percent = f"{'~' if info.get('progress_estimated') else ''}{_percent(answer):.0f} %"
    expected_s = info.get("estimated_time")
    of = f" of about {expected_s:.0f} s" if isinstance(expected_s, int | float) else ""
    return f"{shown(submission or answer.get('status'))} {percent}{of}"
