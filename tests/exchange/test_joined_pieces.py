"""Pieces that came together: taken as one where they hold, else each for itself."""

import dataclasses

import pytest
import sqlalchemy as sa

from mithaq.ledger.entry import BATCH_ENTRIES_MAX, Priority
from mithaq.ledger.errors import EntryFormatError, RootMismatchError, SequenceGapError
from mithaq.ledger.stream import Run
from mithaq.node.exchange.acts import IssueItem
from mithaq.node.exchange.bodies import (
    ArrivedBodies,
    in_groups,
    joined,
)
from mithaq.node.exchange.errors import BodyOrderError, BodyWithheldError
from mithaq.node.exchange.inbox import MLDSA_INTERVAL, ArrivedHeaders, hold_headers
from mithaq.node.exchange.judge import joined as joined_headers
from mithaq.node.exchange.omissions import EXPIRED, Omission
from mithaq.node.exchange.out_stream import Batch
from mithaq.node.exchange.pieces import JOINED_ENTRIES_MAX
from mithaq.node.records.model import ParsedRecord, seal_in
from mithaq.node.sealing.errors import BodyMismatchError
from mithaq.store.errors import DiskFullError
from mithaq.v1 import entry_pb2, record_pb2
from tests.exchange.nodes import OFFICER
from tests.exchange.relay import Desk, bodies_of, headers_of
from tests.exchange.test_inbox import altered, sent

STREAM = bytes(32)


def held(cairo: Desk, tunis: Desk, count: int) -> list[Batch]:
    """Let Tunis hold so many batches of an alert each, of one stream, and open none of them."""
    tunis.receive(*sent(cairo))
    batches = [batch for _ in range(count) for batch in sent(cairo)]
    for each in batches:
        assert not tunis.hold(headers_of(tunis.federation, each)).failed
    return batches


def piece(first: int, count: int, *, end: int | None = None) -> ArrivedBodies:
    """Return bodies at so many sequences from `first` on."""
    bodies = dict.fromkeys(range(first, first + count), b"")
    return ArrivedBodies(STREAM, end or first + count, bodies, {})


def on_their_way(cairo: Desk, tunis: Desk, *counts: int) -> list[Batch]:
    """Return a batch of so many alerts each, of one stream that Tunis has already."""
    tunis.receive(*sent(cairo))
    for count in counts:
        cairo.do(*(IssueItem(cairo.alert(), None, None, OFFICER) for _ in range(count)))
    return [
        each for each in cairo.take_batches() if "tn-dgsn" in each.segment.state.opening.audience
    ]


def headers(tunis: Desk, batches: list[Batch]) -> list[ArrivedHeaders]:
    return [headers_of(tunis.federation, each) for each in batches]


def test_headers_that_came_together_are_one_receipt(cairo: Desk, tunis: Desk) -> None:
    batches = on_their_way(cairo, tunis, 1, 2, 1)
    held = tunis.hold(*headers(tunis, batches))
    assert [each.size for each in held.receipts] == [batches[-1].segment.state.size]
    assert held.receipts[0].root == batches[-1].segment.state.frontier.root()
    assert tunis.rows("SELECT size FROM node_acceptance ORDER BY size DESC LIMIT 3") == [
        (each.segment.state.size,) for each in reversed(batches)
    ]
    tunis.open_bodies(*map(bodies_of, batches))
    assert tunis.number("SELECT count(*) FROM node_record") == 5


def test_of_headers_that_came_together_those_before_a_wrong_one_are_held(
    cairo: Desk, tunis: Desk
) -> None:
    batches = on_their_way(cairo, tunis, 1, 1, 1)
    first, second, third = headers(tunis, batches)
    *runs, last = second.piece.runs
    own = last.own_bytes[:-1] + bytes([last.own_bytes[-1] ^ 1])
    evil = altered(second, runs=(*runs, Run(last.terms_bytes, last.own_size, own)))
    held = tunis.hold(first, evil, third)
    assert isinstance(held.failed[batches[0].stream_id], RootMismatchError)
    assert [each.size for each in held.receipts] == [batches[0].segment.state.size]
    assert tunis.alarms() == ["root mismatch"]


