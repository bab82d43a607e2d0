"""Which bodies are erased: opened by all who are entitled, or expired; and which are not."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import sqlalchemy as sa

from mithaq.hub import tables
from mithaq.hub.pieces import EXPIRED, OPENED, OmittedBody, Wanted
from mithaq.hub.reading import next_bodies
from mithaq.hub.sweeping import Swept, erase_expired, erase_opened, has_expired, oldest_body_at
from mithaq.ledger.cosignature import Role
from mithaq.ledger.kinds import StreamRole
from tests.hub.core import LOG, Core
from tests.streams import StreamWriter, open_terms

SENDER, READER, OTHER = "eg-moi", "tn-dgsn", "int-iom"


@pytest.fixture
def writer(core: Core) -> StreamWriter:
    """Return a stream with three records for two readers."""
    writer = StreamWriter.to(core.federation, SENDER, READER, OTHER)
    writer.epoch()
    writer.put(3)
    core.accept(writer)
    return writer


def kept(core: Core) -> list[int]:
    wanted = sa.select(tables.BODY.c.sequence).order_by(tables.BODY.c.sequence)
    return core.database.read_sync(lambda each: list(each.scalars(wanted)))


def sweep(core: Core) -> int:
    return swept(core).freed_bytes


def swept(core: Core) -> Swept:
    stream = core.directory.stream(LOG)
    return core.database.write_sync(
        lambda each: erase_opened(
            each, stream, directory=core.directory, registry=core.federation.registry
        )
    )


def open_all(core: Core, writer: StreamWriter, *readers: str) -> None:
    for reader in readers:
        core.sign(reader, writer, Role.HELD)
        core.sign(reader, writer, Role.OPENED)


def test_nothing_is_erased_before_the_last_reader_has_opened_it(
    core: Core, writer: StreamWriter
) -> None:
    open_all(core, writer, READER)
    assert sweep(core) == 0
    open_all(core, writer, OTHER)
    assert sweep(core) == sum(map(len, writer.sent.values()))
    assert kept(core) == []


def test_all_that_a_sweep_erased_lies_below_its_end(core: Core, writer: StreamWriter) -> None:
    open_all(core, writer, READER, OTHER)
    opened = writer.size
    writer.put(1)
    core.accept(writer)
    assert swept(core).end == opened
    assert kept(core) == [opened]
    assert swept(core) == Swept(0, 0)


def test_a_reader_outside_the_epoch_keeps_none_of_its_bodies(
    core: Core, writer: StreamWriter
) -> None:
    epoch = writer.epoch(READER)
    record = writer.put(1)
    core.accept(writer)
    open_all(core, writer, READER)
    sweep(core)
    assert kept(core) == [1, 2, 3, 4]
    assert {epoch, record} == {5, 6}


@pytest.mark.parametrize("over", ["revoked", "left"])
def test_a_reader_that_is_gone_for_good_keeps_no_bodies(
    core: Core, writer: StreamWriter, over: str
) -> None:
    open_all(core, writer, READER)
    if over == "revoked":
        core.federation.revoke(OTHER)
    else:
        core.federation.end_agreement("test-agreement")
    assert sweep(core) > 0
    assert kept(core) == []


def test_a_suspended_reader_keeps_its_bodies_for_it_may_come_back(
    core: Core, writer: StreamWriter
) -> None:
    open_all(core, writer, READER)
    core.federation.suspend(OTHER)
    core.federation.suspend_agreement("test-agreement", READER)
    assert sweep(core) == 0


def test_answers_are_kept_while_their_agreement_is_wound_down(core: Core) -> None:
    terms = open_terms(core.federation, SENDER, [READER], role=StreamRole.RETURN)
    answers = StreamWriter(core.federation, terms)
    answers.epoch()
    core.accept(answers)
    core.federation.end_agreement("test-agreement")
    assert sweep(core) == 0
    assert kept(core) == [1]


def test_what_is_withdrawn_already_is_counted_once(core: Core, writer: StreamWriter) -> None:
    writer.withdraw(2)
    core.accept(writer)
    open_all(core, writer, READER, OTHER)
    freed = sweep(core)
    core.directory.note_erased({LOG: freed})
    assert core.directory.stored_bytes(LOG) == 0
    stored = sa.select(tables.STREAM.c.stored_bytes)
    assert core.database.read_sync(lambda each: each.scalar(stored)) == 0


def expire(core: Core, at: int) -> int:
    freed = core.database.write_sync(lambda each: erase_expired(each, expired_at=at))
    return freed[LOG]


def test_a_body_is_erased_at_its_expiry_and_not_before(core: Core, writer: StreamWriter) -> None:
    valid = timedelta(days=2)
    record = writer.put(2, valid=valid)
    core.accept(writer)
    run = sa.select(tables.BODY_RUN.c.expires_at).where(tables.BODY_RUN.c.first_sequence == record)
    expires_at = core.database.read_sync(lambda each: each.scalar(run)) or 0
    assert not core.database.read_sync(lambda each: has_expired(each, expired_at=expires_at - 1))
    assert expire(core, expires_at - 1) == 0
    assert core.database.read_sync(lambda each: has_expired(each, expired_at=expires_at))
    assert expire(core, expires_at) == sum(len(writer.sent[each]) for each in (record, record + 1))
    assert record not in kept(core)
    assert not core.database.read_sync(lambda each: has_expired(each, expired_at=expires_at))
    piece = core.database.read_sync(
        lambda each: next_bodies(each, Wanted(READER, writer.size, expires_at), log_no=LOG, start=0)
    )
    assert piece is not None
    assert [(each.sequence, each.reason) for each in piece.omitted] == [
        (record, EXPIRED),
        (record + 1, EXPIRED),
    ]


def test_what_a_reader_has_opened_and_asks_for_again_is_left_out_by_that_name(
    core: Core, writer: StreamWriter
) -> None:
    open_all(core, writer, READER, OTHER)
    sweep(core)
    gone = (1, 2, 3, 4)
    cases = (writer.size, gone, ()), (3, gone[:2], (3, 4)), (0, (), gone)
    for opened, left_out, missing in cases:
        wanted = Wanted(READER, writer.size, 0, opened)
        look = partial(next_bodies, wanted=wanted, log_no=LOG, start=0)
        piece = core.database.read_sync(look)
        assert piece is not None
        assert (piece.bodies, piece.missing) == ((), missing)
        assert piece.omitted == tuple(OmittedBody(each, OPENED) for each in left_out)


def test_the_oldest_body_that_waits_is_known_by_when_it_was_admitted(
    core: Core, writer: StreamWriter
) -> None:
    assert writer.size
    oldest = core.database.read_sync(lambda each: oldest_body_at(each, LOG))
    assert oldest is not None
    core.now = datetime.now(UTC) + timedelta(hours=1)
    writer.put(1)
    core.accept(writer)
    assert core.database.read_sync(lambda each: oldest_body_at(each, LOG)) == oldest
    open_all(core, writer, READER, OTHER)
    sweep(core)
    assert core.database.read_sync(lambda each: oldest_body_at(each, LOG)) is None
