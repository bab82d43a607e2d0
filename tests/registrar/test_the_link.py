"""The registrar's connection to the hub: what counts is stored, and no fault goes unheard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import grpc
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import NoResultFound

from mithaq.registrar.config import RegistrarConfig
from mithaq.registrar.link import HubLink
from mithaq.registrar.office import Office, utc_now
from mithaq.registrar.tables import NOTE
from mithaq.store.engine import Database
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc
from tests.registrar.test_the_office import (
    NAMES,
    admit_hub,
    approve,
    config,
    database,
    hub_request,
    signer,
)

__all__ = ["config", "database"]  # fixtures


class Hub(exchange_pb2_grpc.OrderingServiceServicer):
    """Takes what it is handed, and says once that it holds one entry."""

    async def Order(  # noqa: N802 - gRPC's name
        self, request_iterator: AsyncIterator[exchange_pb2.OrderRequest], context: object
    ) -> AsyncIterator[exchange_pb2.OrderResponse]:
        del context
        async for _ in request_iterator:
            yield exchange_pb2.OrderResponse(registry_size=1)


async def test_a_size_that_counts_can_be_handed_on_at_once(
    config: RegistrarConfig, database: Database
) -> None:
    office = Office.open(config, database, now=utc_now)
    request, at = hub_request(), datetime.now(UTC)
    await office.act(lambda log: (None, log.take_hub_request(request, at=at)))
    item = next(iter(office.log.state.pending.values()))

    async def hand_on() -> tuple[list[bytes], bytes]:
        # Looked at in every turn of the loop: nothing says when a size begins to count.
        while (signed := office.log.registry.checkpoint) is None or signed.checkpoint.size < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        return await office.piece(1, entries_max=64)

    handed = asyncio.create_task(hand_on())
    for name in NAMES[:2]:
        await approve(office, item, signer(config, name))
    leaves, note = await asyncio.wait_for(handed, 10)
    assert len(leaves) == 1
    assert b"\n2\n" in note


def test_a_fault_of_the_registrar_ends_its_link_with_that_fault(
    config: RegistrarConfig, database: Database
) -> None:
    office = Office.open(config, database, now=utc_now)
    admit_hub(config, office)
    database.write_sync(lambda each: each.execute(sa.delete(NOTE)))

    async def link() -> None:
        server = grpc.aio.server()
        exchange_pb2_grpc.add_OrderingServiceServicer_to_server(Hub(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                stub = exchange_pb2_grpc.OrderingServiceStub(channel)
                await asyncio.wait_for(HubLink(office, stub).run(), 10)
        finally:
            await server.stop(0)

    with pytest.raises(NoResultFound):
        asyncio.run(link())
