"""Which measurements a run makes and in which order; one that fails leaves the others alone."""

import asyncio
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Collection, Generator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import nats.errors
import psycopg

from bench import joining, lone, machine, measures, storing
from bench.by_as4 import by_as4
from bench.callers import one_by_one
from bench.content import content_cost
from bench.errors import MeasureError
from bench.federation import SENDER
from bench.nats import Nats, running_nats
from bench.on_postgres import on_postgres
from bench.probe.side import Probe, running_probe
from bench.product import Product, running_product
from bench.records import REQUEST_RECORDS, Records, bulk_requests
from bench.result import As4, Callers, EndToEnd, FanOut
from bench.sizes import Sizes
from mithaq.cli.errors import CliError

Say = Callable[[str], None]
WITH_BOTH: Final = ("end_to_end", "single", "callers", "as4", "catch_up")
ALONE: Final = ("fsync", "content", "postgres", "fan_out", "stored", "cold_sync")
FIGURES: Final = (*WITH_BOTH, *ALONE)
# Without these a run has measured nothing worth the name.
NEEDED: Final = frozenset({"end_to_end", "single", "catch_up"})
_EXPECTED: Final = (
    MeasureError,
    CliError,
    OSError,
    TimeoutError,
    grpc.RpcError,
    nats.errors.Error,
    psycopg.Error,
    sqlite3.Error,
    subprocess.SubprocessError,
)


@dataclass(frozen=True, slots=True)
class Found:
    """Figures by their names in a result, and why there is none of the others."""

    say: Say
    figures: dict[str, Any] = field(default_factory=dict[str, Any])
    not_measured: dict[str, str] = field(default_factory=dict[str, str])

    async def add(self, name: str, words: str, measured: Awaitable[Any]) -> None:
        """Await a figure and keep it, or note why there is none."""
        self.say(words)
        with self.noting(name):
            self.figures[name] = await measured

    @contextmanager
    def noting(self, *names: str) -> Generator[None]:
        """Note for these figures, if not found, why what the block did went wrong."""
        try:
            yield
        except _EXPECTED as fault:
            why = _told(fault)
            for name in names:
                if not self.figures.get(name):
                    self.not_measured.setdefault(name, why)
                    self.say(f"{name}: not measured: {why}")

    def missing(self, asked: Collection[str]) -> list[str]:
        """Return what was asked for and is needed, but could not be measured at all."""
        return sorted(name for name in NEEDED & set(asked) if not self.figures.get(name))


async def run(sizes: Sizes, *, only: Collection[str], folder: Path, say: Say) -> Found:
    """Return the figures that are asked for, each of `FIGURES`.

    Folders of the processes are made below `folder`, and are gone at the end.
    """
    found = Found(say)
    place = await asyncio.to_thread(_new_folder, folder)
    try:
        if "fsync" in only:
            found.figures["fsync"] = machine.fsync_cost(place)
        if "content" in only:
            found.figures["content"] = await asyncio.to_thread(content_cost)
        asked = [name for name in WITH_BOTH if name in only]
        if asked:
            with found.noting(*asked):
                await _with_both(found, sizes, only=asked, folder=place)
        await _alone(found, sizes, only=only, folder=place)
    finally:
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
    return found


def _told(fault: Exception) -> str:
    said = [type(fault).__name__, str(fault)]
    if isinstance(fault, CliError):
        said.append(fault.why)
    return ": ".join(each for each in said if each)


def _new_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="bench-", dir=folder))


# --- on one federation, beside the probe ----------------------------------------------


