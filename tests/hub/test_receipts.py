"""Receipts and freeze lists: whose, over what, and what a wrong one proves."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from mithaq.hub import tables
from mithaq.hub.answers import (
    LISTS_AT_ONCE_MAX,
    ReaderList,
    freeze_lists,
    reader_refusals,
)
from mithaq.hub.committer import Outcome, Taken
from mithaq.hub.errors import (
    FreezeListRefusedError,
    ReceiptConflictError,
    ReceiptRefusedError,
    StreamUnknownError,
)
from mithaq.hub.pieces import REFUSED
from mithaq.hub.receipts import (
    HELD,
    OPENED,
    parse_freeze_list,
    parse_receipt,
)
from mithaq.hub.staging import add_omissions
from mithaq.ledger.cosignature import Role, cosign_mldsa, cosigner_name
from mithaq.ledger.errors import SignatureInvalidError, SignatureMissingError
from mithaq.ledger.lists import (
    REFUSED_BY_HUB,
    REGISTRY_SIZE_MAX,
    freeze_list_bytes,
    refusal_list_bytes,
    refusals_bytes_max,
)
from mithaq.ledger.stream import StreamState
from mithaq.v1 import exchange_pb2
from tests.federation import Federation
from tests.hub.core import LOG, Core, receipt_of
from tests.streams import StreamWriter

SENDER, READER, OTHER = "eg-moi", "tn-dgsn", "int-iom"


@pytest.fixture
def writer(core: Core) -> StreamWriter:
    """Return a stream of 6 entries to tn-dgsn alone."""
    writer = StreamWriter.to(core.federation, SENDER, READER)
    writer.epoch()
    writer.put(4)
    core.accept(writer)
    return writer


def take(core: Core, message: exchange_pb2.Receipt, *, reader: str = READER) -> Outcome:
    return core.outcomes(parse_receipt(message, reader=reader))[0]


def signed_size(core: Core, role: int) -> int:
    return core.directory.signed_size(LOG, READER, role)


def test_held_and_opened_are_kept_and_survive_a_restart(core: Core, writer: StreamWriter) -> None:
    assert core.sign(READER, writer, Role.HELD) == Taken()
    assert core.sign(READER, writer, Role.OPENED) == Taken()
    core.forget()
    assert (signed_size(core, HELD), signed_size(core, OPENED)) == (6, 6)


def test_opened_never_runs_ahead_of_held(core: Core, writer: StreamWriter) -> None:
    assert isinstance(core.sign(READER, writer, Role.OPENED), ReceiptRefusedError)
    assert signed_size(core, OPENED) == 0


def test_opened_may_follow_held_within_one_transaction(core: Core, writer: StreamWriter) -> None:
    works = [
        parse_receipt(receipt_of(core.federation, READER, writer, role), reader=READER)
        for role in (Role.HELD, Role.OPENED)
    ]
    assert list(core.outcomes(*works)) == [Taken(), Taken()]


def test_a_held_receipt_relabelled_as_opened_is_not_taken(core: Core, writer: StreamWriter) -> None:
    core.sign(READER, writer, Role.HELD)
    held = receipt_of(core.federation, READER, writer, Role.HELD)
    held.role = exchange_pb2.RECEIPT_ROLE_OPENED
    assert isinstance(take(core, held), SignatureMissingError)
    held.cosignature = held.cosignature.replace("/held/", "/opened/")
    assert isinstance(take(core, held), SignatureMissingError)
    assert signed_size(core, OPENED) == 0


def test_a_receipt_signed_by_another_reader_is_not_taken(core: Core, writer: StreamWriter) -> None:
    forged = receipt_of(core.federation, READER, writer, Role.HELD)
    core.federation.agencies[READER].held = core.federation.agencies[OTHER].held
    forged.cosignature = receipt_of(core.federation, READER, writer, Role.HELD).cosignature
    assert isinstance(take(core, forged), SignatureMissingError)


def test_a_receipt_in_anothers_name_ends_the_call() -> None:
    message = exchange_pb2.Receipt(reader=OTHER, role=exchange_pb2.RECEIPT_ROLE_HELD)
    with pytest.raises(ReceiptRefusedError):
        parse_receipt(message, reader=READER)


def test_a_receipt_beyond_the_streams_end_is_not_taken(core: Core, writer: StreamWriter) -> None:
    ahead = core.sign(READER, writer, Role.HELD, size=7)
    assert isinstance(ahead, ReceiptRefusedError)


def test_a_receipt_at_a_size_between_two_notes_is_taken(core: Core, writer: StreamWriter) -> None:
    state = StreamState.open(writer.state.open_leaf)
    outcome = core.sign(READER, writer, Role.HELD, size=1, root=state.frontier.root())
    assert outcome == Taken()
    assert signed_size(core, HELD) == 1


def test_an_older_receipt_after_a_newer_changes_nothing(core: Core, writer: StreamWriter) -> None:
    older = receipt_of(core.federation, READER, writer, Role.HELD)
    writer.put(1)
    core.accept(writer)
    core.sign(READER, writer, Role.HELD)
    assert take(core, older) == Taken()
    assert signed_size(core, HELD) == 7


def test_of_several_receipts_in_one_transaction_the_newest_is_kept(
    core: Core, writer: StreamWriter
) -> None:
    works = [parse_receipt(receipt_of(core.federation, READER, writer, Role.HELD), reader=READER)]
    for _ in range(3):
        writer.put(1)
        core.accept(writer)
        message = receipt_of(core.federation, READER, writer, Role.HELD)
        works.append(parse_receipt(message, reader=READER))
    assert list(core.outcomes(*works)) == [Taken()] * 4
    assert signed_size(core, HELD) == 9


def test_a_receipt_over_another_root_is_an_alarm_with_evidence(
    core: Core, writer: StreamWriter
) -> None:
    conflict = core.sign(READER, writer, Role.HELD, root=bytes(32))
    assert isinstance(conflict, ReceiptConflictError)
    assert signed_size(core, HELD) == 0
    (row,) = core.database.read_sync(lambda each: each.execute(sa.select(tables.EVIDENCE)).all())
    assert (row.alarm, row.accused) == ("receipt conflict", READER)


def test_an_unsigned_receipt_over_another_root_is_no_conflict(
    core: Core, writer: StreamWriter
) -> None:
    message = receipt_of(core.federation, READER, writer, Role.HELD)
    message.root = bytes(32)
    assert isinstance(take(core, message), SignatureInvalidError)
    alarms = core.database.read_sync(
        lambda each: list(each.scalars(sa.select(tables.EVIDENCE.c.alarm)))
    )
    # It says something of its reader's keys, and nothing of what that signed.
    assert alarms == ["key used elsewhere"]


def test_a_stream_that_is_not_for_the_reader_looks_like_none(
    core: Core, writer: StreamWriter
) -> None:
    outside = core.sign(OTHER, writer, Role.HELD)
    never = StreamWriter.to(core.federation, SENDER, OTHER, ordinal=9)
    nowhere = core.sign(OTHER, never, Role.HELD)
    assert isinstance(outside, StreamUnknownError)
    assert isinstance(nowhere, StreamUnknownError)
    assert str(outside) == str(nowhere)


def test_the_daily_ml_dsa_receipt_is_kept_until_the_next_one(
    core: Core, writer: StreamWriter
) -> None:
    message = receipt_of(core.federation, READER, writer, Role.HELD)
    message.cosignature_mldsa = cosign_mldsa(
        writer.state.checkpoint(),
        name=cosigner_name(core.federation.name, Role.HELD, READER),
        signer=core.federation.agencies[READER].receipt_mldsa,
        at=datetime.now(UTC),
    ).line()
    assert take(core, message) == Taken()
    writer.put(1)
    core.accept(writer)
    core.sign(READER, writer, Role.HELD)
    (row,) = core.database.read_sync(lambda each: each.execute(sa.select(tables.RECEIPT)).all())
    assert row.size == 7
    assert exchange_pb2.Receipt.FromString(row.mldsa_receipt) == message


def test_the_daily_ml_dsa_receipt_is_kept_where_a_newer_one_comes_in_the_same_transaction(
    core: Core, writer: StreamWriter
) -> None:
    daily = receipt_of(core.federation, READER, writer, Role.HELD)
    daily.cosignature_mldsa = cosign_mldsa(
        writer.state.checkpoint(),
        name=cosigner_name(core.federation.name, Role.HELD, READER),
        signer=core.federation.agencies[READER].receipt_mldsa,
        at=datetime.now(UTC),
    ).line()
    writer.put(1)
    core.accept(writer)
    newer = receipt_of(core.federation, READER, writer, Role.HELD)
    works = [parse_receipt(each, reader=READER) for each in (daily, newer)]
    assert list(core.outcomes(*works)) == [Taken()] * 2
    (row,) = core.database.read_sync(lambda each: each.execute(sa.select(tables.RECEIPT)).all())
    assert row.size == 7
    assert exchange_pb2.Receipt.FromString(row.mldsa_receipt) == daily


def test_a_receipt_with_a_spoilt_ml_dsa_line_is_not_taken(core: Core, writer: StreamWriter) -> None:
    message = receipt_of(core.federation, READER, writer, Role.HELD)
    message.cosignature_mldsa = cosign_mldsa(
        writer.state.checkpoint(),
        name=cosigner_name(core.federation.name, Role.HELD, READER),
        signer=core.federation.agencies[OTHER].receipt_mldsa,
        at=datetime.now(UTC),
    ).line()
    assert isinstance(take(core, message), SignatureMissingError)


# --- what readers refuse -------------------------------------------------------------


def refusal_list(
    federation: Federation,
    writer: StreamWriter,
    *sequences: int,
    reason: str = "NO_CLAUSE",
    registry_size: int = 6,
) -> exchange_pb2.RefusalList:
    """Return a reader's signed list of refusals."""
    refusals = exchange_pb2.RefusalList(
        stream_id=writer.stream_id,
        signer=READER,
        refusals=[
            exchange_pb2.Refusal(sequence=each, reason=reason, registry_size=registry_size)
            for each in sequences
        ],
    )
    refusals.signature = federation.agencies[READER].opened.sign(refusal_list_bytes(refusals))
    return refusals


