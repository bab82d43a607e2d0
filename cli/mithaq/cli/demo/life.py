"""Acts four to seven: a hit, an update, a withdrawal, the auditors' look, a suspension."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mithaq.cli.demo.commands import command
from mithaq.cli.demo.issuing import Issued, write_draft
from mithaq.cli.demo.stage import AGREEMENT, CheckFailedError, Stage, wait_until
from mithaq.cli.errors import EXIT_DENIED
from mithaq.node.records.synthetic import made_up_alert
from mithaq.v1.record_pb2 import Record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Say = Callable[[str], None]

NEXT_VERSION: Final = 2
OFFICER: Final = "officer"
AUDITOR: Final = "auditor"
CASE: Final = "TUN-2026-0042"
JUSTIFICATION: Final = "Passport presented at the ferry terminal, number reported stolen"
GROUNDS: Final = (
    "--purpose", "BORDER_CONTROL", "--case", CASE, "--justification", JUSTIFICATION,
)  # fmt: skip


def hit(stage: Stage, issued: Issued, say: Say) -> str:
    """Look a stolen passport up and confirm it; the report reaches the issuer."""
    alert = issued.of("eg-moi", "DOC_INVALID")
    number = alert.alert.travel_document.number
    found = stage.command_as("tn-dgsn", OFFICER, "alert", "find", "--document", number, *GROUNDS)[
        "matches"
    ]
    if [match["alert_id"] for match in found] != [alert.alert_id]:
        raise CheckFailedError("the look-up of a stolen passport did not find its alert alone")
    action = found[0]["action_to_be_taken"]
    say(f"an officer at tn-dgsn looks up a passport (case {CASE}) and reads: {action}")
    answer = stage.command_as(
        "tn-dgsn", OFFICER, "hit", "confirm", str(found[0]["match_id"]), "--action", "taken",
        "--place", "Ferry terminal", *GROUNDS,
    )  # fmt: skip
    wait_until(lambda: bool(_hits(stage, alert.alert_id)), what="the hit report reaches the issuer")
    say(f"the match is confirmed; the report {answer['hit_id']} reaches eg-moi")
    return alert.alert_id


def _hits(stage: Stage, alert_id: str) -> list[dict[str, Any]]:
    answer = stage.command_as("eg-moi", OFFICER, "hit", "list", "--alert", alert_id)
    return [row for row in answer["hits"] if row["status"] == "received"]


def update(stage: Stage, issued: Issued, say: Say) -> str:
    """Update an alert; readers hold the next version."""
    alert = issued.of("eg-moi", "MISSING_LOCATE")
    changed = Record()
    changed.CopyFrom(alert.message)
    changed.alert.version = NEXT_VERSION
    changed.alert.reason = f"{changed.alert.reason}; seen near the border"
    file = write_draft(stage, changed, "update.yaml")
    answer = stage.command_as("eg-moi", OFFICER, "alert", "update", str(file))
    readers = [name for name in stage.members if name != "eg-moi"]
    wait_until(
        lambda: all(_version(stage, name, alert.alert_id) == NEXT_VERSION for name in readers),
        what="every reader holds version 2",
    )
    say(f"eg-moi updates {alert.alert_id}: version {answer['version']} is live at every reader")
    return alert.alert_id


def _version(stage: Stage, member: str, alert_id: str) -> int:
    rows = _rows(stage, member, alert_id)
    return max((int(row["version"]) for row in rows if row["status"] == "live"), default=0)


def _rows(stage: Stage, member: str, alert_id: str) -> list[dict[str, Any]]:
    answer = stage.command_as(member, OFFICER, "alert", "list", "--limit", "1000")
    return [row for row in answer["alerts"] if row["alert_id"] == alert_id]


def withdraw(stage: Stage, issued: Issued, say: Say) -> dict[str, int]:
    """Withdraw an alert; readers erase it and say so."""
    alert = issued.alerts["eg-moi"][-1]
    stage.command_as(
        "eg-moi", OFFICER, "alert", "withdraw", alert.alert_id, "--reason", "withdrawn"
    )

    def erased() -> dict[str, int]:
        steps = stage.command_as("eg-moi", OFFICER, "alert", "trace", alert.alert_id)["steps"]
        readers = [step["reader"] for step in steps if step["step"] == "erased"]
        return {name: readers.count(name) for name in sorted(set(readers))}

    told = {
        name for name in stage.members if name != "eg-moi" and _rows(stage, name, alert.alert_id)
    }
    wait_until(
        lambda: told <= erased().keys(),
        what="every reader of the withdrawn alert has sent its receipt of erasure",
        alarm="erasure overdue",
    )
    for name in told:
        if any(row["status"] == "live" for row in _rows(stage, name, alert.alert_id)):
            raise CheckFailedError(
                f"{name} still holds the withdrawn alert", alarm="erasure overdue"
            )
    counts = erased()
    say(f"eg-moi withdraws {alert.alert_id}; erased and receipted by {', '.join(counts)}")
    return counts


def audit(stage: Stage, alert_id: str, say: Say) -> tuple[bool, bool]:
    """Auditors list who saw the alert, verify both logs, and reconcile the two ends."""
    ends = ("eg-moi", "tn-dgsn")
    for member in ends:
        entries = stage.command_as(member, AUDITOR, "audit", "list", "--alert", alert_id)["entries"]
        if not entries:
            raise CheckFailedError(f"the audit log of {member} does not know the alert")
        for row in reversed(entries):
            clauses = ", ".join(row["clauses"]) or "–"
            say(
                f"  {member}: {row['at']} {row['actor']} ({row['role']}) {row['operation']}, "
                f"case {row['case'] or '–'}, clauses {clauses}"
            )
    verified = all(
        bool(stage.command_as(name, AUDITOR, "audit", "verify")["ok"]) for name in stage.members
    )
    bundles = [_export(stage, member) for member in ends]
    result = _reconcile(stage, bundles)
    say(f"audit logs verify: {verified}; the two ends reconcile: {result}")
    return verified, result


def _export(stage: Stage, member: str) -> Path:
    path = stage.folder / f"{member}.audit-bundle"
    stage.command_as(member, AUDITOR, "audit", "export", str(path), *GROUNDS)
    return path


def _reconcile(stage: Stage, bundles: list[Path]) -> bool:
    """Reconcile two bundles offline, trusting the root pin alone."""
    pin = stage.root_pin.read_text(encoding="ascii").strip()
    answer = command("audit", "reconcile", str(bundles[0]), str(bundles[1]), "--root-pin", pin)
    return bool(answer["reconciled"])


def suspend(stage: Stage, issued: Issued, say: Say) -> None:
    """Suspend the agreement with a duty key: the next alert is refused everywhere."""
    duty = stage.members["tn-dgsn"].folder / "offline" / "duty.key"
    stage.command_as(
        "tn-dgsn", "administrator", "agreement", "suspend", AGREEMENT, "--member", "tn-dgsn",
        "--key", str(duty), "--passphrase-file", str(stage.passphrase),
    )  # fmt: skip
    for name in stage.members:
        wait_until(partial(_suspended, stage, name), what=f"{name} knows of the suspension")
    draft = made_up_alert(stage.rng, category="DOC_INVALID", issuer="eg-moi", at=datetime.now(UTC))
    file = write_draft(stage, draft.message, "after-suspension.yaml")
    answer = stage.command_as("eg-moi", OFFICER, "alert", "issue", str(file), expect=EXIT_DENIED)
    reasons = sorted({row["reason"] for row in answer["decisions"]})
    issued.denied += 1
    say(f"tn-dgsn suspends {AGREEMENT}; the next alert is refused: {', '.join(reasons)}")


def _suspended(stage: Stage, member: str) -> bool:
    answer = stage.command_as(member, "administrator", "agreement", "list")
    return all(row["status"] == "suspended" for row in answer["agreements"])
