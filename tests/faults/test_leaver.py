"""A party that leaves an agreement: nothing new goes to or from it, withdrawals do (3.7)."""

from datetime import timedelta
from typing import Final

import pytest

from mithaq.certs import acts
from mithaq.certs.entries import EntrySigner
from mithaq.ledger.entry import EntryKind, WithdrawReason
from mithaq.node.exchange.acts import IssueItem, WithdrawItem
from mithaq.node.exchange.errors import DeniedByAgreementError
from mithaq.node.exchange.expiring import expire
from tests.exchange.nodes import OFFICER
from tests.exchange.relay import kinds
from tests.faults.away import DAY, Days

AGREEMENT = "test-agreement"
SECOND: Final = timedelta(seconds=1)


def leave(days: Days, member: str) -> None:
    """Let a party leave, by its signatories; both nodes learn of it."""
    signatories = days.federation.agencies[member].signatories
    days.federation.enter(
        acts.AgreementEnded(AGREEMENT, acts.NarrowingReason.TERM_ENDED, member),
        [EntrySigner.signatory(member, name, pair) for name, pair in signatories.items()],
        at=days.at(),
    )
    for desk in (days.sender, days.reader):
        days.learn(desk)


def test_a_leaver_issues_nothing_and_takes_back_what_it_issued(days: Days) -> None:
    record = days.issue()
    days.fetch()
    leave(days, "eg-moi")
    with pytest.raises(DeniedByAgreementError):
        days.sender.done(IssueItem(days.sender.alert(), None, None, OFFICER))
    days.sender.done(WithdrawItem(record.alert_id, WithdrawReason.WITHDRAWN, OFFICER))
    (batch,) = [each for each in days.sender.batches if EntryKind.WITHDRAW in kinds(each)]
    assert EntryKind.PUT not in kinds(batch)
    days.hand_over()
    days.fetch()
    assert days.readable() == []


def test_who_stays_discloses_nothing_to_the_leaver_and_goes_on_with_the_others(
    days: Days,
) -> None:
    leave(days, "tn-dgsn")
    result = days.sender.done(IssueItem(days.sender.alert(), None, None, OFFICER))
    assert [each.recipients for each in result.disclosures] == [("int-iom",)]


def test_who_stays_takes_back_from_the_leaver_what_it_had(days: Days) -> None:
    record = days.issue()
    days.fetch()
    assert days.readable() == [record.alert_id]
    leave(days, "tn-dgsn")
    days.pass_time(30 * DAY)
    for desk in (days.sender, days.reader):
        days.learn(desk)
    days.sender.done(WithdrawItem(record.alert_id, WithdrawReason.WITHDRAWN, OFFICER))
    days.hand_over()
    days.fetch()
    assert days.readable() == []


@pytest.mark.parametrize("leaver", ["tn-dgsn", "eg-moi"])
def test_nothing_goes_before_the_end_of_the_leavers_wind_down_and_all_at_it(
    days: Days, leaver: str
) -> None:
    record = days.issue()
    days.fetch()
    leave(days, leaver)
    until = days.federation.registry.agreement(AGREEMENT).status.left[leaver]
    days.pass_time(until - days.at() - SECOND)
    days.learn(days.reader)
    assert erased_by_upkeep(days) == 0
    assert days.readable() == [record.alert_id]
    days.pass_time(SECOND)
    days.learn(days.reader)
    assert erased_by_upkeep(days) == 1
    assert days.readable() == []


def erased_by_upkeep(days: Days) -> int:
    home = days.reader.home
    return home.database.write_sync(lambda each: expire(each, home, at=days.at()))
