"""Exporting a bundle from the store: the entries, the proof, and the streams' heads.

Reads in one snapshot, so that entries, checkpoint and stream heads belong together.
Exporting is itself an act that the caller has logged before it calls.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from mithaq.certs.keys import SigningPair
from mithaq.ledger.checkpoint import parse_checkpoint_text
from mithaq.ledger.names import registry_origin
from mithaq.ledger.note import parse_note
from mithaq.ledger.proof import consistency_proof
from mithaq.ledger.tiles import subtree_hashes
from mithaq.store import log_store
from mithaq.store.audit import AuditLog, party_of
from mithaq.store.audit_bundle import ENTRIES_PER_BUNDLE_MAX, sign_bundle
from mithaq.store.audit_wire import Bundle, ReceiptLine, Side, StreamEvidence
from mithaq.store.errors import LogRangeError

LEAF_HASHES_PER_STREAM_MAX = 1_048_576


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed checkpoint to export up to, with the cosignature lines over it."""

    note: bytes
    cosignatures: tuple[str, ...] = ()


def export_bundle(
    connection: sa.Connection,
    audit: AuditLog,
    *,
    signer: SigningPair,
    at: datetime,
    checkpoint: Signed | None = None,
    first_index: int = 0,
    streams: Sequence[StreamEvidence] = (),
) -> bytes:
    """Return the signed bundle of the entries from `first_index` up to a checkpoint.

    Without `checkpoint` the newest that was signed is taken, with no cosignatures.
    At most ENTRIES_PER_BUNDLE_MAX entries are put in; a longer log is exported in
    parts, each of which verifies alone. Raise LogRangeError if nothing was signed yet
    or `first_index` is beyond what was.
    """
    signed = checkpoint or Signed(audit.head(connection).checkpoint or b"")
    size = size_of(signed.note)
    end = min(size, first_index + ENTRIES_PER_BUNDLE_MAX)
    if not 0 <= first_index < end:
        raise LogRangeError(f"{audit.origin} is signed up to {size}, not beyond {first_index}")
    tiles = log_store.StoredTiles(connection, audit.log)
    owner, _ = party_of(audit.origin)
    federation = audit.origin.partition("/")[0]
    registry, registry_checkpoint = _registry(connection, federation)
    bundle = Bundle(
        federation=federation,
        owner=owner,
        origin=audit.origin,
        exported_at=at,
        first_index=first_index,
        frontier=tuple(subtree_hashes(tiles, complete_subtrees(first_index))),
        entries=tuple(log_store.read_leaves(connection, audit.log, first_index, end)),
        consistency=tuple(consistency_proof(tiles, end, size)),
        checkpoint=signed.note,
        cosignatures=signed.cosignatures,
        streams=tuple(streams),
        registry=registry,
        registry_checkpoint=registry_checkpoint,
    )
    return sign_bundle(bundle, signer)


def _registry(connection: sa.Connection, federation: str) -> tuple[tuple[bytes, ...], bytes]:
    """Return the registry that this store has verified, and the note over exactly that."""
    log = log_store.find_log(connection, registry_origin(federation))
    if log is None:
        return (), b""
    head = log_store.head(connection, log)
    note = head.checkpoint or b""
    return tuple(_all_leaves(connection, log, size_of(note))), note


def _all_leaves(connection: sa.Connection, log: int, size: int) -> Iterator[bytes]:
    for start in range(0, size, log_store.ENTRIES_PER_READ_MAX):
        end = min(start + log_store.ENTRIES_PER_READ_MAX, size)
        yield from log_store.read_leaves(connection, log, start, end)


def stream_evidence(
    connection: sa.Connection,
    log: int,
    *,
    stream_id: bytes,
    side: Side,
    sender: str,
    audience: Sequence[str],
    receipts: Sequence[ReceiptLine] = (),
) -> StreamEvidence | None:
    """Return what the store holds of a stream, as its sender signed it; None if nothing is signed.

    Leaf hashes are put in for streams of at most LEAF_HASHES_PER_STREAM_MAX entries.
    """
    note = log_store.head(connection, log).checkpoint
    if note is None:
        return None
    size = size_of(note)
    hashes = list[bytes]()
    if size <= LEAF_HASHES_PER_STREAM_MAX:
        for start in range(0, size, log_store.ENTRIES_PER_READ_MAX):
            end = min(start + log_store.ENTRIES_PER_READ_MAX, size)
            hashes += log_store.leaf_hashes_at(connection, log, start, end)
    return StreamEvidence(
        stream_id=stream_id,
        side=side,
        sender=sender,
        audience=tuple(sorted(audience)),
        checkpoint=note,
        receipts=tuple(receipts),
        leaf_hashes=b"".join(hashes),
    )


def size_of(note: bytes) -> int:
    """Return the size that a checkpoint of our own store names; 0 for none."""
    return parse_checkpoint_text(parse_note(note).text).size if note else 0


def complete_subtrees(size: int) -> list[tuple[int, int]]:
    """Return the ranges of a tree's complete subtrees, largest first, as a frontier has them."""
    ranges: list[tuple[int, int]] = []
    start = 0
    while start < size:
        width = 1 << ((size - start).bit_length() - 1)
        ranges.append((start, start + width))
        start += width
    return ranges
