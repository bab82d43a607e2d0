"""More versions, refusals and alarms than a statement of either database has parameters.

What a peer can make long goes into statements by parts (`store.parts`). The rows stand here
by themselves: to send so many versions of one alert takes a peer days.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from mithaq.ledger.entry import WithdrawReason
from mithaq.ledger.lists import REFUSED_BY_HUB
from mithaq.ledger.names import HUB
from mithaq.node.exchange import housekeeping
from mithaq.node.exchange.accepting import Answers, keep_answers
from mithaq.node.exchange.acts import IssueItem, WithdrawItem
from mithaq.node.exchange.alarms import ALARM, ERASURE_OVERDUE
from mithaq.node.exchange.epochs import REFUSAL
from mithaq.node.exchange.home import seconds
from mithaq.node.exchange.out_stream import DISCLOSURE, STREAM
from mithaq.node.exchange.stored import RECORD
from tests.exchange.nodes import OFFICER
from tests.exchange.relay import Desk, desk
from tests.federation import Federation
from tests.parameters import too_many

COUNTED = object()


class Node(NamedTuple):
    """What one test needs: a node whose rows are many, and one more than its parameters."""

    desk: Desk
    many: int


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("postgres_url")) if request.param == "postgresql" else ""


@pytest.fixture
def sender(federation: Federation, tmp_path: Path, url: str) -> Iterator[Node]:
    node = desk(federation, "eg-moi", tmp_path, url=url)
    yield Node(node, too_many(node.home.database))
    node.close()


@pytest.fixture
def reader(federation: Federation, tmp_path: Path, url: str) -> Iterator[Node]:
    node = desk(federation, "tn-dgsn", tmp_path, url=url)
    yield Node(node, too_many(node.home.database))
    node.close()


def fill(node: Node, table: sa.Table, **changed: Any) -> None:  # noqa: ANN401 - columns'
    """Copy the only row of a table so many times, a column counted on from its own, or set.

    A column that is named with 1 counts; any other value stands in each copy.
    """
    counted = sa.select(sa.literal(1).label("n")).cte("counted", recursive=True)
    counted = counted.union_all(sa.select(counted.c.n + 1).where(counted.c.n < node.many))
    columns = {
        each.name: sa.cast(counted.c.n, each.type) + each
        if changed.get(each.name) is COUNTED
        else sa.literal(changed[each.name], each.type)
        if each.name in changed
        else each
        for each in table.columns
    }
    copies = sa.select(*columns.values()).select_from(table.join(counted, sa.true()))
    statement = sa.insert(table).from_select(list(columns), copies)
    node.desk.home.database.write_sync(lambda each: each.execute(statement))


def fill_versions(node: Node) -> None:
    """Let the only record have so many more versions, all under its first PUT."""
    fill(node, RECORD, record_no=COUNTED, version=COUNTED, wrapped_key=None, body=b"x")
    fill(node, DISCLOSURE, record_no=COUNTED, sequence=COUNTED)


def counts(node: Node, table: sa.Table, column: str) -> dict[object, int]:
    return {
        value: int(str(count))
        for value, count in node.desk.rows(
            f"SELECT {column}, count(*) FROM {table.name} GROUP BY {column}"  # noqa: S608
        )
    }


@pytest.mark.parametrize("outcome", ["erased", "retained"])
def test_a_sender_may_take_back_any_number_of_versions_of_one_alert(
    cairo: Desk, reader: Node, outcome: str
) -> None:
    record = cairo.alert()
    cairo.done(IssueItem(record, None, None, OFFICER))
    reader.desk.receive(*cairo.take_batches())
    fill_versions(reader)
    if outcome == "retained":
        until = seconds(record.expiry) + 86_400
        keep = sa.update(RECORD).values(retain_until=until, retain_ground="CPC 42")
        reader.desk.home.database.write_sync(lambda each: each.execute(keep))
    cairo.done(WithdrawItem(record.alert_id, WithdrawReason.WITHDRAWN, OFFICER))
    reader.desk.receive(*cairo.take_batches())
    assert counts(reader, RECORD, "status") == {outcome: reader.many + 1}
    assert reader.desk.number("SELECT count(*) FROM node_lookup_page") == 0


def test_any_number_of_own_versions_is_withdrawn(sender: Node) -> None:
    record = sender.desk.alert()
    sender.desk.done(IssueItem(record, None, ("tn-dgsn",), OFFICER))
    fill_versions(sender)
    sender.desk.done(WithdrawItem(record.alert_id, WithdrawReason.WITHDRAWN, OFFICER))
    assert counts(sender, RECORD, "status") == {"withdrawn": sender.many + 1}
    assert sender.desk.number("SELECT count(*) FROM node_withdrawal") == 1


def test_any_number_of_overdue_erasures_may_be_confirmed_at_once(sender: Node) -> None:
    alarm = {"name": ERASURE_OVERDUE, "subject": "", "at_ms": 1, "evidence": ""}
    home = sender.desk.home
    home.database.write_sync(lambda each: each.execute(sa.insert(ALARM), {**alarm, "alarm_no": 1}))
    fill(sender, ALARM, alarm_no=COUNTED, subject=COUNTED)
    home.database.write_sync(
        lambda each: housekeeping.check_erasures(each, home, at=sender.desk.clock())
    )
    assert sender.desk.number("SELECT count(*) FROM node_alarm WHERE lifted_at_ms IS NULL") == 0


def test_a_reader_may_say_of_any_number_of_entries_that_the_hub_refused_them(sender: Node) -> None:
    desk = sender.desk
    desk.done(IssueItem(desk.alert(), None, ("tn-dgsn",), OFFICER))
    log_no = desk.number("SELECT min(log_no) FROM node_stream")
    one = {
        "log_no": log_no,
        "sequence": 0,
        "reason": REFUSED_BY_HUB,
        "registry_size": 1,
        "at_ms": 1,
        "list_no": 1,
    }

    def refuse(connection: sa.Connection) -> None:
        connection.execute(sa.update(STREAM).values(accepted_size=2 * sender.many))
        connection.execute(sa.insert(REFUSAL), {**one, "signer": "tn-dgsn", "settled": False})

    desk.home.database.write_sync(refuse)
    fill(sender, REFUSAL, sequence=COUNTED)
    told = [REFUSAL.c[name] for name in one], sa.literal(HUB), sa.true()
    statement = sa.insert(REFUSAL).from_select(
        [*one, "signer", "settled"], sa.select(*told[0], *told[1:])
    )
    desk.home.database.write_sync(lambda each: each.execute(statement))
    faults = desk.home.database.write_sync(
        lambda each: keep_answers(each, desk.home, Answers(), at=desk.clock())
    )
    assert faults == []
    assert desk.number("SELECT count(*) FROM node_refusal WHERE NOT settled") == 0
    assert desk.alarms() == []
