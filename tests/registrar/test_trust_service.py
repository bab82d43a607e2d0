"""The registrar's local API over real TLS: who may call, and what waits for signatures."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest

from mithaq.certs.entries import (
    EntrySigner,
    MemberRevoked,
    NarrowingReason,
    Policy,
    draw_up,
    sign_entry,
)
from mithaq.certs.offline import COST_MIN, OfflineKeystore, Passphrase
from mithaq.registrar.app import serve
from mithaq.registrar.config import RegistrarConfig
from mithaq.registrar.founding import found_federation
from mithaq.registrar.places import OWNER, Places
from mithaq.service.errors import RemoteError, from_rpc_error
from mithaq.service.local_api import LocalApi
from mithaq.service.profile import read_profile
from mithaq.v1 import trust_pb2, trust_pb2_grpc
from tests.registrar.test_the_office import hub_request

FEDERATION = "euroarab.example"
PASSPHRASE = Passphrase("a synthetic passphrase")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture
async def config(tmp_path: Path) -> AsyncIterator[RegistrarConfig]:
    listen, metrics = free_ports(2)
    config = RegistrarConfig(
        federation=FEDERATION,
        directory=tmp_path / "registrar",
        local_listen=f"127.0.0.1:{listen}",
        metrics_port=metrics,
    )
    found_federation(
        config,
        administrators=("cairo", "geneva", "tunis"),
        threshold=2,
        passphrase=PASSPHRASE,
        policy=Policy(),
        at=datetime.now(UTC).replace(microsecond=0),
        cost=COST_MIN,
    )
    stop = asyncio.Event()
    running = asyncio.create_task(serve(config, stop))
    yield config
    stop.set()
    assert await running == 0


def channel(profile: Path) -> grpc.aio.Channel:
    found = read_profile(profile)
    credentials = grpc.ssl_channel_credentials(found.server_ca, found.key, found.certificate)
    options = [("grpc.ssl_target_name_override", found.server_name)]
    return grpc.aio.secure_channel(found.address, credentials, options=options)


def administrator(config: RegistrarConfig) -> Path:
    return config.directory / "profiles" / "administrator"


def signer(config: RegistrarConfig, name: str) -> EntrySigner:
    store = OfflineKeystore(config.directory / "administrators", passphrase=PASSPHRASE)
    return EntrySigner.administrator(name, store.load_pair(name))


async def error_of(call: object) -> RemoteError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    return from_rpc_error(caught.value)


async def test_a_certificate_of_the_right_authority_that_is_not_listed_may_not_call(
    config: RegistrarConfig, tmp_path: Path
) -> None:
    api = LocalApi(Places(config.directory).local, FEDERATION, OWNER)
    api.new_profile(
        tmp_path / "guest", user="guest", address=config.local_listen, at=datetime.now(UTC)
    )
    async with channel(tmp_path / "guest") as guest:
        call = trust_pb2_grpc.TrustServiceStub(guest).ListMembers(
            trust_pb2.ListMembersRequest(), wait_for_ready=True, timeout=20
        )
        assert (await error_of(call)).code == "MQ-IDENTITY-UNKNOWN"


async def test_the_listed_certificate_reads_the_members(config: RegistrarConfig) -> None:
    async with channel(administrator(config)) as mine:
        answer = await trust_pb2_grpc.TrustServiceStub(mine).ListMembers(
            trust_pb2.ListMembersRequest(), wait_for_ready=True, timeout=20
        )
    assert (answer.federation, answer.registry_size) == (FEDERATION, 1)


async def test_a_hub_is_admitted_by_the_second_of_two_signatures(config: RegistrarConfig) -> None:
    async with channel(administrator(config)) as mine:
        stub = trust_pb2_grpc.TrustServiceStub(mine)
        hub = trust_pb2.AddHubRequest(request=hub_request())
        added = await stub.AddHub(hub, wait_for_ready=True, timeout=20)
        again = await stub.AddHub(hub, timeout=20)
        assert again.item_id == added.item_id
        (item,) = (await stub.ListPending(trust_pb2.ListPendingRequest(), timeout=20)).items
        answers: list[trust_pb2.ApproveResponse] = []
        for name in ("cairo", "tunis"):
            signed = sign_entry(item.body, [signer(config, name)]).to_bytes()
            request = trust_pb2.ApproveRequest(item_id=item.item_id, signed_entry=signed)
            answers.append(await stub.Approve(request, timeout=20))
    assert [each.entered for each in answers] == [False, True]
    assert [each.registry_size for each in answers] == [1, 2]
    assert [bool(each.hub_approval) for each in answers] == [False, True]


async def test_a_revocation_of_a_stranger_is_refused(config: RegistrarConfig) -> None:
    act = MemberRevoked("eg-moi", NarrowingReason.ADMINISTRATIVE)
    body = draw_up(act, federation=FEDERATION, at=datetime.now(UTC).replace(microsecond=0))
    entry = sign_entry(body, [signer(config, "cairo")]).to_bytes()
    async with channel(administrator(config)) as mine:
        stub = trust_pb2_grpc.TrustServiceStub(mine)
        call = stub.Enter(trust_pb2.EnterRequest(signed_entry=entry), wait_for_ready=True)
        assert (await error_of(call.read())).code == "MQ-TRUST-UNKNOWN"