def naming(
    federation: Federation, writer: StreamWriter, *lists: exchange_pb2.RefusalList
) -> exchange_pb2.Receipt:
    """Return an opened receipt with lists of refusals, the last of which it names."""
    return receipt_of(federation, READER, writer, Role.OPENED, refusals=lists)


def refusing(federation: Federation, writer: StreamWriter, *sequences: int) -> exchange_pb2.Receipt:
    """Return an opened receipt with a signed list of refusals."""
    return naming(federation, writer, refusal_list(federation, writer, *sequences))


def test_a_readers_refusals_are_kept_once_for_the_sender(core: Core, writer: StreamWriter) -> None:
    core.sign(READER, writer, Role.HELD)
    message = refusing(core.federation, writer, 2, 4)
    assert take(core, message) == Taken()
    assert take(core, message) == Taken()
    lists = core.database.read_sync(lambda each: reader_refusals(each, log_no=LOG))
    (kept,) = lists
    assert kept.reader == READER
    assert exchange_pb2.RefusalList.FromString(kept.list_bytes) == message.refusals[0]


@pytest.mark.parametrize("fault", ["signature", "order", "beyond", "signer"])
def test_a_faulty_list_of_refusals_is_not_taken(
    core: Core, writer: StreamWriter, fault: str
) -> None:
    core.sign(READER, writer, Role.HELD)
    places = {"order": (4, 2), "beyond": (6,)}.get(fault, (2, 4))
    faulty = refusal_list(core.federation, writer, *places)
    if fault == "signature":
        faulty.refusals[0].reason = "OTHER"
    if fault == "signer":
        faulty.signer = OTHER
    assert isinstance(take(core, naming(core.federation, writer, faulty)), Exception)
    assert core.database.read_sync(lambda each: reader_refusals(each, log_no=LOG)) == []