@pytest.mark.parametrize("field", ["checkpoint", "acceptance"])
def test_each_note_of_headers_that_came_together_is_checked(
    cairo: Desk, tunis: Desk, field: str
) -> None:
    batches = on_their_way(cairo, tunis, 1, 1, 1)
    first, second, third = headers(tunis, batches)
    evil = altered(second, **{field: getattr(first.piece, field)})
    held = tunis.hold(first, evil, third)
    assert batches[0].stream_id in held.failed
    assert [each.size for each in held.receipts] == [batches[0].segment.state.size]


def test_the_last_note_alone_does_not_cover_a_gap(cairo: Desk, tunis: Desk) -> None:
    batches = on_their_way(cairo, tunis, 1, 1, 1)
    first, _, third = headers(tunis, batches)
    held = tunis.hold(first, third)
    assert isinstance(held.failed[batches[0].stream_id], SequenceGapError)
    assert [each.size for each in held.receipts] == [batches[0].segment.state.size]


@pytest.mark.parametrize("elsewhere", [0, 1, 1 << 20, (1 << 63) - 1])
def test_headers_that_begin_elsewhere_than_they_say_are_not_held(
    cairo: Desk, tunis: Desk, elsewhere: int
) -> None:
    (batch,) = on_their_way(cairo, tunis, 1)
    (arrived,) = headers(tunis, [batch])
    # Were the start believed, the note over the end would be looked for at another size.
    evil = altered(arrived, first_sequence=elsewhere, checkpoint=b"unsigned", acceptance="")
    held = tunis.hold(evil)
    assert isinstance(held.failed[batch.stream_id], SequenceGapError)
    assert held.receipts == []
    assert tunis.alarms() == ["sequence gap"]


