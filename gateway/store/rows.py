"""A task as a row and a row as a task. The order of COLUMNS is the order in which `task_of` reads them."""

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from gateway.store.schema import tasks
from gateway.video import Failure, Mode, Money, State, Task, VideoRequest

COLUMNS = tuple(tasks.c)
OPENED_COLUMNS = (
    "id",
    "state",
    "caller",
    "team",
    "dialect",
    "request",
    "fingerprint",
    "mode",
    "price",
    "currency",
    "money",
    "upstream",
    "key_id",
    "attempts",
    "progress",
    "generating",
    "created_at",
    "hidden",
)
"""What `row_of` gives values to."""


def row_of(task: Task) -> dict[str, Any]:
    """The values of a new row."""
    return {
        "id": task.id,
        "state": task.state.value,
        "caller": task.caller,
        "team": task.team,
        "dialect": task.dialect,
        "request": request_text(task.request),
        "fingerprint": task.fingerprint,
        "mode": task.mode.value,
        "price": task.price,
        "currency": task.currency,
        "money": task.money.value,
        "upstream": task.upstream,
        "key_id": task.key_id,
        "attempts": task.attempts,
        "progress": task.progress,
        "generating": task.generating,
        "created_at": task.created_at,
        "hidden": task.hidden,
    }


def request_text(request: VideoRequest) -> str:
    """What makes a request itself, as it is written down; with a callback, also where its links will lead."""
    said = request.canonical()
    if request.callback_url is not None:
        said["reached_at"] = request.reached_at
    return json.dumps(said, separators=(",", ":"))


def request_of(text: str, dialect: str) -> VideoRequest:
    """The request that was written down. It no longer knows the caller's own spelling of the fields."""
    return VideoRequest(**json.loads(text), dialect=dialect)


def changes_of(changes: dict[str, Any]) -> dict[str, Any]:
    """Changed fields of a task as columns."""
    columns: dict[str, Any] = {}
    for name, value in changes.items():
        if name == "failure":
            columns["failure_code"] = value and value.code
            columns["failure_message"] = value and value.message
        else:
            columns[name] = value.value if isinstance(value, StrEnum) else value
    return columns


def task_of(row: Sequence[Any]) -> Task:
    """The task of a row that holds COLUMNS."""
    (
        number,
        state,
        caller,
        team,
        dialect,
        request,
        fingerprint,
        mode,
        price,
        currency,
        money,
        upstream,
        key_id,
        upstream_id,
        attempts,
        progress,
        generating,
        link,
        failure_code,
        failure_message,
        created_at,
        started_at,
        finished_at,
        looked_at,
        hidden,
    ) = row
    return Task(
        id=number,
        state=State(state),
        caller=caller,
        team=team,
        dialect=dialect,
        request=request_of(request, dialect),
        fingerprint=fingerprint,
        mode=Mode(mode),
        price=price,
        currency=currency,
        money=Money(money),
        upstream=upstream,
        key_id=key_id,
        upstream_id=upstream_id,
        attempts=attempts,
        progress=progress,
        generating=bool(generating),  # a driver may know numbers only
        link=link,
        failure=None if failure_code is None else Failure(failure_code, failure_message),
        created_at=created_at,
        started_at=started_at,
        finished_at=finished_at,
        looked_at=looked_at,
        hidden=bool(hidden),
    )
