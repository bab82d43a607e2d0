"""Where own records stand in own streams, and what has been taken back of them.

Read models of `node_disclosure` and `node_withdrawal`. The one rule: a disclosure is live
until a WITHDRAW of its stream names it, whatever has become of the record itself.
"""

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from mithaq.node.exchange.epochs import EPOCH
from mithaq.node.exchange.out_stream import (
    DISCLOSURE,
    STREAM,
    WITHDRAWAL,
    OwnStream,
    own_stream,
)
from mithaq.store.parts import in_parts


class LiveDisclosure(NamedTuple):
    """A first PUT of an own stream that nothing has taken back."""

    stream: OwnStream
    first_sequence: int


def live_disclosures(connection: sa.Connection, record_nos: Sequence[int]) -> list[LiveDisclosure]:
    """Return where any of these versions stand, each first PUT once, newest stream first."""
    withdrawn = sa.exists().where(
        WITHDRAWAL.c.log_no == DISCLOSURE.c.log_no,
        WITHDRAWAL.c.target == DISCLOSURE.c.first_sequence,
    )
    rows = {
        (row.log_no, row.first_sequence): row
        for part in in_parts(record_nos)
        for row in connection.execute(
            sa.select(STREAM, DISCLOSURE.c.first_sequence)
            .join(DISCLOSURE, DISCLOSURE.c.log_no == STREAM.c.log_no)
            .where(DISCLOSURE.c.record_no.in_(part), STREAM.c.own.is_(True), ~withdrawn)
            .distinct()
        )
    }
    newest_first = sorted(rows.items(), key=lambda each: (-each[0][0], each[0][1]))
    return [LiveDisclosure(own_stream(row), first) for (_, first), row in newest_first]


def readers_of(connection: sa.Connection, log_no: int, first_sequence: int) -> set[str]:
    """Return who may have opened any version that stands under a first PUT."""
    rows = connection.execute(
        sa.select(EPOCH.c.readers)
        .join(
            DISCLOSURE,
            sa.and_(DISCLOSURE.c.log_no == EPOCH.c.log_no, DISCLOSURE.c.epoch == EPOCH.c.epoch),
        )
        .where(DISCLOSURE.c.log_no == log_no, DISCLOSURE.c.first_sequence == first_sequence)
        .distinct()
    )
    return {member for (readers,) in rows for member in readers.split()}
