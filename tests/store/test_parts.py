"""Lists cut into parts that each database takes in one statement."""

import pytest
import sqlalchemy as sa

from mithaq.store.engine import Database
from mithaq.store.parts import CONDITIONS_AT_ONCE_MAX, VALUES_AT_ONCE_MAX, in_parts
from mithaq.store.tables import LOG
from tests.parameters import as_it_comes

# The most that one condition names: an agreement, and every other party of it.
VALUES_PER_CONDITION = 32


@pytest.mark.parametrize(
    ("count", "parts"), [(0, []), (1, [1]), (3, [3]), (4, [3, 1]), (6, [3, 3]), (7, [3, 3, 1])]
)
def test_parts_hold_every_value_once_and_in_order(count: int, parts: list[int]) -> None:
    cut = list(in_parts(range(count), at_once=3))
    assert [len(each) for each in cut] == parts
    assert [value for part in cut for value in part] == list(range(count))


def test_a_part_is_what_either_database_takes(database: Database) -> None:
    (part, rest) = in_parts(range(VALUES_AT_ONCE_MAX + 1))
    assert rest == [VALUES_AT_ONCE_MAX]
    found = sa.select(LOG.c.log_no).where(LOG.c.log_no.in_(part))
    assert taken(database, found) == []


def test_so_many_conditions_are_what_either_database_takes(database: Database) -> None:
    one = LOG.c.log_no.in_(range(VALUES_PER_CONDITION))
    found = sa.select(LOG.c.log_no).where(sa.or_(*[one] * CONDITIONS_AT_ONCE_MAX))
    assert taken(database, found) == []


def taken(database: Database, statement: sa.Select[tuple[int]]) -> list[object]:
    """Return what is found, by a connection that takes what the database takes by default."""

    def read(connection: sa.Connection) -> list[object]:
        as_it_comes(connection)
        return list(connection.scalars(statement))

    return database.read_sync(read)
