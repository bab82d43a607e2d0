"""From an officer of one agency to the store of another, and back, over real TLS and gRPC."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from mithaq.node.exchange.acts import AnswerItem
from mithaq.node.exchange.stored import RECORD, open_row
from mithaq.node.records.model import seal_in
from mithaq.v1 import record_pb2, subject_pb2
from tests.exchange.nodes import OFFICER, Node, next_version
from tests.hub.running import RunningHub, prepare, running, three_members


@dataclass
class Exchange:
    """A hub and two nodes that are connected to it."""

    hub: RunningHub
    cairo: Node
    tunis: Node


@pytest.fixture
async def exchange(tmp_path: Path) -> AsyncIterator[Exchange]:
    federation = three_members()
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(
            running(federation, prepare(federation, tmp_path / "hub"))
        )
        cairo = Node(federation, "eg-moi", tmp_path / "cairo").open()
        tunis = Node(federation, "tn-dgsn", tmp_path / "tunis").open()
        stack.callback(cairo.close)
        stack.callback(tunis.close)
        await stack.enter_async_context(cairo.connected(hub))
        await stack.enter_async_context(tunis.connected(hub))
        yield Exchange(hub, cairo, tunis)


async def test_an_alert_reaches_every_reader_and_their_receipts_come_back(
    exchange: Exchange,
) -> None:
    cairo, tunis = exchange.cairo, exchange.tunis
    record = cairo.alert()
    (result,) = await cairo.issue(record)
    assert result.disclosures[0].recipients == ("int-iom", "tn-dgsn")
    await tunis.until_counted("node_record", "status = 'live' AND own = 0")
    row = await tunis.home.database.read(lambda each: each.execute(RECORD.select()).one())
    assert open_row(row, tunis.home.storage).record == record.raw
    for role in ("held", "opened"):
        await cairo.until_counted("node_receipt", f"role = '{role}' AND reader = 'tn-dgsn'")
    await cairo.until_counted("node_acceptance", "size > 1")


async def test_a_withdrawn_alert_is_erased_at_the_reader_who_confirms_it(
    exchange: Exchange,
) -> None:
    cairo, tunis = exchange.cairo, exchange.tunis
    record = cairo.alert()
    await cairo.issue(record)
    await tunis.until_counted("node_record", "status = 'live'")
    await cairo.withdraw(record.alert_id)
    await tunis.until_counted("node_record", "status = 'erased' AND body IS NULL")
    await cairo.until_counted("node_erasure", "state = 'ERASED' AND reader = 'tn-dgsn'")
    assert await cairo.count("node_record", "body IS NOT NULL") == 0
    assert await tunis.count("node_erasure_task") == 0


async def test_a_next_version_supersedes_the_one_before_at_the_reader(
    exchange: Exchange,
) -> None:
    cairo, tunis = exchange.cairo, exchange.tunis
    record = cairo.alert()
    await cairo.issue(record)
    await cairo.update(next_version(record))
    await tunis.until_counted("node_record", "status = 'live' AND version = 2")
    assert await tunis.count("node_record", "status = 'superseded' AND version = 1") == 1


async def test_a_hit_report_goes_to_the_issuer_alone(exchange: Exchange) -> None:
    cairo, tunis = exchange.cairo, exchange.tunis
    record = cairo.alert()
    (issued,) = await cairo.issue(record)
    await tunis.until_counted("node_record", "status = 'live'")
    at = int(tunis.clock().timestamp())
    report = seal_in(
        record_pb2.Record(
            hit_report=record_pb2.HitReport(
                hit_id="tn-dgsn-" + record.alert_id[-26:],
                reporter="tn-dgsn",
                alert_id=record.alert_id,
                alert_version=1,
                matched=record_pb2.DisclosureName(
                    stream_id=issued.disclosures[0].stream_id,
                    sequence=issued.disclosures[0].sequence,
                ),
                found_at=at,
                created_at=at,
                place=subject_pb2.Place(city="Marsa Kalid"),
                outcome=record_pb2.ACTION_OUTCOME_TAKEN,
                officer_reference="OFF-1",
                case_reference="CASE-1",
                handling=record_pb2.HANDLING_H0,
            )
        )
    )
    await tunis.session.outbox.answer(
        AnswerItem("eg-moi", "test-agreement", report, OFFICER, match_id="m-1")
    )
    await cairo.until_counted("node_hit", "status = 'received' AND reporter = 'tn-dgsn'")
    assert await tunis.count("node_hit", "status = 'confirmed'") == 1


async def test_nodes_that_start_again_go_on_where_they_were(exchange: Exchange) -> None:
    hub, cairo = exchange.hub, exchange.cairo
    await cairo.issue()
    await exchange.tunis.until_counted("node_record", "status = 'live'")
    # Another process of the same agency: the database is all that it has.
    again = Node(hub.federation, "tn-dgsn", exchange.tunis.folder, storage=exchange.tunis.storage)
    exchange.tunis.running.cancel()
    await cairo.issue(*(cairo.alert() for _ in range(5)))
    again.open()
    async with again.connected(hub):
        await again.until_counted("node_record", "status = 'live'", count=6)
    again.close()
    assert await cairo.count("node_alarm") == 0