async def _with_both(found: Found, sizes: Sizes, *, only: Collection[str], folder: Path) -> None:
    async with AsyncExitStack() as stack:
        found.say("starting product and probe")
        product = await stack.enter_async_context(running_product(folder / "product"))
        probe = await stack.enter_async_context(running_probe(folder / "probe"))
        await probe.load([each.raw for each in Records.of(SENDER).make(REQUEST_RECORDS)])
        if "end_to_end" in only:
            words = f"end to end, {sizes.rounds} rounds of product and probe"
            await found.add("end_to_end", words, _end_to_end(sizes, product, probe))
        if "single" in only:
            words = f"one record at a time, {sizes.rounds} rounds of {sizes.singles} each"
            singles = measures.single(product, probe, rounds=sizes.rounds, each=sizes.singles)
            await found.add("single", words, singles)
        if "callers" in only:
            await found.add("callers", "many callers", _callers(found, sizes, product, folder))
        if "as4" in only and sizes.as4_rounds:
            await found.add("as4", "the same records by AS4", _as4(sizes, product))
        if "catch_up" in only:
            away = lone.catch_up(product, rounds=sizes.absences, records=sizes.catch_up)
            await found.add("catch_up", "a reader that was away", away)


async def _end_to_end(sizes: Sizes, product: Product, probe: Probe) -> EndToEnd:
    # What only the first batches cost is nobody's round.
    await measures.product_throughput(product, records=4 * REQUEST_RECORDS)
    await probe.send(bulk_requests(product.records.make(4 * REQUEST_RECORDS)))
    return await measures.end_to_end(
        product,
        probe,
        rounds=sizes.rounds,
        records=sizes.records,
        probe_records=sizes.probe_records,
    )


async def _callers(
    found: Found, sizes: Sizes, product: Product, folder: Path
) -> tuple[Callers, ...]:
    async with AsyncExitStack() as stack:
        beside: Nats | None = None
        with found.noting("nats"):
            beside = await stack.enter_async_context(running_nats(folder / "nats"))
        played = [
            await one_by_one(
                product,
                beside,
                callers=callers,
                rounds=sizes.callers_rounds,
                records=sizes.callers_records,
                noting=found.noting,
            )
            for callers in sizes.callers
        ]
    return tuple(played)


async def _as4(sizes: Sizes, product: Product) -> As4:
    return await by_as4(
        product,
        rounds=sizes.as4_rounds,
        records=sizes.records,
        as4_records=sizes.as4_records,
    )


# --- each on a federation of its own --------------------------------------------------


async def _alone(found: Found, sizes: Sizes, *, only: Collection[str], folder: Path) -> None:
    if "postgres" in only and sizes.postgres_rounds:
        there = on_postgres(
            folder / "postgres", rounds=sizes.postgres_rounds, records=sizes.records
        )
        await found.add("postgres", "the hub on PostgreSQL", there)
    if "fan_out" in only and sizes.readers:
        await found.add("fan_out", "many readers", _fan_out(sizes, folder, found.say))
    if "stored" in only and sizes.stored:
        with found.noting("stored"):
            await _stored(found, sizes, folder / "stored")
    if "cold_sync" in only and sizes.cold_sync:
        words = f"a party joins, {sizes.cold_sync:,} live records"
        joined = joining.cold_sync(folder / "joining", records=sizes.cold_sync)
        await found.add("cold_sync", words, joined)


async def _fan_out(sizes: Sizes, folder: Path, say: Say) -> tuple[FanOut, ...]:
    found: list[FanOut] = []
    plays = [(readers, True) for readers in sizes.readers] if lone.can_part() else []
    # And the most of them once more, where all share all processors.
    plays += [(readers, False) for readers in (sizes.readers[-1:] if plays else sizes.readers)]
    for readers, apart in plays:
        say(f"{readers} readers" + ("" if apart else ", on any processor"))
        place = folder / f"readers-{readers}"
        found.append(
            await lone.fan_out(
                place,
                readers=readers,
                records=sizes.fan_out,
                apart=apart,
                period_s=sizes.period_s,
            )
        )
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
    return tuple(found)


async def _stored(found: Found, sizes: Sizes, folder: Path) -> None:
    found.say("many records")
    growth = storing.Growth()
    plan = storing.Plan(sizes.stored, sizes.stored_rounds, sizes.records, sizes.nodes)
    try:
        await storing.grow(folder, plan, growth, say=found.say, noting=found.noting)
    finally:
        found.figures["stored"] = tuple(growth.costs)
        found.figures["reconnect"] = tuple(growth.returns)
