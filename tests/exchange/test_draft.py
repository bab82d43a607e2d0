"""Drawing up batches: limits of PROTOCOL 5.1, runs, and what a reader's rules make of them."""

import os
from datetime import timedelta

import pytest

from mithaq.ledger.entry import (
    BATCH_ENTRIES_MAX,
    BATCH_SIZE_BYTES_MAX,
    EntryKind,
    EpochReader,
    Opening,
    Priority,
    StreamRole,
    Terms,
    WithdrawReason,
    WithdrawScope,
    day_from,
    encode_terms,
    leaf,
    minute_of,
)
from mithaq.ledger.run import check_batch
from mithaq.ledger.stream import FIRST_PUT, StreamState
from mithaq.node.exchange.draft import Drawer, PutDraft, PutTerms, Segment, WithdrawDraft
from mithaq.node.exchange.in_stream import terms_of
from mithaq.node.exchange.out_stream import Batch
from mithaq.node.exchange.sending import Fresh, Sendable, fits, join
from mithaq.node.sealing.body import ContentKey, SealedBody, sha256
from tests.federation import now

READER = EpochReader("tn-dgsn", bytes(32))


def opened() -> StreamState:
    terms = Terms(
        kind=EntryKind.OPEN,
        registry_size=5,
        agreement_version=1,
        created_at=minute_of(now()),
        opening=Opening(
            federation="test.example",
            sender="eg-moi",
            agreement_id="test-agreement",
            audience=("tn-dgsn",),
            purposes=("BORDER_CONTROL",),
            registry_root=bytes(32),
            role=StreamRole.DISCLOSURE,
        ),
    )
    return StreamState.open(leaf(encode_terms(terms), bytes(8)))


def drawer(state: StreamState | None = None) -> Drawer:
    return Drawer(
        state or opened(), agreement_version=1, registry_size=5, at=now(), random=os.urandom
    )


def begin(one: Drawer, number: int = 1) -> None:
    body = os.urandom(1236)
    one.epoch(number, readers=(READER,), sealed=SealedBody(body, sha256(body), bytes(32)))


def key(state: StreamState) -> ContentKey:
    return ContentKey(stream_id=state.stream_id, epoch=1, secret=bytes(32))


def draft(
    record_no: int = 1, *, size: int = 100, days: int = 30, target: int | None = None
) -> PutDraft:
    terms = PutTerms("ARREST", Priority.ROUTINE, day_from(now() + timedelta(days=days)))
    return PutDraft(record_no, terms, os.urandom(size), bytes(32), target)


def drawn(*drafts: PutDraft) -> list[Segment]:
    state = opened()
    one = drawer(state)
    begin(one)
    one.puts(drafts, epoch=1, key=key(state))
    return list(one.segments())


def test_what_is_drawn_up_a_reader_admits() -> None:
    state = opened()
    one = drawer(state)
    begin(one)
    one.puts([draft(each) for each in range(300)], epoch=1, key=key(state))
    for segment in one.segments():
        admission = state.admit_all(segment.runs, kind_at=lambda wanted: [FIRST_PUT] * len(wanted))
        state = admission.state
        assert state == segment.state
        assert admission.leaf_hashes == segment.hashes


def test_a_batch_holds_256_entries_and_not_one_more() -> None:
    for count, batches in ((BATCH_ENTRIES_MAX - 1, 1), (BATCH_ENTRIES_MAX, 2)):
        segments = drawn(*(draft(each) for each in range(count)))
        assert len(segments) == batches
        for each in segments:
            check_batch(each.runs)


def test_a_batch_holds_1_mib_and_no_more() -> None:
    segments = drawn(*(draft(each, size=60_000) for each in range(40)))
    assert len(segments) == 3
    for each in segments:
        check_batch(each.runs)
        assert sum(len(body) for _, body in each.bodies) <= BATCH_SIZE_BYTES_MAX


