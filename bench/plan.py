"""Which measurements a run makes, of what size, and in which order.

The short form is for CI: it shows that everything still runs, and a first figure.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc

from bench import lone, machine, measures
from bench.federation import SENDER
from bench.probe.side import Probe, running_probe
from bench.product import MeasureError, Product, running_product
from bench.records import REQUEST_RECORDS, Records, bulk_requests
from bench.result import Callers, EndToEnd, FanOut, Stored
from bench.watch import StoppedError
from mithaq.cli.errors import CliError

Say = Callable[[str], None]
NAMES: Final = ("fsync", "end-to-end", "single", "callers", "catch-up", "fan-out", "stored")
_WITH_BOTH: Final = frozenset({"end-to-end", "single", "callers", "catch-up"})


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much a form measures."""

    rounds: int
    records: int
    probe_records: int
    singles: int
    callers: tuple[int, ...]
    callers_records: int
    catch_up: int
    readers: tuple[int, ...]
    fan_out: int
    stored: tuple[int, ...]


SHORT: Final = Sizes(
    rounds=3,
    records=4096,
    probe_records=16_384,
    singles=20,
    callers=(16,),
    callers_records=1024,
    catch_up=4096,
    readers=(),
    fan_out=0,
    stored=(),
)
FULL: Final = Sizes(
    rounds=5,
    records=8192,
    # Both sides of a round last for seconds, whoever else uses the machine.
    probe_records=65_536,
    singles=100,
    callers=(16, 256),
    callers_records=4096,
    catch_up=16_384,
    readers=(1, 8, 31),
    fan_out=2048,
    stored=(10_000, 100_000),
)


async def run(sizes: Sizes, *, only: Collection[str], folder: Path, say: Say) -> dict[str, Any]:
    """Return the figures that are asked for, by their names in a result.

    Folders of the processes are made below `folder`. What could not be measured is said,
    and is absent.
    """
    figures = _Figures(say)
    place = await asyncio.to_thread(_new_folder, folder)
    try:
        if "fsync" in only:
            figures.found["fsync"] = machine.fsync_cost(place)
        if _WITH_BOTH & set(only):
            await _with_both(figures, sizes, only=only, folder=place)
        if "fan-out" in only and sizes.readers:
            await figures.add("fan_out", "many readers", _fan_out(sizes, place, say))
        if "stored" in only and sizes.stored:
            await figures.add("stored", "many records", _stored(sizes, place, say))
    finally:
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
    return figures.found


@dataclass(frozen=True, slots=True)
class _Figures:
    """What was found; a figure that fails leaves the others alone."""

    say: Say
    found: dict[str, Any] = field(default_factory=dict[str, Any])

    async def add(self, name: str, words: str, measured: Awaitable[Any]) -> None:
        """Await a figure and keep it, or say why there is none."""
        self.say(words)
        try:
            self.found[name] = await measured
        except (MeasureError, StoppedError, CliError, grpc.RpcError) as fault:
            self.say(f"{words}: not measured ({type(fault).__name__}: {fault})")


def _new_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="bench-", dir=folder))


async def _with_both(
    figures: _Figures, sizes: Sizes, *, only: Collection[str], folder: Path
) -> None:
    async with AsyncExitStack() as stack:
        figures.say("starting product and probe")
        product = await stack.enter_async_context(running_product(folder / "product"))
        probe = await stack.enter_async_context(running_probe(folder / "probe"))
        await probe.load([each.raw for each in Records.of(SENDER).make(REQUEST_RECORDS)])
        if "end-to-end" in only:
            await _warm(product, probe)
            words = f"end to end, {sizes.rounds} rounds of product and probe"
            await figures.add("end_to_end", words, _end_to_end(sizes, product, probe))
        if "single" in only:
            words = f"one record at a time, {sizes.rounds} rounds of {sizes.singles} each"
            singles = measures.single(product, probe, rounds=sizes.rounds, each=sizes.singles)
            await figures.add("single", words, singles)
        if "callers" in only:
            await figures.add("callers", "many callers", _callers(sizes, product))
        if "catch-up" in only:
            away = lone.catch_up(product, records=sizes.catch_up)
            await figures.add("catch_up", "a reader that was away", away)


async def _end_to_end(sizes: Sizes, product: Product, probe: Probe) -> EndToEnd:
    return await measures.end_to_end(
        product,
        probe,
        rounds=sizes.rounds,
        records=sizes.records,
        probe_records=sizes.probe_records,
    )


async def _callers(sizes: Sizes, product: Product) -> tuple[Callers, ...]:
    found = [
        await measures.one_by_one(product, callers=callers, records=sizes.callers_records)
        for callers in sizes.callers
    ]
    return tuple(found)


async def _warm(product: Product, probe: Probe) -> None:
    """Let both do what only the first batches cost, apart from the rounds."""
    await measures.product_throughput(product, records=4 * REQUEST_RECORDS)
    await probe.send(bulk_requests(product.records.make(4 * REQUEST_RECORDS)))


async def _fan_out(sizes: Sizes, folder: Path, say: Say) -> tuple[FanOut, ...]:
    found: list[FanOut] = []
    for readers in sizes.readers:
        say(f"{readers} readers")
        place = folder / f"readers-{readers}"
        found.append(await lone.fan_out(place, readers=readers, records=sizes.fan_out))
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
    return tuple(found)


async def _stored(sizes: Sizes, folder: Path, say: Say) -> tuple[Stored, ...]:
    found: list[Stored] = []
    async with running_product(folder / "stored") as product:
        for level in sizes.stored:
            say(f"{level:,} stored")
            found.append(await lone.stored(product, level=level, records=sizes.records))
    return tuple(found)