def test_pieces_together_may_be_larger_than_a_batch_and_none_of_them_may(
    cairo: Desk, tunis: Desk
) -> None:
    batches = on_their_way(cairo, tunis, BATCH_ENTRIES_MAX // 2, BATCH_ENTRIES_MAX // 2 + 1)
    pieces = headers(tunis, batches)
    whole = dataclasses.replace(pieces[0], piece=joined_headers([each.piece for each in pieces]))
    held = tunis.hold(whole)
    assert isinstance(held.failed[batches[0].stream_id], EntryFormatError)
    held = tunis.hold(*pieces)
    assert [each.size for each in held.receipts] == [batches[-1].segment.state.size]


def test_bodies_that_came_together_are_one_receipt_and_one_audit_entry(
    cairo: Desk, tunis: Desk
) -> None:
    batches = held(cairo, tunis, 3)
    entries = tunis.number("SELECT max(size) FROM log WHERE origin LIKE '%/audit/%'")
    unsealed = tunis.open_bodies(*map(bodies_of, batches))
    assert [each.receipt.size for each in unsealed.receipts] == [batches[-1].segment.state.size]
    assert tunis.number("SELECT count(*) FROM node_record") == 4
    assert tunis.number("SELECT max(size) FROM log WHERE origin LIKE '%/audit/%'") == entries + 1  # type: ignore[operator]


def test_of_bodies_that_came_together_those_before_a_wrong_one_are_kept(
    cairo: Desk, tunis: Desk
) -> None:
    batches = held(cairo, tunis, 3)
    pieces = [bodies_of(each) for each in batches]
    (sequence,) = pieces[1].bodies
    pieces[1] = dataclasses.replace(pieces[1], bodies={sequence: bytes(1052)})
    unsealed = tunis.open_bodies(*pieces)
    assert isinstance(unsealed.failed[batches[0].stream_id], BodyMismatchError)
    assert [each.receipt.size for each in unsealed.receipts] == [batches[0].segment.state.size]
    assert tunis.number("SELECT count(*) FROM node_record") == 2
    assert tunis.alarms() == ["body mismatch"]


def test_a_body_that_comes_with_the_next_piece_was_kept_back(cairo: Desk, tunis: Desk) -> None:
    batches = held(cairo, tunis, 2)
    first, second = (bodies_of(each) for each in batches)
    late = dataclasses.replace(second, bodies={**first.bodies, **second.bodies})
    unsealed = tunis.open_bodies(dataclasses.replace(first, bodies={}), late)
    assert isinstance(unsealed.failed[batches[0].stream_id], BodyWithheldError)
    assert tunis.alarms() == ["body withheld"]


def test_a_body_that_comes_before_its_piece_is_refused(cairo: Desk, tunis: Desk) -> None:
    batches = held(cairo, tunis, 2)
    first, second = (bodies_of(each) for each in batches)
    early = dataclasses.replace(first, bodies={**first.bodies, **second.bodies})
    unsealed = tunis.open_bodies(early, dataclasses.replace(second, bodies={}))
    assert isinstance(unsealed.failed[batches[0].stream_id], BodyOrderError)


def test_another_streams_fault_leaves_a_stream_its_pieces(cairo: Desk, tunis: Desk) -> None:
    batches = held(cairo, tunis, 2)
    strange = [dataclasses.replace(piece(at, 1), stream_id=bytes(31) + b"\x01") for at in (1, 2)]
    first, second = (bodies_of(each) for each in batches)
    unsealed = tunis.open_bodies(strange[0], first, strange[1], second)
    assert set(unsealed.failed) == {strange[0].stream_id}
    assert [each.receipt.size for each in unsealed.receipts] == [batches[-1].segment.state.size]


def of_priority(record: ParsedRecord, priority: Priority) -> ParsedRecord:
    message = record_pb2.Record.FromString(record.raw)
    message.alert.priority = entry_pb2.Priority.ValueType(priority)
    return seal_in(message)


def test_what_each_header_announces_is_judged_for_itself(cairo: Desk, tunis: Desk) -> None:
    priorities = [Priority.URGENT, Priority.ROUTINE, Priority.URGENT]
    alerts = [of_priority(cairo.alert(), each) for each in priorities]
    cairo.do(*(IssueItem(each, None, None, OFFICER) for each in alerts))
    batches = cairo.take_batches()
    assert len(batches[-1].segment.runs) > len(set(priorities)), "OPEN, EPOCH and two terms"
    unsealed = tunis.receive(*batches)
    assert not any(each.lists for each in unsealed.receipts)
    assert tunis.number("SELECT count(*) FROM node_record") == len(alerts)


def test_pieces_are_joined_up_to_a_number_of_bodies() -> None:
    fits = [piece(1, JOINED_ENTRIES_MAX - 2), piece(JOINED_ENTRIES_MAX - 1, 2)]
    assert list(in_groups(fits)) == [fits]
    assert joined(fits) == piece(1, JOINED_ENTRIES_MAX)
    more = [*fits, piece(JOINED_ENTRIES_MAX + 1, 1)]
    assert list(in_groups(more)) == [fits, more[2:]]


def test_a_piece_that_leaves_something_out_stands_alone() -> None:
    proof = dataclasses.replace(piece(3, 0, end=4), omissions={3: Omission(3, EXPIRED, 0)})
    pieces = [piece(1, 2), proof, piece(4, 1), piece(5, 1)]
    assert list(in_groups(pieces)) == [pieces[:1], pieces[1:2], pieces[2:]]


def test_a_piece_without_bodies_lies_between_its_neighbours() -> None:
    pieces = [piece(1, 2), piece(3, 0, end=5), piece(5, 1)]
    assert list(in_groups(pieces)) == [pieces]
    assert joined(pieces) == ArrivedBodies(STREAM, 6, {1: b"", 2: b"", 5: b""}, {})


def test_the_daily_receipt_is_not_lost_among_pieces_that_do_not_hold_together(
    cairo: Desk, tunis: Desk
) -> None:
    batches = on_their_way(cairo, tunis, 1, 1, 1)
    first, second, third = headers(tunis, batches)
    tunis.clock.ahead = MLDSA_INTERVAL
    # A hub that sends a piece twice makes two groups of them.
    (receipt,) = tunis.hold(first, first, second).receipts
    assert receipt.size == batches[1].segment.state.size
    assert receipt.cosignature_mldsa
    (receipt,) = tunis.hold(third).receipts
    assert not receipt.cosignature_mldsa


def test_a_daily_receipt_that_was_not_made_durable_is_signed_again(
    cairo: Desk, tunis: Desk
) -> None:
    (batch,) = on_their_way(cairo, tunis, 1)
    tunis.clock.ahead = MLDSA_INTERVAL

    def cut_off(connection: sa.Connection) -> None:
        held = hold_headers(connection, tunis.home, headers(tunis, [batch]), at=tunis.clock())
        assert held.receipts[0].cosignature_mldsa
        raise DiskFullError("no room")

    with pytest.raises(DiskFullError):
        tunis.home.database.write_sync(cut_off)
    (receipt,) = tunis.hold(*headers(tunis, [batch])).receipts
    assert receipt.cosignature_mldsa