def test_a_reader_fills_the_hub_with_no_more_refusals_than_the_stream_has(
    core: Core, writer: StreamWriter
) -> None:
    core.sign(READER, writer, Role.HELD)
    room = refusals_bytes_max(writer.size)
    messages = [refused_by(core.federation, writer, size) for size in range(800)]
    outcomes = [take(core, each) for each in messages]
    weight = sum(
        len(each.list_bytes)
        for each in core.database.read_sync(lambda each: all_refusals(each, log_no=LOG))
    )
    assert room - 1024 < weight <= room
    assert isinstance(outcomes[-1], ReceiptRefusedError)
    # What is kept already may come again at each connection.
    assert take(core, messages[0]) == Taken()


def refused_by(federation: Federation, writer: StreamWriter, size: int) -> exchange_pb2.Receipt:
    """Return an opened receipt that refuses two entries, by a registry of this size."""
    return naming(federation, writer, refusal_list(federation, writer, 2, 4, registry_size=size))


def all_refusals(connection: sa.Connection, *, log_no: int) -> list[ReaderList]:
    """Return the lists of a stream page by page, as a sender gets them."""
    found: list[ReaderList] = []
    while page := reader_refusals(
        connection, log_no=log_no, after=found[-1].serial if found else 0
    ):
        assert len(page) <= LISTS_AT_ONCE_MAX
        found += page
    return found


