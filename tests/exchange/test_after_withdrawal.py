"""An old version after its withdrawal: one stream has an order, several have none (ADR 0025)."""

import pytest

from mithaq.ledger.entry import WithdrawScope
from mithaq.node.exchange.keeping import WITHDRAWN_BEFORE
from mithaq.node.records.model import ParsedRecord
from tests.exchange.nodes import next_version
from tests.exchange.relay import Desk
from tests.exchange.test_evil_sender import EvilSender, alert, reasons
from tests.federation import Federation

SENDER = "eg-moi"
ALARM = "outside agreement"


def put(sender: EvilSender, record: ParsedRecord, *, target: int | None = None) -> int:
    return sender.put(record.raw, of=record, target=target)


def withdraw(sender: EvilSender, target: int) -> int:
    return sender.writer.withdraw(target, scope=WithdrawScope.RECORD)


def withdrawn(sender: EvilSender, record: ParsedRecord) -> int:
    """Let a record be read and taken back; return the sequence of its WITHDRAW."""
    sequence = put(sender, record)
    assert reasons(sender.deliver()) == []
    at = withdraw(sender, sequence)
    sender.deliver()
    return at


def tombstones(tunis: Desk) -> list[tuple[object, ...]]:
    return tunis.rows("SELECT version, sequence FROM node_tombstone ORDER BY log_no")


def test_a_version_sent_again_after_its_withdrawal_in_one_stream_accuses_its_sender(
    federation: Federation, tunis: Desk
) -> None:
    sender, record = EvilSender(federation, tunis), alert()
    at = withdrawn(sender, record)
    again = put(sender, record)
    assert reasons(sender.deliver()) == [(again, WITHDRAWN_BEFORE)]
    assert tunis.alarms() == [ALARM]
    evidence, verified = tunis.proof()
    assert evidence.accused == SENDER
    assert all(each.holds for each in verified.statements), verified.statements
    said = {each.message: each.text for each in verified.statements}
    assert f"signed entry {again} of" in said["entry_proof"]
    assert said["entry_proof"].endswith(": PUT")
    assert f"signed entry {at} of" in said["withdrawal_entry_proof"]
    assert said["withdrawal_entry_proof"].endswith(": WITHDRAW of 2, scope RECORD")
    assert said["refusals"] == f"tn-dgsn refused 1: {WITHDRAWN_BEFORE}"
    assert record.alert_id.encode() not in evidence.to_json()


def test_the_same_as_a_next_version_of_what_was_taken_back_accuses_its_sender(
    federation: Federation, tunis: Desk
) -> None:
    sender, record = EvilSender(federation, tunis), alert()
    withdrawn(sender, record)
    again = put(sender, record, target=2)
    assert reasons(sender.deliver()) == [(again, WITHDRAWN_BEFORE)]
    assert tunis.alarms() == [ALARM]


def test_the_same_where_the_withdrawal_came_before_the_record_could_be_read(
    federation: Federation, tunis: Desk
) -> None:
    sender, record = EvilSender(federation, tunis), alert()
    withdraw(sender, put(sender, record))
    again = put(sender, record)
    # All headers are held before any body is opened.
    assert reasons(sender.deliver()) == [(again, WITHDRAWN_BEFORE)]
    assert tombstones(tunis) == [(1, 3)]
    assert tunis.alarms() == [ALARM]
    assert tunis.number("SELECT count(*) FROM node_record") == 0


@pytest.mark.parametrize("late", [False, True], ids=["after", "late"])
def test_of_two_streams_nobody_can_tell_the_order_so_nobody_is_accused(
    federation: Federation, tunis: Desk, *, late: bool
) -> None:
    """What an honest sender put into another stream before it withdrew may come afterwards."""
    one, other = EvilSender(federation, tunis), EvilSender(federation, tunis, ordinal=8)
    record = alert()
    if late:
        put(other, record)
    withdrawn(one, record)
    if not late:
        put(other, record)
    assert reasons(other.deliver()) == [(2, WITHDRAWN_BEFORE)]
    assert tunis.alarms() == []
    assert tunis.number("SELECT count(*) FROM node_record WHERE body IS NOT NULL") == 0


def test_each_stream_that_takes_a_record_back_is_held_to_its_own_word(
    federation: Federation, tunis: Desk
) -> None:
    one, other = EvilSender(federation, tunis), EvilSender(federation, tunis, ordinal=8)
    record = alert()
    for each in (one, other):
        put(each, record)
        assert reasons(each.deliver()) == []
    at = [withdraw(each, 2) for each in (one, other)]
    for each in (one, other):
        each.deliver()
    assert tombstones(tunis) == [(1, sequence) for sequence in at]
    assert reasons_of_again(one, record) == reasons_of_again(other, record)
    assert tunis.alarms() == [ALARM, ALARM]


