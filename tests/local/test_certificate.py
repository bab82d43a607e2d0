"""A node's federation certificate at a real hub: renewed, switched, and taken away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import grpc
import pytest

from mithaq.certs import acts
from mithaq.certs.acts import NarrowingReason
from mithaq.certs.tls import load_certificate
from mithaq.node.app import Running
from mithaq.node.exchange.home import Home
from mithaq.node.folder import NodeFolder
from mithaq.node.renewing import fingerprint_of
from mithaq.node.standing import TURNED_AWAY
from mithaq.service.channel import open_channel
from mithaq.service.errors import Fault, RemoteError
from mithaq.service.tls import TlsFiles, TlsMaterial, channel_credentials_without_certificate
from mithaq.store.audit_entry import Operation
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc, local_pb2
from tests.federation import Federation, agreement, now
from tests.hub.running import RunningHub, prepare, running
from tests.hub.test_hub_renewal import answer
from tests.local.calls import call, logged
from tests.local.house import House, settle

MEMBER = "tn-dgsn"
STATUS = local_pb2.GetNodeStatusRequest()
REASON = NarrowingReason.KEY_COMPROMISED
# 90 days of life, so that less than a third of it is left.
DUE = timedelta(days=61)


@pytest.fixture
def federation() -> Federation:
    """Return a federation in which the node's certificate is to be renewed."""
    federation = Federation.found(at=now() - DUE)
    federation.enrol("eg-moi")
    federation.enrol(MEMBER, at=now() - DUE)
    federation.agree(agreement("eg-moi", MEMBER))
    return federation


@pytest.fixture
async def hub(federation: Federation, tmp_path: Path) -> AsyncIterator[RunningHub]:
    async with running(federation, prepare(federation, tmp_path / "hub")) as this:
        yield this


