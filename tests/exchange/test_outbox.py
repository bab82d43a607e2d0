"""The outbox: what is decided, sealed, signed and durable before anybody is answered."""

import asyncio
from datetime import timedelta

import pytest

from mithaq.agreements.vocabulary import Purpose
from mithaq.certs.keys import ReceptionKey
from mithaq.ledger.entry import EntryKind, StreamRole, WithdrawReason
from mithaq.node.exchange.acts import ActResult, IssueItem, UpdateItem, WithdrawItem
from mithaq.node.exchange.epochs import EPOCH_LIFE
from mithaq.node.exchange.errors import (
    AlertExistsError,
    AlertUnknownError,
    AlertVersionError,
    DeniedByAgreementError,
    NotOurAlertError,
    RegistryStaleError,
    SigningHaltedError,
)
from mithaq.node.exchange.in_stream import terms_of
from mithaq.node.exchange.out_stream import list_own
from mithaq.node.records.model import ParsedRecord, seal_in
from mithaq.node.records.synthetic import made_up_alert
from mithaq.store import log_store
from tests.exchange.conftest import NewDesk
from tests.exchange.nodes import CHANCE, OFFICER, next_version
from tests.exchange.relay import Desk, kinds
from tests.federation import Federation, agreement, clause


def issue(record: ParsedRecord, *recipients: str, agreement_id: str | None = None) -> IssueItem:
    return IssueItem(record, agreement_id, recipients or None, OFFICER)


def only(result: object) -> ActResult:
    assert isinstance(result, ActResult), result
    return result


def test_streams_are_opened_when_the_agreement_is_active_and_only_once(cairo: Desk) -> None:
    opened = cairo.take_batches()
    assert {kinds(batch)[0] for batch in opened} == {EntryKind.OPEN}
    roles = [each.segment.state.opening.role for each in opened]
    assert roles.count(StreamRole.RETURN) == 2
    audiences = {each.segment.state.opening.audience for each in opened}
    assert audiences == {("int-iom", "tn-dgsn"), ("int-iom",), ("tn-dgsn",)}
    assert cairo.settle() == []
    assert cairo.learn() == []


def test_no_stream_is_opened_for_a_single_case(cairo: Desk) -> None:
    cairo.take_batches()
    cairo.do(issue(cairo.alert()), issue(cairo.alert(), "tn-dgsn"))
    assert all(EntryKind.OPEN not in kinds(batch) for batch in cairo.take_batches())


def test_the_answer_comes_when_everything_is_durable(cairo: Desk) -> None:
    cairo.take_batches()
    result = cairo.done(issue(cairo.alert()))
    (batch,) = cairo.take_batches()
    assert kinds(batch) == [EntryKind.EPOCH, EntryKind.PUT]
    assert result.disclosures[0].sequence == 2
    assert cairo.number("SELECT count(*) FROM node_out_body") == 2
    assert cairo.number("SELECT count(*) FROM node_own_checkpoint WHERE size = 3") == 1
    head = cairo.home.database.read_sync(lambda each: log_store.check_log(each, batch.log_no))
    assert (head.size, head.checkpoint) == (3, batch.checkpoint)


def test_records_of_equal_terms_stand_in_one_run(cairo: Desk) -> None:
    cairo.take_batches()
    cairo.do(*(issue(cairo.alert()) for _ in range(20)))
    (batch,) = cairo.take_batches()
    assert [len(run) for run in batch.segment.runs] == [1, 20]


def test_a_batch_ends_after_256_entries_and_each_is_signed(cairo: Desk) -> None:
    cairo.take_batches()
    cairo.do(*(issue(cairo.alert()) for _ in range(256)))
    first, second = cairo.take_batches()
    assert sum(map(len, first.segment.runs)) == 256
    assert sum(map(len, second.segment.runs)) == 1
    assert second.segment.first_sequence == first.segment.state.size


def test_one_refused_act_harms_no_neighbour(cairo: Desk) -> None:
    good, known = cairo.alert(), cairo.alert()
    cairo.done(issue(known))
    foreign = made_up_alert(CHANCE, issuer="tn-dgsn", category="ARREST", at=cairo.clock())
    outcomes = cairo.do(
        issue(good), issue(foreign), issue(next_version(good)), issue(cairo.alert(), "it-int")
    )
    assert isinstance(outcomes[0], ActResult)
    assert isinstance(outcomes[1], NotOurAlertError)
    assert isinstance(outcomes[2], AlertVersionError)
    assert isinstance(outcomes[3], DeniedByAgreementError)
    assert isinstance(cairo.do(issue(known))[0], AlertExistsError)
    assert cairo.number("SELECT count(*) FROM node_record") == 2


