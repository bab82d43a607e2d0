"""A hub that is away for an hour: what goes on without it, what waits, and what comes after.

PROTOCOL 2.6, 5.3, 5.5, 5.7. The registry's time comes through the hub: after the policy's
freshness limit nothing new is published, and what is taken back is taken back all the same.
"""

from datetime import datetime, timedelta

import pytest

from mithaq.ledger.entry import WithdrawReason
from mithaq.node.exchange import housekeeping
from mithaq.node.exchange.acts import IssueItem, WithdrawItem
from mithaq.node.exchange.errors import RegistryStaleError
from mithaq.node.exchange.views import check_overdue_lists
from tests.exchange.nodes import OFFICER
from tests.exchange.relay import Desk
from tests.faults.away import Days

STEP = timedelta(minutes=5)
HOUR = timedelta(hours=1)


def issue(desk: Desk) -> str:
    record = desk.alert()
    desk.done(IssueItem(record, None, None, OFFICER))
    return record.alert_id


def hour_without_hub(days: Days) -> list[str]:
    """Issue every five minutes for an hour that the hub is away; return what was taken."""
    days.learn(days.sender)
    limit = days.sender.home.registry.policy.freshness_limit
    taken: list[str] = []
    passed = timedelta()
    while passed < HOUR:
        days.pass_time(STEP)
        passed += STEP
        if passed < limit:
            taken.append(issue(days.sender))
        else:
            with pytest.raises(RegistryStaleError):
                issue(days.sender)
    return taken


def test_what_was_issued_before_the_registry_grew_stale_arrives_after_the_hour(days: Days) -> None:
    taken = hour_without_hub(days)
    assert taken
    assert days.readable() == []
    for desk in (days.sender, days.reader):
        days.learn(desk)
    days.hand_over()
    days.fetch()
    assert days.readable() == sorted(taken)
    after = issue(days.sender)
    days.hand_over()
    days.fetch()
    rows = days.reader.rows("SELECT alert_id FROM node_record ORDER BY record_no")
    assert [alert_id for (alert_id,) in rows] == [*taken, after]


def test_a_withdrawal_does_not_wait_for_the_registry(days: Days) -> None:
    record = days.issue()
    days.fetch()
    days.pass_time(HOUR)
    days.sender.done(WithdrawItem(record.alert_id, WithdrawReason.WITHDRAWN, OFFICER))
    days.hand_over()
    days.learn(days.reader)
    days.fetch()
    assert days.readable() == []


def test_no_reader_is_accused_of_what_never_reached_the_hub(days: Days) -> None:
    assert hour_without_hub(days)
    # Only of the openings, which the hub took before: the third member never came.
    assert days.look_for_what_is_overdue() == ["int-iom"]


def test_a_silent_sender_is_noticed_and_a_list_lifts_nothing_by_itself(days: Days) -> None:
    lists = days.sender.home.database.read_sync(
        lambda each: housekeeping.freeze_lists(each, days.sender.home, at=days.sender.clock())
    )
    assert {each.reader for each in lists} == {"tn-dgsn", "int-iom"}
    since: dict[str, datetime] = {"eg-moi": days.reader.clock()}
    days.pass_time(HOUR)
    days.reader.home.database.write_sync(
        lambda each: check_overdue_lists(
            each, days.reader.home, since=since, at=days.reader.clock()
        )
    )
    assert [name for name, _ in days.alarms()] == ["stale: sender or hub"]
