"""Acts two and three: alerts are issued, one is refused, a node is killed and comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mithaq.cli.demo.stage import CALL_SECONDS, CheckFailedError, Member, Stage, wait_until
from mithaq.cli.errors import EXIT_DENIED
from mithaq.node.records import forms
from mithaq.node.records.model import ParsedRecord
from mithaq.node.records.synthetic import made_up_alert
from mithaq.v1 import local_pb2
from mithaq.v1.record_pb2 import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    Say = Callable[[str], None]
    Advance = Callable[[int], None]

BATCH: Final = 64
_BY_STATES: Final = (
    "ARREST",
    "DOC_INVALID",
    "MISSING_LOCATE",
    "MISSING_PROTECT",
    "CHILD_ABDUCTION_RISK",
)
_BY_ORGANISATIONS: Final = ("MISSING_LOCATE", "MISSING_PROTECT")
KILLED: Final = "tn-dgsn"


@dataclass(slots=True)
class Issued:
    """What was issued, and what should therefore be opened where."""

    records: int = 0
    alerts: dict[str, list[ParsedRecord]] = field(default_factory=dict[str, list[ParsedRecord]])
    expected: dict[str, int] = field(default_factory=dict[str, int])
    denied: int = 0
    denied_clause: str = ""
    killed_at: int = 0

    def of(self, member: str, category: str) -> ParsedRecord:
        """Return an alert that a member issued."""
        return next(each for each in self.alerts[member] if each.category == category)


def issue_all(stage: Stage, issued: Issued, say: Say, advance: Advance) -> None:
    """Issue the synthetic alerts at every member; kill one node half way."""
    plan = [
        (member, batch) for member in stage.members.values() for batch in _batches(stage, member)
    ]
    # Taken in turns, so that records travel from all sides at once.
    plan.sort(key=lambda each: each[1][0])
    half = len(plan) // 2
    waiting: list[tuple[Member, list[ParsedRecord]]] = []
    for number, (member, (_, batch)) in enumerate(plan):
        if number == half:
            issued.killed_at = issued.records
            pid = stage.members[KILLED].process.kill()
            say(f"{KILLED} is killed (SIGKILL, process {pid}) after {issued.records} records")
        if number >= half and member.name == KILLED:
            waiting.append((member, batch))
            continue
        _issue(stage, member, batch, issued)
        advance(len(batch))
    stage.start(stage.members[KILLED].process)
    say(f"{KILLED} is started again")
    for member, batch in waiting:
        _issue(stage, member, batch, issued)
        advance(len(batch))


def _batches(stage: Stage, member: Member) -> Iterator[tuple[int, list[ParsedRecord]]]:
    count = stage.records // len(stage.members)
    if member is next(iter(stage.members.values())):
        count += stage.records % len(stage.members)
    kinds = _BY_STATES if member.role.is_state else _BY_ORGANISATIONS
    at = datetime.now(UTC)
    alerts = [
        made_up_alert(stage.rng, category=kinds[number % len(kinds)], issuer=member.name, at=at)
        for number in range(count)
    ]
    for start in range(0, len(alerts), BATCH):
        yield start, alerts[start : start + BATCH]


def _issue(stage: Stage, member: Member, batch: Sequence[ParsedRecord], issued: Issued) -> None:
    request = local_pb2.IssueManyRequest(
        items=[local_pb2.IssueRequest(record=record.raw) for record in batch]
    )
    with stage.alerts(member.name, "system") as stub:
        answer = stub.IssueMany(request, timeout=CALL_SECONDS)
    for record, item in zip(batch, answer.items, strict=True):
        if not item.disclosures:
            raise CheckFailedError(f"{member.name} could not issue: {item.error.code}")
        issued.records += 1
        issued.alerts.setdefault(member.name, []).append(record)
        for reader in {name for each in item.disclosures for name in each.recipients}:
            issued.expected[reader] = issued.expected.get(reader, 0) + 1


def refuse_arrest(stage: Stage, issued: Issued, say: Say) -> None:
    """Have an ARREST addressed to int-iom refused; the answer names why."""
    draft = made_up_alert(stage.rng, category="ARREST", issuer="eg-moi", at=datetime.now(UTC))
    file = write_draft(stage, draft.message, "arrest.yaml")
    answer = stage.command_as(
        "eg-moi", "officer", "alert", "issue", str(file), "--to", "int-iom", expect=EXIT_DENIED
    )
    refused = [row for row in answer["decisions"] if not row["allowed"]]
    if not refused or answer["disclosures"]:
        raise CheckFailedError("an ARREST to int-iom was not refused")
    clauses = ", ".join(refused[0]["clauses"]) or "no clause"
    issued.denied += 1
    issued.denied_clause = clauses
    say(
        f"eg-moi may not send an ARREST to int-iom: {refused[0]['reason']} ({clauses}); "
        f"{refused[0]['explanation']}"
    )


def write_draft(stage: Stage, record: Record, name: str) -> Path:
    """Write an alert as its author would, in YAML."""
    path = stage.folder / "drafts" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(forms.dump(record), encoding="utf-8")
    return path


def wait_opened(stage: Stage, issued: Issued) -> dict[str, int]:
    """Wait until every reader has opened what was disclosed to it; return the counts."""

    def opened() -> dict[str, int]:
        return {name: int(stage.status(name).alerts_received) for name in stage.members}

    wait_until(
        lambda: all(opened()[name] >= count for name, count in issued.expected.items()),
        what="every record is opened by everyone it was disclosed to",
        alarm="receipt overdue",
    )
    counts = opened()
    for name, count in issued.expected.items():
        if counts[name] != count:
            raise CheckFailedError(f"{name} opened {counts[name]} records instead of {count}")
    return counts


def wait_receipts(stage: Stage) -> int:
    """Wait until each sender has every reader's opened receipt; return the held receipts' sum."""

    def missing() -> bool:
        for name in stage.members:
            status = stage.status(name)
            sizes = {row.stream_id: row.size for row in status.streams if row.sender == name}
            if any(row.opened_size < sizes[row.stream_id] for row in status.readers):
                return True
        return False

    wait_until(
        lambda: not missing(),
        what="every sender has the receipts of all its readers",
        alarm="receipt overdue",
    )
    return sum(int(row.held_size) for name in stage.members for row in stage.status(name).readers)
