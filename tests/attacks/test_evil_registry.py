"""A hub that lies about the registry, alone or with the registrar."""

from datetime import timedelta

from mithaq.ledger.checkpoint import Checkpoint, sign_checkpoint
from mithaq.v1 import exchange_pb2
from tests.attacks import lies
from tests.attacks.evil_hub import truth
from tests.attacks.world import CAIRO, GENEVA, TUNIS, World
from tests.federation import now

WITHHELD, OVERDUE = "registry withheld", "receipt overdue"


async def grows(world: World) -> None:
    """Let the registrar enter a newcomer."""
    world.federation.enrol("it-int")
    await world.evil.order(world.federation.leaves[-1])


async def test_a_hub_serves_a_stale_registry(world: World) -> None:
    await world.begun()
    world.evil.say = lies.of_kind("registry", lies.drop)
    await grows(world)
    await world.cairo.until(lambda: world.cairo.home.registry.size == len(world.federation.leaves))
    waiting = await world.send()
    subscriber = world.tunis.session.subscriber
    await world.tunis.until(
        lambda: subscriber._waiting_since  # pyright: ignore[reportPrivateUsage] - no row tells
    )
    await world.passes(1)
    # What Cairo sends now was judged by the newer registry, and waits.
    evidence = await world.caught(WITHHELD, also={CAIRO: OVERDUE}, through=GENEVA)
    assert evidence.holds("checkpoint")
    assert evidence.holds("acceptance")
    assert not await world.has(waiting)


def cut_short(message: exchange_pb2.FollowResponse) -> list[exchange_pb2.FollowResponse]:
    """Leave the newest leaf out under the registrar's note over it."""
    return [
        exchange_pb2.FollowResponse(first_index=message.first_index, checkpoint=message.checkpoint)
    ]


async def test_a_hub_truncates_the_registry(world: World) -> None:
    await world.begun()
    known = world.tunis.home.registry.size
    world.evil.say = lies.of_kind("registry", cut_short)
    await grows(world)
    evidence = await world.caught(WITHHELD, through=GENEVA)
    # The registrar signed more than was delivered.
    assert evidence.holds("offered_checkpoint")
    assert world.tunis.home.registry.size == known
    world.evil.say = truth
    await world.tunis.until(lambda: world.tunis.home.registry.size == known + 1)
    await world.goes_on()


async def test_a_hub_replays_an_old_registry(world: World) -> None:
    old = world.federation.checkpoint()
    await grows(world)
    size = world.federation.registry.size
    await world.tunis.until(lambda: world.tunis.home.registry.size == size)
    await world.evil.tell(TUNIS, exchange_pb2.FollowResponse(first_index=0, checkpoint=old))
    await world.unharmed()
    assert world.tunis.home.registry.size == size


async def test_a_hub_and_a_registrar_roll_the_registry_back(world: World) -> None:
    await world.begun()
    size = world.federation.registry.size
    later = world.federation.checkpoint(size=size - 1, at=now() + timedelta(seconds=2))
    await world.evil.tell(TUNIS, exchange_pb2.FollowResponse(first_index=0, checkpoint=later))
    evidence = await world.caught("registry rolled back")
    assert evidence.holds("offered_checkpoint")
    assert evidence.holds("known_checkpoint")
    assert world.tunis.home.registry.size == size


async def test_a_hub_and_a_registrar_show_two_registries(world: World) -> None:
    await world.begun()
    registry, registrar = world.federation.registry, world.federation.registrar
    other = sign_checkpoint(
        Checkpoint(registry.origin, registry.size, bytes(32)),
        ed25519=registrar.ed25519,
        mldsa=registrar.mldsa,
        at=now(),
    )
    await world.evil.tell(TUNIS, exchange_pb2.FollowResponse(first_index=0, checkpoint=other))
    evidence = await world.caught("fork")
    (fork,) = evidence.contradictions
    assert fork.startswith("known_checkpoint and offered_checkpoint name different roots")
