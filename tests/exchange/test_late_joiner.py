"""Newcomers and those who come back: what is still valid, and no old secret."""

from datetime import timedelta

from mithaq.certs import acts
from mithaq.certs.keys import ReceptionKey
from mithaq.ledger.entry import EntryKind, WithdrawReason
from mithaq.node.exchange.acts import (
    ActResult,
    AnswerItem,
    IssueItem,
    UpdateItem,
    WithdrawItem,
)
from mithaq.node.exchange.in_stream import terms_of
from mithaq.node.exchange.late_joiner import CHUNK_RECORDS, next_chunk
from mithaq.node.exchange.receipts import to_message
from mithaq.node.exchange.retelling import next_retold
from mithaq.node.records.model import ParsedRecord, seal_in
from mithaq.v1 import record_pb2
from tests.exchange.conftest import NewDesk
from tests.exchange.nodes import OFFICER, next_version
from tests.exchange.relay import Desk, accept, kinds
from tests.exchange.test_answers import take
from tests.exchange.test_outbox import renew
from tests.federation import Federation, agreement


def catch_up(desk: Desk) -> int:
    """Tell late joiners all that waits for them; return how many acts that took."""
    count = 0
    while (item := desk.home.database.read_sync(next_chunk)) is not None:
        desk.done(item)
        count += 1
    return count


def retell(desk: Desk) -> int:
    """Say again what was refused by a newer registry only; return how many acts that took."""
    count = 0
    while item := desk.home.database.read_sync(lambda each: next_retold(each, desk.home)):
        desk.done(item)
        count += 1
        assert count < 20, "it goes round"
    return count


def join(cairo: Desk, federation: Federation, member: str = "it-int") -> None:
    federation.enrol(member)
    federation.agree(agreement("eg-moi", "int-iom", "tn-dgsn", member, version=2))
    cairo.learn()


def reinstate(federation: Federation, member: str) -> None:
    federation.enter(acts.MemberReinstated(member))


def test_a_newcomer_is_told_what_is_valid_in_a_stream_to_it_alone(
    cairo: Desk, federation: Federation, new_desk: NewDesk
) -> None:
    records = [cairo.alert() for _ in range(3)]
    cairo.do(*(IssueItem(each, None, None, OFFICER) for each in records))
    cairo.done(UpdateItem(next_version(records[0]), OFFICER))
    cairo.done(WithdrawItem(records[1].alert_id, WithdrawReason.ERROR, OFFICER))
    cairo.take_batches()
    join(cairo, federation)
    catch_up(cairo)
    batches = cairo.take_batches()
    audiences = {
        each.segment.state.opening.audience for each in batches if EntryKind.PUT in kinds(each)
    }
    assert audiences == {("it-int",)}
    rome = new_desk("it-int")
    rome.receive(*batches)
    assert rome.rows("SELECT alert_id, version FROM node_record ORDER BY alert_id") == sorted(
        [(records[0].alert_id, 2), (records[2].alert_id, 1)]
    )


def test_nobody_else_is_told_anything_twice(
    cairo: Desk, tunis: Desk, federation: Federation
) -> None:
    cairo.do(IssueItem(cairo.alert(), None, None, OFFICER))
    tunis.receive(*cairo.take_batches())
    join(cairo, federation)
    tunis.learn()
    assert catch_up(cairo) == 1
    puts = [each for each in cairo.take_batches() if EntryKind.PUT in kinds(each)]
    assert all("tn-dgsn" not in each.segment.state.opening.audience for each in puts)
    assert catch_up(cairo) == 0


def test_what_follows_for_everybody_includes_the_newcomer(
    cairo: Desk, federation: Federation
) -> None:
    join(cairo, federation)
    catch_up(cairo)
    result = cairo.done(IssueItem(cairo.alert(), None, None, OFFICER))
    assert [each.recipients for each in result.disclosures] == [("int-iom", "it-int", "tn-dgsn")]


