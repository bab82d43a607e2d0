"""What was refused only because the registry had moved on, or lost by its reader: said again.

PROTOCOL 2.5, 4.8, 5.2. An entry on its way while a member, a key or an agreement changes is
refused by whoever has seen the change already. Nothing is wrong with it but its time, so
it must not be lost: a disclosure is told anew to the readers concerned, an answer is put
into its return stream again. The one rule: each refusal is settled once, and only when
this node itself has replayed to the size by which it was refused, so nothing goes round.

What a reader had and lost (it was set back to a backup) it is told anew as well, a few times
a day at most.
"""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from mithaq.ledger.entry import Priority, StreamRole
from mithaq.ledger.names import HUB
from mithaq.node.exchange.acts import ActResult, CatchUpItem, ResendItem
from mithaq.node.exchange.answering import entitled_to_answer, expiry
from mithaq.node.exchange.draft import PutDraft, PutTerms
from mithaq.node.exchange.epochs import EPOCH, REFUSAL
from mithaq.node.exchange.home import SYSTEM, Home
from mithaq.node.exchange.in_stream import terms_of
from mithaq.node.exchange.issuing import Outcome
from mithaq.node.exchange.out_stream import DISCLOSURE, STREAM
from mithaq.node.exchange.refusals import LOST
from mithaq.node.exchange.stored import RECORD, open_row
from mithaq.node.exchange.transaction import Finished, Transaction
from mithaq.node.records.model import parse_record
from mithaq.node.sealing.errors import ErasedError
from mithaq.store import log_store

# Codes of hub and readers that say: by a newer registry than the sender's.
RETOLD: Final = frozenset(
    {
        "NARROWED_SINCE",
        "READER_INACTIVE",
        "SENDER_INACTIVE",
        "RECEPTION_KEY_UNKNOWN",
        "EPOCH_REFUSED",
        "EPOCH_NOT_OPENED",
        LOST,
    }
)
REFUSALS_AT_ONCE_MAX: Final = 256
# So often a record that its reader lost is told it anew; a reader that always loses gets no more.
LOST_PER_DAY_MAX: Final = 3
DAY_MS: Final = 24 * 60 * 60 * 1000


def next_retold(connection: sa.Connection, home: Home) -> CatchUpItem | ResendItem | None:
    """Return the next act that settles refusals, or None where there is nothing to say again."""
    rows = connection.execute(
        sa.select(
            REFUSAL.c.log_no,
            REFUSAL.c.sequence,
            REFUSAL.c.signer,
            REFUSAL.c.registry_size,
            REFUSAL.c.reason,
            REFUSAL.c.at_ms,
            STREAM.c.agreement_id,
            STREAM.c.role,
            DISCLOSURE.c.record_no,
            EPOCH.c.readers,
        )
        .join(STREAM, STREAM.c.log_no == REFUSAL.c.log_no)
        .join(
            DISCLOSURE,
            sa.and_(
                DISCLOSURE.c.log_no == REFUSAL.c.log_no,
                DISCLOSURE.c.sequence == REFUSAL.c.sequence,
            ),
        )
        .join(
            EPOCH,
            sa.and_(EPOCH.c.log_no == DISCLOSURE.c.log_no, EPOCH.c.epoch == DISCLOSURE.c.epoch),
        )
        .where(STREAM.c.own.is_(True), REFUSAL.c.settled.is_(False))
        .where(REFUSAL.c.reason.in_(RETOLD), REFUSAL.c.registry_size <= home.registry.size)
        .order_by(REFUSAL.c.log_no, REFUSAL.c.sequence)
        .limit(REFUSALS_AT_ONCE_MAX)
    ).all()
    if not rows:
        return None
    first = rows[0]
    alike = [row for row in rows if (row.log_no, row.signer) == (first.log_no, first.signer)]
    numbers = tuple(row.record_no for row in alike if _is_to_be_told(connection, row))
    refusals = tuple((row.log_no, row.sequence, row.signer) for row in alike)
    if first.role == StreamRole.RETURN:
        return ResendItem(first.agreement_id, first.log_no, numbers, refusals, SYSTEM)
    # The hub's refusal keeps a record from everybody, a reader's only from itself.
    members = tuple(first.readers.split()) if first.signer == HUB else (first.signer,)
    return CatchUpItem(first.agreement_id, members, numbers, refusals, SYSTEM)


def _is_to_be_told(connection: sa.Connection, row: Any) -> bool:  # noqa: ANN401 - as below
    if row.reason == LOST:
        return _times_lost(connection, row) <= LOST_PER_DAY_MAX
    return _was_older(connection, row)


def _times_lost(connection: sa.Connection, row: Any) -> int:  # noqa: ANN401 - as below
    """Return how often the reader has lost this record within the day up to this refusal."""
    lost = (
        sa.select(sa.func.count())
        .select_from(REFUSAL)
        .join(
            DISCLOSURE,
            sa.and_(
                DISCLOSURE.c.log_no == REFUSAL.c.log_no,
                DISCLOSURE.c.sequence == REFUSAL.c.sequence,
            ),
        )
        .where(DISCLOSURE.c.record_no == row.record_no, REFUSAL.c.signer == row.signer)
        .where(REFUSAL.c.reason == LOST, REFUSAL.c.at_ms > row.at_ms - DAY_MS)
    )
    return int(connection.execute(lost).scalar_one())


def _was_older(connection: sa.Connection, row: Any) -> bool:  # noqa: ANN401 - a row of the query
    """Tell whether the entry was judged by an older registry than it was refused by."""
    ((_, run),) = log_store.read_runs(connection, row.log_no, row.sequence, row.sequence + 1)
    return terms_of(run.terms_bytes).registry_size < int(row.registry_size)


def settle(connection: sa.Connection, refusals: Sequence[tuple[int, int, str]]) -> None:
    """Note that refusals were answered; they stay as evidence."""
    for log_no, sequence, signer in refusals:
        connection.execute(
            sa.update(REFUSAL)
            .where(
                REFUSAL.c.log_no == log_no,
                REFUSAL.c.sequence == sequence,
                REFUSAL.c.signer == signer,
            )
            .values(settled=True)
        )


def resend(tx: Transaction, item: ResendItem) -> Outcome:
    """Put answers into the return stream once more.

    Raises:
        NoStreamError: there is no return stream to the peer, or it may read nothing now.
        DeniedByAgreementError: the agreement lets nothing through to this peer now.

    """
    peer = tx.connection.execute(
        sa.select(STREAM.c.audience).where(STREAM.c.log_no == item.log_no)
    ).scalar_one()
    rows = tx.connection.execute(
        sa.select(RECORD)
        .where(RECORD.c.record_no.in_(item.record_nos))
        .order_by(RECORD.c.record_no)
    ).all()
    for row in rows:
        try:
            content = open_row(row, tx.home.storage)
        except ErasedError:
            continue
        record = parse_record(content.record)
        stream, status, agreement, _ = entitled_to_answer(tx, item.agreement_id, peer, record)
        terms = PutTerms(
            category=row.category,
            priority=Priority.ROUTINE,
            expires_at=expiry(agreement, sender=tx.home.member, peer=peer, at=tx.at),
        )
        tx.put(stream, status, PutDraft(row.record_no, terms, record.raw, content.seed))
    settle(tx.connection, item.refusals)

    def told(_: Finished) -> ActResult:
        return ActResult("", 0, ())

    return told
