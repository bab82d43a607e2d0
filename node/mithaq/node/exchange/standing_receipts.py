"""Own receipts as they stand, for a hub that may have missed the last ones.

Receipts are cumulative (PROTOCOL 5.5), so the newest of each role and stream says it all.
They are sent again on each connection, with the newest signed lists of refusals, because
no answer tells whether the last ones arrived.
"""

from typing import Final

import sqlalchemy as sa

from mithaq.ledger.cosignature import Role
from mithaq.ledger.lists import LISTS_PER_RECEIPT_MAX
from mithaq.node.exchange.home import Home, instant
from mithaq.node.exchange.inbox import RECEIPT, REFUSAL_LIST
from mithaq.node.exchange.out_stream import STREAM
from mithaq.node.exchange.receipts import OPENED, Receipt, to_message
from mithaq.v1 import exchange_pb2

RECEIPTS_MAX: Final = 8192


def standing_receipts(connection: sa.Connection, home: Home) -> list[exchange_pb2.Receipt]:
    """Return our newest receipt of each role for each received stream."""
    newest = (
        sa.select(RECEIPT.c.log_no, RECEIPT.c.role, sa.func.max(RECEIPT.c.size).label("size"))
        .where(RECEIPT.c.reader == home.member)
        .group_by(RECEIPT.c.log_no, RECEIPT.c.role)
        .subquery()
    )
    rows = connection.execute(
        sa.select(RECEIPT, STREAM.c.stream_id)
        .join(
            newest,
            sa.and_(
                newest.c.log_no == RECEIPT.c.log_no,
                newest.c.role == RECEIPT.c.role,
                newest.c.size == RECEIPT.c.size,
            ),
        )
        .join(STREAM, STREAM.c.log_no == RECEIPT.c.log_no)
        .where(RECEIPT.c.reader == home.member, STREAM.c.own.is_(False))
        .order_by(RECEIPT.c.log_no, RECEIPT.c.role)
        .limit(RECEIPTS_MAX)
    ).all()
    messages: list[exchange_pb2.Receipt] = []
    for row in rows:
        message = to_message(
            Receipt(
                row.stream_id,
                row.reader,
                Role(row.role),
                row.size,
                row.root,
                instant(row.at_ms),
                row.cosignature,
                row.cosignature_mldsa,
            )
        )
        if row.role == OPENED:
            message.refusals.extend(_newest_lists(connection, home, row.log_no))
        messages.append(message)
    return messages


def _newest_lists(
    connection: sa.Connection, home: Home, log_no: int
) -> list[exchange_pb2.RefusalList]:
    rows = connection.scalars(
        sa.select(REFUSAL_LIST.c.message)
        .where(REFUSAL_LIST.c.log_no == log_no, REFUSAL_LIST.c.signer == home.member)
        .order_by(REFUSAL_LIST.c.list_no.desc())
        .limit(LISTS_PER_RECEIPT_MAX)
    ).all()
    return [exchange_pb2.RefusalList.FromString(each) for each in reversed(rows)]
