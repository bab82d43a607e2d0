"""Measurements on federations of their own, as small as they can be; no figure is judged."""

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench import returning
from bench.joining import cold_sync
from bench.link import Link, running_link
from bench.lone import can_part, fan_out
from bench.plan import Found
from bench.resources import keep_on
from bench.storing import Growth, Plan, grow

ROLES = {"sender", "hub", "reader"}


@pytest.mark.timeout(180)
async def test_hub_and_sender_are_measured_with_several_readers(tmp_path: Path) -> None:
    began = time.monotonic()
    place = tmp_path / "readers"
    found = await fan_out(place, readers=2, records=256, apart=can_part(), period_s=2)
    assert (found.readers, found.records, found.apart) == (2, 256, can_part())
    # Nothing is measured in the first period, idle in the second, at work in whole ones.
    assert time.monotonic() - began >= 3 * 2


def test_processes_are_kept_on_the_processors_they_are_given() -> None:
    allowed = os.sched_getaffinity(0)
    wanted = {max(allowed)}
    with subprocess.Popen(["sleep", "60"]) as process:  # noqa: S607 - of every machine
        keep_on([process.pid], wanted)
        found = os.sched_getaffinity(process.pid)
        process.kill()
    assert found == wanted
    assert os.sched_getaffinity(0) == allowed


@pytest.mark.timeout(180)
async def test_a_party_that_joins_is_told_all_that_is_live(tmp_path: Path) -> None:
    found = await cold_sync(tmp_path / "joining", records=300)
    # And the one record that every federation is warmed with.
    assert found.records in {300, 301}
    assert set(found.cpu_us) == ROLES


@pytest.mark.timeout(240)
async def test_a_federation_grows_and_its_nodes_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(returning, "SETTLING_SECONDS", 0.5)
    monkeypatch.setattr(returning, "IDLE_SECONDS", 0.5)
    growth, said = Growth(), Found(lambda _said: None)
    plan = Plan(levels=(256, 512), rounds=1, records=256, nodes=3)
    await grow(tmp_path / "stored", plan, growth, say=said.say, noting=said.noting)
    costs, returns = growth.costs, growth.returns
    assert said.not_measured == {}
    assert [each.stored for each in costs] == [256, 512]
    assert all(set(each.peak_rss_mib) == ROLES for each in costs)
    assert [(each.nodes, each.returns) for each in returns] == [(3, 3), (3, 3)]
    first, last = returns
    assert first.stored < last.stored
    assert min(first.bytes_up, first.bytes_down, last.bytes_up, last.bytes_down) > 1000


@pytest.mark.parametrize(("nodes", "back"), [(2, []), (3, [10, 30])])
def test_nodes_come_back_at_the_first_and_at_the_last_level(nodes: int, back: list[int]) -> None:
    plan = Plan(levels=(10, 20, 30), rounds=1, records=256, nodes=nodes)
    assert [level for level in plan.levels if plan.comes_back(level)] == back


# --- links ----------------------------------------------------------------------------


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(1024):
        writer.write(chunk * 2)
    writer.close()


@pytest.fixture
async def link() -> AsyncIterator[Link]:
    """Return a link to a server that says everything twice."""
    talks: list[asyncio.Task[None]] = []

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(asyncio.ensure_future(echo(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    async with running_link(server.sockets[0].getsockname()[1]) as link:
        yield link
    server.close()
    await asyncio.gather(*talks, return_exceptions=True)


async def echoed(link: Link, said: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    writer.write(said)
    answer = await reader.readexactly(2 * len(said))
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_link_carries_and_counts_both_ways(link: Link) -> None:
    assert await echoed(link, b"abc") == b"abcabc"
    assert (link.bytes_up, link.bytes_down) == (3, 6)


async def test_a_link_that_is_cut_ends_what_it_carries_and_takes_the_next(link: Link) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    writer.write(b"a")
    assert await reader.readexactly(2) == b"aa"
    link.cut()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await reader.readexactly(1)
    writer.close()
    assert await echoed(link, b"again") == b"againagain"