def test_each_of_many_acts_is_asked_whether_its_alert_was_issued_before(cairo: Desk) -> None:
    """They are looked up some at a time: the first, the last of a group and the very last."""
    for count, known in ((1, {0}), (64, {0, 63}), (66, {63, 64, 65})):
        alerts = [cairo.alert() for _ in range(count)]
        for number in known:
            cairo.done(issue(alerts[number]))
        outcomes = cairo.do(*map(issue, alerts))
        refused = {
            number
            for number, outcome in enumerate(outcomes)
            if isinstance(outcome, AlertExistsError)
        }
        assert refused == known
        assert sum(isinstance(each, ActResult) for each in outcomes) == count - len(known)


def test_a_refused_act_is_in_the_audit_log_too(cairo: Desk) -> None:
    cairo.do(issue(cairo.alert(), "it-int"))
    entries = cairo.home.database.read_sync(lambda each: list(cairo.home.audit.entries(each)))
    assert entries[-1].outcome == "MQ-AGR-DENIED"
    assert entries[-1].actor == "officer-1"


def test_recipients_named_are_all_that_receive(cairo: Desk) -> None:
    result = cairo.done(issue(cairo.alert(), "tn-dgsn"))
    assert [each.recipients for each in result.disclosures] == [("tn-dgsn",)]


def test_an_update_is_the_next_version_in_the_same_stream(cairo: Desk) -> None:
    record = cairo.alert()
    cairo.done(issue(record))
    cairo.take_batches()
    with pytest.raises(AlertVersionError):
        cairo.done(UpdateItem(next_version(next_version(record)), OFFICER))
    cairo.done(UpdateItem(next_version(record), OFFICER))
    (batch,) = cairo.take_batches()
    (run,) = batch.segment.runs
    assert int.from_bytes(run.own_bytes[8:16], "big") == 2
    assert cairo.rows("SELECT version, status FROM node_record ORDER BY version") == [
        (1, "superseded"),
        (2, "live"),
    ]


def test_a_withdrawal_reaches_every_stream_and_erases_the_own_copy(cairo: Desk) -> None:
    record = cairo.alert()
    cairo.done(issue(record))
    cairo.take_batches()
    result = cairo.done(WithdrawItem(record.alert_id, WithdrawReason.EXECUTED, OFFICER))
    (batch,) = cairo.take_batches()
    assert kinds(batch) == [EntryKind.WITHDRAW]
    assert terms_of(batch.segment.runs[0].terms_bytes).reason is WithdrawReason.EXECUTED
    assert len(result.disclosures) == 1
    assert cairo.rows("SELECT status, body, wrapped_key FROM node_record") == [
        ("withdrawn", None, None)
    ]
    assert cairo.rows("SELECT reader, state FROM node_erasure ORDER BY reader") == [
        ("int-iom", "asked"),
        ("tn-dgsn", "asked"),
    ]
    with pytest.raises(AlertUnknownError):
        cairo.done(WithdrawItem(record.alert_id, WithdrawReason.EXECUTED, OFFICER))
    with pytest.raises(AlertUnknownError):
        cairo.done(UpdateItem(next_version(record), OFFICER))


def test_under_a_stale_registry_nothing_new_is_published_but_withdrawals_go(
    cairo: Desk,
) -> None:
    record = cairo.alert()
    cairo.done(issue(record))
    limit = cairo.home.registry.policy.freshness_limit
    cairo.clock.ahead = limit + timedelta(seconds=5)
    with pytest.raises(RegistryStaleError):
        cairo.done(issue(cairo.alert()))
    cairo.done(WithdrawItem(record.alert_id, WithdrawReason.WITHDRAWN, OFFICER))
    cairo.clock.ahead = limit - timedelta(seconds=5)
    cairo.done(issue(cairo.alert()))


def test_while_signing_is_halted_nothing_is_done(cairo: Desk) -> None:
    async def run() -> object:
        outbox = cairo.outbox()
        outbox.halted = True
        return (await outbox.submit_all([issue(cairo.alert())]))[0]

    assert isinstance(asyncio.run(run()), SigningHaltedError)


