"""What an auditor is told: who did what, why, under which clause, and to whom it went."""

from mithaq.ledger.entry import WithdrawReason
from mithaq.node.exchange.acts import AnswerItem, IssueItem, UpdateItem, WithdrawItem
from mithaq.node.records.model import ParsedRecord, seal_in
from mithaq.store.audit_entry import AuditEntry, Operation
from mithaq.v1 import record_pb2, subject_pb2
from tests.exchange.nodes import OFFICER, next_version
from tests.exchange.relay import Desk
from tests.federation import now


def last(desk: Desk) -> AuditEntry:
    return desk.home.database.read_sync(lambda each: list(desk.home.audit.entries(each)))[-1]


def hit(tunis: Desk, record: ParsedRecord) -> ParsedRecord:
    """Return Tunis's report that it has found an alert's person."""
    ((stream_id, sequence),) = tunis.rows(
        "SELECT s.stream_id, r.sequence FROM node_record r JOIN node_stream s USING (log_no)"
    )
    return seal_in(
        record_pb2.Record(
            hit_report=record_pb2.HitReport(
                hit_id=f"tn-dgsn-{'0' * 26}",
                reporter="tn-dgsn",
                alert_id=record.alert_id,
                alert_version=record.version,
                matched=record_pb2.DisclosureName(
                    stream_id=stream_id,  # type: ignore[arg-type]
                    sequence=sequence,  # type: ignore[arg-type]
                ),
                found_at=int(now().timestamp()),
                created_at=int(now().timestamp()),
                place=subject_pb2.Place(city="Rades"),
                outcome=record_pb2.ACTION_OUTCOME_TAKEN,
                officer_reference="0" * 16,
                case_reference="CASE-1",
                handling=record_pb2.HANDLING_H0,
            )
        )
    )


def test_a_hit_report_is_logged_with_its_clauses_and_to_whom_it_went(
    cairo: Desk, tunis: Desk
) -> None:
    record = cairo.alert()
    cairo.done(IssueItem(record, None, ("tn-dgsn",), OFFICER))
    tunis.receive(*cairo.take_batches())
    tunis.done(AnswerItem("eg-moi", "test-agreement", hit(tunis, record), OFFICER))
    entry = last(tunis)
    assert (entry.operation, entry.counterparts) == (Operation.DISCLOSE, ("eg-moi",))
    (told,) = entry.records
    assert told.alert_id == record.alert_id
    assert told.decision is not None
    assert told.decision.allowed
    assert told.decision.clause_ids
    assert (entry.actor, entry.purpose, entry.agreement_id) == (
        OFFICER.user,
        OFFICER.purpose,
        "test-agreement",
    )


def test_an_alert_is_logged_with_everybody_it_was_given_to(cairo: Desk) -> None:
    record = cairo.alert()
    cairo.done(IssueItem(record, None, None, OFFICER))
    assert last(cairo).counterparts == ("int-iom", "tn-dgsn")
    cairo.done(UpdateItem(next_version(record), OFFICER))
    assert (last(cairo).operation, last(cairo).counterparts) == (
        Operation.ALTER,
        ("int-iom", "tn-dgsn"),
    )


def test_acts_for_other_recipients_are_other_entries(cairo: Desk) -> None:
    cairo.do(
        IssueItem(cairo.alert(), None, ("tn-dgsn",), OFFICER),
        IssueItem(cairo.alert(), None, ("int-iom",), OFFICER),
        IssueItem(cairo.alert(), None, ("tn-dgsn",), OFFICER),
    )
    entries = cairo.home.database.read_sync(lambda each: list(cairo.home.audit.entries(each)))
    assert [(each.counterparts, len(each.records)) for each in entries[-2:]] == [
        (("tn-dgsn",), 2),
        (("int-iom",), 1),
    ]


def test_a_withdrawal_alters_and_names_the_statement_that_took_it_back(cairo: Desk) -> None:
    record = cairo.alert()
    cairo.done(IssueItem(record, None, None, OFFICER))
    cairo.done(WithdrawItem(record.alert_id, WithdrawReason.EXECUTED, OFFICER))
    entry = last(cairo)
    assert (entry.operation, entry.counterparts) == (Operation.ALTER, ("int-iom", "tn-dgsn"))
    assert [each.alert_id for each in entry.records] == [record.alert_id]
    assert entry.records[0].sequence > 2
