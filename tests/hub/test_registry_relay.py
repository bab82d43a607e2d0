"""The registry at the hub: relayed to whoever follows, taken from the registrar alone."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import grpc
import pytest

from mithaq.certs import acts
from mithaq.certs.entries import EntrySigner, SignedEntry
from mithaq.certs.errors import UnknownMemberError
from mithaq.certs.keys import ReceptionKey
from mithaq.certs.registry import Registry
from mithaq.hub.config import HubLimits
from mithaq.ledger.checkpoint import Checkpoint
from mithaq.ledger.cosignature import Cosignature, Role, cosigner_name, verify_cosignature
from mithaq.ledger.keytypes import KeyType
from mithaq.service.errors import from_rpc_error
from mithaq.store.evidence import Evidence
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc
from tests.federation import Federation
from tests.hub.running import Publisher, Pump, Reader, RunningHub, prepare, running, three_members
from tests.streams import StreamWriter

MEMBER, OTHER = "eg-moi", "tn-dgsn"


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[RunningHub]:
    """Run a hub with three members."""
    federation = three_members()
    async with running(federation, prepare(federation, tmp_path / "hub")) as this:
        yield this


class Follower(Pump):
    """A node that follows the registry and replays what it gets."""

    def __init__(self, hub: RunningHub, member: str) -> None:
        stub = exchange_pb2_grpc.RegistryServiceStub(hub.node(member))
        super().__init__(stub.Follow())
        self.federation = hub.federation
        self.leaves: list[bytes] = []
        self.registry: Registry | None = None

    async def verified(self, size: int) -> None:
        await self.call.write(exchange_pb2.FollowRequest(verified_size=size))

    async def take(self) -> exchange_pb2.FollowResponse:
        """Take the next message in and check it as a node does."""
        response: exchange_pb2.FollowResponse = await self.next()
        assert response.first_index == len(self.leaves)
        fresh = list(response.entries)
        self.leaves += fresh
        if self.registry is None:
            self.registry = Registry.start(fresh[0], self.federation.pin)
            fresh = fresh[1:]
        self.registry.extend(fresh, response.checkpoint)
        return response


async def test_a_node_gets_the_whole_registry_before_anything_else(hub: RunningHub) -> None:
    node = Follower(hub, MEMBER)
    await node.verified(0)
    await node.take()
    assert node.registry is not None
    assert node.registry.size == hub.federation.registry.size


async def test_new_entries_and_new_times_are_handed_on_as_they_come(hub: RunningHub) -> None:
    node = Follower(hub, MEMBER)
    await node.verified(0)
    await node.take()
    leaf = hub.federation.announce(OTHER, ReceptionKey.generate())
    await hub.order(leaf)
    assert list((await node.take()).entries) == [leaf]
    later = hub.federation.checkpoint(at=datetime.now().astimezone() + timedelta(seconds=5))
    await hub.hub.context.relay.extend(hub.federation.registry.size, [], later)
    fresh = await node.take()
    assert (list(fresh.entries), fresh.checkpoint) == ([], later)


async def test_a_node_that_was_away_gets_what_it_lacks_and_no_more(hub: RunningHub) -> None:
    node = Follower(hub, MEMBER)
    size = hub.federation.registry.size
    await node.verified(size - 1)
    response = await node.next()
    assert (response.first_index, len(response.entries)) == (size - 1, 1)


async def test_the_hub_cosigns_what_it_relays(hub: RunningHub) -> None:
    node = Follower(hub, MEMBER)
    await node.verified(0)
    response = await node.take()
    registry = hub.federation.registry
    verify_cosignature(
        Cosignature.parse(response.cosignature),
        Checkpoint(registry.origin, registry.size, registry.root),
        name=cosigner_name(registry.federation, Role.HUB, "hub"),
        public_key=registry.hub.cosign_ed25519,
        algorithm=KeyType.ED25519_COSIGNATURE,
    )


async def test_what_a_node_says_it_has_verified_reaches_the_registrar(hub: RunningHub) -> None:
    node = Follower(hub, MEMBER)
    await node.verified(0)
    await node.take()
    await node.verified(hub.federation.registry.size)
    await hub.until(lambda: MEMBER in hub.hub.context.desk.verified)
    response = await hub.order()
    assert {each.member: each.size for each in response.verified} == {
        MEMBER: hub.federation.registry.size
    }


async def test_what_a_node_says_beyond_what_the_hub_has_is_not_confirmed(hub: RunningHub) -> None:
    node = Follower(hub, MEMBER)
    await node.verified(2**64 - 1)
    await hub.until(lambda: MEMBER in hub.hub.context.desk.verified)
    assert hub.hub.context.desk.verified == {MEMBER: hub.federation.registry.size}


# --- ordering -------------------------------------------------------------------------


async def test_only_the_registrar_orders(hub: RunningHub) -> None:
    pump = Pump(exchange_pb2_grpc.OrderingServiceStub(hub.node(MEMBER)).Order())
    assert await pump.refused() == (grpc.StatusCode.PERMISSION_DENIED, "MQ-HUB-CALLER")


async def test_the_registrar_neither_publishes_nor_follows(hub: RunningHub) -> None:
    publisher = Publisher(hub.registrar())
    assert await publisher.end() == grpc.StatusCode.PERMISSION_DENIED


async def ordered(hub: RunningHub, registry: exchange_pb2.FollowResponse) -> tuple[object, str]:
    pump = Pump(exchange_pb2_grpc.OrderingServiceStub(hub.registrar()).Order())
    await pump.call.write(exchange_pb2.OrderRequest(registry=registry))
    return await pump.refused()


async def test_an_entry_without_its_own_authority_is_refused_from_the_registrar_too(
    hub: RunningHub,
) -> None:
    federation = hub.federation
    forged = federation.entry(
        federation.enrolment_of(federation.new_agency("cy-police")),
        federation.by_administrators(1),
    )
    before = hub.hub.context.registry.size
    _, code = await ordered(
        hub,
        exchange_pb2.FollowResponse(
            first_index=before, entries=[forged], checkpoint=federation.checkpoint()
        ),
    )
    assert code.startswith("MQ-TRUST")
    assert hub.hub.context.registry.size == before


async def test_entries_that_leave_a_gap_are_refused(hub: RunningHub) -> None:
    leaf = hub.federation.suspend(OTHER)
    registry = exchange_pb2.FollowResponse(
        first_index=hub.federation.registry.size, entries=[leaf],
        checkpoint=hub.federation.checkpoint(),
    )  # fmt: skip
    _, code = await ordered(hub, registry)
    assert code == "MQ-HUB-ORDER"


async def test_entries_that_are_there_already_may_be_sent_again(hub: RunningHub) -> None:
    leaf = hub.federation.announce(OTHER, ReceptionKey.generate())
    await hub.order(leaf)
    response = await hub.order(leaf)
    assert response.registry_size == hub.federation.registry.size


async def test_another_entry_in_the_place_of_one_that_is_there_is_refused(hub: RunningHub) -> None:
    federation = hub.federation
    await hub.order(federation.announce(OTHER, ReceptionKey.generate()))
    other = federation.entry(
        acts.ReceptionKeyAnnounced(OTHER, ReceptionKey.generate().public),
        [EntrySigner.log(OTHER, federation.agencies[OTHER].log)],
    )
    registry = exchange_pb2.FollowResponse(
        first_index=federation.registry.size - 1, entries=[other],
        checkpoint=federation.checkpoint(),
    )  # fmt: skip
    _, code = await ordered(hub, registry)
    assert code == "MQ-TRUST-FORK"


async def test_an_applied_registry_is_there_after_a_restart(tmp_path: Path) -> None:
    federation = three_members()
    config = prepare(federation, tmp_path / "hub")
    async with running(federation, config) as hub:
        await hub.order(federation.suspend(OTHER))
    async with running(federation, config) as hub:
        assert hub.hub.context.registry.size == federation.registry.size
        assert hub.hub.context.registry.root == federation.registry.root


# --- revocation -----------------------------------------------------------------------


async def test_a_revoked_members_live_calls_are_cut_with_a_reject_in_band(
    hub: RunningHub,
) -> None:
    publisher = Publisher(hub.node(MEMBER))
    reader = Reader(hub.federation, hub.node(MEMBER), MEMBER)
    await reader.hello()
    untouched = Reader(hub.federation, hub.node(OTHER), OTHER)
    await untouched.hello()
    await hub.until(lambda: len(hub.hub.context.live) == 3)
    loop = asyncio.get_running_loop()
    await hub.order(hub.federation.revoke(MEMBER))
    began = loop.time()
    assert (await publisher.answer("reject")).code == "MQ-IDENTITY-REVOKED"
    assert (await reader.answer("reject")).code == "MQ-IDENTITY-REVOKED"
    assert await publisher.end() == grpc.StatusCode.UNAUTHENTICATED
    assert loop.time() - began < 3
    assert await untouched.silence() == []


async def test_a_revoked_member_calls_nothing_any_more_on_the_connection_it_had(
    hub: RunningHub,
) -> None:
    stub = exchange_pb2_grpc.PublishServiceStub(hub.node(MEMBER))
    await stub.ListHeads(exchange_pb2.ListHeadsRequest())
    await hub.order(hub.federation.revoke(MEMBER))
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stub.ListHeads(exchange_pb2.ListHeadsRequest())
    assert from_rpc_error(error.value).code.startswith("MQ-TRUST")


async def test_a_certificate_that_the_registry_does_not_know_calls_nothing(
    hub: RunningHub,
) -> None:
    stranger = hub.federation.new_agency("cy-police")
    hub.federation.agencies["cy-police"] = stranger
    stub = exchange_pb2_grpc.PublishServiceStub(hub.node("cy-police"))
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stub.ListHeads(exchange_pb2.ListHeadsRequest())
    assert from_rpc_error(error.value).code == "MQ-TRUST-UNKNOWN"
    alarms = hub.hub.context.metrics.alarms.labels("unknown member")
    assert next(iter(alarms.collect())).samples[0].value == 1
    with pytest.raises(grpc.aio.AioRpcError):
        await stub.ListHeads(exchange_pb2.ListHeadsRequest())
    folder = hub.hub.context.config.evidence
    await hub.until(lambda: folder.exists() and not hub.hub.context.strangers)
    # Named by its certificate and by nothing else, once however often it calls.
    (file,) = folder.iterdir()
    evidence = Evidence.from_json(file.read_bytes())
    assert (evidence.alarm, evidence.accused) == ("unknown member", "")
    fingerprint = str(evidence.facts["certificate_sha256"])
    assert "cy-police" not in file.read_text()
    with pytest.raises(UnknownMemberError):
        hub.federation.registry.by_tls_fingerprint(bytes.fromhex(fingerprint))


async def test_a_batch_waits_for_the_registry_that_it_was_judged_by(hub: RunningHub) -> None:
    leaf = hub.federation.announce(OTHER, ReceptionKey.generate())
    writer = StreamWriter.to(hub.federation, MEMBER, OTHER)
    writer.epoch()
    publisher = Publisher(hub.node(MEMBER))
    await publisher.send(writer.batch())
    assert await publisher.silence(0.1) == []
    await hub.order(leaf)
    assert (await publisher.answer("acceptance")).size == 2


async def test_a_batch_whose_registry_never_comes_is_rejected_to_be_sent_again(
    hub: RunningHub,
) -> None:
    hub.federation.announce(OTHER, ReceptionKey.generate())
    writer = StreamWriter.to(hub.federation, MEMBER, OTHER)
    publisher = Publisher(hub.node(MEMBER))
    await publisher.send(writer.batch())
    assert (await publisher.answer("reject")).code == "MQ-HUB-REGISTRY-BEHIND"
    assert await publisher.end() == grpc.StatusCode.UNAVAILABLE


# --- submissions ----------------------------------------------------------------------


def announcement(federation: Federation, member: str = MEMBER) -> bytes:
    act = acts.ReceptionKeyAnnounced(member, ReceptionKey.generate().public)
    return federation.entry(act, [EntrySigner.log(member, federation.agencies[member].log)])


async def test_a_submitted_entry_waits_until_the_registrar_has_it(hub: RunningHub) -> None:
    stub = exchange_pb2_grpc.RegistryServiceStub(hub.node(MEMBER))
    entry = announcement(hub.federation)
    for _ in range(2):
        await stub.SubmitEntry(exchange_pb2.SubmitEntryRequest(entry=entry))
    pump = Pump(exchange_pb2_grpc.OrderingServiceStub(hub.registrar()).Order())
    await pump.call.write(exchange_pb2.OrderRequest())
    (waiting,) = (await pump.next()).submissions
    assert waiting.entry == entry
    await pump.call.write(exchange_pb2.OrderRequest(taken=[waiting.number]))
    assert list((await pump.next()).submissions) == []


async def test_the_registrar_is_told_of_a_submission_as_it_comes(hub: RunningHub) -> None:
    pump = Pump(exchange_pb2_grpc.OrderingServiceStub(hub.registrar()).Order())
    await pump.call.write(exchange_pb2.OrderRequest())
    assert list((await pump.next()).submissions) == []
    stub = exchange_pb2_grpc.RegistryServiceStub(hub.node(MEMBER))
    entry = announcement(hub.federation)
    await stub.SubmitEntry(exchange_pb2.SubmitEntryRequest(entry=entry))
    assert [each.entry for each in (await pump.next()).submissions] == [entry]


async def submit(hub: RunningHub, entry: bytes, member: str = MEMBER) -> str:
    """Return the code with which a submission is refused; empty if it was taken."""
    stub = exchange_pb2_grpc.RegistryServiceStub(hub.node(member))
    try:
        await stub.SubmitEntry(exchange_pb2.SubmitEntryRequest(entry=entry))
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error).code
    return ""


async def test_what_is_no_entry_or_for_elsewhere_or_known_is_not_taken(hub: RunningHub) -> None:
    assert await submit(hub, b"no entry") == "MQ-TRUST-FORMAT"
    elsewhere = Federation.found("other.example")
    elsewhere.enrol(MEMBER)
    assert await submit(hub, announcement(elsewhere)) == "MQ-TRUST-FEDERATION"
    assert await submit(hub, hub.federation.leaves[-1]) == "MQ-TRUST-REPLAY"


async def test_a_member_has_as_many_submissions_waiting_as_the_limit_says(tmp_path: Path) -> None:
    federation = three_members()
    config = prepare(federation, tmp_path / "hub", limits=HubLimits(submissions_per_member_max=2))
    async with running(federation, config) as hub:
        for _ in range(2):
            assert await submit(hub, announcement(federation)) == ""
        assert await submit(hub, announcement(federation)) == "MQ-HUB-OVERLOADED"
        assert await submit(hub, announcement(federation, OTHER), OTHER) == ""


async def test_a_submission_with_more_signatures_takes_the_place_of_the_one_before(
    hub: RunningHub,
) -> None:
    federation = hub.federation
    act = acts.MemberSuspended(OTHER, acts.NarrowingReason.ADMINISTRATIVE)
    both = SignedEntry.from_bytes(federation.entry(act, federation.by_administrators(2)))
    one = SignedEntry(both.body, both.signatures[:1])
    assert await submit(hub, one.to_bytes()) == ""
    assert await submit(hub, both.to_bytes()) == ""
    response = await hub.order()
    assert [each.entry for each in response.submissions] == [both.to_bytes()]