def test_acts_of_many_callers_are_written_together(cairo: Desk) -> None:
    cairo.take_batches()

    async def run() -> None:
        outbox = cairo.outbox()
        await asyncio.gather(*(outbox.issue([issue(cairo.alert())]) for _ in range(40)))

    asyncio.run(run())
    assert len(cairo.take_batches()) <= 2


def test_two_acts_about_one_alert_are_done_one_after_the_other(cairo: Desk) -> None:
    record = cairo.alert()
    first, second, third = cairo.do(
        issue(record),
        UpdateItem(next_version(record), OFFICER),
        WithdrawItem(record.alert_id, WithdrawReason.ERROR, OFFICER),
    )
    assert [only(first).version, only(second).version, only(third).version] == [1, 2, 2]


def epochs(desk: Desk) -> int:
    return sum(kinds(batch).count(EntryKind.EPOCH) for batch in desk.take_batches())


def test_an_epoch_lasts_24_hours(cairo: Desk) -> None:
    cairo.do(issue(cairo.alert()))
    assert epochs(cairo) == 1
    began = cairo.clock.ahead
    cairo.clock.ahead = began + EPOCH_LIFE - timedelta(seconds=30)
    renew(cairo)
    cairo.do(issue(cairo.alert()))
    assert epochs(cairo) == 0
    cairo.clock.ahead = began + EPOCH_LIFE + timedelta(seconds=1)
    renew(cairo)
    cairo.do(issue(cairo.alert()))
    assert epochs(cairo) == 1


def renew(desk: Desk) -> None:
    """Let the registrar sign the time that the node's clock shows."""
    note = desk.federation.checkpoint(at=desk.clock().replace(microsecond=0))
    desk.home.database.write_sync(lambda each: desk.home.trust.extend(each, [], note))


def test_a_new_epoch_begins_when_a_readers_key_changes(cairo: Desk, federation: Federation) -> None:
    cairo.do(issue(cairo.alert()))
    assert epochs(cairo) == 1
    federation.announce("tn-dgsn", ReceptionKey.generate())
    cairo.learn()
    cairo.do(issue(cairo.alert()))
    assert epochs(cairo) == 1


def test_a_suspended_reader_is_left_out_of_the_next_epoch_at_once(
    cairo: Desk, federation: Federation
) -> None:
    cairo.do(issue(cairo.alert()))
    cairo.take_batches()
    federation.suspend("int-iom")
    cairo.learn()
    result = cairo.done(issue(cairo.alert()))
    assert {each for one in result.disclosures for each in one.recipients} == {"tn-dgsn"}


def test_what_is_kept_from_a_suspended_member_goes_by_no_stream_with_it(
    cairo: Desk, federation: Federation, new_desk: NewDesk
) -> None:
    """Its readers would refuse it there, and the suspended one would see its headers."""
    federation.enrol("it-int")
    federation.agree(agreement("eg-moi", "int-iom", "it-int", "tn-dgsn", version=2))
    federation.suspend("it-int")
    cairo.learn()
    kept_from_italy = type(cairo.alert().message)()
    kept_from_italy.CopyFrom(cairo.alert().message)
    kept_from_italy.alert.restrictions.exclude_states.append("ITA")
    result = cairo.done(issue(seal_in(kept_from_italy)))
    assert {each for one in result.disclosures for each in one.recipients} == {
        "int-iom",
        "tn-dgsn",
    }
    batches = cairo.take_batches()
    for each in batches:
        if EntryKind.PUT in kinds(each):
            assert "it-int" not in each.segment.state.opening.audience
    for reader in ("int-iom", "tn-dgsn"):
        desk = new_desk(reader)
        desk.receive(*batches)
        assert desk.rows("SELECT reason FROM node_refusal") == []
        assert desk.number("SELECT count(*) FROM node_record WHERE body IS NOT NULL") == 1


def test_a_record_for_one_reader_goes_by_no_stream_that_a_suspended_one_sees(
    cairo: Desk, federation: Federation
) -> None:
    federation.suspend("int-iom")
    cairo.learn()
    cairo.take_batches()
    cairo.done(issue(cairo.alert(), "tn-dgsn"))
    (batch,) = [each for each in cairo.take_batches() if EntryKind.PUT in kinds(each)]
    assert batch.segment.state.opening.audience == ("tn-dgsn",)


