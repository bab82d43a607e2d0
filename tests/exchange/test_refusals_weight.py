"""What the lists of refusals of one signer may weigh in one stream, at a sender and a reader."""

import dataclasses

import pytest

from mithaq.certs.keys import Ed25519Key
from mithaq.ledger.lists import (
    REASON_LENGTH_MAX,
    REFUSALS_PER_LIST_MAX,
    REGISTRY_SIZE_MAX,
    refusals_bytes_max,
)
from mithaq.ledger.names import HUB
from mithaq.node.exchange.accepting import Answers, keep_answers
from mithaq.node.exchange.acts import IssueItem
from mithaq.node.exchange.errors import RefusalsTooManyError
from mithaq.node.exchange.out_stream import Batch
from mithaq.node.exchange.refusal_lists import LIST_BYTES_MAX
from mithaq.node.exchange.refusals import Refusal, sign_refusals
from mithaq.v1 import exchange_pb2
from tests.exchange.nodes import OFFICER
from tests.exchange.relay import Desk, acceptance_of, headers_of
from tests.exchange.test_answers import issued, receipt, take
from tests.federation import Federation

READER = "tn-dgsn"
LONGEST = "R" * REASON_LENGTH_MAX
WEIGHT = "SELECT coalesce(sum(length(message)), 0) FROM node_refusal_list"


def key_of(federation: Federation, signer: str) -> Ed25519Key:
    assert federation.hub is not None
    return federation.hub.cosigning.ed25519 if signer == HUB else federation.agencies[signer].opened


def signed(
    federation: Federation, batch: Batch, *refused: Refusal, signer: str = HUB
) -> exchange_pb2.RefusalList:
    key = key_of(federation, signer)
    (one,) = sign_refusals(refused, stream_id=batch.stream_id, signer=signer, key=key)
    return one


