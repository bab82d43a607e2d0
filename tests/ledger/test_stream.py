from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mithaq.ledger.checkpoint import Checkpoint
from mithaq.ledger.entry import (
    BODIES_PER_EPOCH_MAX,
    EntryKind,
    EpochReader,
    Own,
    encode_terms,
    leaf,
    pack_own,
)
from mithaq.ledger.errors import (
    EntryFormatError,
    LedgerError,
    SequenceGapError,
    StreamRuleError,
)
from mithaq.ledger.run import Run
from mithaq.ledger.stream import Slot, Stream, StreamState
from mithaq.ledger.tree import leaf_hash, root_of
from tests.ledger.builders import (
    CLOSE_WITH_SUCCESSOR,
    EPOCH,
    FEDERATION,
    HASH,
    OPEN_LEAF,
    OPEN_TERMS,
    OPENED,
    OPENING,
    OTHER_HASH,
    PUT,
    READERS,
    WITHDRAW,
    Log,
    body_own,
    close_run,
    epoch_run,
    next_version_run,
    put_run,
    run_of,
    withdraw_run,
)


@pytest.fixture
def log() -> Log:
    """Return a stream with an epoch and three records at sequences 2 to 4."""
    made = Log()
    made.admit(epoch_run(1), put_run(2, 3))
    return made


def refused(log: Log, *runs: Run, error: type[LedgerError] = StreamRuleError, match: str) -> None:
    """Check that the runs are refused and leave nothing behind."""
    before, leaves = log.state, list(log.leaves)
    with pytest.raises(error, match=match):
        log.admit(*runs)
    assert log.state == before
    assert log.leaves == leaves


def test_a_stream_begins_with_its_open() -> None:
    state = Stream.open(OPEN_LEAF)
    assert state.stream_id == leaf_hash(OPEN_LEAF)
    assert state.opening == OPENING
    assert state.size == 1
    assert state.origin == f"{FEDERATION}/stream/{state.stream_id.hex()}"
    assert state.checkpoint() == Checkpoint(state.origin, 1, leaf_hash(OPEN_LEAF))
    assert (state.epoch, state.epoch_bodies, state.closed) == (0, 0, False)


@pytest.mark.parametrize(
    "data",
    [
        leaf(encode_terms(OPEN_TERMS), pack_own(EntryKind.OPEN, Own(1))),
        leaf(encode_terms(PUT), pack_own(EntryKind.PUT, body_own(0))),
        leaf(encode_terms(CLOSE_WITH_SUCCESSOR), pack_own(EntryKind.CLOSE, Own(0))),
    ],
)
def test_a_stream_begins_with_nothing_else(data: bytes) -> None:
    with pytest.raises(StreamRuleError, match="begins with OPEN"):
        Stream.open(data)


@given(st.binary(max_size=200))
def test_hostile_bytes_open_no_stream(data: bytes) -> None:
    with pytest.raises(LedgerError):
        Stream.open(data)


def test_an_open_with_a_tail_is_refused() -> None:
    with pytest.raises(EntryFormatError):
        Stream.open(OPEN_LEAF + b"x")


def test_a_whole_life_is_admitted_in_its_legal_order(log: Log) -> None:
    log.admit(next_version_run(5, 2, 3))
    log.admit(withdraw_run(7, 2, 4))
    log.admit(epoch_run(9, epoch=2), put_run(10, epoch=2))
    log.admit(close_run(11, terms=CLOSE_WITH_SUCCESSOR), withdraw_run(12, 10))
    assert log.state.closed
    assert log.state.successor == OTHER_HASH
    assert log.state.size == 13
    assert log.state.frontier.root() == root_of([leaf_hash(each) for each in log.leaves])


def test_the_same_entries_in_other_portions_give_the_same_state(log: Log) -> None:
    singly = Log()
    for run in (epoch_run(1), put_run(2), put_run(3), put_run(4)):
        singly.state = singly.state.admit(run, kind_at=singly.kind_at)
    assert singly.state == log.state


def test_an_admission_gives_the_leaf_hashes_the_terms_and_the_frontiers() -> None:
    runs = (epoch_run(1), put_run(2, 2))
    admission = OPENED.admit_all(runs, kind_at=Log().kind_at)
    assert admission.leaf_hashes == [leaf_hash(each) for run in runs for each in run.leaves()]
    assert admission.terms == (EPOCH, PUT)
    halves = [OPENED.admit_all(runs[:count], kind_at=Log().kind_at).state for count in (1, 2)]
    assert admission.frontiers == tuple(each.frontier for each in halves)


