"""A full file system at the hub and at a node: refused, nothing half stored, and it goes on."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from mithaq.node.exchange.acts import IssueItem
from mithaq.store.errors import DiskFullError
from tests.exchange.nodes import OFFICER, Node
from tests.exchange.relay import Desk, desk
from tests.faults.volume import Volume, small_volume
from tests.federation import Federation, standard_federation
from tests.hub.running import prepare, three_members
from tests.hub.test_faults import process

SENDER, READER = "eg-moi", "tn-dgsn"
ALERTS = 24
REFUSING_S = 4.0
SOON_S = 30.0


@pytest.fixture(params=[True, False], ids=["volume", "limit"])
def volume(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Volume]:
    with small_volume(tmp_path / "volume", may_mount=request.param) as volume:
        yield volume


@pytest.fixture
def federation() -> Federation:
    return three_members()


@pytest.mark.timeout(180)
async def test_a_hub_without_room_takes_nothing_and_all_of_it_once_there_is_some(
    tmp_path: Path, volume: Volume, federation: Federation
) -> None:
    folder = volume.folder / "hub"
    prepare(federation, folder)
    sender, reader = (Node(federation, each, tmp_path / each).open() for each in (SENDER, READER))
    async with (
        process(folder) as (pid, port),
        sender.session_to(lambda: f"127.0.0.1:{port}"),
        reader.session_to(lambda: f"127.0.0.1:{port}"),
    ):
        await sender.until(lambda: sender.session.connected)
        await sender.issue(sender.alert())
        await reader.until_counted("node_record")
        volume.fill(pid=pid)
        for _ in range(ALERTS):
            await sender.issue(sender.alert())
        await asyncio.sleep(REFUSING_S)
        assert await reader.count("node_record") == 1
        assert sender.session.publisher.unaccepted_entries >= ALERTS
        volume.free(pid=pid)
        await sender.until(
            lambda: sender.session.publisher.unaccepted_entries == 0, within_s=SOON_S
        )
        await reader.until_counted("node_record", count=1 + ALERTS)
        rows = await reader.query("SELECT count(*), count(DISTINCT alert_id) FROM node_record")
        assert tuple(rows[0]) == (1 + ALERTS, 1 + ALERTS)
        assert await sender.query("SELECT name FROM node_alarm") == []
        assert await reader.query("SELECT name FROM node_alarm") == []
    sender.close()
    reader.close()


def issue_until_refused(node: Desk) -> None:
    """Issue until there is no room: in the last pages of what may not grow is still some."""
    for _ in range(ALERTS * ALERTS):
        node.done(IssueItem(node.alert(), None, None, OFFICER))


def test_a_node_without_room_issues_nothing_and_says_why_until_there_is_some(
    volume: Volume,
) -> None:
    node = desk(standard_federation(), SENDER, volume.folder)
    node.done(IssueItem(node.alert(), None, None, OFFICER))
    volume.fill(database=node.home.database)
    with pytest.raises(DiskFullError):
        issue_until_refused(node)
    kept, told = node.number("SELECT count(*) FROM node_record"), len(node.batches)
    volume.free(database=node.home.database)
    node.done(IssueItem(node.alert(), None, None, OFFICER))
    assert node.number("SELECT count(*) - 1 FROM node_record") == kept
    assert len(node.batches) == told + 1
    node.close()
