"""A hub that lies to a sender about its readers, and readers in league with it."""

from mithaq.ledger.checkpoint import Checkpoint
from mithaq.ledger.cosignature import Role, cosign_ed25519, cosigner_name
from mithaq.ledger.names import stream_origin
from mithaq.ledger.run import Run
from mithaq.node.sealing.epoch import EpochPlace, open_epoch
from mithaq.v1 import exchange_pb2
from tests.attacks import lies
from tests.attacks.world import CAIRO, GENEVA, OTHER, TUNIS, World
from tests.federation import now

OVERDUE = "receipt overdue"


def forged(world: World) -> lies.Bend:
    """Make an `opened` of what a reader only holds, with the hub's own key."""

    def tell(message: exchange_pb2.PublishResponse) -> list[exchange_pb2.PublishResponse]:
        federation = world.federation.name
        for receipt in message.receipts.receipts:
            origin = stream_origin(federation, receipt.stream_id)
            receipt.role = exchange_pb2.RECEIPT_ROLE_OPENED
            receipt.cosignature = cosign_ed25519(
                Checkpoint(origin, receipt.size, receipt.root),
                name=cosigner_name(federation, Role.OPENED, receipt.reader),
                signer=world.evil.hub.context.keys.ed25519,
                at=now(),
            ).line()
            receipt.cosignature_mldsa = ""
        return [message]

    return tell


async def test_a_hub_forges_a_receipt(world: World) -> None:
    stream = await world.begun()
    world.evil.say = lies.both(
        lies.about(stream, "bodies", lies.drop),
        lies.about(stream, "receipts", forged(world), reader=CAIRO),
    )
    lost = await world.send()
    await world.tunis.until_counted("node_receipt", "role = 'held' AND size = 4")
    await world.cairo.until(lambda: not world.cairo.session.publisher.unaccepted_entries)
    await world.passes(2)
    # No line but the reader's own is its receipt: Cairo waits for it, and is alarmed.
    await world.caught(OVERDUE, CAIRO)
    assert (await world.evidence(CAIRO)).accused == TUNIS
    assert not await world.has(lost)
    forgery = f"reader = '{TUNIS}' AND role = 'opened' AND size = 4"
    assert await world.cairo.count("node_receipt", forgery) == 0


async def test_a_hub_replays_an_old_receipt(world: World) -> None:
    heard: list[exchange_pb2.PublishResponse] = []
    world.evil.say = lies.of_kind("receipts", lies.listen(heard), reader=CAIRO)
    stream = await world.begun()
    old = [each for each in heard if each.receipts.receipts[0].stream_id == stream]
    world.evil.say = lies.about(stream, "receipts", lambda _: old, reader=CAIRO)
    await world.arrived(await world.send())
    await world.evil.has_lied()
    await world.passes(2)
    evidence = await world.caught(OVERDUE, CAIRO)
    assert evidence.holds("acceptance")


async def test_a_hub_releases_bodies_to_a_reader_without_a_receipt(league: World) -> None:
    heard: list[lies.Response] = []
    league.evil.say = lies.of_kind("headers bodies", lies.listen(heard))
    result = await league.send(OTHER)
    await league.arrived(result)
    stream = result.disclosures[0].stream_id
    # The hub gives Geneva what it gave Tunis against a receipt, and Geneva reads it.
    assert reads(league, GENEVA, stream, heard)
    await league.cairo.until(lambda: not league.cairo.session.publisher.unaccepted_entries)
    await league.passes(2)
    # Residual: it has read. Its sender sees that it owes a receipt.
    await league.cairo.until_counted("node_alarm", f"name = '{OVERDUE}'")
    evidence = await league.proof(CAIRO)
    assert evidence.holds("acceptance")
    assert (await league.evidence(CAIRO)).accused == GENEVA
    subjects = await league.cairo.query("SELECT subject FROM node_alarm")
    assert f"{stream.hex()[:16]}/{GENEVA}" in {subject for (subject,) in subjects}
    await league.goes_on()


def reads(world: World, reader: str, stream: bytes, heard: list[lies.Response]) -> bool:
    """Tell whether a reader opens the first epoch of a stream from what was delivered of it."""
    headers = [each.headers for each in heard if each.headers.stream_id == stream]
    runs = [Run(run.terms, run.own_size, run.own) for each in headers for run in each.runs]
    (_, commitment) = next(digests[0] for run in runs if (digests := run.digests()))
    bodies = {
        sequence: body
        for each in heard
        if each.bodies.stream_id == stream
        for sequence, body in zip(each.bodies.sequences, each.bodies.bodies, strict=True)
    }
    key = world.federation.agencies[reader].reception
    place = EpochPlace(stream, 1, CAIRO)
    keys = {key.key_id: key}
    secret = open_epoch(bodies[1], place, reader=reader, keys=keys, commitment=commitment)
    return secret.commitment == commitment
