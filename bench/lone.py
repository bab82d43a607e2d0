"""Measurements that need a federation of their own: catching up, many readers, many records."""

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.measures import product_throughput
from bench.product import POLL_S, Product, running_product
from bench.records import REQUEST_RECORDS, bulk_requests
from bench.resources import sample, used_by, wait_quiet
from bench.result import CatchUp, FanOut, Stored
from bench.watch import Watch

HELD: Final = (
    "SELECT sum(log.size) FROM log JOIN node_stream ON node_stream.log_no = log.log_no "
    "WHERE node_stream.own = 0"
)
STOP_SECONDS_MAX: Final = 15.0
FILL_RECORDS: Final = 8192
FINE_POLL_S: Final = 0.002
IDLE_SECONDS: Final = 3.0


async def catch_up(product: Product, *, records: int) -> CatchUp:
    """Stop the reader, issue, start it again: how fast it verifies, opens and indexes."""
    place = product.reader
    await asyncio.to_thread(wait_quiet, product.pids)
    place.process.ask_to_stop()
    await asyncio.to_thread(place.process.wait_stopped, until=time.monotonic() + STOP_SECONDS_MAX)
    await product.send(bulk_requests(product.records.make(records)))
    await asyncio.to_thread(
        wait_quiet, {"sender": product.pids["sender"], "hub": product.pids["hub"]}
    )
    with Watch(place.database, HELD) as held, product.watch() as opened:
        wanted, first = opened.count() + records, held.count() + 1
        place.process.start()
        began = await held.until(first, every_s=FINE_POLL_S)
        before = used_by(place.process.pid)
        ended = await opened.until(wanted, every_s=POLL_S)
        after = used_by(place.process.pid)
    await asyncio.to_thread(place.process.wait_ready)
    return CatchUp(
        records=records,
        seconds=ended - began,
        reader_cpu_us=(after.cpu_s - before.cpu_s) * 1e6 / records,
    )


async def fan_out(folder: Path, *, readers: int, records: int) -> FanOut:
    """Issue to so many readers; what hub and sender pay, however long the readers take.

    What they use while nothing is sent is measured first and taken off.
    """
    async with running_product(folder, readers=readers) as product:
        pids = {"hub": product.pids["hub"], "sender": product.pids["sender"]}
        everybody = pids | {each.member: each.process.pid for each in product.site.readers}
        requests = bulk_requests(product.records.make(records))
        await asyncio.to_thread(wait_quiet, everybody)
        idle = await _used_while(pids, asyncio.sleep(IDLE_SECONDS))
        used = await _used_while(pids, _sent_and_quiet(product, requests, everybody))
    hub, sender = (
        (used.cpu_s[role] - idle.cpu_s[role] / idle.seconds * used.seconds) * 1e6 / records
        for role in ("hub", "sender")
    )
    return FanOut(readers=readers, records=records, hub_cpu_us=hub, sender_cpu_us=sender)


async def _sent_and_quiet(
    product: Product, requests: Sequence[bytes], everybody: Mapping[str, int]
) -> None:
    counts: list[int] = []
    for place in product.site.readers:
        with product.watch(place) as watch:
            counts.append(watch.count())
    await product.send(requests)
    for place, count in zip(product.site.readers, counts, strict=True):
        with product.watch(place) as watch:
            await watch.until(count + len(requests) * REQUEST_RECORDS, every_s=POLL_S)
    await asyncio.to_thread(wait_quiet, everybody)


@dataclass(frozen=True, slots=True)
class _Usage:
    """CPU of some processes by role, in a time."""

    seconds: float
    cpu_s: dict[str, float]


async def _used_while(pids: Mapping[str, int], act: Awaitable[None]) -> _Usage:
    before, began = sample(pids), time.perf_counter()
    await act
    seconds, after = time.perf_counter() - began, sample(pids)
    return _Usage(seconds, {role: after[role].cpu_s - before[role].cpu_s for role in pids})


async def stored(product: Product, *, level: int, records: int) -> Stored:
    """Fill the stores up to a level, and measure what a record costs from there."""
    with product.watch() as watch:
        while (there := watch.count()) < level:
            count = min(FILL_RECORDS, level - there)
            await product.send(bulk_requests(product.records.make(count)))
            await watch.until(there + count, every_s=POLL_S)
    return Stored(stored=level, throughput=await product_throughput(product, records=records))
