"""Certificates at the hub: a member asks for its next one, and the hub for its own."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest

from mithaq.certs.acts import TlsSubject
from mithaq.certs.keys import SigningPair
from mithaq.certs.renewal import (
    RenewalRequest,
    TlsHolder,
    issue_renewal,
    make_renewal_request,
    parse_renewal_request,
)
from mithaq.certs.tls import csr, fingerprint, load_certificate, new_tls_key, to_der
from mithaq.hub.config import HubLimits
from mithaq.hub.renewal import Renewal, own_certificate, renew_local
from mithaq.hub.work_folder import OPERATOR, hub_tls_files
from mithaq.service.errors import from_rpc_error
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc
from tests.federation import Federation, now
from tests.hub.running import Pump, RunningHub, prepare, running, three_members
from tests.hub.test_enrolment import ask

EGYPT = TlsHolder(TlsSubject.NODE, "eg-moi")


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[RunningHub]:
    federation = three_members()
    limits = HubLimits(renewals_per_minute_max=20, registry_reads_per_minute_max=60)
    async with running(federation, prepare(federation, tmp_path / "hub", limits=limits)) as this:
        yield this


def request(federation: Federation, keys: SigningPair, holder: TlsHolder = EGYPT) -> bytes:
    asked = csr(new_tls_key(), holder.identity(federation.name))
    return make_renewal_request(holder, federation.registry, keys=keys, csr=asked, at=now())


async def answer(hub: RunningHub, *, approve: bool = True) -> RenewalRequest:
    """Take the one request that waits as the registrar does, and answer it."""
    pump = Pump(exchange_pb2_grpc.OrderingServiceStub(hub.registrar()).Order())
    await pump.call.write(exchange_pb2.OrderRequest())
    (waiting,) = requests_in(await pump.next())
    parsed = parse_renewal_request(waiting.enrolment)
    federation = hub.federation
    decision = exchange_pb2.EnrolmentDecision(request_hash=parsed.hash, approved=approve)
    entries: list[bytes] = []
    if approve:
        registry = federation.registry
        issued = issue_renewal(parsed, registry, federation.authority, at=now())
        decision.certificate_chain = issued.pem.decode()
        entries.append(federation.enter(parsed.act(tls_fingerprint=issued.fingerprint)))
    else:
        decision.reason = "MQ-TRUST-REJECTED"
    order = exchange_pb2.OrderRequest(
        registry=exchange_pb2.FollowResponse(
            first_index=federation.registry.size - len(entries),
            entries=entries,
            checkpoint=federation.checkpoint(),
        ),
        taken=[waiting.number],
        decisions=[decision],
    )
    await pump.call.write(order)
    # News may have been on its way before the hub has taken this in.
    while requests_in(await pump.next()):
        pass
    await pump.call.done_writing()
    return parsed


def requests_in(response: exchange_pb2.OrderResponse) -> list[exchange_pb2.Submission]:
    """Return what waits of requests; nodes submit entries of their own meanwhile."""
    return [each for each in response.submissions if each.WhichOneof("item") == "enrolment"]


async def test_a_member_asks_without_a_certificate_and_is_answered(hub: RunningHub) -> None:
    stub = exchange_pb2_grpc.EnrolmentServiceStub(hub.stranger())
    data = request(hub.federation, hub.federation.agencies["eg-moi"].log)
    assert await ask(stub, data) == ""
    parsed = await answer(hub)
    wanted = exchange_pb2.GetEnrolmentRequest(request_hash=parsed.hash)
    decision = (await stub.GetEnrolment(wanted)).decision
    mark = fingerprint(to_der(load_certificate(decision.certificate_chain.encode())))
    assert hub.hub.context.registry.by_tls_fingerprint(mark).member == "eg-moi"
    # The same bytes again, though the registry has moved on: the same answer.
    assert await ask(stub, data) == ""
    assert (await stub.GetEnrolment(wanted)).decision == decision


async def test_a_request_that_a_member_did_not_sign_goes_nowhere(hub: RunningHub) -> None:
    stub = exchange_pb2_grpc.EnrolmentServiceStub(hub.stranger())
    assert await ask(stub, request(hub.federation, SigningPair.generate())) == "MQ-ENROL"
    other = hub.federation.agencies["tn-dgsn"].log
    assert await ask(stub, request(hub.federation, other)) == "MQ-ENROL"
    registrar = TlsHolder(TlsSubject.REGISTRAR)
    own = request(hub.federation, hub.federation.registrar, registrar)
    assert await ask(stub, own) == "MQ-HUB-ENROLMENT"
    assert await hub.hub.context.desk.waiting() == []


async def test_one_member_asks_once_a_minute_and_uses_up_nobody_elses_turn(
    hub: RunningHub,
) -> None:
    stub = exchange_pb2_grpc.EnrolmentServiceStub(hub.stranger())
    egypt, tunisia = (hub.federation.agencies[each].log for each in ("eg-moi", "tn-dgsn"))
    # Forged ones first: they use up no turn of the member's.
    assert await ask(stub, request(hub.federation, tunisia)) == "MQ-ENROL"
    assert await ask(stub, request(hub.federation, egypt)) == ""
    assert await ask(stub, request(hub.federation, egypt)) == "MQ-HUB-OVERLOADED"
    other = TlsHolder(TlsSubject.NODE, "tn-dgsn")
    assert await ask(stub, request(hub.federation, tunisia, other)) == ""


async def test_strangers_who_use_up_every_rate_keep_no_member_from_its_certificate(
    hub: RunningHub,
) -> None:
    stub = exchange_pb2_grpc.EnrolmentServiceStub(hub.stranger())
    limits = hub.hub.context.limits
    nowhere = exchange_pb2.GetEnrolmentRequest(request_hash=bytes(32))

    async def flood() -> None:
        # As many again as may have come back meanwhile.
        count = limits.renewals_per_minute_max + 10
        codes = [await ask(stub, b"\xaa\x01" + b"no request") for _ in range(count)]
        assert codes[-1] == "MQ-HUB-OVERLOADED"
        count = limits.registry_reads_per_minute_max + 10
        codes = [await look_up(stub, nowhere) for _ in range(count)]
        assert codes[-1] == "MQ-HUB-OVERLOADED"

    await flood()
    data = request(hub.federation, hub.federation.agencies["eg-moi"].log)
    assert await ask(stub, data) == ""
    parsed = await answer(hub)
    await flood()
    assert await ask(stub, data) == ""
    wanted = exchange_pb2.GetEnrolmentRequest(request_hash=parsed.hash)
    assert (await stub.GetEnrolment(wanted)).decision.approved


async def look_up(
    stub: "exchange_pb2_grpc.EnrolmentServiceAsyncStub",
    wanted: exchange_pb2.GetEnrolmentRequest,
) -> str:
    """Return the code with which a look-up is refused; empty if it was answered."""
    try:
        await stub.GetEnrolment(wanted)
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error).code
    return ""


# --- the hub's own --------------------------------------------------------------------


def renewal_of(hub: RunningHub, ahead: timedelta) -> Renewal:
    context = hub.hub.context
    context.clock = lambda: now() + ahead
    return Renewal(context, own_certificate(context.config))


async def test_the_hub_renews_its_own_certificate_and_listens_with_it(hub: RunningHub) -> None:
    files = hub_tls_files(hub.hub.context.config)
    before = load_certificate(files.chain.read_bytes())
    early = renewal_of(hub, timedelta(days=59))
    await early.step()
    assert early.own.renewing.request() is None
    due = renewal_of(hub, timedelta(days=61))
    await due.step()
    await due.step()
    await answer(hub)
    await due.step()
    after = load_certificate(files.chain.read_bytes())
    assert after.public_key() != before.public_key()
    marks = [fingerprint(to_der(each)) for each in (before, after)]
    assert list(hub.hub.context.registry.hub.tls_fingerprints) == marks
    # Whoever dials from now on meets the new one, and calls go on.
    stub = exchange_pb2_grpc.EnrolmentServiceStub(hub.stranger())
    await stub.FetchRegistry(exchange_pb2.FetchRegistryRequest())


async def test_a_hub_whose_renewal_was_turned_down_asks_anew(hub: RunningHub) -> None:
    due = renewal_of(hub, timedelta(days=61))
    await due.step()
    first = due.own.renewing.request()
    await answer(hub, approve=False)
    await due.step()
    assert due.own.renewing.request() is None
    await due.step()
    assert due.own.renewing.request() not in {None, first}


async def test_the_operators_own_certificates_are_renewed_in_time(hub: RunningHub) -> None:
    config = hub.hub.context.config
    profile = config.directory / OPERATOR / "certificate.pem"
    before = profile.read_bytes()
    renew_local(config, at=now() + timedelta(days=59))
    assert profile.read_bytes() == before
    renew_local(config, at=now() + timedelta(days=61))
    left = load_certificate(profile.read_bytes()).not_valid_after_utc - now()
    assert left > timedelta(days=149)
