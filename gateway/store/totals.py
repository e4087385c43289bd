"""How things stand in all, at one moment: what every scrape of the metrics asks, in one reading.

Asked every few seconds for ever, so each question is one that an index answers, however many tasks there were.
"""

from collections.abc import Mapping

from sqlalchemy import Connection, func, literal_column, select

from gateway.store import films
from gateway.store.queries import HELD, state_counts
from gateway.store.schema import tasks
from gateway.structs import Struct
from gateway.video import Balance, Held, Money, State


class Totals(Struct, frozen=True, kw_only=True):
    """`keys` and `teams` are the balances of those that were asked for; `held` is by where the money stands."""

    tasks: Mapping[State, int]
    held: Mapping[Money, Held]
    films_due: int
    """Finished films that are not kept."""
    films_due_since: float | None
    """When the first ordered of those was finished."""
    keys: Mapping[str, Balance]
    teams: Mapping[str, Balance]


def totals(connection: Connection, keys: Mapping[str, Balance], teams: Mapping[str, Balance]) -> Totals:
    """All but the balances, which are given."""
    return Totals(
        tasks=state_counts(connection),
        held={money: Held(*connection.execute(query).one()) for money, query in _HELD.items()},
        films_due=films.count_due(connection),
        films_due_since=films.due_since(connection),
        keys=keys,
        teams=teams,
    )


_SUM = select(func.coalesce(func.sum(tasks.c.price), 0), func.min(tasks.c.created_at)).where(tasks.c.price.is_not(None))
_HELD = {
    Money.HELD: _SUM.where(tasks.c.state.in_(HELD)),
    Money.SUSPENDED: _SUM.where(tasks.c.money == literal_column(f"'{Money.SUSPENDED.value}'")),  # the partial index
}
