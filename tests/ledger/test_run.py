from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithaq.ledger.entry import (
    BATCH_ENTRIES_MAX,
    BATCH_SIZE_BYTES_MAX,
    BODY_SIZE_BYTES_MAX,
    Own,
    Terms,
    leaf,
    pack_own,
)
from mithaq.ledger.errors import EntryFormatError, ForkError, SequenceGapError
from mithaq.ledger.run import Run, check_batch, check_consecutive, trim_overlap
from mithaq.ledger.tree import leaf_hash
from tests.ledger.builders import (
    HASH,
    OTHER_HASH,
    PUT,
    SHAPES,
    body_own,
    close_run,
    epoch_run,
    next_version_run,
    put_run,
    run_of,
    withdraw_run,
)


class Logged:
    """Leaf hashes of a log, and what was asked of them."""

    def __init__(self, *runs: Run, first: int) -> None:
        self._hashes = [each for run in runs for each in run.leaf_hashes()]
        self._first = first
        self.asked: list[tuple[int, int]] = []

    @property
    def size(self) -> int:
        return self._first + len(self._hashes)

    def hashes_at(self, start: int, end: int) -> Sequence[bytes]:
        self.asked.append((start, end))
        return self._hashes[start - self._first : end - self._first]


@pytest.mark.parametrize(("terms", "own"), SHAPES)
def test_a_run_tells_the_numbers_of_its_entries(terms: Terms, own: Own) -> None:
    run = run_of(terms, own)
    numbers = run.numbers()
    assert numbers.sequences == (own.sequence,)
    assert numbers.targets == (() if own.target is None else (own.target,))
    assert numbers.body_sizes == (() if own.body_size is None else (own.body_size,))
    assert run.digests() == ([(HASH, OTHER_HASH)] if own.body_size else [])
    assert run.leaves() == [leaf(run.terms_bytes, pack_own(terms.kind, own))]
    assert run.leaf_hashes() == [leaf_hash(run.leaves()[0])]


def test_numbers_come_in_the_order_of_the_entries() -> None:
    run = next_version_run(9, 4, 2, 4)
    assert len(run) == 3
    assert run.numbers().sequences == (9, 10, 11)
    assert run.numbers().targets == (4, 2, 4)
    assert run.numbers().body_sizes == (1052,) * 3
    assert run.digests() == [(HASH, OTHER_HASH)] * 3
    assert len(run.leaves()) == 3


@pytest.mark.parametrize("own_size", [0, 1, 7, 9, 75, 77, 83, 85, -8])
def test_a_width_that_no_kind_has_is_no_run(own_size: int) -> None:
    with pytest.raises(EntryFormatError, match="no entry has own fields"):
        Run(b"terms", own_size, bytes(max(own_size, 8)))


@pytest.mark.parametrize("size", [0, 75, 77, 151])
def test_a_run_is_made_of_whole_entries(size: int) -> None:
    with pytest.raises(EntryFormatError, match="whole entries"):
        Run(b"terms", 76, bytes(size))


def test_bodies_at_their_limits_are_taken() -> None:
    run = run_of(PUT, body_own(2, size=1), body_own(3, size=BODY_SIZE_BYTES_MAX))
    assert run.numbers().body_sizes == (1, BODY_SIZE_BYTES_MAX)


@pytest.mark.parametrize("size", [0, BODY_SIZE_BYTES_MAX + 1, 2**32 - 1])
def test_a_body_outside_of_its_limits_is_refused_among_others(size: int) -> None:
    blocks = [bytearray(pack_own(PUT.kind, body_own(each))) for each in (2, 3, 4)]
    blocks[1][8:12] = size.to_bytes(4, "big")
    run = Run(b"terms", 76, b"".join(blocks))
    with pytest.raises(EntryFormatError, match="a body has"):
        run.numbers()


def test_sequences_count_up_without_a_gap() -> None:
    check_consecutive((5, 6, 7), start=5)
    check_consecutive((), start=5)
    for wrong in ((6, 7), (5, 7), (5, 5), (5, 4), (4, 5)):
        with pytest.raises(SequenceGapError) as raised:
            check_consecutive(wrong, start=5)
        assert raised.value.alarm == "sequence gap"


