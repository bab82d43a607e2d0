"""`mithaq audit`: list, verify, export and reconcile audit logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mithaq.cli.errors import EXIT_VERIFICATION
from mithaq.cli.grounds import grounds_of, grounds_options
from mithaq.cli.output import instant, json_option, note, present, present_rows
from mithaq.cli.profile import DEADLINE_SECONDS, connected, profile_option
from mithaq.cli.reconciling import reconcile_bundles
from mithaq.v1 import local_pb2, local_pb2_grpc

EXPORT_DEADLINE_SECONDS = 600.0


@click.group()
def audit() -> None:
    """List, verify, export and reconcile audit logs."""


audit.add_command(reconcile_bundles)


@audit.command("list")
@click.option("--alert", "alert_id", default="", help="Only acts on this alert.")
@click.option("--actor", default="", help="Only this person's or system's acts.")
@click.option("--operation", default="", help="consult, search, issue, disclose, erase, …")
@click.option("--limit", "page_size", default=50, show_default=True, type=click.IntRange(1, 1000))
@profile_option
@json_option
def list_entries(
    *, alert_id: str, actor: str, operation: str, page_size: int, profile: Path, as_json: bool
) -> None:
    """List who did what, when, why and under which clause. The reading is itself logged."""
    request = local_pb2.ListAuditRequest(
        alert_id=alert_id, actor=actor, operation=operation, page_size=page_size
    )
    with connected(profile) as channel:
        answer = local_pb2_grpc.AuditServiceStub(channel).ListAudit(
            request, timeout=DEADLINE_SECONDS
        )
    present_rows(
        "audit.list",
        "entries",
        [_entry(row) for row in answer.rows],
        as_json=as_json,
        title=f"Audit log ({answer.size} entries)",
        columns=(
            "at",
            "actor",
            "role",
            "operation",
            "purpose",
            "case",
            "why",
            "clauses",
            "outcome",
        ),
        extra={"size": answer.size},
    )


def _entry(row: local_pb2.AuditRow) -> dict[str, Any]:
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
    }


@audit.command()
@profile_option
@json_option
def verify(*, profile: Path, as_json: bool) -> int:
    """Have the node recompute its audit log from the stored entries and check it."""
    with connected(profile) as channel:
        answer = local_pb2_grpc.AuditServiceStub(channel).VerifyAudit(
            local_pb2.VerifyAuditRequest(), timeout=DEADLINE_SECONDS
        )
    row = {
        "ok": answer.ok,
        "size": answer.size,
        "root": answer.root.hex(),
        "witnessed_size": answer.witnessed_size,
        "findings": list(answer.findings),
    }
    present("audit.verify", row, as_json=as_json, title="Audit log")
    return 0 if answer.ok else EXIT_VERIFICATION


@audit.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@grounds_options
@profile_option
@json_option
def export(*, file: Path, profile: Path, as_json: bool, **grounds: str) -> None:
    """Export a signed bundle to FILE; it is verified offline with `audit reconcile`."""
    request = local_pb2.ExportAuditRequest(grounds=grounds_of(**grounds))
    with connected(profile) as channel, file.open("wb") as out:
        stub = local_pb2_grpc.AuditServiceStub(channel)
        for part in stub.ExportAudit(request, timeout=EXPORT_DEADLINE_SECONDS):
            out.write(part.chunk)
    row = {"file": str(file), "bytes": file.stat().st_size}
    present("audit.export", row, as_json=as_json, title="Audit bundle")
    if not as_json:
        note("the bundle holds acts and proofs, no content")
