"""A hub that lies about what was sealed, after the reader has signed that it holds the headers."""

from datetime import timedelta

from tests.attacks import lies
from tests.attacks.evil_hub import truth
from tests.attacks.world import CAIRO, TUNIS, World


async def test_a_hub_swaps_two_bodies(world: World) -> None:
    stream = await world.begun()
    world.evil.say = lies.about(stream, "bodies", lies.swap)
    lost = await world.send(count=2)
    evidence = await world.caught("body mismatch")
    # What the sender signed for is there; another body than that is not its.
    assert evidence.holds("checkpoint")
    assert (await world.evidence(TUNIS)).accused == "hub"
    assert not await world.has(lost)


async def test_a_hub_keeps_a_body_back_after_the_receipt(world: World) -> None:
    stream = await world.begun()
    world.evil.say = lies.about(stream, "bodies", lies.keep_last)
    lost = await world.send()
    evidence = await world.caught("body withheld")
    assert evidence.holds("checkpoint")
    assert await world.tunis.count("node_receipt", "role = 'held'")
    assert not await world.has(lost)


async def test_a_hub_names_more_bodies_than_it_sends(world: World) -> None:
    stream = await world.begun()
    world.evil.say = lies.about(stream, "bodies", lies.name_more)
    lost = await world.send()
    # One crooked message ends no connection: the others go on on it.
    evidence = await world.caught("body withheld")
    assert evidence.holds("checkpoint")
    assert not await world.has(lost)


async def test_a_hub_says_that_a_reader_has_opened_what_it_keeps_back(world: World) -> None:
    stream = await world.begun()
    world.evil.say = lies.about(stream, "bodies", lies.say_opened)
    lost = await world.send()
    await world.caught("body withheld")
    assert not await world.has(lost)


async def test_a_hub_keeps_all_bodies_back_without_a_word(world: World) -> None:
    stream = await world.begun()
    world.evil.say = lies.about(stream, "bodies", lies.drop)
    lost = await world.send()
    await world.evil.has_lied()
    deadline = world.agreement.deadlines.delivery_receipt
    await world.passes(deadline // timedelta(minutes=1) + 1)
    # Its reader has signed `held` and no more: the sender is told.
    evidence = await world.caught("receipt overdue", CAIRO)
    assert evidence.holds("acceptance")
    assert not await world.has(lost)


async def test_a_hub_releases_bodies_before_the_receipt(world: World) -> None:
    stream = await world.begun()
    heard: list[lies.Response] = []
    world.evil.say = lies.about(stream, "bodies", lies.listen(heard))
    await world.arrived(await world.send())
    (bodies,) = heard
    bodies.bodies.through_size += 1
    world.evil.say = truth
    await world.evil.tell(TUNIS, bodies)
    await world.caught("body mismatch")
