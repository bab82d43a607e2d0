"""A reader that was away for days: its backlog, its keys, and what its absence raises.

PROTOCOL 4.6 to 4.8, 5.5. Keys are replaced weekly, and senders seal to the last announced
one for 30 days; so 7 and 9 days are on either side of a replacement, 29 and 40 of lapsing.
"""

from datetime import datetime

import pytest

from mithaq.node.exchange.acts import IssueItem
from mithaq.node.exchange.reception import KEPT_AFTER_SUCCESSOR
from mithaq.node.records.model import ParsedRecord, seal_in
from tests.exchange.nodes import OFFICER
from tests.faults.away import DAY, SOON, Days

WEEK_DAYS = 7


def work_while_away(days: Days, count: int) -> None:
    """Let the sender issue an alert a day; the third member keeps its key fresh."""
    for day in range(count):
        days.pass_time(DAY)
        if day % WEEK_DAYS == 0:
            days.announce("int-iom")
        days.learn(days.sender)
        days.issue()


@pytest.mark.parametrize("count", [7, 9, 29])
def test_a_reader_within_the_catch_up_limit_opens_its_whole_backlog_once(
    days: Days, count: int
) -> None:
    days.issue()
    days.fetch()
    old = days.federation.agencies["tn-dgsn"].reception.key_id
    work_while_away(days, count)
    assert days.look_for_what_is_overdue() == ["int-iom", "tn-dgsn"]
    days.come_back()
    assert days.readable() == sorted(each.alert_id for each in days.issued)
    assert days.look_for_what_is_overdue() == ["int-iom"], "what it owed has come"
    assert days.alarms() == []
    # A day of its own for each epoch: all were sealed to the key from before.
    epochs = "SELECT count(DISTINCT epoch) FROM node_epoch"
    assert days.reader.number(epochs) == count + 1
    days.pass_time(KEPT_AFTER_SUCCESSOR + SOON)
    assert days.destroyed() == [old]
    # It is the same reader as before: nothing is told to it anew.
    assert days.catch_up() == 0
    days.issue()
    days.fetch()
    assert days.readable() == sorted(each.alert_id for each in days.issued)


def test_a_reader_beyond_the_catch_up_limit_comes_back_as_a_late_joiner(days: Days) -> None:
    limit = days.sender.home.registry.policy.catch_up_limit
    work_while_away(days, 40)
    sealed_to_it = [
        each for each in days.kept_for_reader if "tn-dgsn" in each.segment.state.opening.audience
    ]
    assert sealed_to_it
    days.come_back()
    # What was sealed until it lapsed, on day 30, it opens with its old key; the rest is not
    # for it yet.
    assert len(days.readable()) == limit.days - 1
    assert days.catch_up() == 1
    assert days.readable() == sorted(each.alert_id for each in days.issued)
    assert days.alarms() == []
    days.issue()
    days.fetch()
    assert days.readable() == sorted(each.alert_id for each in days.issued)


def test_a_backlog_is_taken_in_the_senders_order(days: Days) -> None:
    work_while_away(days, 9)
    days.come_back()
    rows = days.reader.rows("SELECT alert_id FROM node_record ORDER BY record_no")
    assert [alert_id for (alert_id,) in rows] == [each.alert_id for each in days.issued]


def expiring(record: ParsedRecord, *, at: datetime) -> ParsedRecord:
    """Return the alert with another end."""
    message = type(record.message)()
    message.CopyFrom(record.message)
    message.alert.expires_at = int(at.timestamp())
    message.alert.review_by = message.alert.expires_at - int(DAY.total_seconds())
    return seal_in(message)


def noon_in(days: Days, count: int) -> datetime:
    """Return an instant that is twelve hours before the header's expiry of its record."""
    return days.at().replace(hour=12, minute=0, second=0) + count * DAY


def test_what_expired_while_a_reader_was_away_is_refused_and_accuses_nobody(days: Days) -> None:
    end = noon_in(days, 5)
    short = expiring(days.sender.alert(), at=end)
    days.sender.done(IssueItem(short, None, None, OFFICER))
    days.hand_over()
    # The hub goes by the header, whose day has not ended: it hands the body on.
    days.pass_time(end + 6 * SOON - days.at())
    days.learn(days.sender)
    days.issue()
    days.come_back()
    assert days.readable() == [each.alert_id for each in days.issued]
    refused = days.reader.rows("SELECT signer, reason FROM node_refusal")
    assert refused == [("tn-dgsn", "RECORD_EXPIRED")]
    assert days.alarms() == []
    # A refusal is an answer: nothing is owed.
    assert days.look_for_what_is_overdue() == ["int-iom"]
