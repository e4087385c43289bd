"""A task as a row and a row as a task. The order of COLUMNS is the order in which `task_of` reads them."""

import json
from collections.abc import Sequence
from typing import Any

from gateway.store.schema import tasks
from gateway.video import Failure, Mode, State, Task, VideoRequest

COLUMNS = tuple(tasks.c)


def row_of(task: Task) -> dict[str, Any]:
    """The values of a new row."""
    return {
        "id": task.id,
        "state": task.state,
        "caller": task.caller,
        "team": task.team,
        "dialect": task.dialect,
        "request": json.dumps(task.request.canonical(), separators=(",", ":")),
        "fingerprint": task.fingerprint,
        "mode": task.mode,
        "price": task.price,
        "currency": task.currency,
        "upstream": task.upstream,
        "key_id": task.key_id,
        "attempts": task.attempts,
        "progress": task.progress,
        "generating": task.generating,
        "created_at": task.created_at,
        "hidden": task.hidden,
    }


def changes_of(changes: dict[str, Any]) -> dict[str, Any]:
    """Changed fields of a task as columns."""
    failure = changes.get("failure")
    if failure is None:
        return changes
    columns = {name: value for name, value in changes.items() if name != "failure"}
    return {**columns, "failure_code": failure.code, "failure_message": failure.message}


def task_of(row: Sequence[Any]) -> Task:
    """The task of a row that holds COLUMNS. Its request no longer knows the caller's own spelling of the fields."""
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
        request=VideoRequest(**json.loads(request), dialect=dialect),
        fingerprint=fingerprint,
        mode=Mode(mode),
        price=price,
        currency=currency,
        upstream=upstream,
        key_id=key_id,
        upstream_id=upstream_id,
        attempts=attempts,
        progress=progress,
        generating=generating,
        link=link,
        failure=None if failure_code is None else Failure(failure_code, failure_message),
        created_at=created_at,
        started_at=started_at,
        finished_at=finished_at,
        looked_at=looked_at,
        hidden=hidden,
    )
