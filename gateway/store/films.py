"""Which finished films are kept, and which still have to be: a row for each completed task, written with its end."""

from sqlalchemy import Connection, bindparam, func, insert, select, update

from gateway.store.locks import lock
from gateway.store.prepared import Prepared
from gateway.store.rows import COLUMNS, task_of
from gateway.store.schema import films, tasks
from gateway.video import Task

_FINISHED = Prepared(insert(films).inline(), ["task_id", "state", "due_at", "tries"])
_CHANGE = update(films).where(films.c.task_id == bindparam("of_task"))


def finish(connection: Connection, task: Task, now: float) -> None:
    """The task has just been completed: its film is to be kept, if this installation keeps films."""
    _FINISHED.run(connection, {"task_id": task.id, "state": "due", "due_at": now, "tries": 0})


def claim(connection: Connection, now: float, lease_s: float, limit: int) -> list[tuple[Task, int]]:
    """Films to fetch now, each with the tries it has had. No other process gets one of them for `lease_s` seconds."""
    lock(connection, "films")
    query = (
        select(films.c.tries, *COLUMNS)
        .join(tasks, tasks.c.id == films.c.task_id)
        .where(films.c.state == "due", films.c.due_at <= now)
        .order_by(films.c.due_at)
        .limit(limit)
    )
    found = [(task_of(row[1:]), row[0]) for row in connection.execute(query)]
    for task, tries in found:
        connection.execute(_CHANGE, {"of_task": task.id, "due_at": now + lease_s, "tries": tries + 1})
    return found


def kept(connection: Connection, task_id: int, byte_count: int, now: float) -> None:
    """The film is in the archive."""
    connection.execute(_CHANGE, {"of_task": task_id, "state": "kept", "bytes": byte_count, "kept_at": now})


def put_off(connection: Connection, task_id: int, due_at: float) -> None:
    """It could not be fetched: again at this time."""
    connection.execute(_CHANGE, {"of_task": task_id, "due_at": due_at})


def lose(connection: Connection, task_id: int) -> None:
    """It is nowhere any more: its link is dead, or it was kept for as long as it should be."""
    connection.execute(_CHANGE, {"of_task": task_id, "state": "gone"})


def is_kept(connection: Connection, task_id: int) -> bool | None:
    """True where the archive has it, False where it is gone, None where it has not been fetched."""
    state = connection.execute(select(films.c.state).where(films.c.task_id == task_id)).scalar_one_or_none()
    return None if state in (None, "due") else state == "kept"


def expired(connection: Connection, kept_before: float, limit: int) -> list[int]:
    """Films that were kept before this time, the oldest first."""
    query = select(films.c.task_id).where(films.c.state == "kept", films.c.kept_at < kept_before)
    return list(connection.execute(query.order_by(films.c.kept_at).limit(limit)).scalars())


def count_due(connection: Connection) -> int:
    """Finished films that are not kept yet."""
    return connection.execute(select(func.count()).select_from(films).where(films.c.state == "due")).scalar_one()


def due_since(connection: Connection) -> float | None:
    """When the first ordered of the finished films that are not kept yet was finished."""
    first = select(func.min(films.c.task_id)).where(films.c.state == "due").scalar_subquery()
    return connection.execute(select(tasks.c.finished_at).where(tasks.c.id == first)).scalar_one_or_none()


def going(connection: Connection, limit: int) -> list[Task]:
    """Finished tasks whose films are not kept, in the order in which they will be gone."""
    first = select(films.c.task_id).where(films.c.state == "due").order_by(films.c.due_at).limit(limit).subquery()
    query = select(*COLUMNS).join(first, first.c.task_id == tasks.c.id).order_by(tasks.c.finished_at, tasks.c.id)
    return [task_of(row) for row in connection.execute(query)]


def forget_due(connection: Connection, finished_before: float) -> int:
    """Films that nobody fetched while their links lived are gone; returns how many."""
    is_late = select(tasks.c.id).where(tasks.c.id == films.c.task_id, tasks.c.finished_at < finished_before).exists()
    query = update(films).where(films.c.state == "due", is_late)
    return connection.execute(query, {"state": "gone"}).rowcount
