"""Pieces that came together: taken as one where they hold, else each for itself."""

import dataclasses

from mithaq.ledger.entry import Priority
from mithaq.node.exchange.acts import IssueItem
from mithaq.node.exchange.bodies import (
    JOINED_BODIES_MAX,
    ArrivedBodies,
    in_groups,
    joined,
)
from mithaq.node.exchange.errors import BodyOrderError, BodyWithheldError
from mithaq.node.exchange.omissions import EXPIRED, Omission
from mithaq.node.exchange.out_stream import Batch
from mithaq.node.records.model import ParsedRecord, seal_in
from mithaq.node.sealing.errors import BodyMismatchError
from mithaq.v1 import entry_pb2, record_pb2
from tests.exchange.nodes import OFFICER
from tests.exchange.relay import Desk, bodies_of, headers_of
from tests.exchange.test_inbox import sent

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
    fits = [piece(1, JOINED_BODIES_MAX - 2), piece(JOINED_BODIES_MAX - 1, 2)]
    assert list(in_groups(fits)) == [fits]
    assert joined(fits) == piece(1, JOINED_BODIES_MAX)
    more = [*fits, piece(JOINED_BODIES_MAX + 1, 1)]
    assert list(in_groups(more)) == [fits, more[2:]]


def test_a_piece_that_leaves_something_out_stands_alone() -> None:
    proof = dataclasses.replace(piece(3, 0, end=4), omissions={3: Omission(3, EXPIRED, 0)})
    pieces = [piece(1, 2), proof, piece(4, 1), piece(5, 1)]
    assert list(in_groups(pieces)) == [pieces[:1], pieces[1:2], pieces[2:]]


def test_a_piece_without_bodies_lies_between_its_neighbours() -> None:
    pieces = [piece(1, 2), piece(3, 0, end=5), piece(5, 1)]
    assert list(in_groups(pieces)) == [pieces]
    assert joined(pieces) == ArrivedBodies(STREAM, 6, {1: b"", 2: b"", 5: b""}, {})
