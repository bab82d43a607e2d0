"""What comes in over the wire: of its form, or refused before anything is looked up."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from mithaq.hub.batch import parse_batch, to_message
from mithaq.hub.errors import (
    BatchFormatError,
    BodyMismatchError,
    FreezeListRefusedError,
    HubError,
    ReceiptRefusedError,
)
from mithaq.hub.receipts import parse_freeze_list, parse_receipt
from mithaq.hub.refusals import check_reader_refusals, parse_lists
from mithaq.ledger.errors import EntryFormatError, LedgerError
from mithaq.v1 import exchange_pb2
from tests.federation import Federation, standard_federation
from tests.streams import StreamWriter

SENDER, READER = "eg-moi", "tn-dgsn"


@pytest.fixture(scope="module")
def founded() -> Federation:
    """Return a federation that no test changes."""
    return standard_federation()


@pytest.fixture
def message(founded: Federation) -> exchange_pb2.Batch:
    """Return a batch of an EPOCH and three records that continues a stream."""
    writer = StreamWriter.to(founded, SENDER, READER)
    writer.batch()
    writer.epoch()
    writer.put(3)
    return writer.batch()


def test_a_batch_comes_out_as_it_went_in(message: exchange_pb2.Batch) -> None:
    batch = parse_batch(message, sender=SENDER)
    assert to_message(batch) == message
    assert (batch.first_sequence, batch.end, len(batch.bodies)) == (1, 5, 4)


def test_a_batch_without_entries_is_refused(message: exchange_pb2.Batch) -> None:
    del message.runs[:]
    with pytest.raises(EntryFormatError):
        parse_batch(message, sender=SENDER)


@pytest.mark.parametrize(("count", "refused"), [(256, False), (257, True)])
def test_a_batch_has_at_most_256_entries(founded: Federation, count: int, *, refused: bool) -> None:
    writer = StreamWriter.to(founded, SENDER, READER)
    writer.epoch()
    writer.batch()
    writer.put(count, size_bytes=28)
    message = writer.batch()
    if refused:
        with pytest.raises(EntryFormatError):
            parse_batch(message, sender=SENDER)
    else:
        assert parse_batch(message, sender=SENDER).end == count + 2


def test_a_batch_weighs_at_most_a_mebibyte(founded: Federation) -> None:
    writer = StreamWriter.to(founded, SENDER, READER)
    writer.epoch()
    writer.batch()
    writer.put(2, size_bytes=524_288)
    with pytest.raises(EntryFormatError):
        parse_batch(writer.batch(), sender=SENDER)


def test_a_batch_begins_with_the_sequence_that_it_names(message: exchange_pb2.Batch) -> None:
    message.first_sequence = 2
    with pytest.raises(BatchFormatError):
        parse_batch(message, sender=SENDER)


@pytest.mark.parametrize("more", [True, False], ids=["one more", "one fewer"])
def test_a_batch_has_a_body_for_each_entry_that_names_one(
    message: exchange_pb2.Batch, *, more: bool
) -> None:
    if more:
        message.bodies.append(bytes(28))
    else:
        del message.bodies[-1]
    with pytest.raises(BatchFormatError):
        parse_batch(message, sender=SENDER)


def test_a_body_is_of_the_size_that_its_entry_names(message: exchange_pb2.Batch) -> None:
    message.bodies[2] += b"x"
    with pytest.raises(BodyMismatchError):
        parse_batch(message, sender=SENDER)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_stream_id_has_32_bytes(message: exchange_pb2.Batch, size: int) -> None:
    message.stream_id = bytes(size)
    with pytest.raises(BatchFormatError):
        parse_batch(message, sender=SENDER)


@given(st.binary(max_size=400))
def test_no_bytes_in_place_of_a_batch_do_more_than_be_refused(data: bytes) -> None:
    try:
        message = exchange_pb2.Batch.FromString(data)
    except DecodeError:
        return
    with pytest.raises((HubError, LedgerError)):
        parse_batch(message, sender=SENDER)


@given(st.data())
def test_a_batch_with_a_byte_changed_is_parsed_to_what_it_says_or_refused(
    founded: Federation, data: st.DataObject
) -> None:
    writer = StreamWriter.to(founded, SENDER, READER)
    writer.epoch()
    raw = bytearray(writer.batch().SerializeToString())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    try:
        message = exchange_pb2.Batch.FromString(bytes(raw))
        batch = parse_batch(message, sender=SENDER)
    except (DecodeError, HubError, LedgerError):
        return
    assert to_message(batch).runs == message.runs


@given(
    role=st.integers(0, 3),
    size=st.integers(0, 2**64 - 1),
    root=st.binary(max_size=40),
    stream_id=st.binary(max_size=40),
    line=st.text(max_size=600),
)
def test_a_receipt_is_of_its_form_or_refused(
    role: int, size: int, root: bytes, stream_id: bytes, line: str
) -> None:
    message = exchange_pb2.Receipt(
        stream_id=stream_id,
        reader=READER,
        role=role,  # type: ignore[arg-type]
        size=size,
        root=root,
        cosignature=line,
    )
    try:
        receipt = parse_receipt(message, reader=READER)
    except ReceiptRefusedError:
        return
    assert (len(receipt.root), len(receipt.stream_id)) == (32, 32)
    assert receipt.size > 0
    assert receipt.role in {1, 2}


@given(at=st.integers(-(2**63), 2**63 - 1), ids=st.lists(st.binary(max_size=34), max_size=4))
def test_a_freeze_list_is_of_its_form_or_refused(at: int, ids: list[bytes]) -> None:
    message = exchange_pb2.FreezeList(
        federation="test.example",
        sender=SENDER,
        reader=READER,
        at=at,
        streams=[exchange_pb2.StreamHead(stream_id=each, size=1) for each in ids],
    )
    try:
        parsed = parse_freeze_list(message, sender=SENDER, federation="test.example")
    except FreezeListRefusedError:
        return
    assert list(parsed.stream_ids) == sorted(set(parsed.stream_ids))


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_stored_lists_that_cannot_be_read_are_left_out(lists: list[bytes]) -> None:
    assert len(parse_lists(lists)) <= len(lists)


def test_an_empty_list_of_refusals_is_refused() -> None:
    message = exchange_pb2.RefusalList(stream_id=bytes(32), signer=READER)
    with pytest.raises(ReceiptRefusedError):
        check_reader_refusals(
            message, stream_id=bytes(32), reader=READER, size=10, public=bytes(32)
        )
