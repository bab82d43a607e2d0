"""Two histories of one stream: by the hub alone it is none, by sender and hub it is a fork."""

from mithaq.ledger.cosignature import Role
from mithaq.v1 import exchange_pb2
from tests.attacks import lies
from tests.attacks.evil_hub import truth
from tests.attacks.evil_member import EvilMember
from tests.attacks.world import CAIRO, GENEVA, TUNIS, World
from tests.hub.core import receipt_of


def histories(world: World, *readers: str) -> tuple[EvilMember, EvilMember]:
    """Return Geneva's two tellings of one stream."""
    one = EvilMember(world.federation, GENEVA, readers)
    other = EvilMember(world.federation, GENEVA, readers)
    assert one.stream_id == other.stream_id
    for each in (one, other):
        each.epoch()
        each.put(each.alert())
    return one, other


async def test_a_hub_forks_a_stream_by_itself(world: World) -> None:
    heard: list[lies.Response] = []
    stream = await world.begun()
    world.evil.say = lies.about(stream, "headers", lies.listen(heard))
    await world.arrived(await world.send())
    world.evil.say = truth
    (told,) = lies.alter(heard[-1])
    await world.evil.tell(TUNIS, told)
    evidence = await world.caught("root mismatch")
    # Nobody signed the other history: it is the hub's.
    assert (await world.evidence(TUNIS)).accused == "hub"
    assert evidence.holds("known_entry_proof")
    assert not evidence.holds("entries")


async def test_a_sender_and_a_hub_fork_a_stream_that_is_held(league: World) -> None:
    one, other = histories(league, TUNIS)
    await one.publish(league.evil)
    await league.tunis.until_counted("node_record", f"issuer = '{GENEVA}' AND status = 'live'")
    await league.evil.tell(TUNIS, other.headers(league.evil, other.writer.batch()))
    evidence = await league.caught("fork")
    (fork,) = evidence.contradictions
    assert fork.startswith("acceptance and checkpoint and known_checkpoint name different roots")
    assert evidence.holds("entries")
    assert await league.tunis.count("node_record", f"issuer = '{GENEVA}'") == 1


async def test_a_sender_and_a_hub_show_two_members_two_histories(league: World) -> None:
    one, other = histories(league, CAIRO, TUNIS)
    receipts: dict[str, exchange_pb2.Receipt] = {}

    def to_cairo(_: lies.Response) -> list[lies.Response]:
        return [other.headers(league.evil, other.writer.batch())]

    def keep(member: str, message: exchange_pb2.SubscribeRequest) -> list[object]:
        if member == CAIRO and getattr(message, "receipt", None) is not None:
            receipt = message.receipt
            if receipt.stream_id == one.stream_id:
                receipts[member] = receipt
                return []
        return [message]

    league.evil.say = lies.about(one.stream_id, "headers", lies.once(to_cairo), reader=CAIRO)
    league.evil.hear = keep
    await one.publish(league.evil)
    await league.tunis.until_counted("node_record", f"issuer = '{GENEVA}' AND status = 'live'")
    await league.cairo.until(lambda: receipts)
    # Once a minute everybody is shown what everybody has signed (PROTOCOL 5.6).
    theirs = receipt_of(league.federation, TUNIS, one.writer, Role.HELD)
    await league.evil.tell(TUNIS, views(receipts[CAIRO]))
    await league.evil.tell(CAIRO, views(theirs))
    evidence = await league.caught("receipt conflict", TUNIS, CAIRO)
    (conflict,) = evidence.contradictions
    assert conflict.startswith("known_checkpoint and receipt name different roots")
    assert (await league.proof(CAIRO)).contradictions


def views(*receipts: exchange_pb2.Receipt) -> exchange_pb2.SubscribeResponse:
    return exchange_pb2.SubscribeResponse(views=exchange_pb2.Receipts(receipts=receipts))


async def test_a_hub_rolls_a_stream_back(world: World) -> None:
    heard: list[lies.Response] = []
    stream = await world.begun()
    world.evil.say = lies.about(stream, "headers", lies.listen(heard))
    first, second = await world.send(), await world.send()
    await world.arrived(first)
    await world.arrived(second)
    world.evil.say = truth
    # Shown as it was: nothing that is held goes, and nothing comes twice.
    await world.evil.tell(TUNIS, heard[0])
    await world.unharmed()
    assert await world.has(second)
