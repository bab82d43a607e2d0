"""What was withdrawn in the time that a backup lost is withdrawn in the restored node."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from mithaq.certs.keys import ReceptionKey
from mithaq.ledger.entry import EntryKind, WithdrawReason, WithdrawScope
from mithaq.node.exchange.acts import ActResult, IssueItem, UpdateItem, WithdrawItem
from mithaq.node.exchange.disclosures import live_disclosures
from mithaq.node.exchange.errors import AlertUnknownError, SigningHaltedError
from mithaq.node.exchange.out_stream import Batch
from mithaq.node.exchange.restoring import RESTORED, owed_withdrawals
from mithaq.node.records.model import ParsedRecord
from mithaq.store.audit_entry import AuditEntry, Operation
from mithaq.v1 import exchange_pb2
from tests.exchange.lost_time import HubCopy, back_up, compare, is_found, restore
from tests.exchange.nodes import OFFICER, next_version
from tests.exchange.relay import Desk, accept, kinds
from tests.exchange.test_expiring import expired
from tests.exchange.test_late_joiner import catch_up, join
from tests.federation import Federation, agreement, clause

Restore = Callable[..., Desk]
RECORD, DISCLOSURE = int(WithdrawScope.RECORD), int(WithdrawScope.DISCLOSURE)
STATUSES = "SELECT version, status, body IS NULL, wrapped_key IS NULL FROM node_record"


@pytest.fixture
def backup(cairo: Desk, tmp_path: Path) -> Iterator[Callable[[], Restore]]:
    """Return what backs Cairo up, and returns what restores that once its heads are compared."""
    opened: list[Desk] = []

    def begin() -> Restore:
        accept(cairo, *cairo.batches)
        file = back_up(cairo, tmp_path / "backup.db")

        def again(hub: HubCopy | None = None) -> Desk:
            node = restore(cairo, file, tmp_path / f"restored-{len(opened)}")
            opened.append(node)
            compare(node, hub or HubCopy(cairo))
            node.learn()
            return node

        return again

    yield begin
    for each in opened:
        each.close()


def issued(cairo: Desk, *records: ParsedRecord) -> list[ParsedRecord]:
    alerts = list(records) or [cairo.alert()]
    for outcome in cairo.do(*(IssueItem(each, None, None, OFFICER) for each in alerts)):
        assert isinstance(outcome, ActResult), outcome
    return alerts


def withdraw(
    desk: Desk, record: ParsedRecord, reason: WithdrawReason = WithdrawReason.EXECUTED
) -> None:
    desk.done(WithdrawItem(record.alert_id, reason, OFFICER))


def found(desk: Desk, record: ParsedRecord) -> bool:
    return desk.home.database.read_sync(lambda each: is_found(each, desk.home, record))


def statuses(desk: Desk, record: ParsedRecord) -> list[tuple[object, ...]]:
    return desk.rows(f"{STATUSES} WHERE alert_id = '{record.alert_id}' ORDER BY version")


def withdrawals(desk: Desk) -> list[tuple[object, ...]]:
    return desk.rows(
        "SELECT stream_id, target, w.sequence, scope, reason FROM node_withdrawal w"
        " JOIN node_stream USING (log_no) ORDER BY stream_id, target"
    )


def entries(desk: Desk) -> list[AuditEntry]:
    return desk.home.database.read_sync(lambda each: list(desk.home.audit.entries(each)))


def said(batches: Sequence[Batch], kind: EntryKind) -> list[bytes]:
    """Return the streams of entries of a kind."""
    return [batch.stream_id for batch in batches for each in kinds(batch) if each is kind]


# --- the whole record -------------------------------------------------------------------


def test_what_was_withdrawn_since_the_backup_is_erased_and_found_no_more(
    cairo: Desk, backup: Callable[[], Restore]
) -> None:
    gone, kept = issued(cairo, cairo.alert(), cairo.alert())
    again = backup()
    withdraw(cairo, gone)
    node = again()
    assert statuses(node, gone) == [(1, "withdrawn", 1, 1)]
    assert not found(node, gone)
    assert statuses(node, kept) == [(1, "live", 0, 0)]
    assert found(node, kept)
    ((_, _, _, scope, reason),) = withdrawals(node)
    assert (scope, reason) == (RECORD, int(WithdrawReason.EXECUTED))
    assert withdrawals(node) == withdrawals(cairo)


def test_without_a_withdrawal_nothing_is_erased(cairo: Desk, backup: Callable[[], Restore]) -> None:
    (kept,) = issued(cairo)
    again = backup()
    issued(cairo)
    node = again()
    assert statuses(node, kept) == [(1, "live", 0, 0)]
    assert withdrawals(node) == []
    assert [each.outcome for each in entries(node)].count(RESTORED) == 0


def test_its_own_sealed_body_goes_and_its_neighbours_stays(
    cairo: Desk, backup: Callable[[], Restore]
) -> None:
    gone, _ = issued(cairo, cairo.alert(), cairo.alert())
    again = backup()
    bodies = cairo.rows("SELECT sequence FROM node_out_body ORDER BY sequence")
    withdraw(cairo, gone)
    ((_, target, *_),) = withdrawals(cairo)
    node = again()
    left = node.rows("SELECT sequence FROM node_out_body ORDER BY sequence")
    assert left == [each for each in bodies if each != (target,)]


def test_every_version_that_the_backup_has_is_erased(
    cairo: Desk, backup: Callable[[], Restore]
) -> None:
    (first,) = issued(cairo)
    cairo.done(UpdateItem(next_version(first), OFFICER))
    again = backup()
    withdraw(cairo, first)
    assert statuses(again(), first) == [(1, "withdrawn", 1, 1), (2, "withdrawn", 1, 1)]


def test_a_withdrawal_of_a_version_that_the_backup_lacks_erases_those_before_it(
    cairo: Desk, backup: Callable[[], Restore]
) -> None:
    (first,) = issued(cairo)
    again = backup()
    cairo.done(UpdateItem(next_version(first), OFFICER))
    withdraw(cairo, first)
    node = again()
    assert statuses(node, first) == [(1, "withdrawn", 1, 1)]
    assert not found(node, first)


def test_readers_owe_their_receipts_as_they_did(cairo: Desk, backup: Callable[[], Restore]) -> None:
    (gone,) = issued(cairo)
    again = backup()
    withdraw(cairo, gone)
    owed = "SELECT stream_id, e.sequence, reader, state FROM node_erasure e JOIN node_stream"
    by_stream = f"{owed} USING (log_no) ORDER BY reader"
    node = again()
    assert node.rows(by_stream) == cairo.rows(by_stream)
    assert [each[2:] for each in node.rows(by_stream)] == [
        ("int-iom", "asked"),
        ("tn-dgsn", "asked"),
    ]


def test_the_audit_log_says_what_was_done_and_why(
    cairo: Desk, backup: Callable[[], Restore]
) -> None:
    (gone,) = issued(cairo)
    again = backup()
    withdraw(cairo, gone)
    ((stream_id, _, sequence, *_),) = withdrawals(cairo)
    altered, erased = [each for each in entries(again()) if each.outcome == RESTORED]
    assert (altered.operation, erased.operation) == (Operation.ALTER, Operation.ERASE)
    assert {(each.actor, each.role) for each in (altered, erased)} == {("node", "system")}
    (record,) = altered.records
    assert record[:4] == (gone.alert_id, 1, stream_id, sequence)
    assert [each[:2] for each in erased.records] == [(gone.alert_id, 1)]


def test_what_was_withdrawn_before_the_backup_is_left_as_it_is(
    cairo: Desk, backup: Callable[[], Restore]
) -> None:
    (gone,) = issued(cairo)
    withdraw(cairo, gone, WithdrawReason.ERROR)
    again = backup()
    before = entries(cairo)
    issued(cairo)
    node = again()
    assert withdrawals(node) == withdrawals(cairo)
    assert all(each.outcome != RESTORED for each in entries(node)[len(before) :])


def test_a_second_comparison_changes_nothing(cairo: Desk, backup: Callable[[], Restore]) -> None:
    (gone,) = issued(cairo)
    again = backup()
    withdraw(cairo, gone)
    node = again()
    before = withdrawals(node), len(entries(node))
    compare(node, HubCopy(cairo))
    assert (withdrawals(node), len(entries(node))) == before


def test_it_cannot_be_withdrawn_twice(cairo: Desk, backup: Callable[[], Restore]) -> None:
    (gone,) = issued(cairo)
    again = backup()
    withdraw(cairo, gone)
    node = again()
    node.take_batches()
    with pytest.raises(AlertUnknownError):
        withdraw(node, gone)
    assert said(node.take_batches(), EntryKind.WITHDRAW) == []


def test_an_alert_that_has_expired_where_it_stands_cannot_be_withdrawn(cairo: Desk) -> None:
    (record,) = issued(cairo)
    assert expired(cairo, clock=record.expiry, registry=record.expiry) == 1
    with pytest.raises(AlertUnknownError):
        withdraw(cairo, record)


def test_what_expired_since_the_backup_is_erased_by_both_clocks_as_ever(
    cairo: Desk, backup: Callable[[], Restore]
) -> None:
    (record,) = issued(cairo)
    again = backup()
    assert expired(cairo, clock=record.expiry, registry=record.expiry) == 1
    node = again()
    assert statuses(node, record) == [(1, "live", 0, 0)]
    assert expired(node, clock=record.expiry, registry=record.expiry) == 1
    assert statuses(node, record) == [(1, "erased", 1, 1)]


def test_a_tail_that_leads_elsewhere_erases_nothing(
    cairo: Desk, backup: Callable[[], Restore], tmp_path: Path
) -> None:
    (kept,) = issued(cairo)
    backup()
    withdraw(cairo, kept)
    node = restore(cairo, tmp_path / "backup.db", tmp_path / "lied-to")

    class Liar(HubCopy):
        async def ReadOwn(  # noqa: N802 - as the service names it
            self,
            request: exchange_pb2.ReadOwnRequest,
            timeout: float,  # noqa: ASYNC109 - gRPC's
        ) -> exchange_pb2.ReadOwnResponse:
            answer = await super().ReadOwn(request, timeout)
            terms = answer.batch.runs[-1].terms
            reason = bytes([terms[-1] ^ 1])
            answer.batch.runs[-1].terms = terms[:-1] + reason
            return answer

    with pytest.raises(SigningHaltedError):
        compare(node, Liar(cairo))
    assert statuses(node, kept) == [(1, "live", 0, 0)]
    assert withdrawals(node) == []
    node.close()


# --- a disclosure alone, and what the backup never had ----------------------------------


def narrow(cairo: Desk, federation: Federation, record: ParsedRecord) -> None:
    """Issue the next version to fewer, in a stream that carries it anew."""
    members = ("eg-moi", "int-iom", "tn-dgsn")
    narrower = clause("C1", senders=members, recipients=("eg-moi", "tn-dgsn"))
    federation.agree(agreement(*members, clauses=[narrower], version=2))
    cairo.learn()
    cairo.done(UpdateItem(next_version(record), OFFICER))


def test_a_disclosure_that_alone_was_withdrawn_is_live_no_more_and_erases_nothing(
    cairo: Desk, federation: Federation, backup: Callable[[], Restore]
) -> None:
    first, other = issued(cairo, cairo.alert(), cairo.alert())
    again = backup()
    narrow(cairo, federation, first)
    assert [scope for *_, scope, _ in withdrawals(cairo)] == [DISCLOSURE]
    node = again()
    assert withdrawals(node) == withdrawals(cairo)
    assert statuses(node, first) == [(1, "superseded", 0, 0)]
    assert statuses(node, other) == [(1, "live", 0, 0)]
    ((number,),) = node.rows("SELECT record_no FROM node_record WHERE status = 'superseded'")
    assert isinstance(number, int)
    assert node.home.database.read_sync(lambda each: live_disclosures(each, [number])) == []
    assert node.number("SELECT count(*) FROM node_erasure") == 0


def test_a_version_that_went_elsewhere_and_was_withdrawn_there_is_told_to_no_newcomer(
    cairo: Desk, federation: Federation, backup: Callable[[], Restore]
) -> None:
    (first,) = issued(cairo)
    again = backup()
    narrow(cairo, federation, first)
    withdraw(cairo, first)
    node = again()
    federation.enrol("it-int")
    federation.agree(agreement("eg-moi", "int-iom", "tn-dgsn", "it-int", version=3))
    node.learn()
    node.take_batches()
    catch_up(node)
    assert said(node.take_batches(), EntryKind.PUT) == []
    with pytest.raises(AlertUnknownError):
        node.done(UpdateItem(next_version(first), OFFICER))
    withdraw(node, first)
    assert statuses(node, first) == [(1, "withdrawn", 1, 1)]


def test_what_was_issued_and_withdrawn_since_the_backup_has_nothing_to_erase(
    cairo: Desk, backup: Callable[[], Restore]
) -> None:
    (kept,) = issued(cairo)
    again = backup()
    (gone,) = issued(cairo)
    withdraw(cairo, gone)
    node = again()
    assert withdrawals(node) == withdrawals(cairo)
    assert statuses(node, kept) == [(1, "live", 0, 0)]
    assert statuses(node, gone) == []
    (altered,) = [each for each in entries(node) if each.outcome == RESTORED]
    assert [each.alert_id for each in altered.records] == [""]
    assert node.alarms() == []


def test_what_was_issued_since_the_backup_stays_unknown(
    cairo: Desk, backup: Callable[[], Restore]
) -> None:
    again = backup()
    (lost,) = issued(cairo)
    node = again()
    assert statuses(node, lost) == []
    issued(node)
    with pytest.raises(AlertUnknownError):
        withdraw(node, lost)


def test_a_version_that_the_backup_lacks_is_reached_by_a_withdrawal_of_the_one_before(
    cairo: Desk, tunis: Desk, backup: Callable[[], Restore]
) -> None:
    (first,) = issued(cairo)
    again = backup()
    cairo.done(UpdateItem(next_version(first), OFFICER))
    tunis.receive(*cairo.take_batches())
    node = again()
    assert statuses(node, first) == [(1, "live", 0, 0)]
    node.take_batches()
    withdraw(node, first)
    tunis.receive(*node.take_batches())
    assert statuses(tunis, first) == [(1, "erased", 1, 1), (2, "erased", 1, 1)]
    assert tunis.alarms() == []


# --- other streams ----------------------------------------------------------------------


def in_two_streams(cairo: Desk, federation: Federation) -> ParsedRecord:
    """Return an alert that stands in a joint stream and in one to a late joiner alone."""
    (record,) = issued(cairo)
    join(cairo, federation)
    assert catch_up(cairo) == 1
    return record


def owed(desk: Desk) -> list[WithdrawItem]:
    return desk.home.database.read_sync(owed_withdrawals)


def test_where_all_streams_say_so_nothing_is_said_twice(
    cairo: Desk, federation: Federation, backup: Callable[[], Restore]
) -> None:
    record = in_two_streams(cairo, federation)
    again = backup()
    withdraw(cairo, record)
    assert len(withdrawals(cairo)) == 2
    node = again()
    assert withdrawals(node) == withdrawals(cairo)
    assert owed(node) == []


def test_a_stream_whose_withdrawal_the_hub_never_got_is_told_and_no_other(
    cairo: Desk, federation: Federation, backup: Callable[[], Restore]
) -> None:
    record = in_two_streams(cairo, federation)
    again = backup()
    withdraw(cairo, record)
    both = withdrawals(cairo)
    for missing, here in (both, reversed(both)):
        assert isinstance(missing[0], bytes)
        node = again(HubCopy(cairo, without={missing[0]}))
        assert statuses(node, record) == [(1, "withdrawn", 1, 1)]
        assert withdrawals(node) == [here]
        node.take_batches()
        (item,) = owed(node)
        assert (item.alert_id, item.reason) == (record.alert_id, WithdrawReason.EXECUTED)
        node.done(item)
        assert said(node.take_batches(), EntryKind.WITHDRAW) == [missing[0]]
        assert withdrawals(node) == both
        assert owed(node) == []
        told = entries(node)[-1]
        assert told.justification == "withdrawn in the time that a backup lost"
        assert (told.actor, [each.alert_id for each in told.records]) == ("node", [record.alert_id])


def test_an_alert_that_is_live_or_wholly_withdrawn_is_owed_nothing(
    cairo: Desk, federation: Federation
) -> None:
    record = in_two_streams(cairo, federation)
    assert owed(cairo) == []
    withdraw(cairo, record)
    assert owed(cairo) == []


def test_a_late_joiner_is_told_what_was_not_withdrawn_and_nothing_else(
    cairo: Desk, federation: Federation, backup: Callable[[], Restore]
) -> None:
    gone, kept = issued(cairo, cairo.alert(), cairo.alert())
    again = backup()
    withdraw(cairo, gone)
    node = again()
    join(node, federation)
    node.take_batches()
    catch_up(node)
    assert len(said(node.take_batches(), EntryKind.PUT)) == 1
    number = "SELECT count(*) FROM node_disclosure JOIN node_record USING (record_no)"
    assert node.number(f"{number} WHERE alert_id = '{gone.alert_id}'") == 1
    assert node.number(f"{number} WHERE alert_id = '{kept.alert_id}'") == 2


# --- epochs and closed streams ----------------------------------------------------------


def secrets(desk: Desk) -> list[tuple[object, ...]]:
    return desk.rows("SELECT epoch, secret IS NULL FROM node_epoch ORDER BY log_no, epoch")


def test_the_secret_of_an_epoch_that_ended_since_the_backup_is_destroyed(
    cairo: Desk, federation: Federation, backup: Callable[[], Restore]
) -> None:
    issued(cairo)
    again = backup()
    federation.announce("tn-dgsn", ReceptionKey.generate())
    cairo.learn()
    issued(cairo)
    node = again()
    assert secrets(node) == [(1, 1)]
    issued(node)
    assert secrets(node) == [(1, 1), (3, 0)]


def test_the_secret_of_an_epoch_that_goes_on_is_kept(
    cairo: Desk, backup: Callable[[], Restore]
) -> None:
    issued(cairo)
    again = backup()
    issued(cairo)
    node = again()
    assert secrets(node) == [(1, 0)]
    issued(node)
    assert secrets(node) == [(1, 0)]


def test_a_stream_that_was_closed_since_the_backup_goes_on_in_its_successor(
    cairo: Desk, federation: Federation, backup: Callable[[], Restore]
) -> None:
    issued(cairo)
    again = backup()
    join(cairo, federation)
    node = again()
    streams = "SELECT stream_id, closed, predecessor FROM node_stream WHERE own ORDER BY stream_id"
    assert node.rows(streams) == cairo.rows(streams)
    assert said(node.take_batches(), EntryKind.OPEN) == []
    issued(node)
    (following,) = said(node.take_batches(), EntryKind.PUT)
    still_open = node.rows("SELECT stream_id FROM node_stream WHERE own AND NOT closed")
    assert (following,) in still_open