def test_a_batch_has_1_to_256_entries() -> None:
    check_batch([put_run(2)])
    check_batch([put_run(2, BATCH_ENTRIES_MAX - 1), close_run(300)])
    for wrong in ([], [put_run(2, BATCH_ENTRIES_MAX), close_run(300)]):
        with pytest.raises(EntryFormatError, match="1 to 256 entries"):
            check_batch(wrong)


def test_a_batch_has_at_most_1_mib_with_its_bodies() -> None:
    header = len(run_of(PUT, body_own(2)).terms_bytes) + 76
    rest = BATCH_SIZE_BYTES_MAX - 2 * header - BODY_SIZE_BYTES_MAX
    fullest = [
        run_of(PUT, body_own(2, size=BODY_SIZE_BYTES_MAX)),
        run_of(PUT, body_own(3, size=rest)),
    ]
    check_batch(fullest)
    fullest[1] = run_of(PUT, body_own(3, size=rest + 1))
    with pytest.raises(EntryFormatError, match=f"at most {BATCH_SIZE_BYTES_MAX} bytes"):
        check_batch(fullest)


def test_a_single_entry_with_the_largest_body_fits_a_batch() -> None:
    check_batch([run_of(PUT, body_own(2, size=BODY_SIZE_BYTES_MAX))])


def test_what_is_all_new_is_kept_whole_and_the_log_is_not_asked() -> None:
    logged = Logged(put_run(2, 3), first=2)
    runs = (put_run(5, 2), withdraw_run(7, 2))
    assert trim_overlap(runs, size=logged.size, hashes_at=logged.hashes_at) == runs
    assert logged.asked == []


def test_nothing_has_nothing_new() -> None:
    assert trim_overlap((), size=5, hashes_at=Logged(first=5).hashes_at) == ()


@given(st.integers(2, 11), st.integers(0, 9))
def test_an_identical_range_again_is_accepted_and_only_its_new_part_is_left(
    size: int, first: int
) -> None:
    whole = (epoch_run(1), put_run(2, 4), withdraw_run(6, 2, 3), put_run(8, 3))
    entries = [leaf for run in whole for leaf in run.leaves()]
    logged = Logged(*whole, first=1)
    start = min(first + 1, size)
    sent = trim_overlap(whole, size=start, hashes_at=logged.hashes_at)
    left = trim_overlap(sent, size=size, hashes_at=logged.hashes_at)
    assert [leaf for run in left for leaf in run.leaves()] == entries[size - 1 :]


def test_the_log_is_asked_once_for_the_overlap_only() -> None:
    logged = Logged(epoch_run(1), put_run(2, 4), first=1)
    left = trim_overlap((put_run(4, 2), withdraw_run(6, 2)), size=6, hashes_at=logged.hashes_at)
    assert left == (withdraw_run(6, 2),)
    assert logged.asked == [(4, 6)]


def test_a_run_is_cut_where_the_new_part_begins() -> None:
    logged = Logged(put_run(2, 4), first=2)
    assert trim_overlap((put_run(4, 5),), size=6, hashes_at=logged.hashes_at) == (put_run(6, 3),)


def test_another_leaf_at_a_logged_sequence_is_a_fork() -> None:
    logged = Logged(put_run(2, 4), first=2)
    other = run_of(PUT, body_own(4), replace(body_own(5), body_hash=OTHER_HASH), body_own(6))
    with pytest.raises(ForkError, match="sequence 5") as raised:
        trim_overlap((other,), size=6, hashes_at=logged.hashes_at)
    assert raised.value.alarm == "fork"
    assert raised.value.sequence == 5


def test_other_terms_at_a_logged_sequence_are_a_fork_too() -> None:
    logged = Logged(put_run(2, 4), first=2)
    with pytest.raises(ForkError, match="sequence 2"):
        trim_overlap((put_run(2, 4, epoch=2),), size=6, hashes_at=logged.hashes_at)


def test_entries_beyond_the_log_s_end_leave_a_gap() -> None:
    logged = Logged(put_run(2, 4), first=2)
    with pytest.raises(SequenceGapError, match="has only 6"):
        trim_overlap((put_run(7),), size=6, hashes_at=logged.hashes_at)


def test_a_gap_within_is_a_gap_and_no_fork() -> None:
    logged = Logged(put_run(2, 4), first=2)
    with pytest.raises(SequenceGapError):
        trim_overlap((put_run(2), put_run(4)), size=6, hashes_at=logged.hashes_at)
