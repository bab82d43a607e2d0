"""Acts two and three: alerts are issued, one is refused, a node is killed and comes back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mithaq.cli.demo.stage import CALL_SECONDS, Member, Stage
from mithaq.cli.demo.watching import CheckFailedError, wait_until
from mithaq.cli.errors import EXIT_DENIED
from mithaq.node.records import forms
from mithaq.node.records.synthetic import made_up_alert
from mithaq.v1 import local_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mithaq.cli.demo.stage import Statuses
    from mithaq.node.records.model import ParsedRecord
    from mithaq.v1.record_pb2 import Record

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
ISSUER: Final = "eg-moi"
KILLED: Final = "tn-dgsn"


def issue_all(stage: Stage, say: Say, advance: Advance) -> None:
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
            kill(stage, say)
        if number >= half and member.name == KILLED:
            waiting.append((member, batch))
            continue
        _issue(stage, member, batch)
        advance(len(batch))
    restart(stage, say)
    for member, batch in waiting:
        _issue(stage, member, batch)
        advance(len(batch))


def kill(stage: Stage, say: Say) -> None:
    """Kill a node while records travel."""
    stage.issued.killed_at = stage.issued.records
    pid = stage.members[KILLED].process.kill()
    say(
        f"{KILLED} is killed (SIGKILL, process {pid}) after {stage.issued.records} records, "
        "to see that none is lost"
    )


def restart(stage: Stage, say: Say) -> None:
    """Start the killed node again."""
    stage.start(stage.members[KILLED].process)
    # PROTOCOL 1.5: it signs nothing before it has learned of its own last heads.
    wait_until(
        stage,
        lambda each: KILLED in each and each[KILLED].connected,
        what=f"{KILLED} is connected again",
    )
    say(f"{KILLED} is started again, and goes on where its database stands")


def _batches(stage: Stage, member: Member) -> Iterator[tuple[int, list[ParsedRecord]]]:
    count = stage.records // len(stage.members)
    if member.name == ISSUER:
        count += stage.records % len(stage.members)
    kinds = _BY_STATES if member.role.is_state else _BY_ORGANISATIONS
    at = datetime.now(UTC)
    alerts = [
        made_up_alert(stage.rng, category=kinds[number % len(kinds)], issuer=member.name, at=at)
        for number in range(count)
    ]
    for start in range(0, len(alerts), BATCH):
        yield start, alerts[start : start + BATCH]


def _issue(stage: Stage, member: Member, batch: Sequence[ParsedRecord]) -> None:
    request = local_pb2.IssueManyRequest(
        items=[local_pb2.IssueRequest(record=record.raw) for record in batch]
    )
    with stage.alerts(member.name, "system") as stub:
        answer = stub.IssueMany(request, timeout=CALL_SECONDS)
    issued = stage.issued
    for record, item in zip(batch, answer.items, strict=True):
        if not item.disclosures:
            raise CheckFailedError(f"{member.name} could not issue: {item.error.code}")
        issued.records += 1
        issued.by_member[member.name] += 1
        issued.alerts.setdefault(member.name, []).append(record)
        for reader in {name for each in item.disclosures for name in each.recipients}:
            issued.expected[reader] = issued.expected.get(reader, 0) + 1


def refuse_arrest(stage: Stage, say: Say) -> None:
    """Have an ARREST addressed to int-iom refused; the answer names why."""
    draft = made_up_alert(stage.rng, category="ARREST", issuer=ISSUER, at=datetime.now(UTC))
    file = write_draft(stage, draft.message, "arrest.yaml")
    answer = stage.command_as(
        ISSUER, "officer", "alert", "issue", str(file), "--to", "int-iom", expect=EXIT_DENIED
    )
    refused = [row for row in answer["decisions"] if not row["allowed"]]
    if not refused or answer["disclosures"]:
        raise CheckFailedError("an ARREST to int-iom was not refused", alarm="outside agreement")
    stage.issued.denied += 1
    row = refused[0]
    say(f"{ISSUER} may not send an ARREST to int-iom: {row['reason']}. {row['explanation']}")


def write_draft(stage: Stage, record: Record, name: str) -> Path:
    """Write an alert as its author would, in YAML."""
    path = stage.folder / "drafts" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(forms.dump(record), encoding="utf-8")
    return path


def wait_opened(stage: Stage) -> dict[str, int]:
    """Wait until every reader has opened what was disclosed to it; return the counts."""
    expected = stage.issued.expected
    statuses = wait_until(
        stage,
        lambda each: all(_opened(each, name) >= count for name, count in expected.items()),
        what="every record is opened by everyone it was disclosed to",
        alarm="receipt overdue",
    )
    for name, count in expected.items():
        if _opened(statuses, name) != count:
            raise CheckFailedError(
                f"{name} opened {_opened(statuses, name)} records instead of {count}"
            )
    return {name: _opened(statuses, name) for name in stage.members}


def _opened(statuses: Statuses, member: str) -> int:
    return int(statuses[member].alerts_received) if member in statuses else 0


def wait_receipts(stage: Stage) -> int:
    """Wait until each sender has every reader's opened receipt; return the held receipts' sum."""
    statuses = wait_until(
        stage,
        lambda each: len(each) == len(stage.members) and not _lacks_receipts(each),
        what="every sender has the receipts of all its readers",
        alarm="receipt overdue",
    )
    return sum(int(row.held_size) for status in statuses.values() for row in status.readers)


def _lacks_receipts(statuses: Statuses) -> bool:
    return any(
        sizes.get((stream.stream_id, reader), 0) < stream.size
        for name, status in statuses.items()
        for sizes in [{(row.stream_id, row.reader): row.opened_size for row in status.readers}]
        for stream in status.streams
        if stream.sender == name
        for reader in stream.audience
    )
