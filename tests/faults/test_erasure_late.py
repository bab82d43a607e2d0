"""A receipt of erasure that comes after its deadline: the alarm stands until then (5.9)."""

from mithaq.ledger.entry import WithdrawReason
from mithaq.node.exchange import housekeeping
from mithaq.node.exchange.acts import WithdrawItem
from tests.exchange.nodes import OFFICER
from tests.faults.away import SOON, Days


def standing(days: Days) -> list[str]:
    """Have the sender look what is overdue; return of whom an alarm stands."""
    home = days.sender.home
    home.database.write_sync(
        lambda each: housekeeping.check_erasures(each, home, at=days.sender.clock())
    )
    rows = days.sender.rows("SELECT subject FROM node_alarm WHERE lifted_at_ms IS NULL")
    return sorted(str(subject).rsplit("/", 1)[1] for (subject,) in rows)


def answer(days: Days, reader: str) -> None:
    """Note a reader's receipt, as what arrives in its return stream does."""
    done = "UPDATE node_erasure SET state = 'ERASED' WHERE reader = ?"
    days.sender.home.database.write_sync(lambda each: each.exec_driver_sql(done, (reader,)))


def test_an_overdue_erasure_that_is_receipted_lifts_its_alarm_and_no_other(days: Days) -> None:
    record = days.issue()
    days.sender.done(WithdrawItem(record.alert_id, WithdrawReason.WITHDRAWN, OFFICER))
    agreement = days.sender.home.registry.agreement("test-agreement").agreement
    days.pass_time(agreement.deadlines.erasure_receipt - SOON)
    assert standing(days) == []
    days.pass_time(2 * SOON)
    assert standing(days) == ["int-iom", "tn-dgsn"]
    answer(days, "tn-dgsn")
    assert standing(days) == ["int-iom"]
    answer(days, "int-iom")
    assert standing(days) == []
