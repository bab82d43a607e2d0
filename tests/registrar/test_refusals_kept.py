"""Anybody can ask to join and be refused: that must not grow the registrar, or stop it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc

from mithaq.certs.registrar import Decision, Step
from mithaq.registrar.config import RegistrarConfig
from mithaq.registrar.link import DECISIONS_PER_MESSAGE, HubLink
from mithaq.registrar.office import Office, utc_now
from mithaq.store.engine import Database
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc
from tests.registrar.test_the_office import config, database

__all__ = ["config", "database"]  # fixtures

STRANGERS = DECISIONS_PER_MESSAGE + 44


class Hub(exchange_pb2_grpc.OrderingServiceServicer):
    """Hears what the registrar says of each request, and counts it by message."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    async def Order(  # noqa: N802 - gRPC's name
        self, request_iterator: AsyncIterator[exchange_pb2.OrderRequest], context: object
    ) -> AsyncIterator[exchange_pb2.OrderResponse]:
        del context
        async for request in request_iterator:
            if request.decisions:
                self.heard.append(len(request.decisions))
            if sum(self.heard) >= STRANGERS:
                return
            yield exchange_pb2.OrderResponse(registry_size=1)


async def refuse(office: Office, number: int) -> None:
    decision = Decision(number.to_bytes(32, "big"), approved=False, reason="MQ-INVITE-UNKNOWN")
    await office.act(lambda _log: (None, Step(decision=decision)))


async def test_more_refusals_than_fit_one_message_are_said_in_several(
    config: RegistrarConfig, database: Database
) -> None:
    office, hub = Office.open(config, database, now=utc_now), Hub()
    for number in range(STRANGERS):
        await refuse(office, number)
    server = grpc.aio.server()
    exchange_pb2_grpc.add_OrderingServiceServicer_to_server(hub, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            link = HubLink(office, exchange_pb2_grpc.OrderingServiceStub(channel))
            await asyncio.wait_for(link.run(), 30)
    finally:
        await server.stop(0)
    assert hub.heard == [DECISIONS_PER_MESSAGE, STRANGERS - DECISIONS_PER_MESSAGE]


async def test_refusals_beyond_the_limit_are_forgotten_and_approvals_never(
    config: RegistrarConfig, database: Database
) -> None:
    office = Office.open(config, database, now=utc_now)
    approved = Decision(b"\xff" * 32, approved=True, certificate=b"certificate")
    await office.act(lambda _log: (None, Step(decision=approved)))
    for number in range(5):
        await refuse(office, number)
    assert await office.forget_refusals(keep=5) == set()
    assert len(await office.forget_refusals(keep=2)) == 3
    again = Office.open(config, database, now=utc_now)
    assert len(again.log.state.decisions) == 3
    assert again.log.state.decisions[approved.request_hash] == approved
