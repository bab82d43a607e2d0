"""A reader that was away, and many readers."""

import asyncio
import os
import time
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.federation import Members
from bench.product import POLL_S, Product, running_product
from bench.records import bulk_requests
from bench.resources import keep_on, used_by, used_while, wait_quiet
from bench.result import Absence, CatchUp, FanOut
from bench.statistics import spread
from bench.watch import Watch
from mithaq.cli.demo.processes import Process

HELD: Final = (
    "SELECT sum(log.size) FROM log JOIN node_stream ON node_stream.log_no = log.log_no "
    "WHERE node_stream.own = 0"
)
STOP_SECONDS_MAX: Final = 15.0
FINE_POLL_S: Final = 0.002
# Many nodes that have just come up are busy with one another for a while.
SETTLED_SECONDS_MAX: Final = 60.0


async def catch_up(product: Product, *, rounds: int, records: int) -> CatchUp:
    """Stop the reader, issue, start it again: how fast it verifies, opens and indexes."""
    absences = [await _absence(product, records=records) for _ in range(rounds)]
    rate = spread([records / each.seconds for each in absences])
    return CatchUp(records=records, absences=tuple(absences), rate=rate)


async def _absence(product: Product, *, records: int) -> Absence:
    place = product.reader
    await asyncio.to_thread(wait_quiet, product.pids)
    await stop(place.process)
    await product.send(bulk_requests(product.records.make(records)))
    working = {"sender": product.pids["sender"], "hub": product.pids["hub"]}
    await asyncio.to_thread(wait_quiet, working)
    with Watch(place.database, HELD) as held, product.watch() as opened:
        wanted, first = opened.count() + records, held.count() + 1
        place.process.start()
        began = await held.until(first, every_s=FINE_POLL_S)
        before = used_by(place.process.pid)
        ended = await opened.until(wanted, every_s=POLL_S)
        after = used_by(place.process.pid)
    await asyncio.to_thread(place.process.wait_ready)
    cpu_us = (after.cpu_s - before.cpu_s) * 1e6 / records
    return Absence(seconds=ended - began, reader_cpu_us=cpu_us)


async def stop(process: Process) -> None:
    """Let a process end, and return when it has."""
    process.ask_to_stop()
    await asyncio.to_thread(process.wait_stopped, until=time.monotonic() + STOP_SECONDS_MAX)


async def fan_out(
    folder: Path, *, readers: int, records: int, apart: bool, period_s: float
) -> FanOut:
    """Issue to so many readers; what hub and sender pay, however long the readers take.

    `apart`: readers have a processor to themselves, as they have machines. What hub and
    sender use while nothing is sent is measured before it and taken off. Both times are
    whole periods, for what is done by the clock is done once in each; and the first is let
    pass, for then all tell each other what they signed as they began.
    """
    async with running_product(folder, Members(readers=readers)) as product:
        pids = {"hub": product.pids["hub"], "sender": product.pids["sender"]}
        everybody = pids | {each.member: each.process.pid for each in product.site.readers}
        requests = bulk_requests(product.records.make(records))
        if apart:
            _part(pids.values(), (each.process.pid for each in product.site.readers))
        await asyncio.to_thread(wait_quiet, everybody, within_s=SETTLED_SECONDS_MAX)
        await asyncio.sleep(period_s)
        await asyncio.to_thread(wait_quiet, everybody, within_s=SETTLED_SECONDS_MAX)
        idle = await used_while(pids, asyncio.sleep(period_s))
        sending = _sent_and_quiet(product, requests, records=records, everybody=everybody)
        used = await used_while(pids, _whole_periods(sending, period_s))
    hub, sender = (used.beyond(idle, role) * 1e6 / records for role in ("hub", "sender"))
    return FanOut(
        readers=readers, apart=apart, records=records, hub_cpu_us=hub, sender_cpu_us=sender
    )


def can_part() -> bool:
    """Tell whether this machine has processors to tell apart."""
    return len(os.sched_getaffinity(0)) > 1


def _part(measured: Iterable[int], readers: Iterable[int]) -> None:
    *rest, last = sorted(os.sched_getaffinity(0))
    keep_on(measured, rest)
    keep_on(readers, [last])


async def _whole_periods(act: Awaitable[None], period_s: float) -> None:
    """Do something, and then nothing until the period that was begun is over."""
    began = time.monotonic()
    await act
    await asyncio.sleep(-(time.monotonic() - began) % period_s)


async def _sent_and_quiet(
    product: Product, requests: Sequence[bytes], *, records: int, everybody: Mapping[str, int]
) -> None:
    counts: list[int] = []
    for place in product.site.readers:
        with product.watch(place) as watch:
            counts.append(watch.count())
    await product.send(requests)
    for place, count in zip(product.site.readers, counts, strict=True):
        with product.watch(place) as watch:
            await watch.until(count + records, every_s=POLL_S)
    await asyncio.to_thread(wait_quiet, everybody)