def test_admitting_nothing_changes_nothing(log: Log) -> None:
    assert log.state.admit_all((), kind_at=log.kind_at).state == log.state


@pytest.mark.parametrize("sequence", [0, 4, 6, 2**62])
def test_an_entry_that_does_not_follow_the_last_is_refused(log: Log, sequence: int) -> None:
    refused(log, put_run(sequence), error=SequenceGapError, match="without a gap")


def test_a_gap_within_a_run_is_refused(log: Log) -> None:
    run = run_of(PUT, body_own(5), body_own(7))
    refused(log, run, error=SequenceGapError, match="without a gap")


def test_the_same_sequence_twice_is_refused(log: Log) -> None:
    run = run_of(PUT, body_own(5), body_own(5))
    refused(log, run, error=SequenceGapError, match="without a gap")


def test_a_second_open_is_refused(log: Log) -> None:
    refused(log, run_of(OPEN_TERMS, Own(5)), match="OPEN stands at sequence 0")


def test_an_entry_of_another_stream_is_refused(log: Log) -> None:
    run = run_of(replace(PUT, stream_id=HASH), body_own(5))
    refused(log, run, match="another stream")


def test_own_fields_of_another_kind_s_width_are_refused(log: Log) -> None:
    run = Run(encode_terms(PUT), 16, pack_own(EntryKind.WITHDRAW, Own(5, 2)))
    refused(log, run, error=EntryFormatError, match="have not 16 bytes")


def test_terms_that_are_not_of_their_form_are_refused(log: Log) -> None:
    run = Run(encode_terms(PUT) + b"\xc0\x3e\x01", 76, pack_own(EntryKind.PUT, body_own(5)))
    refused(log, run, error=EntryFormatError, match="unknown fields")


def test_an_empty_body_is_refused(log: Log) -> None:
    block = bytearray(pack_own(EntryKind.PUT, body_own(5)))
    block[8:12] = bytes(4)
    run = Run(encode_terms(PUT), 76, bytes(block))
    refused(log, run, error=EntryFormatError, match="a body has")


def test_a_registry_size_never_falls_along_a_stream(log: Log) -> None:
    log.admit(run_of(replace(PUT, registry_size=9), body_own(5)))
    refused(log, run_of(replace(PUT, registry_size=8), body_own(6)), match="falls from 9 to 8")
    log.admit(run_of(replace(PUT, registry_size=9), body_own(6)))
    assert log.state.last_registry_size == 9


def test_a_registry_size_does_not_fall_within_a_batch(log: Log) -> None:
    runs = (
        run_of(replace(PUT, registry_size=9), body_own(5)),
        run_of(replace(PUT, registry_size=8), body_own(6)),
    )
    refused(log, *runs, match="falls from 9 to 8")


def test_no_record_is_put_before_the_first_epoch() -> None:
    refused(Log(), put_run(1), match="PUT names epoch 1, the current one is 0")


@pytest.mark.parametrize("epoch", [2, 3])
def test_no_record_is_put_in_an_epoch_to_come(log: Log, epoch: int) -> None:
    refused(log, put_run(5, epoch=epoch), match="the current one is 1")


def test_no_record_is_put_in_an_epoch_that_is_over(log: Log) -> None:
    log.admit(epoch_run(5, epoch=2))
    refused(log, put_run(6, epoch=1), match="the current one is 2")


@pytest.mark.parametrize("epoch", [1, 3, 2**62])
def test_epochs_count_up_by_one(log: Log, epoch: int) -> None:
    refused(log, epoch_run(5, epoch=epoch), match="after epoch 1 comes epoch 2")


def test_two_epochs_do_not_share_terms(log: Log) -> None:
    run = run_of(replace(EPOCH, epoch=2), body_own(5), body_own(6))
    refused(log, run, match="once")


def test_an_epoch_may_leave_members_of_the_audience_out(log: Log) -> None:
    readers = (EpochReader("tn-dgsn", OTHER_HASH),)
    log.admit(epoch_run(5, epoch=2, terms=replace(EPOCH, readers=readers)))
    assert log.state.epoch_readers == readers


def test_a_reader_from_outside_of_the_audience_is_refused(log: Log) -> None:
    outsider = tuple(EpochReader(each, HASH) for each in (*READERS, "xx-spy"))
    run = epoch_run(5, epoch=2, terms=replace(EPOCH, readers=outsider))
    refused(log, run, match="not in the stream's audience")


