"""What can be asked about tasks: each question a plain function of a connection."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, select

from gateway.store.prepared import Prepared
from gateway.store.rows import COLUMNS, request_of, task_of
from gateway.store.schema import attempts, tasks, waiting
from gateway.video import Caller, State, Task, VideoRequest, Waiting

LIVE = (State.OPENED, State.RUNNING, State.UNCONFIRMED)
"""The states in which an upstream key is, or may be, busy with a task."""
HELD = (State.QUEUED, *LIVE)
"""The states in which the price of a task is set aside."""

LAST_ATTEMPT = and_(attempts.c.task_id == tasks.c.id, attempts.c.number == tasks.c.attempts)
"""Joins a task with the attempt that counts."""
_FIND = Prepared(select(*COLUMNS).where(tasks.c.id == bindparam("task_id")))


def find(connection: Connection, task_id: int) -> Task | None:
    """The task of this number."""
    row = _FIND.run(connection, {"task_id": task_id}).fetchone()
    return None if row is None else task_of(row)


def of_caller(connection: Connection, caller: Caller, limit: int, after: int | None, oldest_first: bool) -> list[Task]:
    """A page of the tasks that the caller may see, by age; with `after`, from those that follow that task."""
    order = tasks.c.id.asc() if oldest_first else tasks.c.id.desc()
    query = select(*COLUMNS).where(*seen_by(caller)).order_by(order).limit(limit)
    if after is not None:
        query = query.where(tasks.c.id > after if oldest_first else tasks.c.id < after)
    return [task_of(row) for row in connection.execute(query)]


def finished_lately(connection: Connection, at_most: int) -> list[Task]:
    """The completed ones among the newest tasks, the oldest first. Of the newest alone, so that it costs the same
    however many there are."""
    newest = select(tasks.c.id).order_by(tasks.c.id.desc()).limit(at_most).subquery()
    query = select(*COLUMNS).join(newest, newest.c.id == tasks.c.id).where(tasks.c.state == State.COMPLETED.value)
    return [task_of(row) for row in connection.execute(query.order_by(tasks.c.id))]


def unconfirmed(connection: Connection, before: float, limit: int) -> list[Task]:
    """Tasks that have been in doubt since before this time, the oldest doubt first."""
    query = (
        select(*COLUMNS)
        .join(attempts, LAST_ATTEMPT)
        .where(tasks.c.state == State.UNCONFIRMED, attempts.c.ended_at < before)
        .order_by(attempts.c.ended_at, tasks.c.id)
        .limit(limit)
    )
    return [task_of(row) for row in connection.execute(query)]


def opened(connection: Connection, before: float, limit: int) -> list[Task]:
    """Tasks whose last attempt began before this time and has no outcome, the oldest attempt first."""
    query = (
        select(*COLUMNS)
        .join(attempts, LAST_ATTEMPT)
        .where(tasks.c.state == State.OPENED, attempts.c.started_at < before)
        .order_by(attempts.c.started_at, tasks.c.id)
        .limit(limit)
    )
    return [task_of(row) for row in connection.execute(query)]


def opened_by(connection: Connection, owners: Collection[int] | None) -> list[Task]:
    """Tasks that these processes were sending; None: whoever was."""
    query = select(*COLUMNS).join(attempts, LAST_ATTEMPT).where(tasks.c.state == State.OPENED.value)
    if owners is not None:
        query = query.where(attempts.c.owner.in_(owners))
    return [task_of(row) for row in connection.execute(query)]


def waiting_heads(connection: Connection) -> list[Waiting]:
    """The task of each caller and model that has waited longest."""
    first = func.min(waiting.c.task_id)
    query = select(first, waiting.c.caller, waiting.c.model).group_by(waiting.c.caller, waiting.c.model)
    return [Waiting(*row) for row in connection.execute(query)]


def waiting_request(connection: Connection, task_id: int) -> tuple[Task, VideoRequest] | None:
    """A task that waits, and its whole request."""
    query = select(waiting.c.request, *COLUMNS).join(tasks, tasks.c.id == waiting.c.task_id)
    row = connection.execute(query.where(waiting.c.task_id == task_id)).one_or_none()
    if row is None:
        return None
    task = task_of(row[1:])
    return task, request_of(row[0], task.dialect)


def waiting_since(connection: Connection, before: float) -> list[int]:
    """The tasks that have waited since before this time."""
    return list(connection.execute(select(waiting.c.task_id).where(waiting.c.since < before)).scalars())


def senders(connection: Connection) -> set[int]:
    """The processes that some opened task belongs to."""
    owners = select(attempts.c.owner).distinct().join(tasks, LAST_ATTEMPT).where(tasks.c.state == State.OPENED.value)
    return set(connection.execute(owners).scalars())


def live_counts(connection: Connection) -> dict[tuple[str, str], int]:
    """How many tasks each (upstream, key id) is, or may be, busy with."""
    route = (tasks.c.upstream, tasks.c.key_id)
    query = select(*route, func.count()).where(tasks.c.state.in_(LIVE)).group_by(*route)
    return {(upstream, key_id): count for upstream, key_id, count in connection.execute(query)}


def state_counts(connection: Connection) -> dict[State, int]:
    """How many tasks stand in each state; every state is named."""
    found = connection.execute(select(tasks.c.state, func.count()).group_by(tasks.c.state))
    counts = {State(state): count for state, count in found}
    return {state: counts.get(state, 0) for state in State}


def holder_of(connection: Connection, upstream: str, upstream_id: str) -> int | None:
    """The task that holds this receipt."""
    query = select(tasks.c.id).where(tasks.c.upstream == upstream, tasks.c.upstream_id == upstream_id)
    return connection.execute(query).scalar_one_or_none()


def seen_by(caller: Caller) -> tuple[ColumnElement[bool], ...]:
    """The rule of `Caller.may_see`, as SQL."""
    shown = tasks.c.hidden.is_(False)
    if caller.team is not None:
        return tasks.c.team == caller.team, shown
    return tasks.c.team.is_(None), tasks.c.caller == caller.key_id, shown
