"""What goes to a reader in one message: some headers, or some bodies and why others aren't there.

Both end at a size that the sender signed, because a reader can only sign where it can
check. Pure. The rule: a body that isn't sent is named with its reason (PROTOCOL 5.4).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from mithaq.ledger.entry import BATCH_ENTRIES_MAX, BATCH_SIZE_BYTES_MAX
from mithaq.ledger.stream import Run
from mithaq.v1 import exchange_pb2

EXPIRED = int(exchange_pb2.OMISSION_REASON_EXPIRED)
OPENED = int(exchange_pb2.OMISSION_REASON_OPENED)
NOT_A_READER = int(exchange_pb2.OMISSION_REASON_NOT_A_READER)
REFUSED = int(exchange_pb2.OMISSION_REASON_REFUSED)
WITHDRAWN = int(exchange_pb2.OMISSION_REASON_WITHDRAWN)


@dataclass(frozen=True, slots=True)
class HeaderPiece:
    """Entries from `first_sequence` up to `size`, with the note and cosignature over that size."""

    first_sequence: int
    size: int
    runs: tuple[Run, ...]
    checkpoint: bytes
    acceptance: str
    refusals: tuple[bytes, ...]

    @property
    def weight_bytes(self) -> int:
        """What it counts in a reader's window."""
        return sum(len(run.terms_bytes) + len(run.own_bytes) for run in self.runs)


@dataclass(frozen=True, slots=True)
class OmittedBody:
    """A body that is not sent, its reason's number, and the WITHDRAW that took it back."""

    sequence: int
    reason: int
    withdrawn_by: int = 0


@dataclass(frozen=True, slots=True)
class BodyPiece:
    """All bodies below `size` that were not sent yet, or why they aren't."""

    size: int
    sequences: tuple[int, ...]
    bodies: tuple[bytes, ...]
    omitted: tuple[OmittedBody, ...]
    # Bodies that should be here and are not: the hub's own fault, and an alarm at the reader.
    missing: tuple[int, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out: then every reader gets the same."""
        return not self.omitted and not self.missing

    @property
    def weight_bytes(self) -> int:
        """What it counts in a reader's window."""
        return sum(map(len, self.bodies))


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive entries with bodies, of one epoch and expiry, in seconds since 1970."""

    first: int
    end: int
    readers: frozenset[str]
    # 0 for what doesn't expire by itself, below zero once it is erased.
    expires_at: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which bodies a reader asks for: up to a size, and what it and the clocks say.

    `expired_at` is the earlier of both clocks (PROTOCOL 5.8); below `opened_size` the
    reader has signed that it had them, so those that are gone are named so.
    """

    reader: str
    size: int
    expired_at: int
    opened_size: int = 0


class End(NamedTuple):
    """A size that the sender signed, and what the batch that ends there weighs."""

    size: int
    weight_bytes: int


def furthest(ends: Sequence[End], *, start: int, room_bytes: int) -> int:
    """Return how many batches from `start` make one piece: as many as fit, and always one."""
    if len(ends) <= 1:
        return len(ends)
    limit_bytes = min(room_bytes, BATCH_SIZE_BYTES_MAX)
    weight_bytes = ends[0].weight_bytes
    for number, (_, end) in enumerate(pairwise(ends), start=1):
        weight_bytes += end.weight_bytes
        if end.size - start > BATCH_ENTRIES_MAX or weight_bytes > limit_bytes:
            return number
    return len(ends)


def sort_out(
    wanted: Wanted,
    spans: Iterable[Span],
    bodies: Mapping[int, bytes],
    omitted: Mapping[int, OmittedBody],
) -> BodyPiece:
    """Return the bodies of these spans for a reader, and why it gets no others."""
    sequences: list[int] = []
    sent: list[bytes] = []
    left_out: list[OmittedBody] = []
    missing: list[int] = []
    for span in spans:
        why = _why_none(span, wanted)
        numbers = range(span.first, span.end)
        if not why and not omitted:
            of_span = [bodies.get(sequence) for sequence in numbers]
            found = [body for body in of_span if body is not None]
            if len(found) == len(numbers):
                # What nearly every piece is: nothing is left out.
                sequences += numbers
                sent += found
                continue
        for sequence in numbers:
            if sequence in omitted:
                left_out.append(omitted[sequence])
            elif why:
                left_out.append(OmittedBody(sequence, why))
            elif (body := bodies.get(sequence)) is not None:
                sequences.append(sequence)
                sent.append(body)
            elif sequence < wanted.opened_size:
                left_out.append(OmittedBody(sequence, OPENED))
            else:
                missing.append(sequence)
    return BodyPiece(
        wanted.size, tuple(sequences), tuple(sent), tuple(left_out), missing=tuple(missing)
    )


def joined(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Return the runs with neighbours of the same terms and width made one."""
    together: list[Run] = []
    for run in runs:
        last = together[-1] if together else None
        if last and (last.terms_bytes, last.own_size) == (run.terms_bytes, run.own_size):
            together[-1] = Run(run.terms_bytes, run.own_size, last.own_bytes + run.own_bytes)
        else:
            together.append(run)
    return tuple(together)


def _why_none(span: Span, wanted: Wanted) -> int:
    """Return why a reader gets no body of a span at all; 0 if it does."""
    if wanted.reader not in span.readers:
        return NOT_A_READER
    # PROTOCOL 5.8: both clocks have to have passed it.
    return EXPIRED if span.expires_at and abs(span.expires_at) <= wanted.expired_at else 0