def test_a_withdrawal_reaches_the_newcomer_as_well(
    cairo: Desk, federation: Federation, new_desk: NewDesk
) -> None:
    record = cairo.alert()
    cairo.done(IssueItem(record, None, None, OFFICER))
    cairo.take_batches()
    join(cairo, federation)
    catch_up(cairo)
    cairo.done(WithdrawItem(record.alert_id, WithdrawReason.EXECUTED, OFFICER))
    rome = new_desk("it-int")
    rome.receive(*cairo.take_batches())
    assert rome.number("SELECT count(*) FROM node_record WHERE body IS NOT NULL") == 0
    assert cairo.rows("SELECT reader FROM node_erasure ORDER BY reader") == [
        ("int-iom",),
        ("it-int",),
        ("tn-dgsn",),
    ]


def test_who_was_suspended_is_told_what_it_missed_when_it_is_back(
    cairo: Desk, federation: Federation
) -> None:
    known, missed = cairo.alert(), cairo.alert()
    cairo.done(IssueItem(known, None, None, OFFICER))
    federation.suspend("int-iom")
    cairo.learn()
    cairo.done(IssueItem(missed, None, None, OFFICER))
    reinstate(federation, "int-iom")
    cairo.learn()
    catch_up(cairo)
    batches = cairo.take_batches()
    told = [
        each
        for each in batches
        if EntryKind.PUT in kinds(each) and each.segment.state.opening.audience == ("int-iom",)
    ]
    assert sum(kinds(each).count(EntryKind.PUT) for each in told) == 1
    assert cairo.number("SELECT count(*) FROM node_standing WHERE state = 'present'") == 2


def test_a_reader_lapses_after_the_catch_up_limit_and_comes_back_with_a_new_key(
    cairo: Desk, federation: Federation
) -> None:
    limit = cairo.home.registry.policy.catch_up_limit
    federation.announce("tn-dgsn", ReceptionKey.generate())
    cairo.learn()
    cairo.clock.ahead = limit - timedelta(hours=1)
    renew(cairo)
    cairo.settle()
    # The other reader's key is a day older: it has lapsed by now or stands at the line.
    cairo.clock.ahead = limit + timedelta(hours=1)
    renew(cairo)
    cairo.settle()
    assert cairo.rows("SELECT state FROM node_standing WHERE member = 'tn-dgsn'") == [("absent",)]


def test_a_lifted_suspension_of_the_agreement_tells_anew_what_was_refused_meanwhile(
    cairo: Desk, federation: Federation
) -> None:
    cairo.done(IssueItem(cairo.alert(), None, None, OFFICER))
    federation.suspend_agreement("test-agreement", "tn-dgsn")
    cairo.learn()
    assert set(cairo.rows("SELECT state FROM node_standing")) == {("absent",)}
    # The reader's registry had grown when the body came: it refused what was sealed before.
    cairo.home.database.write_sync(
        lambda each: each.exec_driver_sql(
            "INSERT INTO node_refusal SELECT log_no, sequence, 'tn-dgsn', 'NARROWED_SINCE',"
            " 9, 0, 1, 0 FROM node_disclosure"
        )
    )
    federation.lift_agreement("test-agreement", "tn-dgsn")
    cairo.learn()
    cairo.take_batches()
    catch_up(cairo)
    puts = [each for each in cairo.take_batches() if EntryKind.PUT in kinds(each)]
    assert [each.segment.state.opening.audience for each in puts] == [("tn-dgsn",)]


def test_many_records_are_told_in_chunks_that_survive_a_restart(
    cairo: Desk, federation: Federation
) -> None:
    records = [cairo.alert() for _ in range(CHUNK_RECORDS + 10)]
    cairo.do(*(IssueItem(each, None, None, OFFICER) for each in records))
    join(cairo, federation)
    first = cairo.home.database.read_sync(next_chunk)
    assert first is not None
    assert len(first.record_nos) == CHUNK_RECORDS
    assert first.joining == (first.record_nos[-1], False)
    cairo.done(first)
    cairo.close()
    cairo.open()
    assert catch_up(cairo) == 1
    told = "SELECT count(*) FROM node_disclosure d JOIN node_stream s ON s.log_no = d.log_no"
    assert cairo.number(f"{told} WHERE s.audience = 'it-int'") == len(records)


