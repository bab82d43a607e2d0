"""Whether two parties' bundles tell the same story.

Pure. Streams that both hold are compared by size and root: equal is one comparison,
unequal is bisected through the two Merkle trees to the first entry that differs. Then
what one says it disclosed is held against what the other signed that it holds, both
ways. The rule: what the bundles can't decide is said to be undecided, never guessed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mithaq.ledger.cosignature import Role
from mithaq.ledger.tiles import HashReader, TileMap, subtree_hash
from mithaq.store.audit_bundle import VerifiedBundle, VerifiedStream
from mithaq.store.audit_entry import Operation
from mithaq.store.audit_wire import ReceiptLine
from mithaq.store.errors import BundleInvalidError

# An issuer's act is its disclosure: one entry says both, and names the streams.
DISCLOSING: Final = frozenset({Operation.ISSUE, Operation.ALTER, Operation.DISCLOSE})
RECEIVING: Final = frozenset({Operation.RECEIVE})


class Agreement(StrEnum):
    """How two views of one stream compare."""

    EQUAL = "equal"
    # One is the beginning of the other, which is only further.
    PREFIX = "prefix"
    DIFFERENT = "different"
    # The heads differ in size, and the bundles hold no leaf hashes to compare.
    UNDECIDED = "undecided"
    # One side's bundle lacks a stream that the other side's shows it to take part in.
    ONE_SIDED = "one-sided"


@dataclass(frozen=True, slots=True)
class StreamComparison:
    """One stream in both bundles; a size is None where a bundle lacks the stream."""

    stream_id: bytes
    size_a: int | None
    size_b: int | None
    agreement: Agreement
    first_difference: int | None = None


@dataclass(frozen=True, slots=True, order=True)
class DisclosureRef:
    """An entry of a stream that is the matter between its sender and one reader."""

    stream_id: bytes
    sequence: int
    sender: str
    reader: str


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What two bundles say of one another.

    `disclosures_without_receipt`: the sender logged it and the reader signed nothing
    that covers it. `receipts_without_disclosure`: the reader logged or signed it and the
    sender did not log it; empty where the sender's bundle is not whole (`complete`).
    """

    streams: tuple[StreamComparison, ...]
    disclosures_without_receipt: tuple[DisclosureRef, ...]
    receipts_without_disclosure: tuple[DisclosureRef, ...]
    contradictions: tuple[ReceiptLine, ...]
    complete: bool

    @property
    def agrees(self) -> bool:
        """Whether nothing is left to explain."""
        return self.complete and not (
            self.disclosures_without_receipt
            or self.receipts_without_disclosure
            or self.contradictions
            or any(
                each.agreement not in (Agreement.EQUAL, Agreement.PREFIX) for each in self.streams
            )
        )


def reconcile(a: VerifiedBundle, b: VerifiedBundle) -> Reconciliation:
    """Compare the bundles of two parties of one federation; raise BundleInvalidError."""
    if a.federation != b.federation or a.owner == b.owner:
        raise BundleInvalidError("two bundles of one federation and two owners are compared")
    return Reconciliation(
        streams=compare_streams(a, b),
        disclosures_without_receipt=tuple(sorted({*unreceipted(a, b), *unreceipted(b, a)})),
        receipts_without_disclosure=tuple(sorted({*undisclosed(a, b), *undisclosed(b, a)})),
        contradictions=tuple(
            receipt
            for side in (a, b)
            for stream in side.streams
            for receipt in stream.contradictions
        ),
        complete=a.is_whole and b.is_whole,
    )


def compare_streams(a: VerifiedBundle, b: VerifiedBundle) -> tuple[StreamComparison, ...]:
    """Compare every stream in which both owners take part, by stream id."""
    of_a = {each.stream_id: each for each in a.streams if takes_part(each, b.owner)}
    of_b = {each.stream_id: each for each in b.streams if takes_part(each, a.owner)}
    return tuple(_compared(of_a.get(each), of_b.get(each), each) for each in sorted({*of_a, *of_b}))


def takes_part(stream: VerifiedStream, party: str) -> bool:
    """Tell whether a party is the sender or a reader of a stream."""
    return party == stream.sender or party in stream.audience


