"""Late joiners: what is still valid and permitted, disclosed anew to the newcomer alone.

PROTOCOL 4.8. No old secret is ever handed on. Who is new is told by comparing who may
read under an agreement now with who could the last time; what it lacks is told by the
epochs that carried the records. The one rule: the latest version only, and only to
whoever could not open it where it already stands.
"""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from mithaq.agreements.decision import decide_disclosure
from mithaq.ledger.entry import Priority, day_from
from mithaq.ledger.names import HUB
from mithaq.node.exchange.acts import ActResult, CatchUpItem, Disclosure
from mithaq.node.exchange.draft import PutDraft, PutTerms
from mithaq.node.exchange.epochs import EPOCH
from mithaq.node.exchange.home import SYSTEM
from mithaq.node.exchange.inbox import REFUSAL
from mithaq.node.exchange.issuing import Outcome
from mithaq.node.exchange.out_stream import DISCLOSURE
from mithaq.node.exchange.stored import ALERT, RECORD, open_row
from mithaq.node.exchange.transaction import Finished, Transaction
from mithaq.node.records.facts import facts_of
from mithaq.node.records.model import parse_record
from mithaq.node.sealing.errors import ErasedError
from mithaq.node.tables import RecordStatus, StandingRow
from mithaq.store.tables import table_of

STANDING: Final = table_of(StandingRow)
CHUNK_RECORDS: Final = 256
PRESENT: Final = "present"
ABSENT: Final = "absent"
JOINING: Final = "joining"
# The code that readers and hub refuse by what was judged under an older registry.
NARROWED_SINCE: Final = "NARROWED_SINCE"


def catch_up(tx: Transaction, item: CatchUpItem) -> Outcome:
    """Disclose to a late joiner what it may have of these own records and could not open.

    Raises:
        NoStreamError: there is no stream to it alone, or it may read nothing now.

    """
    standing = tx.home.registry.agreement(item.agreement_id)
    agreement = standing.in_force(at=tx.at)
    streams = tx.routes.reach_members(item.agreement_id, standing.status, frozenset({item.member}))
    stream = streams[0]
    for row in _uncovered(tx, item):
        try:
            content = open_row(row, tx.home.storage)
        except ErasedError:
            continue
        record = parse_record(content.record)
        decision = decide_disclosure(
            agreement,
            status=standing.status,
            facts=facts_of(record, agreement=agreement, sender=tx.home.member),
            sender=tx.home.member,
            recipient=item.member,
            at=tx.at,
        )
        if decision.allowed:
            terms = PutTerms(
                category=record.category,
                priority=Priority(record.alert.priority),
                expires_at=day_from(record.expiry),
            )
            draft = PutDraft(row.record_no, terms, record.raw, content.seed)
            tx.put(stream, standing.status, draft)
    _advance(tx, item)

    def told(finished: Finished) -> ActResult:
        posted = finished.posted.get(stream.log_no)
        places = posted.placed if posted else []
        return ActResult(
            alert_id="",
            version=0,
            disclosures=tuple(
                Disclosure(stream.stream_id, each.sequence, item.agreement_id, (item.member,))
                for each in places
                if each.record_no in item.record_nos
            ),
        )

    return told


def _uncovered(tx: Transaction, item: CatchUpItem) -> Sequence[sa.Row[tuple[object, ...]]]:
    """Return those of the records that no epoch with the member among its readers carried."""
    carried = (
        sa.select(DISCLOSURE.c.record_no)
        .join(
            EPOCH,
            sa.and_(EPOCH.c.log_no == DISCLOSURE.c.log_no, EPOCH.c.epoch == DISCLOSURE.c.epoch),
        )
        .where(
            DISCLOSURE.c.record_no.in_(item.record_nos),
            (sa.literal(" ") + EPOCH.c.readers + " ").contains(f" {item.member} "),
            ~sa.exists().where(
                REFUSAL.c.log_no == DISCLOSURE.c.log_no,
                REFUSAL.c.sequence == DISCLOSURE.c.sequence,
                # What was sealed before a narrowing, and came after it (PROTOCOL 2.5).
                REFUSAL.c.signer.in_((item.member, HUB)),
                REFUSAL.c.reason == NARROWED_SINCE,
            ),
        )
    )
    return tx.connection.execute(
        sa.select(RECORD)
        .where(
            RECORD.c.record_no.in_(item.record_nos),
            RECORD.c.status == str(RecordStatus.LIVE),
            RECORD.c.record_no.not_in(carried),
        )
        .order_by(RECORD.c.record_no)
    ).all()


def _advance(tx: Transaction, item: CatchUpItem) -> None:
    tx.connection.execute(
        sa.update(STANDING)
        .where(STANDING.c.agreement_id == item.agreement_id, STANDING.c.member == item.member)
        .values(
            through_record_no=item.through_record_no, state=PRESENT if item.is_last else JOINING
        )
    )


def next_chunk(connection: sa.Connection) -> CatchUpItem | None:
    """Return the next records to be judged for a late joiner, or None where nobody waits."""
    row = connection.execute(
        sa.select(STANDING).where(STANDING.c.state == JOINING).limit(1)
    ).one_or_none()
    if row is None:
        return None
    numbers = list(
        connection.scalars(
            sa.select(RECORD.c.record_no)
            .where(
                RECORD.c.record_no > row.through_record_no,
                RECORD.c.own.is_(True),
                RECORD.c.kind == ALERT,
            )
            .order_by(RECORD.c.record_no)
            .limit(CHUNK_RECORDS)
        )
    )
    return CatchUpItem(
        agreement_id=row.agreement_id,
        member=row.member,
        record_nos=tuple(numbers),
        through_record_no=numbers[-1] if numbers else row.through_record_no,
        is_last=len(numbers) < CHUNK_RECORDS,
        actor=SYSTEM,
    )