def test_the_sender_is_no_reader_of_its_own_epoch(log: Log) -> None:
    itself = (EpochReader("eg-moi", HASH),)
    run = epoch_run(5, epoch=2, terms=replace(EPOCH, readers=itself))
    refused(log, run, match="not in the stream's audience")


def test_an_epoch_has_at_most_2_to_the_20_bodies(log: Log) -> None:
    log.state = replace(log.state, epoch_bodies=BODIES_PER_EPOCH_MAX - 2)
    refused(log, put_run(5, 3), match="at most 1048576 bodies")
    log.admit(put_run(5, 2))
    refused(log, put_run(7), match="at most 1048576 bodies")
    log.admit(epoch_run(7, epoch=2), put_run(8, epoch=2))
    assert log.state.epoch_bodies == 1


def test_a_next_version_counts_as_a_body_of_its_epoch(log: Log) -> None:
    log.admit(next_version_run(5, 2, 2))
    assert log.state.epoch_bodies == 5


@pytest.mark.parametrize("run", [next_version_run(6, 5), withdraw_run(6, 5)])
def test_a_target_is_a_first_put_and_no_next_version(log: Log, run: Run) -> None:
    log.admit(next_version_run(5, 2))
    refused(log, run, match="the target 5 is no first PUT")


@pytest.mark.parametrize("run", [next_version_run(5, 1), withdraw_run(5, 1)])
def test_a_target_is_no_epoch(log: Log, run: Run) -> None:
    refused(log, run, match="the target 1 is no first PUT")


@pytest.mark.parametrize("target", [0, 5, 6, 7, 2**62])
def test_a_target_is_neither_open_nor_the_entry_itself_nor_to_come(log: Log, target: int) -> None:
    block = (5).to_bytes(8, "big") + target.to_bytes(8, "big")
    match = "no first PUT" if target == 0 else "does not lie before"
    refused(log, Run(encode_terms(WITHDRAW), 16, block), match=match)


def test_a_withdrawal_is_no_target(log: Log) -> None:
    log.admit(withdraw_run(5, 2))
    refused(log, withdraw_run(6, 5), match="the target 5 is no first PUT")


def test_a_target_may_lie_in_an_earlier_run_of_the_same_batch(log: Log) -> None:
    log.admit(put_run(5, 2), next_version_run(7, 5, 2), withdraw_run(9, 6))
    assert log.state.size == 10
    assert log.asked == [[2]]


def test_a_target_in_an_earlier_run_has_to_be_a_first_put_too(log: Log) -> None:
    refused(log, next_version_run(5, 2), withdraw_run(6, 5), match="the target 5 is no first PUT")


def test_a_target_in_a_later_run_of_the_batch_is_refused(log: Log) -> None:
    block = (5).to_bytes(8, "big") + (6).to_bytes(8, "big")
    later = Run(encode_terms(WITHDRAW), 16, block)
    refused(log, later, put_run(6), match="does not lie before")


def test_the_log_is_asked_once_for_each_target_in_order(log: Log) -> None:
    log.admit(withdraw_run(5, 4, 2, 4), next_version_run(8, 3, 2))
    assert log.asked == [[2, 3, 4]]


def test_the_log_is_not_asked_where_there_is_no_target(log: Log) -> None:
    log.admit(put_run(5))
    assert log.asked == []


def test_after_close_only_withdrawals_follow(log: Log) -> None:
    log.admit(close_run(5))
    assert log.state.closed
    assert log.state.successor is None
    refused(log, put_run(6), match="PUT after CLOSE")
    refused(log, next_version_run(6, 2), match="PUT after CLOSE")
    refused(log, epoch_run(6, epoch=2), match="EPOCH after CLOSE")
    refused(log, close_run(6), match="CLOSE after CLOSE")
    log.admit(withdraw_run(6, 2))
    assert log.state.closed


def test_a_stream_is_closed_once(log: Log) -> None:
    run = run_of(CLOSE_WITH_SUCCESSOR, Own(5), Own(6))
    refused(log, run, match="closed once")


