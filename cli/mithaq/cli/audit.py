"""`mithaq audit`: list, verify, export and reconcile audit logs, and check evidence."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from mithaq.cli.auditview import AUDIT, AUDIT_OF_ALL, audit_fields
from mithaq.cli.errors import EXIT_VERIFICATION
from mithaq.cli.evidence import verify_file
from mithaq.cli.grounds import grounds_of, grounds_options
from mithaq.cli.output import json_option, note, present, present_rows
from mithaq.cli.profile import DEADLINE_SECONDS, connected, profile_option
from mithaq.cli.reconciling import reconcile_bundles
from mithaq.v1 import local_pb2, local_pb2_grpc

EXPORT_DEADLINE_SECONDS = 600.0


@click.group()
def audit() -> None:
    """List, verify, export and reconcile audit logs; check evidence."""


audit.add_command(reconcile_bundles)
audit.add_command(verify_file)


@audit.command("list")
@click.option("--alert", "alert_id", default="", help="Only acts on this alert.")
@click.option("--actor", default="", help="Only this person's or system's acts.")
@click.option("--operation", default="", help="consult, search, issue, disclose, erase, …")
@click.option("--since", type=click.DateTime(), default=None, help="Only from then on, in UTC.")
@click.option("--until", type=click.DateTime(), default=None, help="Only before then, in UTC.")
@click.option("--before", "before_index", default=0, help="Only entries below this index.")
@click.option("--limit", "page_size", default=50, show_default=True, type=click.IntRange(1, 1000))
@profile_option
@json_option
def list_entries(
    *,
    alert_id: str,
    actor: str,
    operation: str,
    since: datetime | None,
    until: datetime | None,
    before_index: int,
    page_size: int,
    profile: Path,
    as_json: bool,
) -> None:
    """List who did what, when, why and under which clause.

    With --alert: who saw, sent, received or searched for this alert at this end. Newest
    first. The reading is itself logged.
    """
    request = local_pb2.ListAuditRequest(
        alert_id=alert_id,
        actor=actor,
        operation=operation,
        from_ms=_milliseconds(since),
        until_ms=_milliseconds(until),
        before_index=before_index,
        page_size=page_size,
    )
    with connected(profile) as channel:
        answer = local_pb2_grpc.AuditServiceStub(channel).ListAudit(
            request, timeout=DEADLINE_SECONDS
        )
    present_rows(
        "audit.list",
        "entries",
        [audit_fields(row) for row in answer.rows],
        as_json=as_json,
        title=_title(alert_id, shown=len(answer.rows), size=answer.size),
        columns=AUDIT if alert_id else AUDIT_OF_ALL,
        extra={"size": answer.size},
    )


def _milliseconds(at: datetime | None) -> int:
    return 0 if at is None else int(at.replace(tzinfo=UTC).timestamp() * 1000)


def _title(alert_id: str, *, shown: int, size: int) -> str:
    about = f" on {alert_id}" if alert_id else ""
    return f"Audit log{about} ({shown} of {size} entries)"


@audit.command()
@profile_option
@json_option
def verify(*, profile: Path, as_json: bool) -> int:
    """Have the node recompute its audit log and check it.

    From the stored entries, against what it signed and what others cosigned.
    """
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
    present("audit.verify", row, as_json=as_json, title="Audit log", lines=_verified(answer))
    return 0 if answer.ok else EXIT_VERIFICATION


def _verified(answer: local_pb2.VerifyAuditResponse) -> list[tuple[str, str]]:
    """Return the verification in words: one line for each finding."""
    said = "yes, every entry is there and unchanged" if answer.ok else "NO: see the findings"
    return [
        ("verified", said),
        ("entries", str(answer.size)),
        ("cosigned by the hub", f"up to {answer.witnessed_size} entries"),
        ("root", answer.root.hex()),
        *(("finding", each) for each in answer.findings or ["none"]),
    ]


@audit.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@grounds_options
@profile_option
@json_option
def export(*, file: Path, profile: Path, as_json: bool, **grounds: str) -> None:
    """Export a signed bundle of acts and proofs to FILE.

    It is verified offline, with `mithaq audit reconcile`.
    """
    request = local_pb2.ExportAuditRequest(grounds=grounds_of(**grounds))
    with connected(profile) as channel, file.open("wb") as out:
        stub = local_pb2_grpc.AuditServiceStub(channel)
        for part in stub.ExportAudit(request, timeout=EXPORT_DEADLINE_SECONDS):
            out.write(part.chunk)
    row = {"file": str(file), "bytes": file.stat().st_size}
    present("audit.export", row, as_json=as_json, title="Audit bundle")
    if not as_json:
        note("the bundle holds acts and proofs, no content")
