"""Entries of one append as one row: packed so that their exact bytes come out again.

A log of any kind packs whole leaves; a stream packs runs, whose terms are kept once
for all entries that share them. Pure, and strict when reading: what was not packed
here is a damaged row.
"""

import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum

from mithaq.ledger.errors import LedgerError
from mithaq.ledger.run import Run
from mithaq.ledger.tree import leaf_hash
from mithaq.store.errors import StoreDamagedError

LENGTH = struct.Struct(">I")
RUN_HEAD = struct.Struct(">IHI")


class Packing(IntEnum):
    """How the payload of a page is made up."""

    LEAVES = 1
    RUNS = 2


def pack_leaves(leaves: Sequence[bytes]) -> bytes:
    """Return `uint32 length ‖ leaf` for each leaf."""
    return b"".join(piece for leaf in leaves for piece in (LENGTH.pack(len(leaf)), leaf))


def unpack_leaves(payload: bytes) -> list[bytes]:
    """Return the leaves; raise StoreDamagedError for bytes that `pack_leaves` didn't write."""
    leaves: list[bytes] = []
    at, end = 0, len(payload)
    while at < end:
        length = length_at(payload, at)
        at += LENGTH.size + length
        leaves.append(payload[at - length : at])
    return leaves


def length_at(payload: bytes, at: int) -> int:
    """Return the length of the leaf whose head stands at `at`; raise StoreDamagedError."""
    try:
        (length,) = LENGTH.unpack_from(payload, at)
    except struct.error:
        raise StoreDamagedError("a page of leaves ends within a length") from None
    if at + LENGTH.size + length > len(payload):
        raise StoreDamagedError("a page of leaves ends within a leaf")
    return int(length)


def pack_runs(runs: Sequence[Run]) -> bytes:
    """Return `uint32 size of terms ‖ uint16 own size ‖ uint32 size of own ‖ terms ‖ own` each."""
    return b"".join(
        piece
        for run in runs
        for piece in (
            RUN_HEAD.pack(len(run.terms_bytes), run.own_size, len(run.own_bytes)),
            run.terms_bytes,
            run.own_bytes,
        )
    )


def unpack_runs(payload: bytes) -> list[Run]:
    """Return the runs; raise StoreDamagedError for bytes that `pack_runs` didn't write."""
    runs: list[Run] = []
    at = 0
    while at < len(payload):
        try:
            terms_size, own_size, own_bytes_size = RUN_HEAD.unpack_from(payload, at)
            terms_at = at + RUN_HEAD.size
            own_at = terms_at + terms_size
            at = own_at + own_bytes_size
            runs.append(Run(payload[terms_at:own_at], own_size, payload[own_at:at]))
        except (struct.error, LedgerError):
            raise StoreDamagedError("a page of runs is not made of whole runs") from None
    if at != len(payload):
        raise StoreDamagedError("a page of runs ends within a run")
    return runs


def leaves_of(packing: int, payload: bytes) -> list[bytes]:
    """Return the exact bytes of every entry of a page."""
    if packing == Packing.LEAVES:
        return unpack_leaves(payload)
    return [leaf for run in unpack_runs(payload) for leaf in run.leaves()]


def leaf_hashes_of(packing: int, payload: bytes) -> list[bytes]:
    """Return the leaf hash of every entry of a page, computed from the entry's bytes."""
    if packing == Packing.LEAVES:
        return [leaf_hash(leaf) for leaf in unpack_leaves(payload)]
    return [each for run in unpack_runs(payload) for each in run.leaf_hashes()]


def runs_between(payload: bytes, *, first: int, start: int, end: int) -> Iterator[tuple[int, Run]]:
    """Yield the parts of a page's runs within [start, end), each with its first sequence.

    `first` is the sequence of the page's first entry.
    """
    for run in unpack_runs(payload):
        low, high = max(start, first), min(end, first + len(run))
        if low < high:
            own = run.own_bytes[(low - first) * run.own_size : (high - first) * run.own_size]
            yield low, Run(run.terms_bytes, run.own_size, own)
        first += len(run)
