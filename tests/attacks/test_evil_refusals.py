"""An evil hub and refusals: what it says to one and not to the other (PROTOCOL 5.2, 5.5).

It may refuse a body, under its signature, and it carries readers' refusals to their sender.
What it refuses to a reader comes back in that reader's list, and what a reader refuses is
named in what it signs; so neither can be kept from the sender.
"""

from mithaq.hub.pieces import REFUSED as OMITTED
from mithaq.hub.staging import add_omissions
from mithaq.ledger.checkpoint import Checkpoint, parse_checkpoint_text
from mithaq.ledger.names import HUB
from mithaq.ledger.note import parse_note
from mithaq.ledger.tree import EMPTY_ROOT
from mithaq.node.exchange.refusals import Refusal, sign_refusals
from mithaq.v1 import exchange_pb2
from tests.attacks import lies
from tests.attacks.evil_hub import Lie
from tests.attacks.evil_member import opened_without, receipt_over
from tests.attacks.world import CAIRO, GENEVA, TUNIS, World
from tests.hub.running import Reader

NO_CLAUSE = "NO_CLAUSE"
WITHHELD = "refusal withheld"
OVERDUE = "receipt overdue"
# The first alert of a stream, after OPEN and EPOCH.
REFUSED = 2


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
        for each in message.bodies.sequences:
            message.bodies.omissions.add(sequence=each, reason=exchange_pb2.OMISSION_REASON_REFUSED)
        del message.bodies.bodies[:]
        del message.bodies.sequences[:]
        return [message]

    return lies.both(lies.about(stream, "headers", headers), lies.about(stream, "bodies", bodies))


async def note_refusal(world: World, stream: bytes, *, sequence: int) -> None:
    """Let the operator write into the hub's database that it has refused an entry."""
    hub = world.evil.hub.context
    log_no = hub.directory.find(stream).log_no  # type: ignore[union-attr]  # it has begun
    row = {"log_no": log_no, "sequence": sequence, "reason": OMITTED, "withdrawn_by": 0}
    await hub.database.write(lambda each: add_omissions(each, [row]))


async def test_a_hub_refuses_falsely_to_a_reader_and_tells_the_sender_nothing(
    world: World,
) -> None:
    stream = await world.begun()
    await note_refusal(world, stream, sequence=3)
    world.evil.say = refusing(world, stream)
    lost = await world.send()
    evidence = await world.caught(WITHHELD, CAIRO)
    assert (await world.evidence(CAIRO)).accused == HUB
    for message in ("refusals", "checkpoint", "acceptance"):
        assert evidence.holds(message), evidence
    (contradiction,) = evidence.contradictions
    assert contradiction.startswith("a reader says that the hub refused entry 3")
    # Cairo knows who has not read it; Tunis keeps the hub's signature, which convicts it.
    assert not await world.has(lost)
    assert await world.cairo.count("node_refusal", f"signer = '{TUNIS}' AND sequence = 3") == 1
    assert await world.tunis.count("node_refusal_list", f"signer = '{HUB}'") == 1


async def test_a_hub_strips_a_readers_refusals(league: World) -> None:
    stream = await refused_by_geneva(league)
    evidence = await league.caught(WITHHELD, CAIRO)
    assert (await league.evidence(CAIRO)).accused == HUB
    for message in ("receipt", "checkpoint", "acceptance"):
        assert evidence.holds(message), evidence
    (contradiction,) = evidence.contradictions
    assert contradiction.endswith("is named and is not here")
    assert not await has_opened(league, stream)


async def test_a_hub_strips_a_readers_refusals_and_their_name(league: World) -> None:
    def strip(message: exchange_pb2.PublishResponse) -> list[exchange_pb2.PublishResponse]:
        for receipt in message.receipts.receipts:
            receipt.refusals_head = b""
        return [message]

    stream = await refused_by_geneva(league, strip)
    await league.cairo.until(lambda: not league.cairo.session.publisher.unaccepted_entries)
    await league.passes(2)
    # What is left is no receipt: its signature covers what was stripped.
    await league.cairo.until_counted("node_alarm", f"name = '{OVERDUE}'")
    subjects = await league.cairo.query("SELECT subject FROM node_alarm")
    assert f"{stream.hex()[:16]}/{GENEVA}" in {subject for (subject,) in subjects}
    assert not await has_opened(league, stream)
    await league.goes_on()


async def refused_by_geneva(league: World, bend: lies.Bend | None = None) -> bytes:
    """Let Geneva refuse what Cairo sent it, and the hub strip that; return the stream."""
    result = await league.send((GENEVA,))
    stream = result.disclosures[0].stream_id
    drop = lies.about(stream, "refusals", lies.drop, reader=CAIRO)
    bent = lies.about(stream, "receipts", bend, reader=CAIRO) if bend else drop
    league.evil.say = lies.both(drop, bent)
    reader = Reader(league.federation, league.evil.node(GENEVA), GENEVA)
    await reader.hello()
    head = Checkpoint("none", 0, EMPTY_ROOT)
    while head.size <= REFUSED:
        headers = await reader.answer("headers")
        if headers.stream_id == stream:
            head = parse_checkpoint_text(parse_note(headers.checkpoint).text)
    for receipt in (
        receipt_over(league.federation, GENEVA, stream, size=head.size, root=head.root),
        opened_without(league.federation, GENEVA, stream, head, sequence=REFUSED),
    ):
        await reader.call.write(exchange_pb2.SubscribeRequest(receipt=receipt))
    await league.evil.has_lied()
    return stream


async def has_opened(league: World, stream: bytes) -> bool:
    """Tell whether Cairo believes that Geneva has opened what it sent."""
    own = f"SELECT log_no FROM node_stream WHERE hex(stream_id) = '{stream.hex().upper()}'"  # noqa: S608 - our own id
    opened = f"reader = '{GENEVA}' AND role = 'opened' AND log_no = ({own})"
    return bool(await league.cairo.count("node_receipt", opened))
