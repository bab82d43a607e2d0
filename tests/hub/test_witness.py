"""The hub as a log witness: it cosigns what continues, and nothing else."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest

from mithaq.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from mithaq.ledger.cosignature import Cosignature, Role, cosigner_name, verify_cosignature
from mithaq.ledger.keytypes import KeyType
from mithaq.ledger.names import audit_origin
from mithaq.ledger.proof import consistency_proof
from mithaq.ledger.tiles import TileMap
from mithaq.ledger.tree import leaf_hash, root_of
from mithaq.service.errors import from_rpc_error
from mithaq.v1 import exchange_pb2, exchange_pb2_grpc
from tests.hub.running import RunningHub, prepare, running, three_members

MEMBER, OTHER = "eg-moi", "tn-dgsn"
LEAVES = [leaf_hash(bytes([number])) for number in range(9)]


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[RunningHub]:
    """Run a hub with three members."""
    federation = three_members()
    async with running(federation, prepare(federation, tmp_path / "hub")) as this:
        yield this


def note(hub: RunningHub, size: int, *, leaves: list[bytes] = LEAVES, origin: str = "") -> bytes:
    """Return a signed note of eg-moi's audit log."""
    log = hub.federation.agencies[MEMBER].log
    name = origin or audit_origin(hub.federation.name, MEMBER)
    checkpoint = Checkpoint(name, size, root_of(leaves[:size]))
    return sign_checkpoint(checkpoint, ed25519=log.ed25519, mldsa=log.mldsa, at=datetime.now(UTC))


def witness(hub: RunningHub, member: str = MEMBER) -> "exchange_pb2_grpc.WitnessServiceAsyncStub":
    return exchange_pb2_grpc.WitnessServiceStub(hub.node(member))


async def add(
    hub: RunningHub, size: int, *, old_size: int = 0, checkpoint: bytes = b""
) -> exchange_pb2.AddCheckpointResponse:
    proof = consistency_proof(TileMap(LEAVES), old_size, size) if old_size else []
    return await witness(hub).AddCheckpoint(
        exchange_pb2.AddCheckpointRequest(
            old_size=old_size, proof=proof, checkpoint=checkpoint or note(hub, size)
        )
    )


async def test_a_log_that_grows_is_cosigned_and_handed_back(hub: RunningHub) -> None:
    await add(hub, 3)
    answer = await add(hub, 7, old_size=3)
    origin = audit_origin(hub.federation.name, MEMBER)
    verify_cosignature(
        Cosignature.parse(answer.cosignature),
        Checkpoint(origin, 7, root_of(LEAVES[:7])),
        name=cosigner_name(hub.federation.name, Role.HUB, "hub"),
        public_key=hub.federation.registry.hub.cosign_ed25519,
        algorithm=KeyType.ED25519_COSIGNATURE,
    )
    wanted = exchange_pb2.GetCheckpointRequest(origin=origin)
    last = await witness(hub).GetCheckpoint(wanted)
    assert last.cosignature == answer.cosignature


async def test_a_proof_from_another_size_is_answered_with_the_size_that_is_known(
    hub: RunningHub,
) -> None:
    await add(hub, 3)
    answer = await add(hub, 7, old_size=5)
    assert (answer.known_size, answer.cosignature) == (3, "")


async def test_another_root_at_a_cosigned_size_is_an_alarm_with_evidence(hub: RunningHub) -> None:
    await add(hub, 3)
    other = note(hub, 3, leaves=[leaf_hash(b"other"), *LEAVES])
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await add(hub, 3, checkpoint=other)
    assert from_rpc_error(error.value).code == "MQ-LEDGER-FORK"
    (file,) = (hub.folder / "evidence").iterdir()
    assert file.name.startswith("witness-conflict-")


@pytest.mark.parametrize("suffix", ["", "/2"], ids=["its first log", "its second log"])
async def test_a_member_adds_checkpoints_of_its_own_logs_alone(
    hub: RunningHub, suffix: str
) -> None:
    own = audit_origin(hub.federation.name, MEMBER) + suffix
    request = exchange_pb2.AddCheckpointRequest(checkpoint=note(hub, 2, origin=own))
    await witness(hub).AddCheckpoint(request)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await witness(hub, OTHER).AddCheckpoint(request)
    assert error.value.code() == grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await witness(hub, OTHER).GetCheckpoint(exchange_pb2.GetCheckpointRequest(origin=own))
    assert error.value.code() == grpc.StatusCode.PERMISSION_DENIED


async def test_members_are_shown_the_hubs_own_signed_audit_log(hub: RunningHub) -> None:
    await hub.order(hub.federation.suspend(OTHER))
    origin = audit_origin(hub.federation.name, "hub")
    request = exchange_pb2.GetCheckpointRequest(origin=origin)
    keys = hub.federation.registry.hub.cosigning
    size = 0
    while not size:
        answer = await witness(hub).GetCheckpoint(request)
        if answer.checkpoint:
            opened = open_checkpoint(
                answer.checkpoint,
                origin=origin,
                ed25519_public=keys.ed25519,
                mldsa_public=keys.mldsa44,
            )
            size = opened.checkpoint.size
    assert size