def test_a_new_epoch_begins_at_a_start_without_saved_state(cairo: Desk) -> None:
    cairo.do(issue(cairo.alert()))
    cairo.take_batches()
    cairo.home.database.write_sync(
        lambda each: each.exec_driver_sql("UPDATE node_epoch SET secret = NULL")
    )
    cairo.do(issue(cairo.alert()))
    assert epochs(cairo) == 1


def test_a_suspended_agreement_stops_puts_and_lets_withdrawals_through(
    cairo: Desk, federation: Federation
) -> None:
    record = cairo.alert()
    cairo.done(issue(record))
    federation.suspend_agreement("test-agreement", "tn-dgsn")
    cairo.learn()
    with pytest.raises(DeniedByAgreementError):
        cairo.done(issue(cairo.alert()))
    cairo.done(WithdrawItem(record.alert_id, WithdrawReason.WITHDRAWN, OFFICER))


def test_a_recipient_of_two_agreements_is_told_once(cairo: Desk, federation: Federation) -> None:
    second = agreement(
        "eg-moi",
        "tn-dgsn",
        agreement_id="second-agreement",
        clauses=[clause("C1", senders=["eg-moi"], recipients=["tn-dgsn"])],
    )
    federation.agree(second)
    cairo.learn()
    result = cairo.done(issue(cairo.alert()))
    told = [member for each in result.disclosures for member in each.recipients]
    assert sorted(told) == ["int-iom", "tn-dgsn"]


def test_what_the_next_version_of_an_agreement_changes_continues_in_successors(
    cairo: Desk, federation: Federation
) -> None:
    before = {each.segment.state.stream_id for each in cairo.take_batches()}
    members = ("eg-moi", "int-iom", "tn-dgsn")
    narrower = clause("C1", senders=members, recipients=members, purposes=[Purpose.BORDER_CONTROL])
    federation.agree(agreement(*members, clauses=[narrower], version=2))
    batches = cairo.learn()
    opened = [each.segment.state for each in batches if EntryKind.OPEN in kinds(each)]
    closed = [each.segment.state for each in batches if EntryKind.CLOSE in kinds(each)]
    assert {each.opening.predecessor for each in opened} == before
    assert {each.successor for each in closed} == {each.stream_id for each in opened}
    cairo.settle()
    assert cairo.number("SELECT count(*) FROM node_stream WHERE own AND NOT closed") == 5


def test_a_newcomer_gets_a_stream_with_everybody_and_one_of_its_own(
    cairo: Desk, federation: Federation
) -> None:
    federation.enrol("it-int")
    federation.agree(agreement("eg-moi", "int-iom", "it-int", "tn-dgsn", version=2))
    cairo.learn()
    own = cairo.home.database.read_sync(list_own)
    audiences = {each.key.audience for each in own if each.key.role is StreamRole.DISCLOSURE}
    assert {("int-iom", "it-int", "tn-dgsn"), ("it-int",)} <= audiences


def test_a_quota_of_the_agreement_ends_with_its_day(cairo: Desk, federation: Federation) -> None:
    limited = clause("C1", senders=["eg-moi"], recipients=["tn-dgsn", "int-iom"], quota_per_day=3)
    federation.agree(agreement("eg-moi", "int-iom", "tn-dgsn", clauses=[limited], version=2))
    cairo.learn()
    outcomes = cairo.do(*(issue(cairo.alert()) for _ in range(4)))
    assert [isinstance(each, ActResult) for each in outcomes] == [True, True, True, False]
    assert isinstance(outcomes[-1], DeniedByAgreementError)
    assert "QUOTA" in str(outcomes[-1]).upper()
    assert isinstance(cairo.do(issue(cairo.alert()))[0], DeniedByAgreementError)
    cairo.clock.ahead = timedelta(days=1)
    renew(cairo)
    cairo.done(issue(cairo.alert()))
    assert cairo.number("SELECT count(*) FROM node_quota") == 2


def test_a_clause_without_a_quota_counts_nothing(cairo: Desk) -> None:
    cairo.do(*(issue(cairo.alert()) for _ in range(4)))
    assert cairo.number("SELECT count(*) FROM node_quota") == 0
