"""`mithaq alert`: issue, import, list, show, find, update, withdraw and trace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mithaq.cli import alertview
from mithaq.cli.errors import EXIT_DENIED
from mithaq.cli.grounds import grounds_of, grounds_options
from mithaq.cli.output import json_option, note, present, present_rows
from mithaq.cli.profile import DEADLINE_SECONDS, connected, profile_option
from mithaq.cli.recordview import alert_lines, record_fields
from mithaq.v1 import local_pb2, local_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK_BYTES = 262_144
IMPORT_DEADLINE_SECONDS = 3600.0


@click.group()
def alert() -> None:
    """Issue, find, show, update, withdraw and trace alerts."""


def _record_bytes(file: Path) -> bytes:
    # Imported here: the forms load the whole record model.
    from mithaq.node.records import forms
    from mithaq.node.records.errors import FormError

    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise FormError("the file is not in UTF-8") from None
    return forms.load(text).SerializeToString(deterministic=True)


@alert.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--agreement", "agreement_id", default="", help="Only under this agreement.")
@click.option("--to", "recipients", multiple=True, help="Only to these members.")
@profile_option
@json_option
def issue(
    *, file: Path, agreement_id: str, recipients: tuple[str, ...], profile: Path, as_json: bool
) -> int:
    """Issue the alert in FILE (YAML or JSON)."""
    request = local_pb2.IssueRequest(
        record=_record_bytes(file), agreement_id=agreement_id, recipients=recipients
    )
    with connected(profile) as channel:
        answer = local_pb2_grpc.AlertServiceStub(channel).Issue(request, timeout=DEADLINE_SECONDS)
    return _show_issue(answer, as_json=as_json)


def _show_issue(answer: local_pb2.IssueResponse, *, as_json: bool) -> int:
    decisions = [alertview.decision(row) for row in answer.decisions]
    if not as_json:
        note(f"issued {answer.alert_id} version {answer.version}" if answer.alert_id else "refused")
    present_rows(
        "alert.issue",
        "decisions",
        decisions,
        as_json=as_json,
        title="Recipients",
        columns=alertview.DECISIONS,
        extra={
            "alert_id": answer.alert_id,
            "version": answer.version,
            "disclosures": [alertview.disclosure(row) for row in answer.disclosures],
        },
    )
    return 0 if answer.disclosures else EXIT_DENIED


@alert.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--format", "list_format", default="unsc", type=click.Choice(["unsc"]))
@click.option("--agreement", "agreement_id", default="", help="Only under this agreement.")
@click.option("--to", "recipients", multiple=True, help="Only to these members.")
@profile_option
@json_option
def import_list(
    *,
    file: Path,
    list_format: str,
    agreement_id: str,
    recipients: tuple[str, ...],
    profile: Path,
    as_json: bool,
) -> None:
    """Import a list FILE; a newer edition is applied as a delta."""
    first = local_pb2.ImportListRequest(
        format=list_format, agreement_id=agreement_id, recipients=recipients
    )
    with connected(profile) as channel:
        answers = local_pb2_grpc.AlertServiceStub(channel).ImportList(
            _chunks(file, first), timeout=IMPORT_DEADLINE_SECONDS
        )
        faults: list[local_pb2.ImportFault] = []
        last = local_pb2.ImportListResponse()
        for last in answers:
            faults.extend(last.faults)
            if not as_json:
                note(f"read {last.entries_read}, new {last.entries_new}")
    present(
        "alert.import",
        alertview.import_result(last, faults),
        as_json=as_json,
        title=file.name,
        lines=alertview.import_lines(last, faults),
    )


def _chunks(
    file: Path, first: local_pb2.ImportListRequest
) -> Iterator[local_pb2.ImportListRequest]:
    yield first
    with file.open("rb") as source:
        while chunk := source.read(CHUNK_BYTES):
            yield local_pb2.ImportListRequest(chunk=chunk)


@alert.command("list")
@click.option("--category", default="", help="Only this category.")
@click.option("--issuer", default="", help="Only this issuer's.")
@click.option("--status", default="", help="live, superseded, withdrawn, erased or retained.")
@click.option("--limit", "page_size", default=50, show_default=True, type=click.IntRange(1, 1000))
@profile_option
@json_option
def list_alerts(
    *, category: str, issuer: str, status: str, page_size: int, profile: Path, as_json: bool
) -> None:
    """List the alerts held here, without personal data.

    Newest first. What was withdrawn or replaced stays in the list, and says so.
    """
    request = local_pb2.ListAlertsRequest(
        category=category, issuer=issuer, status=status, page_size=page_size
    )
    with connected(profile) as channel:
        answer = local_pb2_grpc.AlertServiceStub(channel).ListAlerts(
            request, timeout=DEADLINE_SECONDS
        )
    present_rows(
        "alert.list",
        "alerts",
        [alertview.row(item) for item in answer.alerts],
        as_json=as_json,
        title=f"Alerts ({len(answer.alerts)} of {answer.total})",
        columns=alertview.ALERTS,
        extra={"total": answer.total},
    )


@alert.command()
@click.argument("alert_id")
@grounds_options
@profile_option
@json_option
def show(*, alert_id: str, profile: Path, as_json: bool, **grounds: str) -> None:
    """Show one alert in full.

    The look, its purpose, case and justification are logged before it is shown.
    """
    request = local_pb2.ShowAlertRequest(alert_id=alert_id, grounds=grounds_of(**grounds))
    with connected(profile) as channel:
        answer = local_pb2_grpc.AlertServiceStub(channel).ShowAlert(
            request, timeout=DEADLINE_SECONDS
        )
    head = {
        **alertview.row(answer.row),
        "action_to_be_taken": answer.action_to_be_taken,
        "cautions": list(answer.cautions),
        "clauses": list(answer.clause_ids),
    }
    row = {**head, **record_fields(answer.record)}
    lines = alert_lines(answer)
    present("alert.show", row, as_json=as_json, title="Alert", lines=lines)


@alert.command()
@click.option("--document", "document_number", default="", help="Travel document number.")
@click.option("--state", "issuing_state", default="", help="Its issuing state (EGY, TUN, …).")
@click.option("--name", default="", help="Name, in any script.")
@click.option("--born", "date_of_birth", default="", help="YYYY, YYYY-MM or YYYY-MM-DD.")
@grounds_options
@profile_option
@json_option
def find(
    *,
    document_number: str,
    issuing_state: str,
    name: str,
    date_of_birth: str,
    profile: Path,
    as_json: bool,
    **grounds: str,
) -> None:
    """Look up a document or a name.

    The search, its purpose, case and justification are logged before its result is shown.
    """
    request = local_pb2.FindAlertsRequest(
        grounds=grounds_of(**grounds),
        document_number=document_number,
        issuing_state=issuing_state,
        name=name,
        date_of_birth=date_of_birth,
    )
    with connected(profile) as channel:
        answer = local_pb2_grpc.AlertServiceStub(channel).FindAlerts(
            request, timeout=DEADLINE_SECONDS
        )
    for caution in answer.cautions:
        note(f"caution: {caution}")
    if answer.matches and not as_json:
        note("next: `mithaq hit confirm` or `mithaq hit reject` with a match id")
    present_rows(
        "alert.find",
        "matches",
        [alertview.match(item) for item in answer.matches],
        as_json=as_json,
        title="Matches",
        columns=alertview.MATCHES,
        extra={"cautions": list(answer.cautions)},
    )


@alert.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@profile_option
@json_option
def update(*, file: Path, profile: Path, as_json: bool) -> None:
    """Issue the next version of an own alert from FILE.

    FILE (YAML or JSON) has the same alert id.
    """
    request = local_pb2.UpdateAlertRequest(record=_record_bytes(file))
    with connected(profile) as channel:
        answer = local_pb2_grpc.AlertServiceStub(channel).UpdateAlert(
            request, timeout=DEADLINE_SECONDS
        )
    row = {
        "alert_id": answer.alert_id,
        "version": answer.version,
        "disclosures": len(answer.disclosures),
    }
    present("alert.update", row, as_json=as_json, title="Updated")


@alert.command()
@click.argument("alert_id")
@click.option(
    "--reason",
    required=True,
    type=click.Choice(["executed", "withdrawn", "expired", "annulled", "error"]),
)
@profile_option
@json_option
def withdraw(*, alert_id: str, reason: str, profile: Path, as_json: bool) -> None:
    """Withdraw an own alert: every reader erases it and says so."""
    request = local_pb2.WithdrawAlertRequest(alert_id=alert_id, reason=reason)
    with connected(profile) as channel:
        answer = local_pb2_grpc.AlertServiceStub(channel).WithdrawAlert(
            request, timeout=DEADLINE_SECONDS
        )
    row = {"alert_id": alert_id, "reason": reason, "disclosures": len(answer.disclosures)}
    present("alert.withdraw", row, as_json=as_json, title="Withdrawn")


@alert.command()
@click.argument("alert_id")
@profile_option
@json_option
def trace(*, alert_id: str, profile: Path, as_json: bool) -> None:
    """Trace an own alert from reader to reader.

    Each step is shown with who signed it: sealed (by this node), accepted (by the hub),
    held and opened (by each reader), refused, withdrawn, erased or retained.
    """
    request = local_pb2.TraceAlertRequest(alert_id=alert_id)
    with connected(profile) as channel:
        answer = local_pb2_grpc.AlertServiceStub(channel).TraceAlert(
            request, timeout=DEADLINE_SECONDS
        )
    present_rows(
        "alert.trace",
        "steps",
        [alertview.trace_step(step) for step in answer.steps],
        as_json=as_json,
        title=f"Trace of {alert_id}",
        columns=alertview.STEPS,
    )
