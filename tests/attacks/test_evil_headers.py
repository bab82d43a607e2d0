"""A hub that lies about the entries of a stream."""

import pytest

from tests.attacks import lies
from tests.attacks.world import TUNIS, World


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
