"""Rows of tasks that no gateway made: very many, or with words in them that no gateway would let through."""

from typing import Any

from sqlalchemy import insert

from gateway import ids
from gateway.store import Database
from gateway.store.rows import row_of
from gateway.store.schema import attempts, entries, tasks
from gateway.structs import replace
from gateway.video import Failure, Mode, Money, State, Task, VideoRequest

_REQUEST = VideoRequest(model="MiniMax-Hailuo-2.3", prompt="a ship", resolution="768P", duration_s=6)


def ended(at: float, **changes: Any) -> Task:
    """A task that failed unspent, ordered at this time, or whatever else is said of it."""
    made = Task(
        id=ids.new_number(at),
        state=State.FAILED,
        caller="alice",
        team=None,
        dialect="evolink",
        request=_REQUEST,
        fingerprint="",
        mode=Mode.TEXT,
        price=280_000,
        currency="USD",
        money=Money.RELEASED,
        upstream="sandbox",
        key_id="main",
        failure=Failure("content_policy_violation", "the content was refused"),
        created_at=at,
        started_at=at,
        finished_at=at + 60,
    )
    return replace(made, **changes)


async def put(database: Database, made: list[Task], *, reason: str = "rate_limited") -> None:
    """Into storage, each with one attempt and the lines of its money."""

    def step(connection: Any) -> None:
        connection.execute(insert(tasks), [_row(task) for task in made])
        connection.execute(insert(attempts), [_attempt(task, reason) for task in made])
        connection.execute(insert(entries), [line for task in made for line in _lines(task, reason)])

    await database.run(step)


def _row(task: Task) -> dict[str, Any]:
    """As a task is opened, and how it ended."""
    failure = task.failure
    return row_of(task) | {
        "upstream_id": task.upstream_id,
        "started_at": task.started_at,
        "finished_at": task.finished_at,
        "link": task.link,
        "failure_code": None if failure is None else failure.code,
        "failure_message": None if failure is None else failure.message,
    }


def _attempt(task: Task, reason: str) -> dict[str, Any]:
    told = {"outcome": "refused", "row": "H20", "http_status": 429, "reason": reason}
    if task.upstream_id is not None:
        told = {"outcome": "accepted", "row": None, "http_status": None, "reason": reason}
    return {
        "task_id": task.id,
        "number": 1,
        "upstream": task.upstream,
        "key_id": task.key_id,
        "fingerprint": "",
        "owner": 0,
        "started_at": task.created_at,
        "ended_at": task.created_at + 1,
        "reserved": None,
        **told,
    }


def _lines(task: Task, reason: str) -> list[dict[str, Any]]:
    amount, at = task.price or 0, task.created_at
    end = "settle" if task.money is Money.SETTLED else "release"
    return [
        {"task_id": task.id, "number": 1, "kind": "reserve", "amount": amount, "at": at, "reason": None},
        {"task_id": task.id, "number": 2, "kind": end, "amount": amount, "at": at + 60, "reason": reason},
    ]
