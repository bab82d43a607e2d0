"""Signed lists of refusals as they are kept, by stream and signer (PROTOCOL 5.2, 5.5).

The hub's come with acceptances at a sender and with headers at a reader; a reader's come to
the sender, and its own are kept where it signs them. The one rule: what others sign about a
stream weighs no more here than the stream has entries to refuse, as at the hub.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from mithaq.ledger.lists import refusals_bytes_max
from mithaq.node.exchange.epochs import REFUSAL
from mithaq.node.exchange.errors import RefusalsTooManyError
from mithaq.node.exchange.home import milliseconds
from mithaq.node.exchange.refusals import RefusalList
from mithaq.node.tables import RefusalListRow
from mithaq.store.engine import bulk_insert
from mithaq.store.tables import table_of
from mithaq.v1 import exchange_pb2

REFUSAL_LIST: Final = table_of(RefusalListRow)
# More than any list weighs that is of its form: 256 refusals with the longest reasons.
LIST_BYTES_MAX: Final = 32 * 1024


def is_list_known(connection: sa.Connection, log_no: int, signer: str, list_hash: bytes) -> bool:
    """Tell whether a signer's list of refusals of this hash is kept."""
    found = sa.select(REFUSAL_LIST.c.list_no).where(
        REFUSAL_LIST.c.list_hash == list_hash,
        REFUSAL_LIST.c.log_no == log_no,
        REFUSAL_LIST.c.signer == signer,
    )
    return connection.execute(found).first() is not None


def check_raw_weight(messages: Iterable[exchange_pb2.RefusalList], *, size: int) -> None:
    """Raise RefusalsTooManyError for lists that weigh too much already as they came.

    They came together and about a stream of this size, so nothing honest is among them twice.
    """
    if sum(each.ByteSize() for each in messages) > refusals_bytes_max(size):
        raise RefusalsTooManyError(f"more refusals than a stream of {size} entries has")


def check_weight(
    connection: sa.Connection, log_no: int, lists: Sequence[RefusalList], *, size: int
) -> None:
    """Let nobody fill this node with what it says it refused of a stream of this size.

    `lists` are of one signer. What is kept already weighs nothing more.

    Raises:
        RefusalsTooManyError: with these its lists would weigh more than the stream allows.

    """
    fresh = {
        each.list_hash: len(each.list_bytes)
        for each in lists
        if not is_list_known(connection, log_no, each.signer, each.list_hash)
    }
    if not fresh:
        return
    signer = lists[0].signer
    weight = _weight(connection, log_no, signer) + sum(fresh.values())
    if weight > refusals_bytes_max(size):
        raise RefusalsTooManyError(f"{signer} refuses more than a stream of {size} entries has")


def has_room(connection: sa.Connection, log_no: int, signer: str, *, size: int) -> bool:
    """Tell whether any list that a signer may sign next would be taken."""
    return _weight(connection, log_no, signer) + LIST_BYTES_MAX <= refusals_bytes_max(size)


def _weight(connection: sa.Connection, log_no: int, signer: str) -> int:
    """Return what a signer's lists in a stream weigh here, in bytes."""
    kept = connection.scalar(
        sa.select(sa.func.sum(sa.func.length(REFUSAL_LIST.c.message))).where(
            REFUSAL_LIST.c.log_no == log_no, REFUSAL_LIST.c.signer == signer
        )
    )
    return int(kept or 0)


def save_refusals(
    connection: sa.Connection, log_no: int, lists: Sequence[RefusalList], *, at: datetime
) -> None:
    """Keep signed lists of refusals; what was kept before stays as it was."""
    for signed in lists:
        if is_list_known(connection, log_no, signed.signer, signed.list_hash):
            continue
        known = set(
            connection.scalars(
                sa.select(REFUSAL.c.sequence).where(
                    REFUSAL.c.log_no == log_no,
                    REFUSAL.c.signer == signed.signer,
                    REFUSAL.c.sequence.in_([each.sequence for each in signed.refusals]),
                )
            )
        )
        fresh = [each for each in signed.refusals if each.sequence not in known]
        list_no = connection.execute(
            sa.insert(REFUSAL_LIST).returning(REFUSAL_LIST.c.list_no),
            {
                "log_no": log_no,
                "signer": signed.signer,
                "list_hash": signed.list_hash,
                "message": signed.list_bytes,
            },
        ).scalar_one()
        bulk_insert(
            connection,
            REFUSAL,
            [
                {
                    "log_no": log_no,
                    "sequence": each.sequence,
                    "signer": signed.signer,
                    "reason": each.reason,
                    "registry_size": each.registry_size,
                    "at_ms": milliseconds(at),
                    "list_no": list_no,
                    "settled": False,
                }
                for each in fresh
            ],
        )
