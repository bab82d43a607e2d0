"""Answers of the alert service as rows of fields, and the columns that people are shown.

An alert's id begins with its issuer's, and is what the next command is given: it stands
whole. Programs get every field; what a column leaves out is in the row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mithaq.cli.output import day, instant
from mithaq.cli.screen import PROSE, WORDS, Column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mithaq.v1 import local_pb2

# Enough to tell a node's streams apart; programs get all of an id.
STREAM_ID_SHOWN: Final = 8


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
        "stream": step.stream_id.hex(),
        "seq": step.sequence,
        "reader": step.reader,
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


def import_lines(
    result: local_pb2.ImportListResponse, faults: Sequence[local_pb2.ImportFault]
) -> list[tuple[str, str]]:
    """Return the result of an import for people: a line for each faulty entry."""
    row = import_result(result, faults)
    told = row.pop("faults") or ["none"]
    return [*((name, str(count)) for name, count in row.items()), *(("fault", one) for one in told)]


def stream_text(row: Mapping[str, Any]) -> str:
    """Return the beginning of a stream's id, as people compare it."""
    return str(row["stream"])[:STREAM_ID_SHOWN]


def _place(row: Mapping[str, Any]) -> str:
    return f"{stream_text(row)}/{row['seq']}"


def _signer(row: Mapping[str, Any]) -> str:
    """Return who signed: `<federation>/<role>/<member>` by its last part; the step is its role."""
    return str(row["signer"]).rpartition("/")[2]


ALERTS: Final = (
    Column("alert_id"),
    Column("version", "v"),
    Column("category"),
    Column("status"),
    Column("expires", spare=True),
    Column("created", spare=True),
    Column("subject_type", "subject", spare=True),
    Column("agreement", spare=True),
)
MATCHES: Final = (
    Column("match_id"),
    Column("score", head=True),
    Column("category", head=True),
    Column("issuer", head=True),
    Column("action_to_be_taken", "do", fold=PROSE),
    Column("warnings", fold=PROSE),
    Column("summary", "alert about", fold=PROSE),
    Column("why", "matched by", fold=PROSE),
    Column("alert_id", "alert", spare=True),
)
DECISIONS: Final = (
    Column("recipient"),
    Column("allowed"),
    Column("clauses", fold=WORDS),
    Column("reason"),
    Column("explanation", fold=PROSE),
)
STEPS: Final = (
    Column("at"),
    Column("step"),
    Column("signer", "signed by", _signer),
    Column("version", "v"),
    Column("place", "stream/entry", _place),
    Column("detail", fold=WORDS),
)
