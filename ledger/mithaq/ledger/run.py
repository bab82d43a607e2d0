"""Runs: consecutive entries of one stream that share their terms, as they travel.

The own fields of a run are one piece of bytes and are read many at a time; this
is the path that every record takes at sender, hub and reader. A run is not yet
judged: whether its entries may stand where they stand is for ``stream``.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from mithaq.ledger.entry import (
    BARE_SIZE_BYTES,
    BATCH_ENTRIES_MAX,
    BATCH_SIZE_BYTES_MAX,
    BODY_OWN_SIZE_BYTES,
    BODY_SIZE_BYTES_MAX,
    BODY_TARGET_SIZE_BYTES,
    TARGET_SIZE_BYTES,
    has_body,
    has_target,
    leaf,
    leaf_hashes,
    split_own,
)
from mithaq.ledger.errors import EntryFormatError, ForkError, SequenceGapError
from mithaq.ledger.tree import HASH_SIZE_BYTES

# What of each width is read in bulk; the two hashes are passed over.
_NUMBERS: Final = {
    BARE_SIZE_BYTES: struct.Struct(">Q"),
    TARGET_SIZE_BYTES: struct.Struct(">QQ"),
    BODY_OWN_SIZE_BYTES: struct.Struct(">QI64x"),
    BODY_TARGET_SIZE_BYTES: struct.Struct(">QQI64x"),
}


# Each is asked for its numbers several times on its way: as many as one sender has in flight.
RUNS_KEPT_MAX: Final = 32


class Numbers(NamedTuple):
    """The sequences, targets and body sizes of a run's entries, in order."""

    sequences: tuple[int, ...]
    targets: tuple[int, ...]
    body_sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """Terms, the width of the own fields, and the own fields one after another."""

    terms_bytes: bytes
    own_size: int
    own_bytes: bytes

    def __post_init__(self) -> None:
        """Refuse a width that no kind has, and bytes that are not made of it."""
        if self.own_size not in _NUMBERS:
            raise EntryFormatError(f"no entry has own fields of {self.own_size} bytes")
        if not self.own_bytes or len(self.own_bytes) % self.own_size:
            raise EntryFormatError("a run is not made of whole entries")

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self.own_bytes) // self.own_size

    def numbers(self) -> Numbers:
        """Return what the entries say in numbers.

        Raises:
            EntryFormatError: an empty body, or one of more than BODY_SIZE_BYTES_MAX.

        """
        return _numbers(self.own_size, self.own_bytes)

    def digests(self) -> list[tuple[bytes, bytes]]:
        """Return the body hash and commitment of each entry; of entries without a body, none."""
        if not has_body(self.own_size):
            return []
        skip = self.own_size - 2 * HASH_SIZE_BYTES
        return list(struct.iter_unpack(f"{skip}x32s32s", self.own_bytes))

    def leaf_hashes(self) -> list[bytes]:
        """Return the leaf hash of each entry."""
        return leaf_hashes(self.terms_bytes, self.own_bytes, self.own_size)

    def leaves(self) -> list[bytes]:
        """Return the exact bytes of each entry."""
        return [leaf(self.terms_bytes, each) for each in split_own(self.own_bytes, self.own_size)]

    def without_first(self, count: int) -> "Run":
        """Return the run after its first ``count`` entries, of which it has more."""
        return Run(self.terms_bytes, self.own_size, self.own_bytes[count * self.own_size :])


@lru_cache(maxsize=RUNS_KEPT_MAX)
def _numbers(own_size: int, own_bytes: bytes) -> Numbers:
    columns = tuple(zip(*_NUMBERS[own_size].iter_unpack(own_bytes), strict=True))
    targets = columns[1] if has_target(own_size) else ()
    body_sizes = columns[-1] if has_body(own_size) else ()
    if body_sizes and not 1 <= min(body_sizes) <= max(body_sizes) <= BODY_SIZE_BYTES_MAX:
        raise EntryFormatError(f"a body has 1 to {BODY_SIZE_BYTES_MAX} bytes")
    return Numbers(columns[0], targets, body_sizes)


def check_consecutive(sequences: Sequence[int], *, start: int) -> None:
    """Raise SequenceGapError unless the sequences count up from ``start`` without a gap."""
    if tuple(sequences) != tuple(range(start, start + len(sequences))):
        raise SequenceGapError(f"entries do not count up from {start} without a gap")


def check_batch(runs: Sequence[Run]) -> None:
    """Raise EntryFormatError unless these runs may travel as one batch (PROTOCOL 5.1).

    1 to 256 entries; headers and the bodies that they name have at most 1 MiB.
    """
    entries = sum(len(each) for each in runs)
    if not 1 <= entries <= BATCH_ENTRIES_MAX:
        raise EntryFormatError(f"a batch has 1 to {BATCH_ENTRIES_MAX} entries, not {entries}")
    size = sum(
        len(each.terms_bytes) + len(each.own_bytes) + sum(each.numbers().body_sizes)
        for each in runs
    )
    if size > BATCH_SIZE_BYTES_MAX:
        raise EntryFormatError(f"a batch has at most {BATCH_SIZE_BYTES_MAX} bytes, not {size}")


def trim_overlap(
    runs: Sequence[Run], *, size: int, hashes_at: Callable[[int, int], Sequence[bytes]]
) -> tuple[Run, ...]:
    """Return what is new in runs that may begin with entries already logged (PROTOCOL 1.6).

    ``size`` is the number of entries logged; ``hashes_at(start, end)`` gives their leaf
    hashes and is called at most once, only where there is an overlap.

    Raises:
        SequenceGapError: the runs begin after the log's end, or have a gap.
        ForkError: an entry differs from the one logged at its sequence.

    """
    sequences = [number for each in runs for number in each.numbers().sequences]
    if not sequences:
        return ()
    start = sequences[0]
    check_consecutive(sequences, start=start)
    if start > size:
        raise SequenceGapError(f"entries begin at {start}, but the log has only {size}")
    known = min(size - start, len(sequences))
    if known:
        sent = [each for run in runs for each in run.leaf_hashes()][:known]
        _check_same(sent, list(hashes_at(start, start + known)), start=start)
    return _after(runs, known)


def _check_same(sent: list[bytes], logged: list[bytes], *, start: int) -> None:
    if sent == logged:
        return
    pairs = zip(sent, logged, strict=True)
    differing = next(at for at, (one, other) in enumerate(pairs, start) if one != other)
    raise ForkError(f"another entry is logged at sequence {differing}", sequence=differing)


def _after(runs: Sequence[Run], known: int) -> tuple[Run, ...]:
    ends = [0]
    for each in runs:
        ends.append(ends[-1] + len(each))
    return tuple(
        run.without_first(max(known - start, 0))
        for run, (start, end) in zip(runs, pairwise(ends), strict=True)
        if end > known
    )