def test_an_epoch_to_the_newcomer_alone_names_nobody_else(
    cairo: Desk, federation: Federation
) -> None:
    cairo.done(IssueItem(cairo.alert(), None, None, OFFICER))
    join(cairo, federation)
    cairo.take_batches()
    catch_up(cairo)
    readers = {
        reader.member
        for batch in cairo.take_batches()
        for run in batch.segment.runs
        for reader in terms_of(run.terms_bytes).readers
    }
    assert readers == {"it-int"}


def refuse_underway(cairo: Desk, tunis: Desk, federation: Federation) -> ParsedRecord:
    """Let an alert be on its way while the agreement's next version is admitted."""
    tunis.receive(*cairo.take_batches())
    record = cairo.alert()
    cairo.done(IssueItem(record, None, None, OFFICER))
    federation.agree(agreement("eg-moi", "int-iom", "tn-dgsn", version=2))
    tunis.learn()
    batches = cairo.take_batches()
    unsealed = tunis.receive(*batches)
    (lists,) = unsealed.receipts[-1].lists
    assert [each.reason for each in lists.refusals] == ["NARROWED_SINCE"]
    message = to_message(unsealed.receipts[-1].receipt)
    accept(cairo, *batches)
    assert take(cairo, message, lists=[lists]) == []
    return record


def test_what_was_on_its_way_during_a_change_is_told_again_to_who_refused_it(
    cairo: Desk, tunis: Desk, federation: Federation
) -> None:
    record = refuse_underway(cairo, tunis, federation)
    assert retell(cairo) == 0, "not before this node knows of the change itself"
    cairo.learn()
    assert retell(cairo) == 1
    batches = cairo.take_batches()
    puts = [each for each in batches if EntryKind.PUT in kinds(each)]
    assert [each.segment.state.opening.audience for each in puts] == [("tn-dgsn",)]
    tunis.receive(*batches)
    assert tunis.rows("SELECT alert_id, status FROM node_record") == [(record.alert_id, "live")]
    assert retell(cairo) == 0


def test_what_was_withdrawn_meanwhile_is_not_told_again(
    cairo: Desk, tunis: Desk, federation: Federation
) -> None:
    record = refuse_underway(cairo, tunis, federation)
    cairo.learn()
    cairo.done(WithdrawItem(record.alert_id, WithdrawReason.ERROR, OFFICER))
    retell(cairo)
    assert all(EntryKind.PUT not in kinds(each) for each in cairo.take_batches())


def test_an_answer_that_was_on_its_way_during_a_change_is_put_again(
    cairo: Desk, tunis: Desk, federation: Federation
) -> None:
    cairo.receive(*tunis.take_batches())
    receipt = erasure_receipt(tunis, cairo)
    federation.agree(agreement("eg-moi", "int-iom", "tn-dgsn", version=2))
    cairo.learn()
    batches = tunis.take_batches()
    unsealed = cairo.receive(*batches)
    (lists,) = unsealed.receipts[-1].lists
    message = to_message(unsealed.receipts[-1].receipt)
    accept(tunis, *batches)
    assert take(tunis, message, lists=[lists]) == []
    tunis.learn()
    assert retell(tunis) == 1
    again = [each for each in tunis.take_batches() if EntryKind.PUT in kinds(each)]
    assert len(again) == 1
    assert again[0].stream_id == batches[-1].stream_id
    assert receipt.disclosures[0].stream_id == again[0].stream_id
    assert retell(tunis) == 0


def erasure_receipt(tunis: Desk, cairo: Desk) -> ActResult:
    """Let the reader answer for a withdrawal."""
    record = seal_in(
        record_pb2.Record(
            erasure_receipt=record_pb2.ErasureReceipt(
                disclosure=record_pb2.DisclosureName(stream_id=bytes(32), sequence=2),
                member=tunis.member,
                outcome=record_pb2.ERASURE_OUTCOME_ERASED,
                done_at=int(tunis.clock().timestamp()),
            )
        )
    )
    return tunis.done(AnswerItem(cairo.member, "test-agreement", record, OFFICER))