def lists_weighing(
    federation: Federation, batch: Batch, weight: int, *, signer: str = HUB
) -> list[exchange_pb2.RefusalList]:
    """Return different lists about one entry that together have exactly so many bytes."""

    def one(number: int, reason_length: int) -> exchange_pb2.RefusalList:
        refusal = Refusal(2, LONGEST[:reason_length], 128 + number)
        return signed(federation, batch, refusal, signer=signer)

    whole = one(0, REASON_LENGTH_MAX).ByteSize()
    count = weight // whole - 3
    last = [(weight - count * whole + each) // 4 for each in range(4)]
    lengths = [REASON_LENGTH_MAX] * count + [REASON_LENGTH_MAX - whole + each for each in last]
    lists = [one(*each) for each in enumerate(lengths)]
    assert sum(each.ByteSize() for each in lists) == weight
    return lists


def room(batch: Batch) -> int:
    return refusals_bytes_max(batch.segment.state.size)


def tell(desk: Desk, batch: Batch, *lists: exchange_pb2.RefusalList) -> list[Exception]:
    """Let the hub answer a sender with each of these lists; return what was wrong."""
    acceptances = [
        exchange_pb2.Acceptance(
            stream_id=batch.stream_id,
            size=batch.segment.state.size,
            cosignature=acceptance_of(desk.federation, batch),
            refusals=each,
        )
        for each in lists
    ]
    return desk.home.database.write_sync(
        lambda each: keep_answers(each, desk.home, Answers(acceptances), at=desk.clock())
    )


# --- at a sender ------------------------------------------------------------------------


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_hub_fills_its_sender_with_no_more_refusals_than_the_stream_has(
    cairo: Desk, federation: Federation, beyond: int
) -> None:
    batch = issued(cairo)
    lists = lists_weighing(federation, batch, room(batch) + beyond)
    assert [type(each) for each in tell(cairo, batch, *lists)] == [RefusalsTooManyError] * beyond
    assert cairo.number(WEIGHT) == room(batch) - (lists[-1].ByteSize() - 1 if beyond else 0)
    # What is kept already may be said again, and of another stream all that it has.
    assert tell(cairo, batch, lists[0]) == []
    cairo.done(IssueItem(cairo.alert(), None, (READER,), OFFICER))
    other = [each for each in cairo.take_batches() if each.segment.bodies][-1]
    assert other.stream_id != batch.stream_id
    assert tell(cairo, other, signed(federation, other, Refusal(2, LONGEST, 7))) == []


def test_an_honest_hub_that_is_set_back_again_and_again_is_believed_each_time(
    cairo: Desk, federation: Federation
) -> None:
    batch = [issued(cairo) for _ in range(8)][-1]
    for told in range(4):
        for sequence in range(2, batch.segment.state.size):
            refusal = Refusal(sequence, LONGEST, REGISTRY_SIZE_MAX - told)
            assert tell(cairo, batch, signed(federation, batch, refusal)) == []


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_reader_fills_a_sender_with_no_more_refusals_and_accuses_nobody_by_it(
    cairo: Desk, federation: Federation, beyond: int
) -> None:
    batch = issued(cairo)
    lists = lists_weighing(federation, batch, room(batch) + beyond, signer=READER)
    faults = take(cairo, receipt(federation, batch, lists=lists), lists=lists)
    assert [type(each) for each in faults] == [RefusalsTooManyError] * 2 * beyond
    opened = cairo.number("SELECT count(*) FROM node_receipt")
    assert opened == 1 - beyond
    assert cairo.alarms() == []


def test_while_a_reader_has_room_a_list_that_it_names_is_missed(
    cairo: Desk, federation: Federation
) -> None:
    batch = issued(cairo)
    lists = lists_weighing(federation, batch, room(batch) - LIST_BYTES_MAX, signer=READER)
    missing = signed(federation, batch, Refusal(1, LONGEST, 7), signer=READER)
    take(cairo, receipt(federation, batch, lists=[missing]), lists=lists)
    assert cairo.alarms() == ["refusal withheld"]


def test_no_list_is_so_heavy_that_there_is_no_room_for_it(
    cairo: Desk, federation: Federation
) -> None:
    refused = [
        Refusal((1 << 63) - each, LONGEST, REGISTRY_SIZE_MAX)
        for each in range(REFUSALS_PER_LIST_MAX)
    ]
    heaviest = signed(federation, issued(cairo), *refused)
    heaviest.signer = "x" * 64
    heaviest.previous = bytes(32)
    assert heaviest.ByteSize() < LIST_BYTES_MAX < refusals_bytes_max(0)


# --- at a reader ------------------------------------------------------------------------


def to_tunis(cairo: Desk, tunis: Desk, *recipients: str) -> Batch:
    """Return a batch with a record for Tunis, which holds all that came before it."""
    cairo.done(IssueItem(cairo.alert(), None, recipients or None, OFFICER))
    batches = [
        each for each in cairo.take_batches() if READER in each.segment.state.opening.audience
    ]
    last = [each for each in batches if each.segment.bodies][-1]
    before = [headers_of(cairo.federation, each) for each in batches if each is not last]
    assert not tunis.hold(*before).failed
    return last


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_hub_fills_a_reader_with_no_more_refusals_than_the_stream_has(
    cairo: Desk, tunis: Desk, federation: Federation, beyond: int
) -> None:
    batch, other = to_tunis(cairo, tunis), to_tunis(cairo, tunis, READER)
    lists = lists_weighing(federation, batch, room(batch) + beyond)
    headers = headers_of(federation, batch)
    held = tunis.hold(
        dataclasses.replace(headers, refusals=tuple(lists)), headers_of(federation, other)
    )
    failed = [(batch.stream_id, RefusalsTooManyError)] * beyond
    assert [(key, type(fault)) for key, fault in held.failed.items()] == failed
    assert len(held.receipts) == 2 - beyond
    assert tunis.number(WEIGHT) == (0 if beyond else room(batch))
    # The stream goes on as soon as its headers come without them.
    assert not tunis.hold(headers).failed
    assert tunis.alarms() == []


def test_what_a_reader_has_of_a_hubs_lists_counts_with_what_comes(
    cairo: Desk, tunis: Desk, federation: Federation
) -> None:
    batch = to_tunis(cairo, tunis)
    lists = tuple(lists_weighing(federation, batch, room(batch)))
    assert not tunis.hold(dataclasses.replace(headers_of(federation, batch), refusals=lists)).failed
    following = to_tunis(cairo, tunis)
    last = following.segment.state.size - 1
    headers = headers_of(federation, following)
    many = [signed(federation, following, Refusal(last, LONGEST, each)) for each in range(1, 9)]
    again = dataclasses.replace(headers, refusals=(*lists, *many))
    assert list(tunis.hold(again).failed) == [batch.stream_id]
    fitting = dataclasses.replace(headers, refusals=(*lists, many[0]))
    assert not tunis.hold(fitting).failed