def test_a_list_of_refusals_for_a_database_that_holds_no_such_size_is_not_taken(
    core: Core, writer: StreamWriter
) -> None:
    core.sign(READER, writer, Role.HELD)
    beyond = refused_by(core.federation, writer, REGISTRY_SIZE_MAX + 1)
    assert isinstance(take(core, beyond), ReceiptRefusedError)
    assert signed_size(core, OPENED) == 0
    assert take(core, refused_by(core.federation, writer, REGISTRY_SIZE_MAX)) == Taken()


def test_a_receipt_names_the_last_of_the_lists_that_come_with_it(
    core: Core, writer: StreamWriter
) -> None:
    federation = core.federation
    core.sign(READER, writer, Role.HELD)
    first, last = (refusal_list(federation, writer, each) for each in (2, 4))
    unnamed = receipt_of(federation, READER, writer, Role.OPENED)
    unnamed.refusals.append(first)
    swapped = naming(federation, writer, last, first)
    swapped.refusals_head = naming(federation, writer, last).refusals_head
    for message in (unnamed, swapped):
        with pytest.raises(ReceiptRefusedError, match="names the last"):
            parse_receipt(message, reader=READER)
    assert take(core, naming(federation, writer, first, last)) == Taken()


def test_a_receipt_that_names_a_list_that_never_came_is_not_taken(
    core: Core, writer: StreamWriter
) -> None:
    core.sign(READER, writer, Role.HELD)
    message = refusing(core.federation, writer, 2)
    stripped = exchange_pb2.Receipt()
    stripped.CopyFrom(message)
    del stripped.refusals[:]
    assert isinstance(take(core, stripped), ReceiptRefusedError)
    assert signed_size(core, OPENED) == 0
    assert take(core, message) == Taken()
    # Once the list is here, the receipt needn't bring it again.
    assert take(core, stripped) == Taken()
    assert signed_size(core, OPENED) == writer.size


def test_what_a_receipt_names_cannot_be_stripped_or_changed(
    core: Core, writer: StreamWriter
) -> None:
    core.sign(READER, writer, Role.HELD)
    message = refusing(core.federation, writer, 2)
    other = refusal_list(core.federation, writer, 4)
    for lists in ([], [other]):
        message.refusals_head = naming(core.federation, writer, *lists).refusals_head
        del message.refusals[:]
        message.refusals.extend(lists)
        assert isinstance(take(core, message), SignatureInvalidError)


