"""A hub that says nothing: of one stream, of its end, or at all."""

from tests.attacks import lies
from tests.attacks.evil_hub import Lie
from tests.attacks.world import ATTACKED, CAIRO, GENEVA, OTHER, TUNIS, World
from tests.federation import agreement

STALE, OVERDUE = "stale: sender or hub", "receipt overdue"


def hidden(stream: bytes) -> Lie:
    return lies.both(
        lies.about(stream, "headers", lies.drop), lies.about(stream, "bodies", lies.drop)
    )


async def test_a_hub_hides_one_stream(world: World) -> None:
    stream = await world.begun()
    world.evil.say = hidden(stream)
    lost = await world.send()
    await world.evil.has_lied()
    await world.accepted()
    # Every minute another list names what doesn't come: none of them is old.
    await world.passes(3)
    evidence = await world.caught(STALE, also={CAIRO: OVERDUE})
    assert evidence.holds("freeze_list")
    assert not await world.has(lost)


async def test_a_hub_freezes_a_reader(world: World) -> None:
    await world.begun()
    world.evil.say = lies.of_kind("headers bodies views freeze_list", lies.drop)
    await world.passes(4)
    evidence = await world.caught(STALE, through=GENEVA)
    # The last list that came: what was signed for then, and nothing since.
    assert evidence.holds("freeze_list")


async def test_a_hub_freezes_a_reader_with_the_same_old_list(world: World) -> None:
    heard: list[lies.Response] = []
    world.evil.say = lies.of_kind("freeze_list", lies.listen(heard))
    await world.begun()
    await world.tunis.until(lambda: heard)
    old = [each for each in heard if each.freeze_list.sender == CAIRO][-1:]
    world.evil.say = lies.of_kind("headers bodies views freeze_list", lambda _: old)
    await world.passes(4)
    evidence = await world.caught(STALE, through=GENEVA)
    assert evidence.holds("freeze_list")
    assert await world.tunis.count("node_alarm", f"subject LIKE '{CAIRO}/%'")


async def test_a_hub_withholds_everything_from_the_sender(world: World) -> None:
    await world.begun()
    world.evil.say = lies.of_kind("receipts", lies.drop, reader=CAIRO)
    result = await world.send()
    await world.arrived(result)
    await world.passes(2)
    evidence = await world.caught(OVERDUE, CAIRO)
    assert evidence.holds("acceptance")
    assert (await world.evidence(CAIRO)).accused in {TUNIS, GENEVA}


async def test_a_hub_delays_a_stream_against_its_successor(world: World) -> None:
    old = await world.begun(OTHER)
    world.evil.say = hidden(old)
    # A newcomer: what goes to all from now on goes into a stream that continues the old one.
    world.federation.enrol("it-int")
    first = len(world.federation.leaves) - 1
    world.federation.agree(agreement(CAIRO, GENEVA, TUNIS, "it-int", version=2))
    await world.evil.order(*world.federation.leaves[first:])
    await world.join("it-int")
    await world.evil.has_lied()
    waiting = await world.send((GENEVA, "it-int", TUNIS))
    await world.arrived(waiting, GENEVA)
    await world.settled(GENEVA, TUNIS, "it-int")
    await world.passes(3)
    await world.tunis.until_counted("node_alarm", f"name = '{STALE}'")
    # PROTOCOL 3.5: nothing of the successor counts before its predecessor's CLOSE.
    assert not await world.has(waiting)
    assert (await world.alarms())[TUNIS] == {STALE}
    assert (await world.proof(TUNIS)).holds("freeze_list")
    await world.arrived(await world.send(ATTACKED))
