"""A line of the audit log: who did what, when, why, on what, with whom, and what was decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mithaq.cli.output import instant
from mithaq.cli.screen import PROSE, WORDS, Column

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mithaq.v1 import local_pb2

    Row = Mapping[str, Any]

DONE: Final = "done"


def audit_fields(row: local_pb2.AuditRow) -> dict[str, Any]:
    """Return all fields of an entry."""
    return {
        "index": row.index,
        "at": instant(row.at_ms),
        "actor": row.actor,
        "role": row.role,
        "operation": row.operation,
        "purpose": row.purpose,
        "case": row.case_reference,
        "why": row.justification,
        "clauses": list(row.clause_ids),
        "alerts": list(row.alert_ids),
        "counterparts": list(row.counterparts),
        "records": row.record_count,
        "agreement": row.agreement_id,
        "outcome": row.outcome,
        "decision": row.decision,
        "reasons": list(row.reasons),
        "legal_basis": row.legal_basis,
        "subject": row.subject,
    }


def _who(row: Row) -> str:
    """Return the actor, and the role where it is another word."""
    same = row["actor"] == row["role"]
    return str(row["actor"]) if same else f"{row['actor']} ({row['role']})"


def _act(row: Row) -> str:
    """Return the act, and of an act on alerts what kind: a trace shows no content."""
    word = str(row["operation"]).replace("_", " ")
    return f"{word}: {row['subject']}" if row["alerts"] and row["subject"] else word


def _about(row: Row) -> str:
    """Return the alert, or how many; or what else the act was about."""
    alerts = row["alerts"]
    if len(alerts) > 1:
        return f"{len(alerts)} alerts"
    return str(alerts[0] if alerts else row["subject"])


def _with(row: Row) -> str:
    """Return who was at the other end: disclosed to, received from."""
    return ", ".join(row["counterparts"])


def _decision(row: Row) -> str:
    """Return what was decided and under which clauses; or why nothing was done."""
    done = "" if row["outcome"] == DONE else str(row["outcome"])
    reasons = f"({', '.join(row['reasons'])})" if row["reasons"] else ""
    said = " ".join(part for part in (str(row["decision"]), reasons) if part)
    return ", ".join(part for part in (done, said, _clauses(row)) if part) or DONE


def _clauses(row: Row) -> str:
    if not row["clauses"]:
        return f"under {row['agreement']}" if row["agreement"] else ""
    many = "s" if len(row["clauses"]) > 1 else ""
    clauses = f"clause{many} {' '.join(row['clauses'])}"
    return f"{clauses} of {row['agreement']}" if row["agreement"] else clauses


_WHO_AND_WHY: Final = (
    Column("at"),
    Column("actor", "who", _who, head=True),
    Column("operation", "act", _act, head=True),
    Column("purpose"),
    Column("case"),
    Column("why", fold=PROSE),
    Column("legal_basis", fold=PROSE),
    Column("index", "entry", spare=True),
)
# Of one alert: its id is in the title.
AUDIT: Final = (
    *_WHO_AND_WHY,
    Column("counterparts", "with", _with, fold=WORDS),
    Column("decision", "decision", _decision, fold=PROSE),
)
AUDIT_OF_ALL: Final = (
    *_WHO_AND_WHY,
    Column("alerts", "about", _about, fold=PROSE),
    Column("counterparts", "with", _with, fold=WORDS),
    Column("decision", "decision", _decision, fold=PROSE),
)