def _compared(
    a: VerifiedStream | None, b: VerifiedStream | None, stream_id: bytes
) -> StreamComparison:
    size_a = a.checkpoint.checkpoint.size if a else None
    size_b = b.checkpoint.checkpoint.size if b else None
    if a is None or b is None:
        return StreamComparison(stream_id, size_a, size_b, Agreement.ONE_SIDED)
    agreement, difference = _agreement(a, b)
    return StreamComparison(stream_id, size_a, size_b, agreement, difference)


def _agreement(a: VerifiedStream, b: VerifiedStream) -> tuple[Agreement, int | None]:
    head_a, head_b = a.checkpoint.checkpoint, b.checkpoint.checkpoint
    if head_a == head_b:
        return Agreement.EQUAL, None
    if not a.leaf_hashes or not b.leaf_hashes:
        # Two roots at one size differ, whatever the entries are.
        same_size = head_a.size == head_b.size
        return (Agreement.DIFFERENT if same_size else Agreement.UNDECIDED), None
    common = min(head_a.size, head_b.size)
    difference = first_difference(TileMap(a.leaf_hashes), TileMap(b.leaf_hashes), size=common)
    return (Agreement.PREFIX if difference is None else Agreement.DIFFERENT), difference


def first_difference(a: HashReader, b: HashReader, *, size: int) -> int | None:
    """Return the index of the first leaf that differs below `size`, or None.

    Takes one comparison if there is none, else about log2(size); the readers may be
    tiles in memory or at two ends of a connection.
    """
    start, end = 0, size
    if subtree_hash(a, start, end) == subtree_hash(b, start, end):
        return None
    while end - start > 1:
        middle = start + (1 << ((end - start - 1).bit_length() - 1))
        if subtree_hash(a, start, middle) != subtree_hash(b, start, middle):
            end = middle
        else:
            start = middle
    return start


def unreceipted(sender: VerifiedBundle, reader: VerifiedBundle) -> Iterable[DisclosureRef]:
    """Yield what the sender logged as disclosed and the reader signed nothing about."""
    held = held_sizes((sender, reader), reader.owner)
    shared = {
        each.stream_id: each
        for each in sender.streams
        if each.sender == sender.owner and reader.owner in each.audience
    }
    for stream_id, sequence in logged(sender, DISCLOSING):
        if stream_id in shared and sequence >= held.get(stream_id, 0):
            yield DisclosureRef(stream_id, sequence, sender.owner, reader.owner)


def undisclosed(sender: VerifiedBundle, reader: VerifiedBundle) -> Iterable[DisclosureRef]:
    """Yield what the reader logged or signed as received and the sender didn't log."""
    if not sender.is_whole:
        return
    disclosed = set(logged(sender, DISCLOSING))
    sent = {each.stream_id: each for each in sender.streams if each.sender == sender.owner}
    received = {each.stream_id for each in reader.streams if each.sender == sender.owner}
    for stream_id, sequence in logged(reader, RECEIVING):
        if stream_id in received and (stream_id, sequence) not in disclosed:
            yield DisclosureRef(stream_id, sequence, sender.owner, reader.owner)
    for stream_id, size in held_sizes((reader,), reader.owner).items():
        known = sent.get(stream_id)
        reached = known.checkpoint.checkpoint.size if known else 0
        if stream_id in received and size > reached:
            yield DisclosureRef(stream_id, reached, sender.owner, reader.owner)


def held_sizes(bundles: Sequence[VerifiedBundle], reader: str) -> dict[bytes, int]:
    """Return, by stream, the largest size that a reader signed to hold in any of the bundles."""
    sizes: dict[bytes, int] = {}
    for bundle in bundles:
        for stream in bundle.streams:
            for receipt in stream.receipts:
                if receipt.reader == reader and receipt.role in (Role.HELD, Role.OPENED):
                    known = sizes.get(stream.stream_id, 0)
                    sizes[stream.stream_id] = max(known, receipt.size)
    return sizes


def logged(bundle: VerifiedBundle, operations: frozenset[Operation]) -> Iterable[tuple[bytes, int]]:
    """Yield stream and sequence of every record that acts of these kinds name."""
    for entry in bundle.entries:
        if entry.operation in operations:
            for record in entry.records:
                if record.stream_id:
                    yield record.stream_id, record.sequence
