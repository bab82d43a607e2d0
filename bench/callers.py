"""Many callers, each of which issues one record after the other; batches form by themselves.

Beside it NATS JetStream, which syncs each message before it answers. The rule: the same
records, the same number of callers on the same number of connections, each awaits its
answer, and both sides ask for a certificate.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager

from bench.nats import Nats
from bench.product import POLL_S, Product
from bench.resources import cpu_us_per_record, sample, wait_quiet
from bench.result import Callers, CallersRound
from bench.statistics import spread

Noting = Callable[[str], AbstractContextManager[None]]


async def one_by_one(
    product: Product,
    nats: Nats | None,
    *,
    callers: int,
    rounds: int,
    records: int,
    noting: Noting,
) -> Callers:
    """Issue by so many callers, through the product and through NATS in turn.

    What goes wrong with NATS is noted by `noting("nats")`, and the product is measured alone.
    """
    played: list[CallersRound] = []
    for _ in range(rounds):
        raws = [record.raw for record in product.records.make(records)]
        ours = await _product_round(product, raws, callers=callers)
        if nats is not None:
            with noting("nats"):
                ours = ours.model_copy(update=await _nats_round(nats, raws, callers=callers))
        played.append(ours)
    ratios = [each.ratio for each in played if each.ratio is not None]
    return Callers(
        callers=callers,
        records=records,
        rounds=tuple(played),
        ratio=spread(ratios) if ratios else None,
    )


async def _product_round(product: Product, raws: Sequence[bytes], *, callers: int) -> CallersRound:
    await asyncio.to_thread(wait_quiet, product.pids)
    before = sample(product.pids)
    with product.watch() as watch:
        wanted, began = watch.count() + len(raws), time.perf_counter()
        await _by_callers(product.issue, raws, callers=callers)
        answered = time.perf_counter()
        opened = await watch.until(wanted, every_s=POLL_S)
    await asyncio.to_thread(wait_quiet, product.pids)
    cpu_us = cpu_us_per_record(before, sample(product.pids), records=len(raws))
    return CallersRound(
        answered_seconds=answered - began, opened_seconds=opened - began, cpu_us=cpu_us
    )


async def _nats_round(nats: Nats, raws: Sequence[bytes], *, callers: int) -> dict[str, float]:
    pids = {"nats": nats.pid}
    await asyncio.to_thread(wait_quiet, pids)
    await nats.connect(callers=callers)
    before, began = sample(pids), time.perf_counter()
    await _by_callers(nats.issue, raws, callers=callers)
    answered = time.perf_counter()
    cpu_us = cpu_us_per_record(before, sample(pids), records=len(raws))
    return {"nats_seconds": answered - began, "nats_cpu_us": cpu_us["nats"]}


async def _by_callers(
    issue: Callable[[bytes, int], Awaitable[None]], raws: Sequence[bytes], *, callers: int
) -> None:
    waiting = iter(raws)

    async def caller(number: int) -> None:
        for raw in waiting:
            await issue(raw, number)

    await asyncio.gather(*(caller(number) for number in range(callers)))
