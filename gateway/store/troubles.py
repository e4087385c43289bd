"""What went wrong lately: which tasks have failed and why, and what each upstream key was last refused with."""

from collections.abc import Collection

from sqlalchemy import Connection, func, select

from gateway import ids
from gateway.store.schema import attempts, tasks
from gateway.structs import Struct
from gateway.video import Route, State

FAILURES_MAX = 20
_LOOKED_THROUGH_MAX = 500  # attempts of a key: who was refused before so many others is not refused any more


class Trouble(Struct, frozen=True):
    """Tasks that failed alike: with the same word, at the same upstream."""

    code: str
    upstream: str
    count: int
    newest: int
    """The number of the newest of them,"""
    message: str
    """and what was said of it."""
    at: float


class Refusal(Struct, frozen=True):
    """The last time that an upstream did not take a task with a key."""

    at: float
    task_id: int
    reason: str | None
    row: str | None
    """The line of FAILURES that judged it."""
    http_status: int | None


def failures(connection: Connection, since: float) -> list[Trouble]:
    """Of the tasks that were ordered since then, the most frequent first."""
    newest = func.max(tasks.c.id).label("newest")
    count = func.count().label("count")
    groups = (
        select(count, newest)
        .where(
            tasks.c.id >= ids.first_number(since),
            tasks.c.created_at >= since,
            tasks.c.state.in_([State.FAILED.value, State.REFUSED.value]),
        )
        .group_by(tasks.c.failure_code, tasks.c.upstream)
        .order_by(count.desc(), newest.desc())
        .limit(FAILURES_MAX)
        .subquery()
    )
    query = (
        select(
            tasks.c.failure_code,
            tasks.c.upstream,
            groups.c.count,
            tasks.c.id,
            tasks.c.failure_message,
            tasks.c.finished_at,
        )
        .join(groups, groups.c.newest == tasks.c.id)
        .order_by(groups.c.count.desc(), tasks.c.id.desc())
    )
    return [Trouble(*row) for row in connection.execute(query)]


def refusals(connection: Connection, routes: Collection[Route]) -> dict[Route, Refusal]:
    """For each of these keys that was refused among its newest attempts, the last time."""
    found = {}
    for route in routes:
        lately = (
            select(attempts)
            .where(attempts.c.upstream == route.upstream, attempts.c.key_id == route.key_id)
            .order_by(attempts.c.started_at.desc())
            .limit(_LOOKED_THROUGH_MAX)
            .subquery()
        )
        query = (
            select(lately.c.ended_at, lately.c.task_id, lately.c.reason, lately.c.row, lately.c.http_status)
            .where(lately.c.outcome == "refused")
            .order_by(lately.c.started_at.desc())
            .limit(1)
        )
        row = connection.execute(query).one_or_none()
        if row is not None:
            found[route] = Refusal(*row)
    return found
