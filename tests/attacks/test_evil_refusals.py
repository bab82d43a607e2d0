"""What a hub may still do with refusals, and what stays behind that convicts it (residual).

PROTOCOL 5.2 lets a hub refuse a body under its signature, and 5.5 lets a reader's refusals
travel beside its receipt. No alarm comes for either lie below; these tests hold on to what
there is, so that a rule that does better shows here first.
"""

from datetime import UTC, datetime

from mithaq.ledger.names import HUB
from mithaq.node.exchange.refusals import Refusal, sign_refusals
from mithaq.store.evidence import Evidence
from mithaq.store.evidence_check import verify_evidence
from mithaq.v1 import exchange_pb2
from tests.attacks import lies
from tests.attacks.evil_hub import Lie
from tests.attacks.evil_member import EvilMember
from tests.attacks.world import CAIRO, GENEVA, TUNIS, World, third_party

NO_CLAUSE = "NO_CLAUSE"


def refusing(world: World, stream: bytes) -> Lie:
    """Refuse to one reader, under the hub's signature, what its sender is told was accepted."""

    def headers(message: lies.Response) -> list[lies.Response]:
        refusal = Refusal(message.headers.first_sequence, NO_CLAUSE, world.federation.registry.size)
        key = world.evil.hub.context.keys.ed25519
        message.headers.refusals.extend(
            sign_refusals([refusal], stream_id=stream, signer=HUB, key=key)
        )
        return [message]

    def bodies(message: lies.Response) -> list[lies.Response]:
        reason = exchange_pb2.OMISSION_REASON_REFUSED
        for each in message.bodies.sequences:
            message.bodies.omissions.add(sequence=each, reason=reason)
        del message.bodies.bodies[:]
        del message.bodies.sequences[:]
        return [message]

    return lies.both(lies.about(stream, "headers", headers), lies.about(stream, "bodies", bodies))


async def signed_by(world: World, member: str, signer: str) -> bool:
    """Tell whether a member keeps a list of refusals that a third party verifies."""
    ((message,),) = await world.nodes[member].query(
        f"SELECT message FROM node_refusal_list WHERE signer = '{signer}'"  # noqa: S608 - our own names
    )
    evidence = Evidence("none", signer, datetime.now(UTC), "", {"refusals": message})
    return verify_evidence(evidence, third_party(world.federation)).holds("refusals")


async def test_a_hub_refuses_falsely_and_its_signature_stays_with_the_reader(
    world: World,
) -> None:
    stream = await world.begun()
    world.evil.say = refusing(world, stream)
    lost = await world.send()
    opened = f"reader = '{TUNIS}' AND role = 'opened' AND size = 4"
    await world.cairo.until_counted("node_receipt", opened)
    await world.unharmed()
    # Residual: Cairo believes that Tunis has it. Tunis can show who said that it may not.
    assert not await world.has(lost)
    assert await world.cairo.count("node_refusal") == 0
    assert await signed_by(world, TUNIS, HUB)


async def test_a_hub_strips_a_readers_refusals_which_stay_with_the_reader(
    league: World,
) -> None:
    member = EvilMember(league.federation, GENEVA, (CAIRO, TUNIS))
    member.epoch()
    member.put(member.alert(), sealed=member.seal(b"not a record"))
    heard: list[exchange_pb2.SubscribeRequest] = []

    def strip(_: str, message: object) -> list[object]:
        if isinstance(message, exchange_pb2.SubscribeRequest) and message.receipt.refusals:
            heard.append(message)
            copy = exchange_pb2.SubscribeRequest()
            copy.CopyFrom(message)
            del copy.receipt.refusals[:]
            return [copy]
        return [message]

    league.evil.hear = strip
    await member.publish(league.evil)
    await league.tunis.until_counted("node_refusal", f"signer = '{TUNIS}'")
    await league.evil.has_lied()
    await league.unharmed()
    # Residual: the receipt verifies without its list. Who refused has signed for it.
    assert await signed_by(league, TUNIS, TUNIS)
