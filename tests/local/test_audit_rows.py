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


def test_an_alert_that_a_search_met_and_did_not_show_is_told_as_refused() -> None:
    shown = Decision(allowed=True, reason="ALLOWED", clause_ids=("C2",))
    closed = Decision(allowed=False, reason="AGREEMENT_SUSPENDED")
    records = (RecordRef(FIRST, 1, decision=shown), RecordRef(SECOND, 1, decision=closed))
    entry = AuditEntry(AT, "officer", "officer", Operation.SEARCH, records=records)
    of_first, of_second = (audit_row(7, entry, alert_id=each) for each in (FIRST, SECOND))
    assert (of_first.decision, list(of_first.reasons)) == ("allowed", [])
    assert (of_second.decision, list(of_second.reasons)) == ("refused", ["AGREEMENT_SUSPENDED"])
    assert audit_row(7, entry).decision == "mixed"


def test_a_disclosure_names_who_is_at_the_other_end_of_its_stream() -> None:
    row = audit_row(7, batch(), parties={bytes(32): ["int-iom", "tn-dgsn"]})
    assert list(row.counterparts) == ["int-iom", "tn-dgsn"]
    assert not audit_row(7, batch()).counterparts


def test_an_act_about_no_record_says_what_it_was_about_and_on_what_law() -> None:
    entry = AuditEntry(
        AT, "officer", "officer", Operation.REFUSE, subject="AuditService/ListAudit",
        legal_basis="Act 12",
    )  # fmt: skip
    row = audit_row(7, entry)
    assert (row.subject, row.legal_basis, row.decision) == (entry.subject, "Act 12", "")
