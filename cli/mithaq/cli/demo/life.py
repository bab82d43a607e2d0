"""Acts four to seven: a hit, an update, a withdrawal, the auditors' look, a suspension."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mithaq.cli.demo import remains
from mithaq.cli.demo.commands import command
from mithaq.cli.demo.issuing import ISSUER, write_draft
from mithaq.cli.demo.stage import AGREEMENT, Stage
from mithaq.cli.demo.watching import CheckFailedError, wait_until
from mithaq.cli.errors import EXIT_DENIED
from mithaq.node.records.synthetic import made_up_alert
from mithaq.v1 import local_pb2
from mithaq.v1.record_pb2 import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mithaq.node.records.model import ParsedRecord

    Say = Callable[[str], None]
    Step = Mapping[str, Any]

READER: Final = "tn-dgsn"
OFFICER: Final = "officer"
AUDITOR: Final = "auditor"
PURPOSE: Final = "BORDER_CONTROL"
CASE: Final = "TUN-2026-0042"
JUSTIFICATION: Final = "Passport presented at the ferry terminal, number found in an alert"
GROUNDS: Final = (
    "--purpose", PURPOSE, "--case", CASE, "--justification", JUSTIFICATION,
)  # fmt: skip


def grounds() -> local_pb2.Grounds:
    """Return the grounds that every look of the demo is made on."""
    return local_pb2.Grounds(purpose=PURPOSE, case_reference=CASE, justification=JUSTIFICATION)


# --- four: a hit ----------------------------------------------------------------------


def hit(stage: Stage, say: Say) -> str:
    """Look a passport up and confirm the match; the report reaches the issuer."""
    alert = with_document(stage)
    number = document_of(alert)
    found = stage.command_as(READER, OFFICER, "alert", "find", "--document", number, *GROUNDS)[
        "matches"
    ]
    if [match["alert_id"] for match in found] != [alert.alert_id]:
        raise CheckFailedError("the look-up of a document did not find its alert alone")
    action = found[0]["action_to_be_taken"]
    say(f"an officer at {READER} looks up {_kind(alert)} (case {CASE}) and reads: {action}")
    answer = stage.command_as(
        READER, OFFICER, "hit", "confirm", str(found[0]["match_id"]), "--action", "taken",
        "--place", "Ferry terminal", *GROUNDS,
    )  # fmt: skip
    wait_until(
        stage,
        lambda _: bool(_hits(stage, alert.alert_id)),
        what="the hit report reaches the issuer",
        alarm="receipt overdue",
    )
    say(f"the officer confirms the match; the hit report reaches {ISSUER}: {answer['hit_id']}")
    return alert.alert_id


def with_document(stage: Stage) -> ParsedRecord:
    """Return an alert of the issuer with a document number: of a stolen passport, if any."""
    known = [each for each in stage.issued.alerts[ISSUER] if document_of(each)]
    if not known:
        raise CheckFailedError("no alert with a document number was issued")
    return next(filter(_is_passport, known), known[0])


def document_of(record: ParsedRecord) -> str:
    """Return the number that an alert is looked up by, or nothing."""
    alert = record.alert
    if alert.HasField("travel_document"):
        return alert.travel_document.number
    return next((each.number for each in alert.person.documents if each.number), "")


def _kind(record: ParsedRecord) -> str:
    return "a stolen passport" if _is_passport(record) else "a listed person's document"


def _is_passport(record: ParsedRecord) -> bool:
    return record.alert.HasField("travel_document")


def _hits(stage: Stage, alert_id: str) -> list[dict[str, Any]]:
    answer = stage.command_as(ISSUER, OFFICER, "hit", "list", "--alert", alert_id)
    return [row for row in answer["hits"] if row["status"] == "received"]


# --- five: an update and a withdrawal ---------------------------------------------------


def update(stage: Stage, say: Say) -> None:
    """Update an alert: every reader opens its next version."""
    alert = _updated(stage)
    readers = _readers(stage, alert.alert_id)
    changed = Record()
    changed.CopyFrom(alert.message)
    changed.alert.version += 1
    changed.alert.reason = f"{changed.alert.reason}; seen near the border"
    file = write_draft(stage, changed, "update.yaml")
    version = stage.command_as(ISSUER, OFFICER, "alert", "update", str(file))["version"]

    def opened() -> set[str]:
        steps = _steps(stage, alert.alert_id)
        return {
            row["reader"] for row in steps if (row["step"], row["version"]) == ("opened", version)
        }

    wait_until(
        stage,
        lambda _: readers <= opened(),
        what=f"every reader opens version {version}",
        alarm="receipt overdue",
    )
    shown = stage.command_as(READER, OFFICER, "alert", "show", alert.alert_id, *GROUNDS)
    if shown["version"] != version:
        raise CheckFailedError(f"{READER} shows version {shown['version']} instead of {version}")
    say(f"{ISSUER} updates {alert.alert_id}; {_told(readers)} open version {version}")


def _updated(stage: Stage) -> ParsedRecord:
    """Return what is updated: not what the hit is about; a missing person, if there is one."""
    about = with_document(stage).alert_id
    others = [each for each in stage.issued.alerts[ISSUER] if each.alert_id != about]
    missing = [each for each in others if each.category == "MISSING_LOCATE"]
    return (missing or others)[0]


def _steps(stage: Stage, alert_id: str) -> list[Step]:
    steps: list[Step] = stage.command_as(ISSUER, OFFICER, "alert", "trace", alert_id)["steps"]
    return steps


def _readers(stage: Stage, alert_id: str) -> set[str]:
    """Return who has opened an alert."""
    return {str(row["reader"]) for row in _steps(stage, alert_id) if row["step"] == "opened"}


def _told(members: set[str]) -> str:
    return ", ".join(sorted(members))


def withdraw(stage: Stage, say: Say) -> dict[str, int]:
    """Withdraw an alert: readers erase it, say so, and hold no byte of it any more."""
    alert_id = stage.issued.alerts[ISSUER][-1].alert_id
    readers = _readers(stage, alert_id)
    sealed = {name: remains.sealed_of(stage.members[name].folder, alert_id) for name in readers}
    stage.command_as(ISSUER, OFFICER, "alert", "withdraw", alert_id, "--reason", "withdrawn")

    def erased() -> list[str]:
        return [row["reader"] for row in _steps(stage, alert_id) if row["step"] == "erased"]

    wait_until(
        stage,
        lambda _: readers <= set(erased()),
        what="every reader of the withdrawn alert sends its receipt of erasure",
        alarm="erasure overdue",
    )
    for name, parts in sorted(sealed.items()):
        remains.check_gone(stage.members[name].folder, parts, reader=name)
    say(
        f"{ISSUER} withdraws {alert_id}; {_told(readers)} erase it and sign so, "
        "and no sealed byte of it is left in their files"
    )
    return {name: erased().count(name) for name in sorted(readers)}


# --- six: the auditors' look ------------------------------------------------------------


def audit(stage: Stage, alert_id: str, say: Say) -> tuple[bool, bool]:
    """Auditors list who saw the alert, verify both logs, and reconcile the two ends."""
    say(f"auditors at both ends ask who handled {alert_id}, the alert of the hit:")
    for member in (ISSUER, READER):
        entries = stage.command_as(member, AUDITOR, "audit", "list", "--alert", alert_id)["entries"]
        if not entries:
            raise CheckFailedError(f"the audit log of {member} does not know the alert")
        for row in reversed(entries):
            say(f"  {member} {_act(row)}")
    verified = all(
        bool(stage.command_as(name, AUDITOR, "audit", "verify")["ok"]) for name in stage.members
    )
    result = _reconcile(stage, [_export(stage, member) for member in (ISSUER, READER)])
    say(
        f"every audit log verifies: {_yes(verified)}; "
        f"the logs of {ISSUER} and {READER} reconcile offline: {_yes(result)}"
    )
    return verified, result


def _act(row: Mapping[str, Any]) -> str:
    case = f", case {row['case']}" if row["case"] else ""
    others = f", with {' '.join(row['counterparts'])}" if row["counterparts"] else ""
    many = "s" if len(row["clauses"]) > 1 else ""
    clauses = f", clause{many} {' '.join(row['clauses'])}" if row["clauses"] else ""
    return f"{row['at']} {row['actor']}: {row['operation']}{case}{others}{clauses}"


def _yes(value: object) -> str:
    return "yes" if value else "no"


def _export(stage: Stage, member: str) -> Path:
    path = stage.folder / f"{member}.audit-bundle"
    stage.command_as(member, AUDITOR, "audit", "export", str(path), *GROUNDS)
    return path


def _reconcile(stage: Stage, bundles: list[Path]) -> bool:
    """Reconcile two bundles offline, trusting the root pin alone."""
    pin = stage.root_pin.read_text(encoding="ascii").strip()
    answer = command("audit", "reconcile", str(bundles[0]), str(bundles[1]), "--root-pin", pin)
    return bool(answer["reconciled"])


# --- seven: a suspension ------------------------------------------------------------------


def suspend(stage: Stage, say: Say) -> None:
    """Suspend the agreement with a duty key: the next alert is refused everywhere."""
    duty = stage.members[READER].folder / "offline" / "duty.key"
    stage.command_as(
        READER, "administrator", "agreement", "suspend", AGREEMENT, "--member", READER,
        "--key", str(duty), "--passphrase-file", str(stage.passphrase),
    )  # fmt: skip
    wait_until(
        stage,
        lambda _: all(map(partial(_suspended, stage), stage.members)),
        what="every node knows of the suspension",
        alarm="registry withheld",
    )
    reasons = sorted({reason for name in stage.members for reason in _refused(stage, name)})
    stage.issued.denied += 1
    say(
        f"{READER} suspends {AGREEMENT} with its duty key; "
        f"the next alert of every member is refused: {', '.join(reasons)}"
    )


def _suspended(stage: Stage, member: str) -> bool:
    answer = stage.command_as(member, "administrator", "agreement", "list")
    return all(row["status"] == "suspended" for row in answer["agreements"])


def _refused(stage: Stage, member: str) -> set[str]:
    """Have a member issue an alert that it could before; return why it can't now."""
    draft = made_up_alert(stage.rng, category="MISSING_LOCATE", issuer=member, at=datetime.now(UTC))
    file = write_draft(stage, draft.message, f"after-suspension-{member}.yaml")
    answer = stage.command_as(member, OFFICER, "alert", "issue", str(file), expect=EXIT_DENIED)
    return {str(row["reason"]) for row in answer["decisions"]}
