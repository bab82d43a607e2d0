"""A sender's batch, parsed at the edge: what comes in over the wire and what it must be.

Entries stay bytes here; no object is made for one. The rule: whatever is a
`PublishedBatch` has whole runs that begin where it says, within the limits of PROTOCOL
5.1, with one body of the named size for each entry that has one. Whether its hashes,
signatures and terms hold is judged later, against the stream.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from mithaq.hub.errors import BatchFormatError, BodyMismatchError
from mithaq.ledger.run import Run, check_batch
from mithaq.ledger.tree import HASH_SIZE_BYTES
from mithaq.v1 import entry_pb2, exchange_pb2

CHECKPOINT_SIZE_BYTES_MAX = 8192


@dataclass(frozen=True, slots=True)
class PublishedBatch:
    """Consecutive entries of one stream, their bodies in order, and the note that signs them."""

    sender: str
    stream_id: bytes
    first_sequence: int
    runs: tuple[Run, ...]
    bodies: tuple[bytes, ...]
    checkpoint: bytes
    # The largest registry size that an entry names: the hub waits for it (PROTOCOL 2.4).
    registry_size: int

    @property
    def size_bytes(self) -> int:
        """What the batch weighs in the committer's queue."""
        return sum(map(len, self.bodies)) + sum(len(run.own_bytes) for run in self.runs)

    @property
    def end(self) -> int:
        """The sequence after its last entry: the size that its checkpoint should sign."""
        return self.first_sequence + sum(len(run) for run in self.runs)


def parse_batch(message: exchange_pb2.Batch, *, sender: str) -> PublishedBatch:
    """Return the batch that a message holds.

    Raises:
        BatchFormatError: it contradicts its own numbers or PROTOCOL 5.1.
        EntryFormatError: own fields are of no width that an entry has.
        BodyMismatchError: a body is not of the size that its entry names.

    """
    runs = tuple(Run(run.terms, run.own_size, run.own) for run in message.runs)
    check_batch(runs)
    if len(message.stream_id) != HASH_SIZE_BYTES:
        raise BatchFormatError("a stream id has 32 bytes")
    if len(message.checkpoint) > CHECKPOINT_SIZE_BYTES_MAX:
        raise BatchFormatError("a checkpoint is too large")
    bodies = tuple(message.bodies)
    _check_numbers(runs, bodies, first_sequence=message.first_sequence)
    return PublishedBatch(
        sender=sender,
        stream_id=message.stream_id,
        first_sequence=message.first_sequence,
        runs=runs,
        bodies=bodies,
        checkpoint=message.checkpoint,
        registry_size=max(_registry_size(run) for run in runs),
    )


def to_message(batch: PublishedBatch) -> exchange_pb2.Batch:
    """Return the batch as it travels."""
    return exchange_pb2.Batch(
        stream_id=batch.stream_id,
        first_sequence=batch.first_sequence,
        runs=[run_message(run) for run in batch.runs],
        bodies=batch.bodies,
        checkpoint=batch.checkpoint,
    )


def run_message(run: Run) -> exchange_pb2.EntryRun:
    """Return a run as it travels."""
    return exchange_pb2.EntryRun(terms=run.terms_bytes, own_size=run.own_size, own=run.own_bytes)


def _check_numbers(runs: Sequence[Run], bodies: Sequence[bytes], *, first_sequence: int) -> None:
    numbers = [run.numbers() for run in runs]
    if numbers[0].sequences[0] != first_sequence:
        raise BatchFormatError("a batch does not begin with the sequence that it names")
    sizes = [size for each in numbers for size in each.body_sizes]
    if len(sizes) != len(bodies):
        raise BatchFormatError(f"{len(sizes)} entries have a body, {len(bodies)} came")
    if sizes != [len(body) for body in bodies]:
        raise BodyMismatchError("a body has not the size that its entry names")


def _registry_size(run: Run) -> int:
    try:
        return entry_pb2.EntryTerms.FromString(run.terms_bytes).registry_size
    except DecodeError:
        raise BatchFormatError("terms are not a message") from None
