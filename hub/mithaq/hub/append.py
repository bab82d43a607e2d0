"""One batch against its stream: what it adds, worked out before anything is written.

The order of the checks is the order of trust: whose stream it is, where it goes on, what
its entries hash to, whether the sender signed that very root, and only then what the
registry and the agreement say of it. The rule: a batch is admitted whole, with the bodies
of denied entries dropped, or it leaves no trace but, at most, evidence.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import Protocol

from mithaq.hub.batch import PublishedBatch
from mithaq.hub.directory import HeldStream
from mithaq.hub.errors import (
    BatchFormatError,
    BodyMismatchError,
    RootMismatchError,
    SequenceError,
    StreamForkError,
    StreamTakenError,
    StreamUnknownError,
)
from mithaq.hub.refusals import Refusal
from mithaq.ledger.checkpoint import Checkpoint, SignedCheckpoint
from mithaq.ledger.entry import BARE_SIZE_BYTES, has_body
from mithaq.ledger.errors import ForkError, SequenceGapError
from mithaq.ledger.kinds import EntryKind
from mithaq.ledger.run import Numbers
from mithaq.ledger.stream import KindAt, Run, Slot, StreamState, trim_overlap
from mithaq.ledger.terms import Opening, Terms, parse_terms
from mithaq.ledger.tree import leaf_hash


@dataclass(frozen=True, slots=True)
class StreamLog:
    """What may be asked about the stored entries of a stream."""

    hashes_at: Callable[[int, int], Sequence[bytes]]
    kind_at: KindAt


class Bench(Protocol):
    """Who judges: registry, agreement, quota and clock of this transaction."""

    def check_opening(self, terms: Terms, opening: Opening, *, sender: str) -> None:
        """Raise OpeningRefusedError unless this stream may be opened."""
        ...

    def check_registry(self, terms: Terms) -> None:
        """Raise RegistryBehindError if the sender has seen more of the registry than we have."""
        ...

    def judge(
        self, terms: Terms, sequences: Sequence[int], *, stream: HeldStream
    ) -> dict[int, str]:
        """Return the refused among entries of these terms: a stable reason by sequence.

        Counts what it admits, so it is asked once nothing else can refuse the batch.
        """
        ...

    def open_note(self, batch: PublishedBatch, *, origin: str) -> SignedCheckpoint:
        """Return the batch's checkpoint once both of its sender's signatures have verified."""
        ...


@dataclass(frozen=True, slots=True)
class BodySpan:
    """Entries of one run that have bodies, refused or not."""

    first: int
    count: int
    kind: int
    epoch: int
    # Seconds since 1970; 0 where nothing expires.
    expires_at: int


@dataclass(frozen=True, slots=True)
class OpenedEpoch:
    """An EPOCH: its number, where it stands and whom the hub admitted as readers."""

    epoch: int
    sequence: int
    readers: tuple[str, ...]


@dataclass(slots=True)
class Gains:
    """What the entries of a batch ask to be kept, gathered run by run."""

    refusals: list[Refusal] = field(default_factory=list[Refusal])
    # By sequence.
    bodies: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])
    body_bytes: int = 0
    spans: list[BodySpan] = field(default_factory=list[BodySpan])
    epochs: list[OpenedEpoch] = field(default_factory=list[OpenedEpoch])
    # (target, sequence) of next versions, (sequence, target) of withdrawals.
    versions: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    withdrawals: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])


@dataclass(frozen=True, slots=True)
class Appended:
    """What a batch adds to its stream: the stream after it, new runs and their leaf hashes."""

    stream: HeldStream
    runs: tuple[Run, ...]
    hashes: Sequence[bytes]
    signed: SignedCheckpoint
    gains: Gains


def continue_stream(
    batch: PublishedBatch, held: HeldStream, *, log: StreamLog, bench: Bench
) -> Appended | None:
    """Return what a batch adds to a stream; None where all of it is there already.

    Raises:
        LedgerError: entries or signatures break a rule.
        HubError: a gap, a fork, another's stream, a root that isn't signed, a body that isn't
            named, or a registry that the hub doesn't have yet.

    """
    if held.sender != batch.sender:
        raise StreamTakenError(f"{batch.sender} writes to a stream of {held.sender}")
    fresh = batch.runs
    if batch.first_sequence != held.state.size:
        fresh = _new_part(batch, held.state.size, log=log)
    if not fresh:
        return None
    admission = held.state.admit_all(fresh, kind_at=log.kind_at)
    signed = _signed(batch, admission.state, bench=bench)
    gains, stream = _gather(batch, fresh, admission.terms, stream=held, bench=bench)
    return Appended(
        replace(stream, state=admission.state), fresh, admission.leaf_hashes, signed, gains
    )


def _new_part(batch: PublishedBatch, size: int, *, log: StreamLog) -> tuple[Run, ...]:
    """Return what follows the entries that are there already (PROTOCOL 1.6)."""
    try:
        return trim_overlap(batch.runs, size=size, hashes_at=log.hashes_at)
    except SequenceGapError as fault:
        raise SequenceError(str(fault)) from fault
    except ForkError as fault:
        raise StreamForkError(str(fault)) from fault


def open_stream(batch: PublishedBatch, *, bench: Bench) -> Appended:
    """Return what a batch that begins a stream adds; raises as ``continue_stream`` does.

    Raises:
        StreamUnknownError: it doesn't begin with the OPEN entry of the stream that it names.
        OpeningRefusedError: the stream may not be opened.

    """
    first, *rest = batch.runs
    if batch.first_sequence or len(first) != 1:
        raise StreamUnknownError("a batch continues a stream that was never opened")
    open_leaf = first.leaves()[0]
    state = StreamState.open(open_leaf)
    if state.stream_id != batch.stream_id:
        raise StreamUnknownError("a batch names another stream than its OPEN entry makes")
    admission = state.admit_all(rest, kind_at=_only_open)
    signed = _signed(batch, admission.state, bench=bench)
    opening = parse_terms(first.terms_bytes)
    bench.check_opening(opening, state.opening, sender=batch.sender)
    # The store numbers a log when it is created, which is after all checks.
    unnumbered = HeldStream(0, state)
    gains, stream = _gather(
        batch, batch.runs, (opening, *admission.terms), stream=unnumbered, bench=bench
    )
    hashes = [leaf_hash(open_leaf), *admission.leaf_hashes]
    return Appended(replace(stream, state=admission.state), batch.runs, hashes, signed, gains)


def _only_open(sequences: Sequence[int]) -> list[Slot]:
    """Tell what stands in a stream that has its OPEN entry and no other yet."""
    return [Slot(EntryKind.OPEN, BARE_SIZE_BYTES) for _ in sequences]


def _signed(batch: PublishedBatch, state: StreamState, *, bench: Bench) -> SignedCheckpoint:
    signed = bench.open_note(batch, origin=state.origin)
    check_size(signed.checkpoint, batch)
    if signed.checkpoint != state.checkpoint():
        raise RootMismatchError(f"the entries give another root at size {state.size}")
    return signed


def check_size(checkpoint: Checkpoint, batch: PublishedBatch) -> None:
    """Raise BatchFormatError unless a note signs the size at which its batch ends.

    A note of another size contradicts nothing, so it accuses nobody.
    """
    if checkpoint.size != batch.end:
        raise BatchFormatError(f"the note signs {checkpoint.size}, the batch ends at {batch.end}")


def _gather(
    batch: PublishedBatch,
    runs: Sequence[Run],
    terms: Sequence[Terms],
    *,
    stream: HeldStream,
    bench: Bench,
) -> tuple[Gains, HeldStream]:
    """Judge each run and sort out what it asks to be kept; the stream knows its readers then."""
    gains = Gains()
    bodies = _bodies_of(batch, runs)
    for run, of_run, sent in zip(runs, terms, bodies, strict=True):
        bench.check_registry(of_run)
        if has_body(run.own_size):
            check_bodies(run, sent)
    for run, of_run, sent in zip(runs, terms, bodies, strict=True):
        numbers = run.numbers()
        if of_run.kind is EntryKind.OPEN:
            continue
        if of_run.kind is EntryKind.EPOCH:
            # An EPOCH is judged by the readers that it names itself.
            stream = replace(stream, readers=tuple(each.member for each in of_run.readers))
        refused = bench.judge(of_run, numbers.sequences, stream=stream)
        gains.refusals += [Refusal(*each) for each in refused.items()]
        if of_run.kind is EntryKind.WITHDRAW:
            gains.withdrawals += zip(numbers.sequences, numbers.targets, strict=True)
        elif of_run.kind is EntryKind.CLOSE:
            stream = replace(stream, closed_at=numbers.sequences[0])
        else:
            if of_run.kind is EntryKind.EPOCH:
                stream = replace(stream, readers=() if refused else stream.readers)
                _gain_epoch(gains, of_run, numbers.sequences[0], readers=stream.readers)
            _gain_bodies(gains, of_run, numbers, sent, refused=refused)
    return gains, stream


def _gain_epoch(gains: Gains, terms: Terms, sequence: int, *, readers: tuple[str, ...]) -> None:
    gains.epochs.append(OpenedEpoch(terms.epoch or 0, sequence, readers))


def _gain_bodies(
    gains: Gains,
    terms: Terms,
    numbers: Numbers,
    sent: Sequence[bytes],
    *,
    refused: dict[int, str],
) -> None:
    expires_at = int(terms.expires_at.timestamp()) if terms.expires_at else 0
    first, count = numbers.sequences[0], len(numbers.sequences)
    gains.spans.append(BodySpan(first, count, terms.kind, terms.epoch or 0, expires_at))
    kept = list(zip(numbers.sequences, sent, strict=True))
    if refused:
        kept = [each for each in kept if each[0] not in refused]
    gains.bodies += kept
    gains.body_bytes += sum(len(body) for _, body in kept)
    if numbers.targets:
        gains.versions += zip(numbers.targets, numbers.sequences, strict=True)


def check_bodies(run: Run, bodies: Sequence[bytes]) -> None:
    """Raise BodyMismatchError unless each body hashes to what its entry names."""
    digest = hashlib.sha256
    sent = [digest(body).digest() for body in bodies]
    if sent != [named for named, _ in run.digests()]:
        raise BodyMismatchError("a body does not hash to what its entry names")


def _bodies_of(batch: PublishedBatch, runs: Sequence[Run]) -> list[Sequence[bytes]]:
    """Return the bodies of each run; those of entries that were there before come first."""
    counts = [len(run) if has_body(run.own_size) else 0 for run in runs]
    start = len(batch.bodies) - sum(counts)
    ends = list(accumulate(counts, initial=start))
    return [batch.bodies[low:high] for low, high in pairwise(ends)]