def test_a_later_run_that_is_refused_takes_the_earlier_ones_with_it(log: Log) -> None:
    refused(log, put_run(5, 3), put_run(8, epoch=2), match="current one is 1")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_runs_come_the_log_has_no_gap_and_the_root_of_its_leaves(
    data: st.DataObject,
) -> None:
    log = Log()
    for _ in range(data.draw(st.integers(0, 12))):
        at = log.state.size + data.draw(st.sampled_from((0, 0, 0, 0, 1, -1)))
        target = data.draw(st.integers(1, at + 1))
        epoch = log.state.epoch + data.draw(st.sampled_from((0, 1)))
        runs = (
            lambda at=at, epoch=epoch: epoch_run(at, epoch=max(epoch, 1)),
            lambda at=at, epoch=epoch: put_run(at, 2, epoch=max(epoch, 1)),
            lambda at=at, target=target: next_version_run(at, target),
            lambda at=at, target=target: withdraw_run(at, target),
            lambda at=at: close_run(at),
        )
        try:
            log.admit(data.draw(st.sampled_from(runs))())
        except (StreamRuleError, SequenceGapError, EntryFormatError):
            continue
    sequences = [
        int.from_bytes(each[4 + int.from_bytes(each[:4], "big") :][:8], "big")
        for each in log.leaves
    ]
    assert sequences == list(range(log.state.size))
    assert log.state.frontier.root() == root_of([leaf_hash(each) for each in log.leaves])
    assert StreamState.from_bytes(log.state.to_bytes()) == log.state


def test_a_state_comes_back_from_its_bytes(log: Log) -> None:
    states = [OPENED, log.state]
    log.admit(close_run(5, terms=CLOSE_WITH_SUCCESSOR))
    for state in (*states, log.state):
        assert StreamState.from_bytes(state.to_bytes()) == state


def test_a_state_goes_on_after_a_restart_as_if_there_had_been_none(log: Log) -> None:
    restored = StreamState.from_bytes(log.state.to_bytes())
    runs = (next_version_run(5, 2), withdraw_run(6, 3))
    assert restored.admit_all(runs, kind_at=log.kind_at) == log.state.admit_all(
        runs, kind_at=log.kind_at
    )


@given(st.binary(max_size=200))
def test_hostile_bytes_are_no_state(data: bytes) -> None:
    with pytest.raises(LedgerError):
        StreamState.from_bytes(data)
    with pytest.raises(LedgerError):
        StreamState.from_bytes(b"\x01" + data)


def test_a_state_that_is_cut_short_or_longer_is_refused(log: Log) -> None:
    data = log.state.to_bytes()
    for end in range(len(data)):
        with pytest.raises(LedgerError):
            StreamState.from_bytes(data[:end])
    for tail in (b"x", bytes(4), b"\x00\x00\x00\x01x"):
        with pytest.raises(LedgerError):
            StreamState.from_bytes(data + tail)


@settings(deadline=None)
@given(st.data())
def test_a_state_with_one_byte_changed_spells_itself_or_is_refused(data: st.DataObject) -> None:
    whole = bytearray(STORED)
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        state = StreamState.from_bytes(bytes(whole))
    except LedgerError:
        return
    assert state.to_bytes() == bytes(whole)


STORED = OPENED.admit_all((epoch_run(1), put_run(2, 3)), kind_at=Log().kind_at).state.to_bytes()


def test_a_state_of_another_version_is_refused() -> None:
    with pytest.raises(EntryFormatError, match="another version"):
        StreamState.from_bytes(b"\x02" + STORED[1:])


def test_a_state_without_its_open_entry_is_refused() -> None:
    empty = replace(OPENED, frontier=OPENED.frontier.empty())
    with pytest.raises(EntryFormatError, match="one spelling"):
        StreamState.from_bytes(empty.to_bytes())


def test_a_reader_without_its_key_is_refused() -> None:
    readers = b"\x00\x00\x00\x07int-iom"
    data = OPENED.to_bytes()
    assert data.endswith(bytes(8))
    with pytest.raises(EntryFormatError, match="one spelling"):
        StreamState.from_bytes(data[:-4] + len(readers).to_bytes(4, "big") + readers)


@pytest.mark.parametrize(
    "slot", [Slot(EntryKind.PUT, 84), Slot(EntryKind.EPOCH, 76), Slot(EntryKind.OPEN, 8)]
)
def test_what_is_said_to_stand_at_a_target_decides(slot: Slot) -> None:
    state, first_put = StreamState.from_bytes(STORED), Slot(EntryKind.PUT, 76)
    state.admit(withdraw_run(5, 2), kind_at=lambda asked: [first_put] * len(asked))
    with pytest.raises(StreamRuleError, match="no first PUT"):
        state.admit(withdraw_run(5, 2), kind_at=lambda asked: [slot] * len(asked))
