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
    HELD_PATIENCE_S_MAX,
    PATIENCE_S,
    QUEUE_BYTES_MAX,
    Accepted,
    Committed,
    Committer,
    Errand,
    Taken,
    Work,
)
from mithaq.hub.directory import Listener
from mithaq.hub.receipts import SignedReceipt, parse_receipt
from mithaq.ledger.cosignature import Role
from mithaq.store.errors import DiskFullError, WitnessConflictError
from tests.hub.core import Core, receipt_of
from tests.streams import StreamWriter

SENDER, READER, OTHER = "eg-moi", "tn-dgsn", "int-iom"


@dataclass
class Watched:
    """A committer whose transactions can be watched, failed and held up."""

    core: Core
    groups: list[int] = field(default_factory=list[int])
    poisoned: bytes = b""
    full: bool = False
    times_s: list[float] = field(default_factory=list[float])

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
    committer = Committer(
        core.database,
        core.directory,
        transact=watch.act,
        after=lambda _: None,
        timed=watch.times_s.append,
    )
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


async def test_each_transaction_that_stands_is_timed_once(
    core: Core, watched: tuple[Watched, Committer]
) -> None:
    watch, committer = watched
    first, second = batches(core, 2)
    await committer.submit(first)
    watch.full = True
    with pytest.raises(DiskFullError):
        await committer.submit(second)
    watch.full = False
    await committer.submit(second)
    assert len(watch.times_s) == 2
    assert min(watch.times_s) > 0


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
        timed=lambda _: None,
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


@pytest.fixture
def writer(core: Core) -> StreamWriter:
    """Return a stream of two readers with one record, which is committed."""
    writer = StreamWriter.to(core.federation, SENDER, READER, OTHER)
    writer.epoch()
    writer.put(1)
    core.accept(writer)
    return writer


def receipt(core: Core, writer: StreamWriter, reader: str, role: Role) -> SignedReceipt:
    return parse_receipt(receipt_of(core.federation, reader, writer, role), reader=reader)


async def test_an_opened_waits_for_whatever_is_committed_next(
    core: Core, watched: tuple[Watched, Committer], writer: StreamWriter
) -> None:
    watch, committer = watched
    core.sign(READER, writer, Role.HELD)
    opened = await committer.enqueue(receipt(core, writer, READER, Role.OPENED))
    await asyncio.sleep(PATIENCE_S / 10)
    assert watch.groups == []
    await committer.submit(batches(core, 1, ordinal=1)[0])
    assert isinstance(await opened, Taken)
    assert watch.groups == [2]


async def test_an_opened_does_not_wait_for_ever(
    core: Core, watched: tuple[Watched, Committer], writer: StreamWriter
) -> None:
    watch, committer = watched
    core.sign(READER, writer, Role.HELD)
    async with asyncio.timeout(20 * PATIENCE_S):
        await committer.submit(receipt(core, writer, READER, Role.OPENED))
    assert watch.groups == [1]


async def test_a_held_waits_a_moment_for_the_other_readers_that_are_connected(
    core: Core, watched: tuple[Watched, Committer], writer: StreamWriter
) -> None:
    watch, committer = watched
    for reader in (READER, OTHER):
        core.directory.listen_as_reader(Listener(reader))
    first = await committer.enqueue(receipt(core, writer, READER, Role.HELD))
    await asyncio.sleep(0)
    assert watch.groups == []
    second = await committer.enqueue(receipt(core, writer, OTHER, Role.HELD))
    await asyncio.gather(first, second)
    assert watch.groups == [2]


async def test_a_held_that_no_other_follows_is_committed_all_the_same(
    core: Core, watched: tuple[Watched, Committer], writer: StreamWriter
) -> None:
    watch, committer = watched
    for reader in (READER, OTHER):
        core.directory.listen_as_reader(Listener(reader))
    async with asyncio.timeout(20 * HELD_PATIENCE_S_MAX):
        await committer.submit(receipt(core, writer, READER, Role.HELD))
    assert watch.groups == [1]


async def test_a_held_of_the_only_reader_that_is_connected_waits_for_nobody(
    core: Core, watched: tuple[Watched, Committer], writer: StreamWriter
) -> None:
    _, committer = watched
    core.directory.listen_as_reader(Listener(READER))
    opened = await committer.enqueue(receipt(core, writer, OTHER, Role.HELD))
    held = await committer.enqueue(receipt(core, writer, READER, Role.HELD))
    # Neither is followed by another, and no time need pass.
    assert committer.is_due
    await asyncio.gather(opened, held)


async def test_a_held_that_is_behind_its_stream_waits_for_the_one_that_covers_it(
    core: Core, watched: tuple[Watched, Committer], writer: StreamWriter
) -> None:
    watch, committer = watched
    core.directory.listen_as_reader(Listener(READER))
    behind = receipt(core, writer, READER, Role.HELD)
    writer.put(1)
    core.accept(writer)
    waiting = await committer.enqueue(behind)
    assert not committer.is_due
    covering = await committer.enqueue(receipt(core, writer, READER, Role.HELD))
    assert committer.is_due
    await asyncio.gather(waiting, covering)
    assert watch.groups == [2]


async def test_a_held_that_is_behind_and_alone_does_not_wait_for_ever(
    core: Core, watched: tuple[Watched, Committer], writer: StreamWriter
) -> None:
    watch, committer = watched
    core.directory.listen_as_reader(Listener(READER))
    behind = receipt(core, writer, READER, Role.HELD)
    writer.put(1)
    core.accept(writer)
    async with asyncio.timeout(20 * HELD_PATIENCE_S_MAX):
        await committer.submit(behind)
    assert watch.groups == [1]


async def test_an_errand_rides_with_others_and_its_refusal_harms_none(
    core: Core, watched: tuple[Watched, Committer]
) -> None:
    watch, committer = watched

    def refuse(_: sa.Connection) -> object:
        raise WitnessConflictError("no", known_size=7, known_note=b"")

    refused = await committer.enqueue(Errand(refuse))
    asked = asyncio.ensure_future(
        committer.run_errand(lambda each: each.scalar(sa.select(sa.literal(42))))
    )
    await asyncio.sleep(0)
    accepted = await committer.submit(batches(core, 1)[0])
    assert isinstance(accepted, Accepted)
    assert await asked == 42
    outcome = await refused
    assert isinstance(outcome, WitnessConflictError)
    assert outcome.known_size == 7
    assert watch.groups == [3]
