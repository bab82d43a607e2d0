"""A hub that lies about the entries of a stream."""

import pytest

from tests.attacks import lies
from tests.attacks.evil_hub import truth
from tests.attacks.world import OTHER, TUNIS, World


async def test_a_hub_drops_an_entry(world: World) -> None:
    stream = await world.begun()
    world.evil.say = lies.about(stream, "headers", lies.once(lies.drop))
    lost = await world.send()
    await world.evil.has_lied()
    await world.send()
    evidence = await world.caught("sequence gap")
    assert evidence.holds("checkpoint")
    assert evidence.holds("acceptance")
    assert not await world.has(lost)


async def test_a_hub_alters_an_entry(world: World) -> None:
    stream = await world.begun()
    world.evil.say = lies.about(stream, "headers", lies.alter)
    lost = await world.send()
    evidence = await world.caught("root mismatch")
    assert evidence.holds("checkpoint")
    assert evidence.contradictions == ("entries give another root than is signed",)
    assert not await world.has(lost)


@pytest.mark.parametrize(("line", "signature"), [(4, "Ed25519"), (5, "ML-DSA-44")])
async def test_a_hub_strips_one_of_the_two_signatures(
    world: World, line: int, signature: str
) -> None:
    stream = await world.begun()
    world.evil.say = lies.about(stream, "headers", lies.without_line(line))
    lost = await world.send()
    evidence = await world.caught("root mismatch")
    # The hub vouched for what its sender had not signed with this key.
    assert evidence.holds("acceptance"), signature
    assert not evidence.holds("checkpoint")
    assert (await world.evidence(TUNIS)).accused == "hub"
    assert not await world.has(lost)


async def test_a_hub_repeats_what_it_says(world: World) -> None:
    await world.begun()
    world.evil.say = lies.of_kind("headers bodies views freeze_list", lies.repeat)
    result = await world.send()
    await world.arrived(result)
    await world.evil.has_lied()
    await world.unharmed()
    assert await world.tunis.count("node_record", f"alert_id = '{result.alert_id}'") == 1


async def test_a_hub_reorders_entries(world: World) -> None:
    stream = await world.begun()
    world.evil.say = lies.about(stream, "headers", lies.out_of_order())
    first = await world.send()
    await world.evil.has_lied()
    second = await world.send()
    evidence = await world.caught("sequence gap")
    assert evidence.holds("checkpoint")
    assert not await world.has(first)
    assert not await world.has(second)


async def test_a_hub_replays_old_headers_and_bodies(world: World) -> None:
    heard: list[lies.Response] = []
    world.evil.say = lies.of_kind("headers bodies", lies.listen(heard))
    await world.begun()
    world.evil.say = truth
    for message in heard:
        await world.evil.tell(TUNIS, message)
    await world.unharmed()
    assert await world.tunis.count("node_record", "own = 0") == 2


async def test_a_hub_truncates_a_batch_of_entries(world: World) -> None:
    stream = await world.begun()
    world.evil.say = lies.about(stream, "headers", lies.truncate)
    lost = await world.send(count=2)
    evidence = await world.caught("root mismatch")
    assert evidence.holds("checkpoint")
    assert not await world.has(lost)


async def test_a_hub_grows_a_header(world: World) -> None:
    stream = await world.begun()
    world.evil.say = lies.about(stream, "headers", lies.grow)
    lost = await world.send()
    evidence = await world.caught("root mismatch")
    assert evidence.holds("checkpoint")
    assert not await world.has(lost)


async def test_a_hub_passes_entries_off_as_those_of_another_stream(world: World) -> None:
    stream, other = await world.begun(), await world.begun(OTHER)
    world.evil.say = lies.about(other, "headers", lies.once(lies.also_as(stream)))
    await world.send(OTHER)
    evidence = await world.caught("root mismatch")
    assert evidence.contradictions == ("entries give another root than is signed",)
    assert (await world.evidence(TUNIS)).accused == "hub"
    assert await world.tunis.count("node_record", "own = 0") == 4
