"""The measurements: product and probe in turn, and what only the product can be asked.

CPU is sampled when all has come to rest, so that receipts, acceptances and what else
follows a record is paid for by it. The rule: both sides are watched by the same means.
"""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from statistics import mean
from typing import Final, NamedTuple, Protocol

from bench.probe.side import Probe
from bench.product import POLL_S, Product
from bench.records import bulk_requests
from bench.resources import cpu_us_per_record, sample, wait_quiet
from bench.result import EndToEnd, Latency, Round, Single, Throughput
from bench.statistics import latency, ratio_of_all, spread
from bench.watch import Watch
from mithaq.node.records.model import ParsedRecord

# A record is looked for this often, where every tenth of a millisecond counts.
FINE_POLL_S: Final = 0.0003
PAUSE_S: Final = 0.02
LOOKED_UP: Final = 8


class Side(Protocol):
    """Product or probe."""

    @property
    def pids(self) -> dict[str, int]:
        """Processes by role."""
        ...

    def watch(self) -> Watch:
        """Return a count of what is durable at the reader."""
        ...

    async def issue(self, raw: bytes) -> None:
        """Issue one record."""
        ...


# --- end to end -----------------------------------------------------------------------


async def end_to_end(
    product: Product, probe: Probe, *, rounds: int, records: int, probe_records: int
) -> EndToEnd:
    """Send in bulk, product and probe in turn: the same caller, records of the same kind."""
    played: list[Round] = []
    for _ in range(rounds):
        ours = await product_throughput(product, records=records)
        made = bulk_requests(product.records.make(probe_records))
        bare = await timed(probe, probe.send(made), records=probe_records)
        feeding = probe.send_from_memory(count=probe_records)
        alone = await timed(probe, feeding, records=probe_records)
        played.append(Round(product=ours, probe=bare, from_memory=alone))
    return EndToEnd(
        rounds=tuple(played),
        ratio=spread([each.ratio for each in played]),
        ratio_from_memory=spread([each.ratio_from_memory for each in played]),
    )


async def product_throughput(product: Product, *, records: int) -> Throughput:
    """Send new records in bulk through the product."""
    return await carried(product, product.records.make(records))


async def carried(product: Product, made: Sequence[ParsedRecord]) -> Throughput:
    """Send records in bulk through the product, and look some of them up at the reader."""
    measured = await timed(product, product.send(bulk_requests(made)), records=len(made))
    await product.check_found(made[:: max(1, len(made) // LOOKED_UP)])
    return measured


async def timed(side: Side, sending: Awaitable[None], *, records: int) -> Throughput:
    """Time a sending until so many more records are durable at the reader."""
    await asyncio.to_thread(wait_quiet, side.pids)
    with side.watch() as watch:
        wanted = watch.count() + records
        before, began = sample(side.pids), time.perf_counter()
        sent = asyncio.ensure_future(sending)
        ended = await watch.until(wanted, every_s=POLL_S)
        await sent
    await asyncio.to_thread(wait_quiet, side.pids)
    after = sample(side.pids)
    return Throughput(
        records=records,
        seconds=ended - began,
        cpu_us=cpu_us_per_record(before, after, records=records),
        peak_rss_mib={role: used.peak_rss_mib for role, used in after.items()},
    )


# --- one at a time --------------------------------------------------------------------


async def single(product: Product, probe: Probe, *, rounds: int, each: int) -> Single:
    """Send records one at a time on idle processes, product and probe in turn."""
    ours: list[_Singles] = []
    bare: list[_Singles] = []
    for _ in range(rounds):
        raws = [record.raw for record in product.records.make(each)]
        ours.append(await _singles(product, raws))
        bare.append(await _singles(probe, raws))
    mine, its = ([each.times for each in side] for side in (ours, bare))
    return Single(
        product=_latency(ours),
        probe=_latency(bare),
        ratio_p50=ratio_of_all(mine, its, 0.50),
        ratio_p99=ratio_of_all(mine, its, 0.99),
    )


class _Singles(NamedTuple):
    """Times of a round in seconds, and the CPU that a record took by role, in µs."""

    times: list[float]
    cpu_us: dict[str, float]


def _latency(played: Sequence[_Singles]) -> Latency:
    cpu_us = {role: mean(each.cpu_us[role] for each in played) for role in played[0].cpu_us}
    return latency([time for each in played for time in each.times], cpu_us=cpu_us)


async def _singles(side: Side, raws: Sequence[bytes]) -> _Singles:
    await asyncio.to_thread(wait_quiet, side.pids)
    times: list[float] = []
    before = sample(side.pids)
    with side.watch() as watch:
        count = watch.count()
        for number, raw in enumerate(raws, start=1):
            began = time.perf_counter()
            sent = asyncio.ensure_future(side.issue(raw))
            times.append(await watch.until(count + number, every_s=FINE_POLL_S) - began)
            await sent
            await asyncio.sleep(PAUSE_S)
    after = sample(side.pids)
    return _Singles(times, cpu_us_per_record(before, after, records=len(raws)))
