"""The queue before the database: order, groups, bounds, and one faulty piece among others."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import pytest
import sqlalchemy as sa

from mithaq.hub.batch import PublishedBatch, parse_batch
from mithaq.hub.commit import transact
from mithaq.hub.committer import (
    GROUP_BYTES_MAX,
    QUEUE_BYTES_MAX,
    Accepted,
    Committed,
    Committer,
    Work,
)
from mithaq.store.errors import DiskFullError
from tests.hub.core import Core
from tests.streams import StreamWriter

SENDER, READER = "eg-moi", "tn-dgsn"


@dataclass
class Watched:
    """A committer whose transactions can be watched, failed and held up."""

    core: Core
    groups: list[int] = field(default_factory=list[int])
    poisoned: bytes = b""
    full: bool = False

    def act(self, connection: sa.Connection, works: Sequence[Work]) -> Committed:
        self.groups.append(len(works))
        if self.full:
            raise DiskFullError("the disk is full")
        if any(
            isinstance(each, PublishedBatch) and each.stream_id == self.poisoned for each in works
        ):
            raise RuntimeError("nobody foresaw this")
        return partial(transact, self.core.rules())(connection, works)


@pytest.fixture
async def watched(core: Core) -> AsyncIterator[tuple[Watched, Committer]]:
    """Run a committer on a core."""
    watch = Watched(core)
    committer = Committer(core.database, core.directory, transact=watch.act, after=lambda _: None)
    running = asyncio.ensure_future(committer.run())
    yield watch, committer
    running.cancel()


def batches(core: Core, count: int, *, ordinal: int = 0) -> list[PublishedBatch]:
    writer = StreamWriter.to(core.federation, SENDER, READER, ordinal=ordinal)
    writer.epoch()
    parsed = [parse_batch(writer.batch(), sender=SENDER)]
    for _ in range(count - 1):
        writer.put(1)
        parsed.append(parse_batch(writer.batch(), sender=SENDER))
    return parsed


async def test_what_waits_is_committed_together_and_answered_in_order(
    core: Core, watched: tuple[Watched, Committer]
) -> None:
    watch, committer = watched
    waiting = [await committer.enqueue(each) for each in batches(core, 20)]
    outcomes = await asyncio.gather(*waiting)
    assert [each.size for each in outcomes if isinstance(each, Accepted)] == list(range(2, 22))
    assert watch.groups == [20]


async def test_an_answer_finds_the_directory_up_to_date(
    core: Core, watched: tuple[Watched, Committer]
) -> None:
    _, committer = watched
    (batch,) = batches(core, 1)
    accepted = await committer.submit(batch)
    stream = core.directory.find(batch.stream_id)
    assert stream is not None
    assert isinstance(accepted, Accepted)
    assert stream.state.size == accepted.size


async def test_a_piece_that_nobody_foresaw_does_not_take_its_neighbours_with_it(
    core: Core, watched: tuple[Watched, Committer]
) -> None:
    watch, committer = watched
    good, bad = batches(core, 1), batches(core, 1, ordinal=1)
    watch.poisoned = bad[0].stream_id
    done = [await committer.enqueue(each) for each in (*good, *bad)]
    outcomes = await asyncio.gather(*done)
    assert isinstance(outcomes[0], Accepted)
    assert isinstance(outcomes[1], RuntimeError)
    watch.poisoned = b""
    assert isinstance(await committer.submit(bad[0]), Accepted)


async def test_a_full_disk_refuses_all_that_waits_and_the_hub_goes_on_when_there_is_room(
    core: Core, watched: tuple[Watched, Committer]
) -> None:
    watch, committer = watched
    (batch,) = batches(core, 1)
    watch.full = True
    with pytest.raises(DiskFullError):
        await committer.submit(batch)
    watch.full = False
    assert isinstance(await committer.submit(batch), Accepted)


async def test_a_group_ends_at_its_weight(core: Core, watched: tuple[Watched, Committer]) -> None:
    watch, committer = watched
    writer = StreamWriter.to(core.federation, SENDER, READER)
    writer.epoch()
    parsed = [parse_batch(writer.batch(), sender=SENDER)]
    for _ in range(12):
        writer.put(2, size_bytes=300_000)
        parsed.append(parse_batch(writer.batch(), sender=SENDER))
    await asyncio.gather(*[await committer.enqueue(each) for each in parsed])
    heaviest = -(-GROUP_BYTES_MAX // 600_000) + 1
    assert max(watch.groups) <= heaviest
    assert len(watch.groups) > 1


async def test_who_comes_when_the_queue_is_full_waits_until_there_is_room(core: Core) -> None:
    committer = Committer(
        core.database,
        core.directory,
        transact=partial(transact, core.rules()),
        after=lambda _: None,
    )
    writer = StreamWriter.to(core.federation, SENDER, READER)
    writer.epoch()
    writer.put(1, size_bytes=900_000)
    batch = parse_batch(writer.batch(), sender=SENDER)
    for _ in range(QUEUE_BYTES_MAX // batch.size_bytes + 1):
        waiting = await committer.enqueue(batch)
        assert not waiting.done()
    assert not committer.is_keeping_up
    late = asyncio.ensure_future(committer.enqueue(batch))
    await asyncio.sleep(0.05)
    assert not late.done()
    running = asyncio.ensure_future(committer.run())
    async with asyncio.timeout(20):
        assert isinstance(await (await late), Accepted)
    running.cancel()


async def test_nobody_waits_for_who_has_gone_away(
    core: Core, watched: tuple[Watched, Committer]
) -> None:
    _, committer = watched
    first, second = batches(core, 2)
    gone = await committer.enqueue(first)
    gone.cancel()
    assert isinstance(await committer.submit(second), Accepted)
