"""Rows and values of the node as messages of the local API: nothing is decided here.

A row of a list carries no personal data; what does is a `Record`, and only
`reading` hands one out.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from mithaq.agreements.reason import Reason
from mithaq.certs.participants import AgreementRecord
from mithaq.node.exchange.acts import ActResult, Disclosure
from mithaq.node.exchange.routing import RecipientDecision
from mithaq.node.records.wording import ACTION_WORDS, action_text
from mithaq.v1 import local_pb2, record_pb2

_DECISIONS_CACHED_MAX: Final = 1024


def alert_row(row: Any) -> local_pb2.AlertRow:  # noqa: ANN401 - a row of node_record
    """Return the line of a list for a stored version."""
    return local_pb2.AlertRow(
        alert_id=row.alert_id,
        version=row.version,
        issuer=row.issuer,
        category=row.category,
        subject_type=row.subject_type,
        status=row.status,
        created_at=row.created_at,
        expires_at=row.expires_at,
        agreement_id=row.agreement_id,
        own=row.own,
    )


def action_to_be_taken(alert: record_pb2.Alert, *, member: str, now: int) -> str:
    """Return what the officer is asked to do, in words; a flag of this member changes it."""
    for flag in alert.flags:
        over = flag.withdrawn_at or (flag.valid_to and flag.valid_to <= now)
        if flag.requested_by == member and not over:
            instead = ACTION_WORDS.get(flag.substitute_action, "Take no step; call the bureau.")
            return f"Flagged by this agency: {instead}"
    return action_text(alert)


def disclosures(found: Iterable[Disclosure]) -> list[local_pb2.Disclosure]:
    """Return where a record was disclosed."""
    return [
        local_pb2.Disclosure(
            stream_id=each.stream_id,
            sequence=each.sequence,
            agreement_id=each.agreement_id,
            recipients=each.recipients,
        )
        for each in found
    ]


def decisions(found: Iterable[RecipientDecision]) -> list[local_pb2.RecipientDecision]:
    """Return what was decided for each recipient; the sender may read its own reasons."""
    return [
        local_pb2.RecipientDecision(
            recipient=each.recipient,
            allowed=each.allowed,
            reason=each.reason,
            clause_ids=each.clause_ids,
            agreement_id=each.agreement_id,
            explanation=Reason(each.reason).text,
        )
        for each in found
    ]


def issued(result: ActResult) -> local_pb2.IssueResponse:
    """Return what became of an alert that was issued."""
    answer = local_pb2.IssueResponse()
    write_issued(answer, result)
    return answer


def write_issued(answer: local_pb2.IssueResponse, result: ActResult) -> None:
    """Say in an empty answer what became of an alert that was issued."""
    answer.CopyFrom(_decided(result.decisions))
    answer.alert_id, answer.version = result.alert_id, result.version
    add = answer.disclosures.add
    for stream_id, sequence, agreement_id, recipients in result.disclosures:
        add(
            stream_id=stream_id,
            sequence=sequence,
            agreement_id=agreement_id,
            recipients=recipients,
        )


@lru_cache(maxsize=_DECISIONS_CACHED_MAX)
def _decided(found: tuple[RecipientDecision, ...]) -> local_pb2.IssueResponse:
    """Return an answer that holds decisions only, to be copied: most alerts of a batch share it."""
    return local_pb2.IssueResponse(decisions=decisions(found))


def agreement_row(record: AgreementRecord) -> local_pb2.AgreementRow:
    """Return the line of a list for an agreement."""
    terms = record.agreement
    return local_pb2.AgreementRow(
        agreement_id=terms.id,
        version=terms.version,
        title=terms.title,
        parties=sorted(terms.members),
        status=record.status.state.value.lower(),
        suspended_by=sorted(record.status.suspended_by),
        effective_from=int(terms.effective_from.timestamp()),
        expires_at=int(terms.expires_at.timestamp()),
        registry_size=record.changed_size,
    )
