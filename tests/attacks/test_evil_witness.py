"""A hub that witnesses a member's audit log falsely, or lies about the time."""

from datetime import datetime, timedelta

from mithaq.ledger.checkpoint import Checkpoint, parse_checkpoint_text
from mithaq.ledger.cosignature import Role, cosign_ed25519, cosigner_name
from mithaq.ledger.names import HUB
from mithaq.ledger.note import parse_note
from mithaq.v1 import exchange_pb2
from tests.attacks.evil_hub import Answer, truth
from tests.attacks.world import TUNIS, World
from tests.federation import now


def cosigning(world: World, *, at: datetime, root: bytes | None = None) -> Answer:
    """Cosign what Tunis shows at another time, or another root than it shows."""
    shown: list[Checkpoint] = []

    def answer(member: str, response: object) -> object:
        if member != TUNIS or not isinstance(response, exchange_pb2.AddCheckpointResponse):
            return response
        head = shown[-1]
        line = cosign_ed25519(
            Checkpoint(head.origin, head.size, root or head.root),
            name=cosigner_name(world.federation.name, Role.HUB, HUB),
            signer=world.evil.hub.context.keys.ed25519,
            at=at,
        )
        return exchange_pb2.AddCheckpointResponse(cosignature=line.line())

    def hear(member: str, request: object) -> list[object]:
        if member == TUNIS and isinstance(request, exchange_pb2.AddCheckpointRequest):
            shown.append(parse_checkpoint_text(parse_note(request.checkpoint).text))
        return truth(member, request)

    world.evil.hear = hear
    return answer


async def test_a_hub_witnesses_another_audit_log_than_it_was_shown(world: World) -> None:
    world.evil.answer = cosigning(world, at=now(), root=bytes(32))
    witnessed = world.tunis.session.witness.known_size
    await world.begun()
    evidence = await world.caught("witness conflict")
    assert evidence.holds("checkpoint")
    assert (await world.evidence(TUNIS)).accused == HUB
    assert world.tunis.session.witness.known_size == witnessed
    assert await world.tunis.count("node_witnessed", f"size > {witnessed}") == 0


async def test_a_hub_lies_about_the_time(world: World) -> None:
    world.evil.answer = cosigning(world, at=now() + timedelta(minutes=10))
    await world.begun()
    # An alarm and nothing more: no record goes, and nothing expires by the hub's clock.
    evidence = await world.caught("clock skew")
    assert evidence.holds("checkpoint")
    assert await world.tunis.count("node_record", "status = 'live' AND own = 0") == 2
