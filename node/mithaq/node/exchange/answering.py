"""Answers to one peer: hit reports, forms and receipts of erasure, in its return stream.

PROTOCOL 3.2, 3.7, 5.9. The header names one of two codes, so that the hub can't tell a hit
from a form. The one rule: an answer goes to one peer and to nobody else.
"""

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from mithaq.agreements.decision import decide_header
from mithaq.agreements.header import linking
from mithaq.agreements.status import AgreementStatus
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import ERASURE_RECEIPT, RETURN_MESSAGE
from mithaq.certs.errors import TrustError
from mithaq.ledger.entry import Priority, StreamRole, day_from
from mithaq.node.exchange.acts import ActResult, AnswerItem, Disclosure
from mithaq.node.exchange.draft import PutDraft, PutTerms
from mithaq.node.exchange.epochs import entitled_readers
from mithaq.node.exchange.errors import (
    AgreementUnknownError,
    DeniedByAgreementError,
    NoStreamError,
)
from mithaq.node.exchange.home import milliseconds, seconds
from mithaq.node.exchange.issuing import Outcome
from mithaq.node.exchange.out_stream import OwnStream
from mithaq.node.exchange.routing import RecipientDecision
from mithaq.node.exchange.stored import item_id, new_row, new_seed
from mithaq.node.exchange.transaction import Finished, Transaction
from mithaq.node.records.model import ParsedRecord, RecordKind
from mithaq.node.tables import ErasureTaskRow, HitRow, MatchRow, RecordStatus
from mithaq.store.tables import table_of

HIT: Final = table_of(HitRow)
MATCH: Final = table_of(MatchRow)
ERASURE_TASK: Final = table_of(ErasureTaskRow)
# An answer is kept at the other end no longer than this, or the clauses' own limit.
KEPT_DAYS_MAX: Final = 90


def answer(tx: Transaction, item: AnswerItem) -> Outcome:
    """Put an answer into the return stream to its peer.

    Raises:
        AgreementUnknownError: the agreement named is not one with this peer.
        NoStreamError: no return stream to the peer, or it may read nothing now.
        DeniedByAgreementError: the agreement lets nothing through to this peer now.

    """
    record = item.record
    stream, status, agreement, decision = entitled_to_answer(
        tx, item.agreement_id, item.peer, record
    )
    expires_at = expiry(agreement, sender=tx.home.member, peer=item.peer, at=tx.at)
    record_no, seed = tx.new_record_no(), new_seed(tx.home.random)
    tx.keep(_row(tx, item, record_no, seed, expires_at), record)
    _note(tx, item, record_no)
    terms = PutTerms(
        category=code_of(record),
        priority=_priority(record),
        expires_at=expires_at,
    )
    tx.put(stream, status, PutDraft(record_no, terms, record.raw, seed))

    def told(finished: Finished) -> ActResult:
        posted = finished.posted[stream.log_no]
        sequence = next((each.sequence for each in posted.placed if each.record_no == record_no), 0)
        place = Disclosure(stream.stream_id, sequence, item.agreement_id, (item.peer,))
        return ActResult(record.alert_id, record.version, (place,), (decision,))

    return told


class Entitled(NamedTuple):
    """A peer's return stream, the agreement that lets an answer through, and its decision."""

    stream: OwnStream
    status: AgreementStatus
    agreement: Agreement
    decision: RecipientDecision


def entitled_to_answer(
    tx: Transaction, agreement_id: str, peer: str, record: ParsedRecord
) -> Entitled:
    """Return the return stream to a peer, if it may have this answer now.

    Raises as `answer` does.
    """
    try:
        standing = tx.home.registry.agreement(agreement_id)
    except TrustError:
        raise AgreementUnknownError(f"no agreement {agreement_id}") from None
    stream = tx.routes.return_stream(agreement_id, peer)
    agreement = standing.in_force(at=tx.at)
    if not entitled_readers(
        tx.home.registry,
        audience=stream.key.audience,
        role=StreamRole.RETURN,
        status=standing.status,
        at=tx.at,
    ):
        raise NoStreamError(f"{peer} may read nothing now")
    decision = decide_header(
        agreement,
        status=standing.status,
        category=code_of(record),
        sender=tx.home.member,
        recipients=(peer,),
        purposes=stream.key.purposes,
        expires_at=expiry(agreement, sender=tx.home.member, peer=peer, at=tx.at),
        at=tx.at,
        role=int(StreamRole.RETURN),
    )
    if not decision.allowed:
        raise DeniedByAgreementError(f"{peer}: {decision.reason}")
    said = RecipientDecision(
        peer, decision.allowed, str(decision.reason), decision.clause_ids, agreement_id
    )
    return Entitled(stream, standing.status, agreement, said)


def code_of(record: ParsedRecord) -> str:
    """Return the category that the header of an answer names."""
    return ERASURE_RECEIPT if record.kind is RecordKind.ERASURE_RECEIPT else RETURN_MESSAGE


def expiry(agreement: Agreement, *, sender: str, peer: str, at: datetime) -> datetime:
    """Return until when an answer is kept: a whole day, within the clauses' retention."""
    longest = max(
        (clause.retention_days_max for clause in linking(agreement, sender, peer)), default=1
    )
    # One day less than allowed, because the header rounds up to a whole day.
    return day_from(at + timedelta(days=max(min(KEPT_DAYS_MAX, longest - 1), 0)))


def _priority(record: ParsedRecord) -> Priority:
    message = record.message
    urgent = message.hit_report.urgent or message.form.urgent
    return Priority.URGENT if urgent else Priority.ROUTINE


def _row(
    tx: Transaction, item: AnswerItem, record_no: int, seed: bytes, expires_at: datetime
) -> dict[str, Any]:
    return new_row(
        item.record,
        record_no=record_no,
        seed=seed,
        own=True,
        agreement_id=item.agreement_id,
        place=None,
        registry_size=tx.home.registry.size,
        expires_at=seconds(expires_at),
        status=RecordStatus.LIVE,
        home=tx.home,
        at=tx.at,
    )


def _note(tx: Transaction, item: AnswerItem, record_no: int) -> None:
    """Write what the answer settles: a match, or an erasure that is owed."""
    if item.record.kind is RecordKind.HIT_REPORT:
        row = hit_row(item.record, record_no=record_no, issuer=item.peer, at=tx.at)
        tx.connection.execute(
            sa.insert(HIT), {**row, "status": "confirmed", "match_id": item.match_id}
        )
        tx.connection.execute(
            sa.update(MATCH).where(MATCH.c.match_id == item.match_id).values(status="confirmed")
        )
    if item.erasure is not None:
        log_no, sequence = item.erasure
        tx.connection.execute(
            sa.delete(ERASURE_TASK).where(
                ERASURE_TASK.c.log_no == log_no, ERASURE_TASK.c.sequence == sequence
            )
        )


def hit_row(record: ParsedRecord, *, record_no: int, issuer: str, at: datetime) -> dict[str, Any]:
    """Return the row of a hit report, without its status and match."""
    report = record.message.hit_report
    return {
        "hit_id": item_id(record),
        "record_no": record_no,
        "alert_id": report.alert_id,
        "alert_version": report.alert_version,
        "reporter": report.reporter,
        "issuer": issuer,
        "outcome": int(report.outcome),
        "at_ms": milliseconds(at),
    }
