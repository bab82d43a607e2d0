"""The newest batches in memory: what they give is what the database would."""

import pytest

from mithaq.hub.pieces import BodyPiece, HeaderPiece, Wanted
from mithaq.hub.reading import next_bodies, next_headers
from mithaq.hub.recent import Part, RecentBatches
from mithaq.ledger.entry import BATCH_SIZE_BYTES_MAX
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


def both_headers(
    core: Core, *, start: int, room_bytes: int = BATCH_SIZE_BYTES_MAX
) -> tuple[HeaderPiece | None, object]:
    stored = core.database.read_sync(
        lambda each: next_headers(each, log_no=LOG, start=start, room_bytes=room_bytes)
    )
    return core.directory.recent.headers(LOG, start=start, room_bytes=room_bytes), stored


def both_bodies(
    core: Core, wanted: Wanted, *, start: int, room_bytes: int = BATCH_SIZE_BYTES_MAX
) -> tuple[BodyPiece | None, object]:
    stored = core.database.read_sync(
        lambda each: next_bodies(each, wanted, log_no=LOG, start=start, room_bytes=room_bytes)
    )
    recent = core.directory.recent.bodies(LOG, wanted, start=start, room_bytes=room_bytes)
    return recent, stored


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
    recent, stored = both_headers(core, start=start)
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


@pytest.mark.parametrize("room_bytes", [0, 400, 4000, BATCH_SIZE_BYTES_MAX])
def test_small_batches_are_joined_as_the_database_joins_them(
    core: Core, writer: StreamWriter, room_bytes: int
) -> None:
    start = writer.size
    for count in (3, 1, 1, 250, 2, 4):
        writer.put(count)
        if count == 1:
            writer.epoch(READER)
        core.accept(writer)
    for at in (start, start + 3):
        recent, stored = both_headers(core, start=at, room_bytes=room_bytes)
        assert recent is not None
        assert recent == stored
        for reader in (READER, OTHER):
            wanted = Wanted(reader, writer.size - 4, 0)
            bodies, stored = both_bodies(core, wanted, start=at, room_bytes=room_bytes)
            assert bodies is not None
            assert bodies == stored


def test_a_reader_in_the_middle_of_a_batch_is_left_to_the_database(
    core: Core, writer: StreamWriter
) -> None:
    start = writer.put(2)
    core.accept(writer)
    recent, stored = both_headers(core, start=start + 1)
    assert recent is None
    assert isinstance(stored, HeaderPiece)
    wanted = Wanted(READER, start + 1, 0)
    assert both_bodies(core, wanted, start=start) == (None, None)


def message_of(recent: RecentBatches, part: Part, text: bytes) -> bytes:
    return recent.shared(part, lambda: text)


def test_a_message_is_made_once_for_what_is_the_same(core: Core, writer: StreamWriter) -> None:
    start = writer.put(2)
    core.accept(writer)
    recent, part = core.directory.recent, Part("bodies", LOG, start, writer.size)
    assert message_of(recent, part, b"first") == b"first"
    assert message_of(recent, part, b"second") == b"first"
    others = [
        Part("headers", LOG, start, writer.size),
        Part("bodies", LOG + 1, start, writer.size),
        Part("bodies", LOG, 0, writer.size),
        Part("bodies", LOG, start, writer.size - 1),
    ]
    for number, other in enumerate(others):
        text = b"other %d" % number
        assert message_of(recent, other, text) == text
    # Only what is of whole kept batches is kept.
    assert recent.shared_bytes == len(b"first") + len(b"other 0") + len(b"other 2")


def test_messages_are_kept_within_their_limit(core: Core, writer: StreamWriter) -> None:
    recent = RecentBatches(shared_limit_bytes=10)
    parts: list[Part] = []
    for _ in range(3):
        start = writer.put(1)
        recent.keep(core.commit_batch(writer).changes.recent)
        parts.append(Part("headers", LOG, start, writer.size))
    for part in parts[:2]:
        message_of(recent, part, b"12345")
    assert recent.shared_bytes == 10
    message_of(recent, parts[0], b"used again")
    message_of(recent, parts[2], b"1")
    assert recent.shared_bytes == 6
    assert message_of(recent, parts[0], b"again") == b"12345"
    assert message_of(recent, parts[1], b"anew") == b"anew"


def test_nothing_of_a_stream_stays_in_memory_once_something_of_it_is_withdrawn(
    core: Core, writer: StreamWriter
) -> None:
    record = writer.put(2)
    core.accept(writer)
    kept = core.directory.recent.kept_bytes
    assert kept > 0
    recent = core.directory.recent
    message_of(recent, Part("bodies", LOG, record, writer.size), b"body")
    assert recent.shared_bytes > 0
    writer.withdraw(record)
    core.accept(writer)
    assert (recent.kept_bytes, recent.shared_bytes) == (0, 0)


def test_nothing_erased_stays_in_memory(core: Core, writer: StreamWriter) -> None:
    writer.put(2)
    core.accept(writer)
    core.directory.note_erased({LOG: 10})
    assert core.directory.recent.kept_bytes == 0


def test_what_lies_beyond_a_sweep_stays_in_memory(core: Core, writer: StreamWriter) -> None:
    first = writer.put(2)
    core.accept(writer)
    second = writer.put(1)
    core.accept(writer)
    recent = core.directory.recent
    for start, size in ((first, second), (second, writer.size)):
        message_of(recent, Part("bodies", LOG, start, size), b"body")
    core.directory.note_swept(LOG, 10, end=second)
    assert recent.headers(LOG, start=first) is None
    assert recent.headers(LOG, start=second) is not None
    assert recent.shared_bytes == len(b"body")
    core.directory.note_swept(LOG, 10, end=second + 1)
    assert (recent.kept_bytes, recent.shared_bytes) == (0, 0)


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
    assert recent.headers(LOG, start=batch.start) is None
    assert recent.headers(LOG, start=newer.start) is not None
