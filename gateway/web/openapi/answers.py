"""What a dialect answers where all goes well, read off its renderers with a task in every state of its life."""

from collections.abc import Iterator
from itertools import product
from typing import Any

from gateway.dialects.speaking import Action, Dialect, FileDialect, Lister, View
from gateway.video import Balance, Failure, Mode, State, Task, VideoRequest
from gateway.web.openapi.shapes import Schema, shape_of

_FAILURES = (None, Failure("generation_failed", "the film came out empty"), Failure("1026", "the film was refused"))
_FREE = ("error.code",)  # of a task that failed: an upstream's own word
_NUMBER, _CREATED_AT = 358_497_530_841_694_208, 1_785_000_000.5
_LINK = "https://files.example.com/film.mp4"
_VIEWS = (View(), View(_LINK, 1_785_086_400), View(expected_s=74, is_estimate=True))


def answer_shape(dialect: Dialect, action: Action) -> Schema:
    """The body of a good answer."""
    return shape_of(_answers(dialect, action), _FREE)


def _answers(dialect: Dialect, action: Action) -> Iterator[Any]:
    match action:
        case Action.CREATE:
            yield from (dialect.render_created(task) for task in _tasks() if task.state is not State.COMPLETED)
        case Action.READ:
            yield from (dialect.render_task(task, view) for task, view in product(_tasks(), _VIEWS))
        case Action.LIST if isinstance(dialect, Lister):
            yield dialect.render_list([], has_more=False)
            yield dialect.render_list(list(product(_tasks(), _VIEWS)), has_more=True)
        case Action.DELETE if isinstance(dialect, Lister):
            yield dialect.render_deleted(next(_tasks()))
        case Action.FILE if isinstance(dialect, FileDialect):
            yield from (dialect.render_file(task, View(_LINK)) for task in _tasks() if task.state is State.COMPLETED)
        case Action.CREDITS:
            balances = (Balance(None, 0, 0), Balance(50_000_000, 280_000, 560_000))
            yield from (dialect.render_balance(own, teams) for own, teams in product(balances, balances))
        case _:
            raise ValueError(f"{dialect.NAME} says nothing of its own to {action}")


def _tasks() -> Iterator[Task]:
    """Tasks in every state, of every mode, with and without what may be unknown of them."""
    for state, mode, failure, is_known in product(State, Mode, _FAILURES, (True, False)):
        is_over = state in (State.COMPLETED, State.FAILED, State.REFUSED)
        for generating in (False, True) if state is State.RUNNING else (False,):
            yield Task(
                id=_NUMBER,
                state=state,
                caller="alice",
                team=None,
                dialect="openai",
                request=VideoRequest(
                    model="MiniMax-Hailuo-2.3",
                    prompt="a ship at dawn" if is_known else None,
                    resolution="768P" if is_known else None,
                    duration_s=6 if is_known else None,
                ),
                fingerprint="",
                mode=mode,
                price=280_000,
                currency="USD",
                upstream="main",
                key_id="main",
                progress=50,
                generating=generating,
                link=_LINK if state is State.COMPLETED else None,
                failure=failure if state in (State.FAILED, State.REFUSED) else None,
                created_at=_CREATED_AT,
                started_at=_CREATED_AT + 2 if is_known else None,
                finished_at=_CREATED_AT + 60 if is_over else None,
            )
