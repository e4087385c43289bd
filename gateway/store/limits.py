"""What a caller may have at once, judged in the transaction that opens a task, so that no two creates count on the same
room, in whichever process they arrive (CONTRACT section 3: `rpm`, `max_tasks` of virtual keys)."""

import math

from sqlalchemy import Connection, bindparam, func, select

from gateway.errors import TooFast, TooManyTasks
from gateway.store.queries import HELD
from gateway.store.schema import tasks
from gateway.video import Caller

MINUTE_S = 60.0
FULL_RETRY_S = 10  # when a task in flight will end is not known; this is when asking again is not rude

_IN_FLIGHT = (
    select(func.count())
    .select_from(tasks)
    .where(tasks.c.caller == bindparam("caller"), tasks.c.state.in_([state.value for state in HELD]))
)
_OF_LAST_MINUTE = select(tasks.c.created_at).where(
    tasks.c.caller == bindparam("caller"), tasks.c.created_at > bindparam("since")
)


def judge_limits(connection: Connection, caller: Caller, now: float) -> None:
    """Raise TooManyTasks or TooFast if one more task would be more than the caller may have."""
    if caller.max_tasks is not None:
        in_flight = connection.execute(_IN_FLIGHT, {"caller": caller.key_id}).scalar_one()
        if in_flight >= caller.max_tasks:
            message = f"this key may have {caller.max_tasks} tasks in flight, and has {in_flight}"
            raise TooManyTasks(message, retry_after=FULL_RETRY_S)
    if caller.rpm is not None:
        times = sorted(
            connection.execute(_OF_LAST_MINUTE, {"caller": caller.key_id, "since": now - MINUTE_S}).scalars()
        )
        if len(times) >= caller.rpm:
            free_at = times[len(times) - caller.rpm] + MINUTE_S
            message = f"this key may order {caller.rpm} videos a minute"
            raise TooFast(message, retry_after=max(1, math.ceil(free_at - now)))
