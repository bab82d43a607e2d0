"""Anybody can ask to join and be refused: that must not grow the registrar, or stop it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import grpc

from mithaq.certs.registrar import BODY_AGE_MAX, DECISION_AGE_MAX
from mithaq.certs.registrar_state import Decision, Step
from mithaq.registrar.config import RegistrarConfig
from mithaq.registrar.link import DECISIONS_PER_MESSAGE, HubLink
from mithaq.registrar.office import Office, utc_now
from mithaq.store.engine import Database
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc
from tests.registrar.test_the_office import config, database, hub_request

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
    decision = Decision(
        number.to_bytes(32, "big"),
        approved=False,
        decided_at=office.now(),
        reason="MQ-INVITE-UNKNOWN",
    )
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


async def test_refusals_beyond_the_limit_or_too_old_are_forgotten_on_disk_too(
    config: RegistrarConfig, database: Database
) -> None:
    clock = [utc_now()]
    office = Office.open(config, database, now=lambda: clock[0])
    for number in range(5):
        await refuse(office, number)
    assert await office.tidy(refusals_max=5) == set()
    assert len(await office.tidy(refusals_max=2)) == 3
    assert len(Office.open(config, database, now=utc_now).log.state.decisions) == 2
    clock[0] += DECISION_AGE_MAX
    assert await office.tidy() == set()
    clock[0] += timedelta(seconds=1)
    assert len(await office.tidy()) == 2
    assert Office.open(config, database, now=utc_now).log.state.decisions == {}


async def test_a_hub_that_connects_again_is_told_no_old_decisions(
    config: RegistrarConfig, database: Database
) -> None:
    office = Office.open(config, database, now=utc_now)
    for age in (DECISION_AGE_MAX + timedelta(minutes=1), DECISION_AGE_MAX - timedelta(minutes=1)):
        name = age.total_seconds().hex().encode().ljust(32, b"-")[:32]
        decided_at = office.now() - age
        decision = Decision(name, approved=True, decided_at=decided_at, certificate=b"")
        office.log.commit(Step(decision=decision))
    link = HubLink(office, None)  # type: ignore[arg-type]  # it dials nobody
    assert len(list(link.unsent_decisions())) == 1


async def test_an_item_that_waited_too_long_is_told_so(
    config: RegistrarConfig, database: Database
) -> None:
    clock = [utc_now()]
    office = Office.open(config, database, now=lambda: clock[0])
    request = hub_request()
    await office.act(lambda log: (None, log.take_hub_request(request, at=clock[0])))
    clock[0] += BODY_AGE_MAX + timedelta(seconds=2)
    await office.tidy()
    assert office.log.state.pending == {}
    (decision,) = office.log.state.decisions.values()
    assert decision.reason == "MQ-TRUST-EXPIRED"
