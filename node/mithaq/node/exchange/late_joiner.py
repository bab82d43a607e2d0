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
from mithaq.node.exchange.epochs import EPOCH, REFUSAL
from mithaq.node.exchange.home import SYSTEM
from mithaq.node.exchange.issuing import Outcome
from mithaq.node.exchange.out_stream import DISCLOSURE
from mithaq.node.exchange.retelling import RETOLD, settle
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


def catch_up(tx: Transaction, item: CatchUpItem) -> Outcome:
    """Disclose to members, each alone, what they may have of own records and could not open.

    Raises:
        NoStreamError: there is no stream to one of them alone, or it may read nothing now.

    """
    standing = tx.home.registry.agreement(item.agreement_id)
    agreement = standing.in_force(at=tx.at)
    streams = {
        member: tx.routes.reach_members(item.agreement_id, standing.status, frozenset({member}))[0]
        for member in item.members
    }
    for member, stream in streams.items():
        for row in _uncovered(tx, item, member):
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
                recipient=member,
                at=tx.at,
            )
            if decision.allowed:
                terms = PutTerms(
                    category=record.category,
                    priority=Priority(record.values.priority),
                    expires_at=day_from(record.expiry),
                )
                draft = PutDraft(row.record_no, terms, record.raw, content.seed)
                tx.put(stream, standing.status, draft)
    _advance(tx, item)
    settle(tx.connection, item.refusals)

    def told(finished: Finished) -> ActResult:
        places = [
            (stream, placed, member)
            for member, stream in streams.items()
            if stream.log_no in finished.posted
            for placed in finished.posted[stream.log_no].placed
        ]
        return ActResult(
            alert_id="",
            version=0,
            disclosures=tuple(
                Disclosure(stream.stream_id, placed.sequence, item.agreement_id, (member,))
                for stream, placed, member in places
            ),
        )

    return told


def _uncovered(
    tx: Transaction, item: CatchUpItem, member: str
) -> Sequence[sa.Row[tuple[object, ...]]]:
    """Return those of the records that the member could open in none of their places."""
    carried = (
        sa.select(DISCLOSURE.c.record_no)
        .join(
            EPOCH,
            sa.and_(EPOCH.c.log_no == DISCLOSURE.c.log_no, EPOCH.c.epoch == DISCLOSURE.c.epoch),
        )
        .where(
            DISCLOSURE.c.record_no.in_(item.record_nos),
            (sa.literal(" ") + EPOCH.c.readers + " ").contains(f" {member} "),
            ~sa.exists().where(
                REFUSAL.c.log_no == DISCLOSURE.c.log_no,
                REFUSAL.c.sequence == DISCLOSURE.c.sequence,
                REFUSAL.c.signer.in_((member, HUB)),
                REFUSAL.c.reason.in_(RETOLD),
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
    if item.joining is None:
        return
    through_record_no, is_last = item.joining
    tx.connection.execute(
        sa.update(STANDING)
        .where(STANDING.c.agreement_id == item.agreement_id)
        .where(STANDING.c.member.in_(item.members), STANDING.c.state == JOINING)
        .values(through_record_no=through_record_no, state=PRESENT if is_last else JOINING)
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
    through = numbers[-1] if numbers else row.through_record_no
    return CatchUpItem(
        agreement_id=row.agreement_id,
        members=(row.member,),
        record_nos=tuple(numbers),
        refusals=(),
        actor=SYSTEM,
        joining=(through, len(numbers) < CHUNK_RECORDS),
    )
