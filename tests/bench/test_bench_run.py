"""The measurement itself, as short as it can be: real processes, no figure is judged."""

import asyncio
import os
import sqlite3
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench import watch
from bench.__main__ import measured
from bench.content import content_cost
from bench.errors import StoppedError
from bench.machine import fsync_cost
from bench.plan import run
from bench.probe.durable import Durable
from bench.probe.frame import Sealer, pack, unpack
from bench.probe.side import running_probe
from bench.records import Records, bulk_requests
from bench.resources import Used, cpu_us_per_record, used_by
from bench.result import Content
from bench.sizes import Sizes
from bench.statistics import spread
from bench.watch import Watch
from mithaq.v1 import local_pb2

SMALLEST = Sizes(
    rounds=1,
    records=256,
    probe_records=256,
    singles=2,
    callers=(2,),
    callers_records=8,
    catch_up=256,
    stored=(300, 600),
    nodes=3,
    readers=(2,),
    fan_out=256,
    period_s=2,
    cold_sync=300,
)


# --- probe ----------------------------------------------------------------------------


@pytest.mark.parametrize("bodies", [[b""], [b"a", b"", b"bc" * 1000], [b"x"] * 256])
def test_a_batch_of_the_probe_comes_out_as_it_went_in(bodies: list[bytes]) -> None:
    assert unpack(pack(bodies, Ed25519PrivateKey.generate())) == bodies


def test_the_probe_really_seals_each_body() -> None:
    key = os.urandom(32)
    records = [b"canary" * 10, b"canary" * 10]
    sealed = Sealer(key).seal(records)
    assert b"canary" not in sealed[0]
    # Not one nonce twice, however equal the records are.
    assert sealed[0][:12] != sealed[1][:12]
    assert [Sealer(key).open(each) for each in sealed] == records


async def test_what_the_probe_calls_durable_is_in_another_connection_s_sight(
    tmp_path: Path,
) -> None:
    rows = Durable(tmp_path / "rows.db")
    await asyncio.gather(*(rows.add([b"a", b"b"]) for _ in range(3)))
    with Watch(tmp_path / "rows.db", "SELECT count(*) FROM record") as seen:
        assert seen.count() == 6


async def test_the_probe_carries_records_to_its_reader(tmp_path: Path) -> None:
    async with running_probe(tmp_path / "probe") as probe:
        await probe.load([b"record %d" % number for number in range(256)])
        records = Records.of("eg-moi").make(257)
        with probe.watch() as seen:
            await probe.send_from_memory(count=300)
            await probe.issue(b"a single one")
            await probe.send(bulk_requests(records))
            await seen.until(558, every_s=0.01)
    reader = sqlite3.connect(tmp_path / "probe" / "reader.db")
    bodies = [body for (body,) in reader.execute("SELECT body FROM record ORDER BY number")]
    reader.close()
    assert bodies[:2] == [b"record 0", b"record 1"]
    assert bodies[256] == b"record 0"
    assert bodies[300] == b"a single one"
    assert sorted(bodies[301:]) == sorted(each.raw for each in records)


# --- means ----------------------------------------------------------------------------


def test_records_are_about_a_kilobyte_and_each_is_another() -> None:
    records = Records.of("eg-moi").make(300)
    assert len({each.alert_id for each in records}) == 300
    assert 700 < sum(len(each.raw) for each in records) / 300 < 1300
    requests = [local_pb2.IssueManyRequest.FromString(each) for each in bulk_requests(records)]
    assert [len(each.items) for each in requests] == [256, 44]


def test_cpu_is_counted_from_one_sample_to_the_next() -> None:
    before, after = {"hub": Used(1.0, 50)}, {"hub": Used(1.5, 60)}
    assert cpu_us_per_record(before, after, records=1000) == {"hub": pytest.approx(500)}


def test_what_this_process_uses_is_seen() -> None:
    before, ends = used_by(os.getpid()), time.process_time() + 0.1
    while time.process_time() < ends:
        pass
    after = used_by(os.getpid())
    assert after.cpu_s - before.cpu_s >= 0.05
    assert after.peak_rss_mib > 10


async def test_a_count_that_comes_no_further_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "STILL_SECONDS_MAX", 0.05)
    await Durable(tmp_path / "rows.db").add([b"a"])
    with Watch(tmp_path / "rows.db", "SELECT count(*) FROM record") as seen:
        assert await seen.until(1, every_s=0.001) <= time.perf_counter()
        with pytest.raises(StoppedError, match="1 of 2"):
            await seen.until(2, every_s=0.001)


def test_syncing_costs_something(tmp_path: Path) -> None:
    cost = fsync_cost(tmp_path)
    assert 0 < cost.p50_us <= cost.p99_us
    assert list(tmp_path.iterdir()) == []


def test_content_costs_something_and_bounds_what_can_be_reached() -> None:
    cost = content_cost()
    assert cost.reading_us.median > 0 < cost.indexing_us.median
    free = Content(reading_us=spread([15.0]), indexing_us=spread([5.0]))
    assert free.share_at_most(40.0) == 0.5


# --- whole ----------------------------------------------------------------------------


@pytest.mark.timeout(240)
async def test_a_very_short_run_measures_what_it_is_asked_for(tmp_path: Path) -> None:
    said: list[str] = []
    only = ("end_to_end", "single", "callers", "catch_up")
    found = await run(SMALLEST, only=only, folder=tmp_path, say=said.append)
    result = measured(found, command="make bench")
    assert result.end_to_end is not None
    (played,) = result.end_to_end.rounds
    assert played.ratio == result.end_to_end.ratio.median > 0
    assert result.end_to_end.ratio_from_memory.median > 0
    assert set(played.product.cpu_us) == set(played.probe.cpu_us) == {"sender", "hub", "reader"}
    assert result.single is not None
    assert result.single.product.count == result.single.probe.count == 2
    assert [each.callers for each in result.callers] == [2]
    assert result.catch_up is not None
    assert result.catch_up.records == 256
    assert result.fsync is None
    assert result.stored == ()
    assert said
    # Keys and records of the run are gone with it.
    assert left_in(tmp_path) == []


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())
