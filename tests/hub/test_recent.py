"""The newest batches in memory: what they give is what the database would."""

import pytest

from mithaq.hub.pieces import BodyPiece, HeaderPiece, Wanted
from mithaq.hub.reading import next_bodies, next_headers
from mithaq.hub.recent import RecentBatches
from tests.hub.core import LOG, Core
from tests.streams import StreamWriter

SENDER, READER, OTHER = "eg-moi", "tn-dgsn", "int-iom"


@pytest.fixture
def writer(core: Core) -> StreamWriter:
    """Return a stream with an epoch."""
    writer = StreamWriter.to(core.federation, SENDER, OTHER, READER)
    writer.epoch()
    core.accept(writer)
    return writer


def both_headers(core: Core, *, start: int, size: int) -> tuple[HeaderPiece | None, object]:
    stored = core.database.read_sync(lambda each: next_headers(each, log_no=LOG, start=start))
    return core.directory.recent.headers(LOG, start=start, size=size), stored


def both_bodies(core: Core, wanted: Wanted, *, start: int) -> tuple[BodyPiece | None, object]:
    stored = core.database.read_sync(
        lambda each: next_bodies(each, wanted, log_no=LOG, start=start)
    )
    return core.directory.recent.bodies(LOG, wanted, start=start), stored


@pytest.mark.parametrize("reader", [READER, OTHER])
@pytest.mark.parametrize("expired", [0, 2**40], ids=["in time", "expired"])
def test_a_batch_from_memory_is_the_batch_from_the_database(
    core: Core, writer: StreamWriter, reader: str, expired: int
) -> None:
    start = writer.size
    writer.put(2)
    writer.put(1, category="HEALTH_EVENT")
    writer.epoch(READER)
    writer.put(3)
    core.accept(writer)
    recent, stored = both_headers(core, start=start, size=writer.size)
    assert recent is not None
    assert recent == stored
    bodies, stored = both_bodies(core, Wanted(reader, writer.size, expired), start=start)
    assert bodies is not None
    assert bodies == stored
    assert bodies.omitted


def test_the_first_batch_of_a_stream_is_kept_as_well(core: Core) -> None:
    writer = StreamWriter.to(core.federation, SENDER, READER)
    writer.epoch()
    writer.put(1)
    core.accept(writer)
    bodies, stored = both_bodies(core, Wanted(READER, writer.size, 0), start=0)
    assert bodies is not None
    assert bodies == stored
    assert bodies.sequences == (1, 2)


def test_several_small_batches_are_left_to_the_database_which_joins_them(
    core: Core, writer: StreamWriter
) -> None:
    start = writer.size
    for _ in range(3):
        writer.put(1)
        core.accept(writer)
    recent, stored = both_headers(core, start=start, size=writer.size)
    assert recent is None
    assert isinstance(stored, HeaderPiece)
    assert stored.size == writer.size


def test_nothing_of_a_stream_stays_in_memory_once_something_of_it_is_withdrawn(
    core: Core, writer: StreamWriter
) -> None:
    record = writer.put(2)
    core.accept(writer)
    kept = core.directory.recent.kept_bytes
    assert kept > 0
    writer.withdraw(record)
    core.accept(writer)
    assert core.directory.recent.kept_bytes == 0


def test_nothing_erased_stays_in_memory(core: Core, writer: StreamWriter) -> None:
    writer.put(2)
    core.accept(writer)
    core.directory.note_erased({LOG: 10})
    assert core.directory.recent.kept_bytes == 0


def test_the_oldest_batches_make_room_for_the_newest(core: Core, writer: StreamWriter) -> None:
    writer.put(4, size_bytes=1052)
    committed = core.commit_batch(writer)
    (batch,) = committed.changes.recent
    recent = RecentBatches(limit_bytes=batch.weight_bytes)
    recent.keep([batch])
    assert recent.kept_bytes == batch.weight_bytes
    writer.put(1, size_bytes=28)
    (newer,) = core.commit_batch(writer).changes.recent
    recent.keep([newer])
    assert recent.kept_bytes == newer.weight_bytes
    assert recent.headers(LOG, start=batch.headers.first_sequence, size=batch.headers.size) is None