def test_a_reader_names_no_entry_as_refused_by_a_hub_that_did_not(
    core: Core, writer: StreamWriter
) -> None:
    core.sign(READER, writer, Role.HELD)
    said = refusal_list(core.federation, writer, 2, reason=REFUSED_BY_HUB)
    assert isinstance(take(core, naming(core.federation, writer, said)), ReceiptRefusedError)
    core.database.write_sync(
        lambda each: add_omissions(
            each, [{"log_no": LOG, "sequence": 2, "reason": REFUSED, "withdrawn_by": 0}]
        )
    )
    assert take(core, naming(core.federation, writer, said)) == Taken()


# --- freeze lists ---------------------------------------------------------------------


def freeze_list(
    federation: Federation,
    writer: StreamWriter,
    *,
    at: datetime | None = None,
    reader: str = READER,
) -> exchange_pb2.FreezeList:
    message = exchange_pb2.FreezeList(
        federation=federation.name,
        sender=SENDER,
        reader=reader,
        at=int((at or datetime.now(UTC)).timestamp()),
        streams=[
            exchange_pb2.StreamHead(
                stream_id=writer.stream_id, size=writer.size, root=writer.state.frontier.root()
            )
        ],
    )
    log = federation.agencies[SENDER].log
    signature = log.sign(freeze_list_bytes(message))
    message.signature_ed25519, message.signature_mldsa = signature.ed25519, signature.mldsa44
    return message


def hand_in(core: Core, message: exchange_pb2.FreezeList) -> Outcome:
    parsed = parse_freeze_list(message, sender=SENDER, federation=core.federation.name)
    return core.outcomes(parsed)[0]


def test_the_newest_freeze_list_for_a_reader_is_kept(core: Core, writer: StreamWriter) -> None:
    now = datetime.now(UTC)
    older = freeze_list(core.federation, writer, at=now - timedelta(seconds=60))
    newer = freeze_list(core.federation, writer, at=now)
    assert hand_in(core, older) == Taken()
    assert hand_in(core, newer) == Taken()
    assert isinstance(hand_in(core, older), FreezeListRefusedError)
    kept = core.database.read_sync(lambda each: freeze_lists(each, reader=READER, senders=None))
    assert [exchange_pb2.FreezeList.FromString(each) for each in kept] == [newer]


def test_a_freeze_list_without_both_signatures_is_refused(core: Core, writer: StreamWriter) -> None:
    for name, size in (("signature_ed25519", 64), ("signature_mldsa", 2420)):
        message = freeze_list(core.federation, writer)
        setattr(message, name, bytes(size))
        assert isinstance(hand_in(core, message), SignatureInvalidError)


def test_a_freeze_list_dated_ahead_of_what_clocks_may_differ_is_refused(
    core: Core, writer: StreamWriter
) -> None:
    core.now = datetime.now(UTC).replace(microsecond=0)
    limit = core.federation.registry.policy.clock_skew_limit
    at_limit = freeze_list(core.federation, writer, at=core.now + limit)
    beyond = freeze_list(core.federation, writer, at=core.now + limit + timedelta(seconds=1))
    assert isinstance(hand_in(core, beyond), FreezeListRefusedError)
    assert hand_in(core, at_limit) == Taken()


def test_a_freeze_list_for_nobody_is_refused(core: Core, writer: StreamWriter) -> None:
    assert isinstance(
        hand_in(core, freeze_list(core.federation, writer, reader="xx-nobody")), Exception
    )


def test_a_freeze_list_in_anothers_name_ends_the_call(core: Core, writer: StreamWriter) -> None:
    message = freeze_list(core.federation, writer)
    with pytest.raises(FreezeListRefusedError):
        parse_freeze_list(message, sender=OTHER, federation=core.federation.name)
    with pytest.raises(FreezeListRefusedError):
        parse_freeze_list(message, sender=SENDER, federation="other.example")