def test_segments_follow_one_another_without_a_gap() -> None:
    segments = drawn(*(draft(each) for each in range(600)))
    at = 1
    for each in segments:
        assert each.first_sequence == at
        at = each.state.size
    assert at == 602


def test_records_of_other_terms_stand_in_other_runs() -> None:
    (segment,) = drawn(draft(1, days=30), draft(2, days=60), draft(3, days=30))
    assert sorted(len(run) for run in segment.runs) == [1, 1, 2]
    expiries = [terms_of(run.terms_bytes).expires_at for run in segment.runs[1:]]
    assert len(set(expiries)) == 2


def test_first_puts_and_next_versions_are_of_different_width() -> None:
    state = opened()
    one = drawer(state)
    begin(one)
    placed = one.puts([draft(1), draft(2, target=2)], epoch=1, key=key(state))
    assert [each.sequence for each in placed] == [2, 3]
    assert [each.first_sequence for each in placed] == [2, 2]
    (segment,) = one.segments()
    assert [run.own_size for run in segment.runs] == [76, 76, 84]


def test_withdrawals_and_the_close_have_no_bodies() -> None:
    state = opened()
    one = drawer(state)
    begin(one)
    one.puts([draft(1)], epoch=1, key=key(state))
    withdrawn = one.withdraw(WithdrawDraft(2, WithdrawReason.ERROR, WithdrawScope.RECORD))
    closed = one.close(successor=bytes(32))
    (segment,) = one.segments()
    assert (withdrawn, closed, segment.state.closed) == (3, 4, True)
    assert [sequence for sequence, _ in segment.bodies] == [1, 2]


def test_every_salt_and_nonce_is_used_once() -> None:
    (segment,) = drawn(*(draft(each) for each in range(50)))
    nonces = {body[:12] for _, body in segment.bodies[1:]}
    commitments = {run.own_bytes[-32:] for run in segment.runs}
    assert len(nonces) == 50
    assert len(commitments) == len(segment.runs)


# --- sending ----------------------------------------------------------------------------


def piece(first: int, size: int, body_bytes: int = 10) -> Sendable:
    return Sendable(bytes(32), first, size, (), (bytes(body_bytes),), b"note")


@pytest.mark.parametrize(
    ("following", "possible"),
    [
        (piece(10, 256), True),
        (piece(10, 257), False),
        (piece(11, 20), False),
        (piece(10, 20, BATCH_SIZE_BYTES_MAX - 10), True),
        (piece(10, 20, BATCH_SIZE_BYTES_MAX - 9), False),
    ],
    ids=["256", "257", "gap", "1 MiB", "over 1 MiB"],
)
def test_small_batches_are_joined_up_to_the_limits(following: Sendable, *, possible: bool) -> None:
    assert fits(piece(0, 10), following) is possible


def test_a_joined_batch_ends_where_the_last_one_is_signed() -> None:
    joined = join(piece(0, 10), piece(10, 20)._replace(checkpoint=b"newer"))
    assert (joined.first_sequence, joined.size, joined.checkpoint) == (0, 20, b"newer")


def test_fresh_batches_are_given_out_once_and_in_order() -> None:
    batches = [Batch(1, bytes(32), each, b"note") for each in drawn(*map(draft, range(600)))]
    fresh = Fresh()
    fresh.add(batches)
    assert fresh.take(2, 0) is None
    for each in batches:
        given = fresh.take(1, each.segment.first_sequence)
        assert given is not None
        assert given.size == each.segment.state.size
    assert fresh.take(1, 1) is None


def test_what_the_hub_has_already_is_passed_over() -> None:
    batches = [Batch(1, bytes(32), each, b"note") for each in drawn(*map(draft, range(600)))]
    fresh = Fresh()
    fresh.add(batches)
    last = fresh.take(1, batches[-1].segment.first_sequence)
    assert last is not None
    assert last.size == 602
