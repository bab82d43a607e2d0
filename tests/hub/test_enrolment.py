"""Strangers at the enrolment listener: what they may ask, and how often."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from mithaq.certs import acts
from mithaq.certs.cards import KeyCard
from mithaq.certs.enrolment import NodeKeys, make_enrolment_request, parse_enrolment_request
from mithaq.certs.invitation import Invitation, new_secret
from mithaq.certs.registry import Registry
from mithaq.certs.tls import IdentityKind, SpiffeId, csr
from mithaq.hub.config import HubLimits
from mithaq.hub.rate import Rate
from mithaq.service.errors import from_rpc_error
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc
from tests.federation import Federation
from tests.hub.running import Pump, RunningHub, prepare, running, three_members

NEWCOMER = "cy-police"
START = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[RunningHub]:
    """Run a hub with three members, which few strangers may call."""
    federation = three_members()
    limits = HubLimits(enrolments_max=2, enrolments_per_minute_max=5)
    config = prepare(federation, tmp_path / "hub", limits=limits)
    async with running(federation, config) as this:
        yield this


def request_of(federation: Federation, member: str = NEWCOMER) -> bytes:
    """Return a newcomer's request, with all its proofs."""
    now = datetime.now(UTC)
    agency = federation.new_agency(member)
    invitation = Invitation(
        federation=federation.name,
        member=member,
        hub_enrolment_address="127.0.0.1:7444",
        genesis_hash=federation.pin,
        ca_certificate_der=federation.authority.certificate.der,
        secret=new_secret(),
        expires_at=now + timedelta(days=1),
    )
    return make_enrolment_request(
        invitation,
        keys=NodeKeys(
            agency.log, agency.held, agency.opened, agency.receipt_mldsa, agency.reception.public
        ),
        display_name=acts.LocalizedName("Agency"),
        country="CYP",
        duty=KeyCard.duty(federation.name, member, agency.duty),
        signatories=[
            KeyCard.signatory(federation.name, member, name, pair)
            for name, pair in agency.signatories.items()
        ],
        csr=csr(agency.tls_key, SpiffeId(federation.name, IdentityKind.NODE, member)),
        at=now,
    )


async def ask(stub: "exchange_pb2_grpc.EnrolmentServiceAsyncStub", request: bytes) -> str:
    """Return the code with which a request is refused; empty if it was taken."""
    try:
        await stub.RequestEnrolment(exchange_pb2.RequestEnrolmentRequest(request=request))
    except grpc.aio.AioRpcError as error:
        code = from_rpc_error(error).code
        # A hub that runs here is reached; the code does not say why it was not.
        return code if code != "MQ-UNREACHABLE" else f"{code}: {error.debug_error_string()}"
    return ""


async def test_a_stranger_reads_the_registry_and_checks_it_against_the_pin(
    hub: RunningHub,
) -> None:
    stub = exchange_pb2_grpc.EnrolmentServiceStub(hub.stranger())
    answer = await stub.FetchRegistry(exchange_pb2.FetchRegistryRequest())
    leaves = list(answer.registry.entries)
    registry = Registry.start(leaves[0], hub.federation.pin)
    registry.extend(leaves[1:], answer.registry.checkpoint)
    assert registry.root == hub.federation.registry.root


async def test_a_request_goes_to_the_registrar_and_its_decision_comes_back(
    hub: RunningHub,
) -> None:
    stub = exchange_pb2_grpc.EnrolmentServiceStub(hub.stranger())
    request = request_of(hub.federation)
    assert await ask(stub, request) == ""
    assert await ask(stub, request) == ""
    request_hash = parse_enrolment_request(request).hash
    wanted = exchange_pb2.GetEnrolmentRequest(request_hash=request_hash)
    assert not (await stub.GetEnrolment(wanted)).HasField("decision")

    pump = Pump(exchange_pb2_grpc.OrderingServiceStub(hub.registrar()).Order())
    await pump.call.write(exchange_pb2.OrderRequest())
    (waiting,) = (await pump.next()).submissions
    assert waiting.enrolment == request
    decision = exchange_pb2.EnrolmentDecision(
        request_hash=request_hash, approved=True, certificate_chain="chain"
    )
    order = exchange_pb2.OrderRequest(taken=[waiting.number], decisions=[decision])
    await pump.call.write(order)
    assert list((await pump.next()).submissions) == []
    assert (await stub.GetEnrolment(wanted)).decision == decision


async def test_nobody_learns_what_became_of_a_request_that_was_never_made(hub: RunningHub) -> None:
    stub = exchange_pb2_grpc.EnrolmentServiceStub(hub.stranger())
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stub.GetEnrolment(exchange_pb2.GetEnrolmentRequest(request_hash=bytes(32)))
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


async def test_what_is_no_request_or_for_elsewhere_is_not_taken(hub: RunningHub) -> None:
    stub = exchange_pb2_grpc.EnrolmentServiceStub(hub.stranger())
    assert await ask(stub, b"no request") == "MQ-TRUST-FORMAT"
    elsewhere = request_of(Federation.found("other.example"))
    assert await ask(stub, elsewhere) == "MQ-HUB-ENROLMENT"


async def test_as_many_requests_wait_as_the_limit_says(hub: RunningHub) -> None:
    stub = exchange_pb2_grpc.EnrolmentServiceStub(hub.stranger())
    for member in ("cy-a", "cy-b"):
        assert await ask(stub, request_of(hub.federation, member)) == ""
    assert await ask(stub, request_of(hub.federation, "cy-c")) == "MQ-HUB-OVERLOADED"


async def test_strangers_ask_as_often_as_the_rate_says(hub: RunningHub) -> None:
    stub = exchange_pb2_grpc.EnrolmentServiceStub(hub.stranger())
    request = request_of(hub.federation)
    assert [await ask(stub, request) for _ in range(6)] == [""] * 5 + ["MQ-HUB-OVERLOADED"]


async def test_a_stranger_reaches_nothing_else(hub: RunningHub) -> None:
    stub = exchange_pb2_grpc.PublishServiceStub(hub.stranger())
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stub.ListHeads(exchange_pb2.ListHeadsRequest())
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_rate_lets_its_number_through_at_once_and_then_as_time_passes() -> None:
    rate = Rate(per_minute=2)
    assert [rate.take(at=START) for _ in range(3)] == [True, True, False]
    assert not rate.take(at=START + timedelta(seconds=29))
    assert rate.take(at=START + timedelta(seconds=61))


def test_a_clock_that_goes_back_gives_a_rate_nothing() -> None:
    rate = Rate(per_minute=1)
    assert rate.take(at=START)
    assert not rate.take(at=START - timedelta(hours=1))