@pytest.fixture
async def house(
    hub: RunningHub, federation: Federation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[House]:
    def enrolment(_home: Home, files: TlsFiles) -> grpc.aio.Channel:
        credentials = channel_credentials_without_certificate(files.roots.read_bytes())
        return open_channel(f"127.0.0.1:{hub.hub.ports.enrolment}", credentials)

    monkeypatch.setattr("mithaq.node.app._enrolment_channel", enrolment)
    house = settle(federation, MEMBER, tmp_path / "node", hub_address=hub.address)
    async with house.served() as served:
        yield served


def of(house: House) -> Running:
    assert house.running is not None
    return house.running


def chain(house: House) -> Path:
    return NodeFolder(house.config.directory).tls.chain


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nobody rings a bell for tests
            await asyncio.sleep(0.02)


async def connected(house: House, hub: RunningHub, mark: bytes | None = None) -> None:
    """Return when the node is connected, with a certificate if one is named."""

    def is_so() -> bool:
        ours = {each.fingerprint for each in hub.hub.context.live._calls}  # pyright: ignore[reportPrivateUsage]
        ours.discard(hub.federation.registrar_certificate.fingerprint)
        return of(house).session.connected and (mark is None or ours == {mark})

    await until(is_so)


async def asked(house: House, hub: RunningHub) -> bytes:
    """Return what the node asks with, once it waits at the hub."""
    renewing = of(house).renewal.own.renewing
    await until(lambda: renewing.request() is not None)
    request = renewing.request() or b""
    async with asyncio.timeout(20):
        while True:
            waiting = await hub.hub.context.desk.waiting()
            if request in {each.enrolment for each in waiting}:
                return request
            await asyncio.sleep(0.02)


async def test_a_node_renews_its_certificate_and_drains_the_old_connection(
    house: House, hub: RunningHub
) -> None:
    old = fingerprint_of(chain(house))
    await connected(house, hub, old)
    before = load_certificate(chain(house).read_bytes())
    await asked(house, hub)
    await of(house).renewal.step()
    assert fingerprint_of(chain(house)) == old
    shown = await call(house, "admin", "NodeService/GetNodeStatus", STATUS)
    assert (shown.standing, shown.turned_away, shown.renewing) == ("active", "", True)
    assert shown.certificate_expires_at == int(before.not_valid_after_utc.timestamp())
    await answer(hub)
    await of(house).renewal.step()
    new = fingerprint_of(chain(house))
    assert new != old
    assert load_certificate(chain(house).read_bytes()).public_key() != before.public_key()
    await connected(house, hub, new)
    subjects = [entry.subject for entry in await logged(house, Operation.ADMINISTER)]
    assert "federation certificate renewed" in subjects
    # The old one is good until it ends, is revoked, or another renewal comes.
    await call_with(hub, hub.federation.node_tls(MEMBER))


async def call_with(hub: RunningHub, tls: TlsMaterial) -> None:
    stub = exchange_pb2_grpc.PublishServiceStub(hub.channel(tls))
    await stub.ListHeads(exchange_pb2.ListHeadsRequest(), timeout=10)


async def test_a_node_whose_certificate_was_revoked_learns_it_and_gets_another(
    house: House, hub: RunningHub
) -> None:
    old = fingerprint_of(chain(house))
    await connected(house, hub, old)
    first = await asked(house, hub)
    act = acts.KeyRevoked(old, REASON)
    await hub.order(hub.federation.enter(act, hub.federation.by_administrators(1)))
    standing = of(house).renewal.standing
    await until(lambda: standing.name == "certificate-unknown" and bool(standing.refusal))
    # What it had asked for named the revoked one, so it gives that up and asks anew. A
    # member asks once a minute; the minute is over.
    await answer(hub, approve=False)
    await of(house).renewal.step()
    hub.hub.context.clock = lambda: now() + timedelta(minutes=1)
    await of(house).renewal.step()
    assert await asked(house, hub) != first
    await answer(hub)
    await of(house).renewal.step()
    assert standing.name == "active"
    assert fingerprint_of(chain(house)) != old


async def test_a_node_that_was_revoked_says_so_and_dials_no_more(
    house: House, hub: RunningHub
) -> None:
    await connected(house, hub)
    await hub.order(hub.federation.revoke(MEMBER))
    standing = of(house).renewal.standing
    await until(lambda: bool(standing.refusal) and standing.name == "revoked")
    assert not of(house).session.connected
    shown = await call(house, "admin", "NodeService/GetNodeStatus", STATUS)
    assert (shown.connected, shown.standing) == (False, "revoked")
    assert shown.turned_away in TURNED_AWAY
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(standing.refused(refusal()), 0.5)


async def test_a_node_that_was_suspended_comes_back_and_one_turned_away_without_a_reason_too(
    house: House, hub: RunningHub
) -> None:
    await connected(house, hub)
    standing = of(house).renewal.standing
    # The hub's word alone proves nothing: the registry has this member as active.
    await asyncio.wait_for(standing.refused(refusal()), 10)
    assert (standing.name, standing.refusal) == ("active", "MQ-TRUST-INACTIVE")
    await hub.order(hub.federation.suspend(MEMBER))
    await until(lambda: hub.hub.context.registry.size == hub.federation.registry.size)
    await asyncio.wait_for(standing.refused(refusal()), 10)
    assert standing.name == "suspended"


async def test_an_error_of_the_network_says_nothing_of_a_nodes_standing(
    house: House, hub: RunningHub
) -> None:
    await connected(house, hub)
    standing = of(house).renewal.standing
    fault = Fault("MQ-UNREACHABLE", "", "", grpc.StatusCode.UNAVAILABLE)
    await asyncio.wait_for(standing.refused(RemoteError(fault)), 1)
    assert standing.refusal == ""


def refusal() -> RemoteError:
    return RemoteError(Fault("MQ-TRUST-INACTIVE", "", "", grpc.StatusCode.PERMISSION_DENIED))
