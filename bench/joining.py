"""A party joins an agreement whose sender has many live records: all are told it anew.

PROTOCOL 4.8: no old key is handed on, so the sender opens, judges and seals each record
again, in a stream to the newcomer alone.
"""

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import grpc.aio

from bench.errors import MeasureError
from bench.federation import SENDER, Members, Site
from bench.product import POLL_S, Product, running_product
from bench.resources import cpu_us_per_record, sample, wait_quiet
from bench.result import ColdSync
from bench.storing import fill
from mithaq.service.channel import open_channel
from mithaq.service.tls import channel_credentials
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc
from tests.federation import agreement

ORDER_SECONDS_MAX = timedelta(seconds=10)


async def cold_sync(folder: Path, *, records: int) -> ColdSync:
    """Fill the sender's store, let a party join, and wait until it has opened everything."""
    async with running_product(folder, Members(newcomers=1)) as product:
        (newcomer,) = product.site.newcomers
        await fill(product, level=records)
        await product.start_others([newcomer])
        pids = product.pids | {"reader": newcomer.process.pid}
        await asyncio.to_thread(wait_quiet, pids)
        with product.watch() as there, product.watch(newcomer) as watch:
            wanted = there.count()
            before, began = sample(pids), time.perf_counter()
            await _admit(product)
            ended = await watch.until(wanted, every_s=POLL_S)
        await asyncio.to_thread(wait_quiet, pids)
        after = sample(pids)
    cpu_us = cpu_us_per_record(before, after, records=wanted)
    return ColdSync(records=wanted, seconds=ended - began, cpu_us=cpu_us)


async def _admit(product: Product) -> None:
    """Enter the next version of the agreement, which the newcomer has signed as well."""
    site = product.site
    parties = (SENDER, *(each.member for each in (*site.readers, *site.newcomers)))
    leaf = site.federation.agree(agreement(*parties, version=2))
    await order(site, leaf)


async def order(site: Site, leaf: bytes) -> None:
    """Hand a registry entry to the hub as the registrar does."""
    federation = site.federation
    registry = exchange_pb2.FollowResponse(
        first_index=federation.registry.size - 1,
        entries=[leaf],
        checkpoint=federation.checkpoint(),
    )
    credentials = channel_credentials(federation.registrar_material())
    async with (
        asyncio.timeout(ORDER_SECONDS_MAX.total_seconds()),
        open_channel(f"127.0.0.1:{site.exchange_port}", credentials) as channel,
    ):
        call = exchange_pb2_grpc.OrderingServiceStub(channel).Order()
        await call.write(exchange_pb2.OrderRequest(registry=registry))
        if await call.read() is grpc.aio.EOF:
            raise MeasureError("the hub did not take the registry entry")
        await call.done_writing()
