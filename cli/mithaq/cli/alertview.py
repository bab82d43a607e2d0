"""Answers of the alert service as rows of fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mithaq.cli.output import day, instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mithaq.v1 import local_pb2

STREAM_ID_SHOWN = 8


def row(item: local_pb2.AlertRow) -> dict[str, Any]:
    """Return an alert's row: no personal data is in it."""
    return {
        "alert_id": item.alert_id,
        "version": item.version,
        "issuer": item.issuer,
        "category": item.category,
        "subject_type": item.subject_type,
        "status": item.status,
        "created": instant(item.created_at * 1000),
        "expires": day(item.expires_at),
        "agreement": item.agreement_id,
        "own": item.own,
    }


def decision(item: local_pb2.RecipientDecision) -> dict[str, Any]:
    """Return one recipient's decision."""
    return {
        "recipient": item.recipient,
        "allowed": item.allowed,
        "clauses": list(item.clause_ids),
        "reason": item.reason,
        "explanation": item.explanation,
        "agreement": item.agreement_id,
    }


def disclosure(item: local_pb2.Disclosure) -> dict[str, Any]:
    """Return where a record was disclosed."""
    return {
        "stream": item.stream_id.hex(),
        "sequence": item.sequence,
        "agreement": item.agreement_id,
        "recipients": list(item.recipients),
    }


def match(item: local_pb2.Match) -> dict[str, Any]:
    """Return a match as an officer compares it."""
    return {
        "match_id": item.match_id,
        "score": item.score,
        **row(item.row),
        "action_to_be_taken": item.action_to_be_taken,
        "warnings": list(item.warnings),
        "summary": item.summary,
        "why": item.explanation,
    }


def trace_step(step: local_pb2.TraceStep) -> dict[str, Any]:
    """Return one step of a record on its way."""
    return {
        "version": step.version,
        "stream": step.stream_id.hex()[:STREAM_ID_SHOWN],
        "seq": step.sequence,
        "reader": step.reader or "–",
        "step": step.step,
        "at": instant(step.at_ms),
        "signer": step.signer,
        "detail": step.detail,
    }


def import_result(
    result: local_pb2.ImportListResponse, faults: Sequence[local_pb2.ImportFault]
) -> dict[str, Any]:
    """Return the result of an import, each faulty entry by line and reference."""
    return {
        "read": result.entries_read,
        "new": result.entries_new,
        "changed": result.entries_changed,
        "withdrawn": result.entries_withdrawn,
        "unchanged": result.entries_unchanged,
        "faults": [
            f"line {fault.line} {fault.reference}: {fault.code} {fault.message}" for fault in faults
        ],
    }
