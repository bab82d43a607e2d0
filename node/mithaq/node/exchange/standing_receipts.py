"""Own receipts as they stand, for a hub that may have missed the last ones.

Receipts are cumulative (PROTOCOL 5.5), so the newest of each role and stream says it all.
They are sent again on each connection, with the newest signed lists of refusals, because
no answer tells whether the last ones arrived. The one rule: lists go with a receipt that
names the last of them, so older ones go with the older receipts that were signed with them.
"""

from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa

from mithaq.ledger.cosignature import Role
from mithaq.ledger.lists import LISTS_PER_RECEIPT_MAX
from mithaq.node.exchange.home import Home, instant
from mithaq.node.exchange.inbox import RECEIPT
from mithaq.node.exchange.out_stream import STREAM
from mithaq.node.exchange.receipts import OPENED, Receipt, to_message
from mithaq.node.exchange.refusal_lists import REFUSAL_LIST
from mithaq.v1 import exchange_pb2

RECEIPTS_MAX: Final = 8192
# Of one stream: more than can be on their way at once.
LISTS_AGAIN_MAX: Final = 1024


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
        if row.refusals_head:
            messages += _with_lists(connection, home, row.log_no, row.stream_id)
        messages.append(_message(row, row.stream_id))
    return messages


def _message(row: Any, stream_id: bytes) -> exchange_pb2.Receipt:  # noqa: ANN401 - a row of RECEIPT
    return to_message(
        Receipt(
            stream_id,
            row.reader,
            Role(row.role),
            row.size,
            row.root,
            instant(row.at_ms),
            row.cosignature,
            row.cosignature_mldsa,
            row.refusals_head,
        )
    )


def _with_lists(
    connection: sa.Connection, home: Home, log_no: int, stream_id: bytes
) -> Iterator[exchange_pb2.Receipt]:
    """Yield receipts that carry our newest lists of a stream in order, as many as fit each."""
    named = {
        row.refusals_head: row
        for row in connection.execute(
            sa.select(RECEIPT).where(
                RECEIPT.c.log_no == log_no,
                RECEIPT.c.reader == home.member,
                RECEIPT.c.role == str(OPENED),
                sa.func.length(RECEIPT.c.refusals_head) > 0,
            )
        )
    }
    waiting: list[exchange_pb2.RefusalList] = []
    message: exchange_pb2.Receipt | None = None
    for list_hash, signed in _newest_lists(connection, home, log_no):
        if message is not None and len(waiting) >= LISTS_PER_RECEIPT_MAX:
            yield message
            del waiting[: len(message.refusals)]
            message = None
        waiting.append(exchange_pb2.RefusalList.FromString(signed))
        if list_hash in named:
            message = _message(named[list_hash], stream_id)
            message.refusals.extend(waiting)
    if message is not None:
        yield message


def _newest_lists(connection: sa.Connection, home: Home, log_no: int) -> list[tuple[bytes, bytes]]:
    """Return our newest lists of a stream, each after its hash, the oldest first."""
    rows = connection.execute(
        sa.select(REFUSAL_LIST.c.list_hash, REFUSAL_LIST.c.message)
        .where(REFUSAL_LIST.c.log_no == log_no, REFUSAL_LIST.c.signer == home.member)
        .order_by(REFUSAL_LIST.c.list_no.desc())
        .limit(LISTS_AGAIN_MAX)
    ).all()
    return [(row.list_hash, row.message) for row in reversed(rows)]
