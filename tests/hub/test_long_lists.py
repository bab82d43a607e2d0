"""More versions under one first PUT than a statement of either database has parameters."""

import sqlalchemy as sa

from mithaq.hub.staging import Staging, Withdrawal
from mithaq.hub.tables import BODY, OMISSION, VERSION
from tests.hub.core import LOG, Core
from tests.parameters import too_many

FIRST = 2


def test_a_sender_may_take_back_any_number_of_versions_in_one_stream(core_of_each: Core) -> None:
    database = core_of_each.database
    count = too_many(database)
    database.write_sync(lambda each: fill_versions(each, count))
    staging = Staging(withdrawals=[Withdrawal(LOG, sequence=FIRST + count, target=FIRST)])
    # All but the last, which stands no earlier than the WITHDRAW.
    assert database.write_sync(staging.write) == {LOG: count}
    assert len(staging.withdrawn[LOG]) == count
    omitted = sa.select(sa.func.count()).select_from(OMISSION)
    assert database.read_sync(lambda each: each.scalar(omitted)) == count
    left = sa.select(BODY.c.sequence)
    assert database.read_sync(lambda each: each.scalars(left).all()) == [FIRST + count]


def fill_versions(connection: sa.Connection, count: int) -> None:
    """Let a PUT have so many later versions, each with a body of one byte, as it has itself."""
    counted = sa.select(sa.literal(FIRST).label("n")).cte("counted", recursive=True)
    counted = counted.union_all(sa.select(counted.c.n + 1).where(counted.c.n < FIRST + count))
    sequence, log_no = counted.c.n, sa.literal(LOG)
    versions = sa.select(log_no, sa.literal(FIRST), sequence).where(sequence > FIRST)
    bodies = sa.select(log_no, sequence, sa.literal(b"x"))
    connection.execute(sa.insert(VERSION).from_select(["log_no", "target", "sequence"], versions))
    connection.execute(sa.insert(BODY).from_select(["log_no", "sequence", "body"], bodies))
