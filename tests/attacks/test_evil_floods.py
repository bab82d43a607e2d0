"""A hub that sends what no reader can use, and much of it."""

import os
import resource
from pathlib import Path

from mithaq.node.exchange.accusing import STRANGE_STREAMS_PER_DAY_MAX
from mithaq.node.exchange.subscriber import WINDOW_BYTES
from mithaq.v1 import exchange_pb2
from tests.attacks import lies
from tests.attacks.evil_hub import truth
from tests.attacks.world import TUNIS, World

MIB = 1024 * 1024
FLOOD_MIB = 192
GROWTH_MIB_MAX = 96


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / MIB


def garbage(size_bytes: int) -> exchange_pb2.SubscribeResponse:
    return exchange_pb2.SubscribeResponse(
        bodies=exchange_pb2.Bodies(
            stream_id=os.urandom(32), through_size=1, sequences=[0], bodies=[bytes(size_bytes)]
        )
    )


async def test_a_hub_sends_a_message_beyond_the_limit(world: World) -> None:
    await world.begun()
    session = world.tunis.session
    await world.evil.tell(TUNIS, garbage(5 * MIB))
    await world.tunis.until(lambda: not session.connected)
    await world.tunis.until(lambda: session.connected)
    await world.unharmed()


async def test_a_hub_sends_bodies_without_end(world: World) -> None:
    await world.begun()
    before, held = resident_mib(), 0
    subscriber = world.tunis.session.subscriber
    for _ in range(FLOOD_MIB // 3):
        await world.evil.tell(TUNIS, garbage(3 * MIB))
        waits = subscriber._arrived, subscriber._waiting  # pyright: ignore[reportPrivateUsage] - its memory
        held = max(held, sum(each.size_bytes for each in waits))
    # PROTOCOL 5.3a: what waits is bounded by the window, and the rest by gRPC's buffers.
    assert held <= 2 * WINDOW_BYTES + 4 * MIB
    await world.tunis.until(lambda: resident_mib() - before < GROWTH_MIB_MAX)
    await world.unharmed()
    assert await world.tunis.count("node_record", "own = 0") == 2


async def test_a_hub_makes_up_streams_without_end(world: World) -> None:
    heard: list[lies.Response] = []
    stream = await world.begun()
    world.evil.say = lies.about(stream, "headers", lies.listen(heard))
    await world.arrived(await world.send())
    for _ in range(STRANGE_STREAMS_PER_DAY_MAX + 8):
        strange = lies.Response()
        strange.CopyFrom(heard[0])
        strange.headers.stream_id = os.urandom(32)
        await world.evil.tell(TUNIS, strange)
    await world.caught("sequence gap")
    # Of so many the first few have their file: they prove no less.
    assert await world.tunis.count("node_alarm") == STRANGE_STREAMS_PER_DAY_MAX
    assert len(list(world.tunis.home.evidence.iterdir())) == STRANGE_STREAMS_PER_DAY_MAX


async def test_a_hub_sends_a_header_that_is_none(world: World) -> None:
    stream = await world.begun()

    def crooked(message: lies.Response) -> list[lies.Response]:
        message.headers.runs[-1].own_size = 9
        return [message]

    world.evil.say = lies.about(stream, "headers", crooked)
    lost = await world.send()
    await world.evil.has_lied()
    # The others go on on the same connection, while the lie lasts.
    evidence = await world.caught("root mismatch")
    assert evidence.holds("checkpoint")
    assert not await world.has(lost)
    world.evil.say = truth
