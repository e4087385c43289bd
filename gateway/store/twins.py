"""Twins: a create that was made before is found in the transaction that would open it again (CONTRACT section 7).

An idempotency key is kept for a day and belongs to the caller, whatever the route or dialect. A repeat that an SDK
marks needs no key: the same caller asking for the same thing soon after means the first one. A task that surely was not
bought is nobody's twin, and none that its owner deleted when it was over; one that runs on deleted is paid for.

A repeat may be faster than its first: the client gave up while a host of pictures was slow, and for the repeat, in
another process, it is not. So a repeat that finds no first leaves word. The first create that was under way then and
comes to be opened is the repeat's twin; one only, because what else the same caller orders is another video.
"""

from sqlalchemy import Connection, and_, bindparam, delete, insert, select

from gateway.errors import KeyReused
from gateway.store.rows import COLUMNS, task_of
from gateway.store.schema import idempotency, tasks
from gateway.video import Claim, Money, State, Task

KEY_KEPT_S = 86_400.0
# CONTRACT says ten minutes, which is the read time-out of the SDKs themselves: the repeat of an answer that was lost
# comes just after, and a second one ten minutes later. A marked repeat is never a new order, so longer costs nobody.
REPEAT_WITHIN_S = 3 * 620.0
# Two processes may have clocks that differ. A client tells that its first is lost only after a longer time than that.
CLOCKS_DIFFER_S = 0.5
_WORD = "repeat\n"  # no header holds a line break, so nobody's key begins like this

_OF_KEY = (
    select(*COLUMNS)
    .join(idempotency, idempotency.c.task_id == tasks.c.id)
    .where(
        idempotency.c.caller == bindparam("caller"),
        idempotency.c.key == bindparam("key"),
        idempotency.c.created_at > bindparam("since"),
    )
)
_OF_FINGERPRINT = (
    select(*COLUMNS)
    .where(
        tasks.c.caller == bindparam("caller"),
        tasks.c.fingerprint == bindparam("fingerprint"),
        tasks.c.created_at > bindparam("since"),
        # Not what was surely not bought: refused, or released without ever having been accepted.
        ~and_(tasks.c.money == Money.RELEASED.value, tasks.c.upstream_id.is_(None)),
        ~and_(tasks.c.hidden, tasks.c.state.in_([State.COMPLETED.value, State.FAILED.value])),
    )
    .order_by(tasks.c.created_at.desc())
    .limit(1)
)
_FORGET_KEY = delete(idempotency).where(
    idempotency.c.caller == bindparam("of_caller"), idempotency.c.key == bindparam("of_key")
)
_FREE = delete(idempotency).where(idempotency.c.task_id == bindparam("of_task"))


def find_twin(connection: Connection, caller: str, fingerprint: str, claim: Claim, now: float) -> Task | None:
    """The task this create was opened as before. Raises KeyReused when its key stands for another request."""
    if claim.key is not None:
        task = _stands_for(connection, caller, claim.key, now - KEY_KEPT_S)
        if task is not None and task.fingerprint != fingerprint:
            raise KeyReused("this idempotency key stands for another request; use a new key for a new one")
        return task
    if claim.is_marked:
        values = {"caller": caller, "fingerprint": fingerprint, "since": now - REPEAT_WITHIN_S}
        row = connection.execute(_OF_FINGERPRINT, values).one_or_none()
        return None if row is None else task_of(row)
    if claim.overtaken_since is not None:
        return _stands_for(connection, caller, _WORD + fingerprint, claim.overtaken_since - CLOCKS_DIFFER_S)
    return None


def _stands_for(connection: Connection, caller: str, key: str, since: float) -> Task | None:
    """The task of a caller's key, if it got that meaning after `since`."""
    row = connection.execute(_OF_KEY, {"caller": caller, "key": key, "since": since}).one_or_none()
    return None if row is None else task_of(row)


def joined(connection: Connection, twin: Task, claim: Claim) -> None:
    """A create is told of its twin: the word that a repeat left for one of them is taken."""
    if claim.overtaken_since is not None:
        free_key(connection, twin.id)


def keep_claim(connection: Connection, task: Task, claim: Claim) -> None:
    """From now on the claim's key, or the word of a repeat, stands for this task; an older, expired meaning of it is
    forgotten."""
    key = _WORD + task.fingerprint if claim.is_marked else claim.key
    if key is not None:
        connection.execute(_FORGET_KEY, {"of_caller": task.caller, "of_key": key})
        values = {"caller": task.caller, "key": key, "task_id": task.id, "created_at": task.created_at}
        connection.execute(insert(idempotency), values)


def free_key(connection: Connection, task_id: int) -> None:
    """The task surely was not bought: its key may stand for another try."""
    connection.execute(_FREE, {"of_task": task_id})