def reasons_of_again(sender: EvilSender, record: ParsedRecord) -> list[tuple[int, str]]:
    put(sender, record)
    return reasons(sender.deliver())


def test_a_version_that_only_another_stream_has_taken_back_accuses_nobody(
    federation: Federation, tunis: Desk
) -> None:
    one, other = EvilSender(federation, tunis), EvilSender(federation, tunis, ordinal=8)
    record = alert()
    second = next_version(record)
    withdrawn(one, record)
    withdrawn(other, second)
    # In this stream version 1 was taken back, and 2 may have been put before the other's.
    again = put(one, second)
    assert reasons(one.deliver()) == [(again, WITHDRAWN_BEFORE)]
    assert tunis.alarms() == []


def test_a_next_version_after_a_withdrawal_is_taken_and_accuses_nobody(
    federation: Federation, tunis: Desk
) -> None:
    sender, record = EvilSender(federation, tunis), alert()
    withdrawn(sender, record)
    put(sender, next_version(record))
    assert reasons(sender.deliver()) == []
    assert tunis.rows("SELECT status FROM node_record ORDER BY version") == [("erased",), ("live",)]
    assert tunis.alarms() == []


def test_a_disclosure_that_alone_was_taken_back_accuses_nobody(
    federation: Federation, tunis: Desk
) -> None:
    sender, record = EvilSender(federation, tunis), alert()
    sequence = put(sender, record)
    sender.deliver()
    sender.writer.withdraw(sequence, scope=WithdrawScope.DISCLOSURE)
    sender.deliver()
    put(sender, record)
    put(sender, next_version(record), target=sequence)
    assert reasons(sender.deliver()) == [(4, WITHDRAWN_BEFORE)]
    assert tunis.alarms() == []


def test_a_tombstone_that_is_raised_names_the_withdrawal_that_reached_its_version(
    federation: Federation, tunis: Desk
) -> None:
    sender, record = EvilSender(federation, tunis), alert()
    first = withdrawn(sender, record)
    assert tombstones(tunis) == [(1, first)]
    second = withdrawn(sender, next_version(record))
    assert tombstones(tunis) == [(2, second)]
    withdraw(sender, 2)
    sender.deliver()
    assert tombstones(tunis) == [(2, second)]


def test_a_tombstone_holds_no_id_of_an_alert(federation: Federation, tunis: Desk) -> None:
    sender, record = EvilSender(federation, tunis), alert()
    withdrawn(sender, record)
    ((key, *numbers),) = tunis.rows("SELECT * FROM node_tombstone")
    assert isinstance(key, bytes)
    assert record.alert_id.encode() not in key
    assert all(isinstance(each, int) for each in numbers)


def test_a_next_version_under_what_was_taken_back_is_nowhere_kept_and_not_buried(
    federation: Federation, tunis: Desk
) -> None:
    """The WITHDRAW reached what stood before it, and says nothing of what comes after."""
    sender, record = EvilSender(federation, tunis), alert()
    at, second = withdrawn(sender, record), next_version(record)
    put(sender, second, target=2)
    assert reasons(sender.deliver()) == []
    assert tombstones(tunis) == [(1, at)]
    put(sender, second)
    assert reasons(sender.deliver()) == []
    assert tunis.rows("SELECT status FROM node_record ORDER BY version") == [("erased",), ("live",)]
    assert tunis.alarms() == []


def test_another_alert_under_the_target_of_what_is_taken_back_is_taken_back_as_well(
    federation: Federation, tunis: Desk
) -> None:
    sender, record, other = EvilSender(federation, tunis), alert(), alert()
    first = put(sender, record)
    put(sender, other, target=first)
    assert reasons(sender.deliver()) == []
    at = withdraw(sender, first)
    sender.deliver()
    # Its sender is told ERASED of this target: so nothing of it may stand.
    assert tunis.rows("SELECT DISTINCT status, body IS NULL FROM node_record") == [("erased", 1)]
    assert tombstones(tunis) == [(1, at), (1, at)]
    assert tunis.number("SELECT count(*) FROM node_erasure_task") == 1


def test_a_target_that_is_withdrawn_again_and_again_counts_once_for_each_scope(
    federation: Federation, tunis: Desk
) -> None:
    sender, record = EvilSender(federation, tunis), alert()
    first = put(sender, record)
    for _ in range(3):
        sender.writer.withdraw(first, scope=WithdrawScope.DISCLOSURE)
    at = withdraw(sender, first)
    withdraw(sender, first)
    again = put(sender, record)
    assert reasons(sender.deliver()) == [(again, WITHDRAWN_BEFORE)]
    assert tombstones(tunis) == [(1, at)]
