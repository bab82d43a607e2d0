"""Taking an own alert back: from every stream that carries it, and from this node.

PROTOCOL 3.6, 5.9. Each live disclosure gets a WITHDRAW of scope RECORD; whoever could
open one owes a receipt of erasure by the agreement's deadline. The one rule: the node's
own copy loses its key in the same transaction. What a backup brought back half done
(`restoring`) is ended here as well.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from mithaq.ledger.entry import WithdrawScope
from mithaq.node.exchange.acts import ActResult, Disclosure, WithdrawItem
from mithaq.node.exchange.disclosures import (
    LiveDisclosure,
    live_disclosures,
    readers_of,
)
from mithaq.node.exchange.draft import WithdrawDraft
from mithaq.node.exchange.erasing import erase_content
from mithaq.node.exchange.errors import AlertUnknownError
from mithaq.node.exchange.home import Home, milliseconds
from mithaq.node.exchange.issuing import Outcome
from mithaq.node.exchange.transaction import Finished, Transaction
from mithaq.node.exchange.versions import Versions
from mithaq.node.tables import ErasureRow, RecordStatus
from mithaq.store.engine import bulk_insert
from mithaq.store.tables import table_of

ERASURE: Final = table_of(ErasureRow)
ASKED: Final = "asked"
OVER: Final = frozenset({RecordStatus.WITHDRAWN, RecordStatus.ERASED})


def withdraw(tx: Transaction, item: WithdrawItem, known: Versions) -> Outcome:
    """Take an own alert back from everybody who was given it.

    Raises:
        AlertUnknownError: no alert of this id, or one that was withdrawn before.

    """
    versions = known.get(item.alert_id, [])
    numbers = [each.record_no for each in versions]
    standing = live_disclosures(tx.connection, numbers)
    if not versions or not _may_be_withdrawn(versions[-1].status, standing):
        raise AlertUnknownError("no live alert of this id")
    for each in standing:
        status = tx.home.registry.agreement(each.stream.key.agreement_id).status
        draft = WithdrawDraft(each.first_sequence, item.reason, WithdrawScope.RECORD)
        tx.withdraw(each.stream, status, draft)
        ask_for_receipts(tx.connection, tx.home, each, at=tx.at)
    erase_content(tx.connection, tx.home, numbers, status=RecordStatus.WITHDRAWN)
    tx.erased = True
    return _outcome(item, versions[-1].version, standing)


def _may_be_withdrawn(status: RecordStatus, standing: Sequence[LiveDisclosure]) -> bool:
    # Withdrawn and still standing somewhere: a restored backup got a part of it back.
    return status not in OVER or (status is RecordStatus.WITHDRAWN and bool(standing))


def ask_for_receipts(
    connection: sa.Connection, home: Home, disclosure: LiveDisclosure, *, at: datetime
) -> None:
    """Note who owes a receipt of erasure, and until when."""
    stream = disclosure.stream
    agreement = home.registry.agreement(stream.key.agreement_id).agreement
    due = milliseconds(at + agreement.deadlines.erasure_receipt)
    bulk_insert(
        connection,
        ERASURE,
        [
            {
                "log_no": stream.log_no,
                "sequence": disclosure.first_sequence,
                "reader": reader,
                "state": ASKED,
                "asked_at_ms": milliseconds(at),
                "due_at_ms": due,
                "done_at": None,
                "ground": "",
                "until": None,
            }
            for reader in sorted(readers_of(connection, stream.log_no, disclosure.first_sequence))
        ],
    )


def _outcome(item: WithdrawItem, version: int, standing: Sequence[LiveDisclosure]) -> Outcome:
    def told(finished: Finished) -> ActResult:
        return ActResult(
            alert_id=item.alert_id,
            version=version,
            disclosures=tuple(
                Disclosure(
                    each.stream.stream_id,
                    finished.posted[each.stream.log_no].withdrawn[each.first_sequence],
                    each.stream.key.agreement_id,
                    each.stream.key.audience,
                )
                for each in standing
            ),
        )

    return told
