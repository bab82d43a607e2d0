"""Which measurements a run makes, of what size, and in which order.

The short form is for CI: it shows that everything still runs, and a first figure.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench import lone, machine, measures
from bench.federation import SENDER
from bench.probe.side import Probe, running_probe
from bench.product import Product, running_product
from bench.records import REQUEST_RECORDS, Records
from bench.result import Result

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
    probe_records=32_768,
    singles=40,
    callers=(16, 256),
    callers_records=4096,
    catch_up=16_384,
    readers=(1, 8, 31),
    fan_out=2048,
    stored=(10_000, 100_000),
)


async def run(
    sizes: Sizes, *, only: Collection[str], folder: Path, command: str, say: Say
) -> Result:
    """Measure what is asked for; folders of the processes are made below `folder`."""
    found: dict[str, Any] = {}
    place = await asyncio.to_thread(_new_folder, folder)
    try:
        if "fsync" in only:
            found["fsync"] = machine.fsync_cost(place)
        if _WITH_BOTH & set(only):
            found |= await _with_both(sizes, only=only, folder=place, say=say)
        if "fan-out" in only:
            found["fan_out"] = await _fan_out(sizes, place, say)
        if "stored" in only and sizes.stored:
            found["stored"] = await _stored(sizes, place, say)
    finally:
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
    return Result(
        at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=machine.commit(),
        command=command,
        machine=machine.describe(),
        **found,
    )


def _new_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="bench-", dir=folder))


async def _with_both(
    sizes: Sizes, *, only: Collection[str], folder: Path, say: Say
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    async with AsyncExitStack() as stack:
        say("starting product and probe")
        product = await stack.enter_async_context(running_product(folder / "product"))
        probe = await stack.enter_async_context(running_probe(folder / "probe"))
        await probe.load([each.raw for each in Records.of(SENDER).make(REQUEST_RECORDS)])
        if "end-to-end" in only:
            await _warm(product, probe)
            say(f"end to end, {sizes.rounds} rounds of product and probe")
            found["end_to_end"] = await measures.end_to_end(
                product,
                probe,
                rounds=sizes.rounds,
                records=sizes.records,
                probe_records=sizes.probe_records,
            )
        if "single" in only:
            say(f"one record at a time, {sizes.rounds} rounds of {sizes.singles} each")
            found["single"] = await measures.single(
                product, probe, rounds=sizes.rounds, each=sizes.singles
            )
        if "callers" in only:
            found["callers"] = [
                await measures.one_by_one(product, callers=callers, records=sizes.callers_records)
                for callers in sizes.callers
            ]
        if "catch-up" in only:
            say("a reader that was away")
            found["catch_up"] = await lone.catch_up(product, records=sizes.catch_up)
    return found


async def _warm(product: Product, probe: Probe) -> None:
    """Let both do what only the first batches cost, apart from the rounds."""
    await measures.product_throughput(product, records=4 * REQUEST_RECORDS)
    await probe.send(count=4 * REQUEST_RECORDS)


async def _fan_out(sizes: Sizes, folder: Path, say: Say) -> list[Any]:
    found: list[Any] = []
    for readers in sizes.readers:
        say(f"{readers} readers")
        place = folder / f"readers-{readers}"
        found.append(await lone.fan_out(place, readers=readers, records=sizes.fan_out))
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
    return found


async def _stored(sizes: Sizes, folder: Path, say: Say) -> list[Any]:
    async with running_product(folder / "stored") as product:
        found: list[Any] = []
        for level in sizes.stored:
            say(f"{level:,} stored")
            found.append(await lone.stored(product, level=level, records=sizes.records))
    return found
