"""A line of the audit log that covers a batch, asked for one alert."""

from datetime import UTC, datetime

from mithaq.node.local.audit import audit_row
from mithaq.store.audit_entry import AuditEntry, Decision, Operation, RecordRef

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
FIRST, SECOND = "eg-moi-01M7ZQ1B2RCJ1JR5455VZ56396", "eg-moi-01M7ZQ1B2RCFTFZZPNPD1YAAHT"


def batch() -> AuditEntry:
    records = tuple(
        RecordRef(
            alert_id=alert_id,
            version=1,
            stream_id=bytes(32),
            sequence=sequence,
            decision=Decision(allowed=True, reason="ALLOWED", clause_ids=(clause,)),
        )
        for sequence, (alert_id, clause) in enumerate([(FIRST, "C1"), (SECOND, "C2")])
    )
    return AuditEntry(AT, "system", "system", Operation.ISSUE, records=records, result_count=2)


def test_who_asks_about_one_alert_is_told_its_clauses_and_no_others() -> None:
    row = audit_row(7, batch(), alert_id=SECOND)
    assert list(row.clause_ids) == ["C2"]
    assert list(row.alert_ids) == [SECOND]
    assert row.record_count == 1


def test_who_asks_about_no_alert_is_told_what_the_entry_covers() -> None:
    row = audit_row(7, batch())
    assert list(row.clause_ids) == ["C1", "C2"]
    assert row.record_count == 2
