"""Drawing up a batch: what is to be said becomes signed entries and sealed bodies.

Pure: from a stream's state and what shall follow it to runs, bodies, leaf hashes and the
next states, without a database. The one rule: a batch is drawn up as the stream's own
rules admit it (`ledger.stream`), so that what this node signs no reader refuses.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

from mithaq.ledger.entry import (
    BATCH_ENTRIES_MAX,
    BATCH_SIZE_BYTES_MAX,
    EntryKind,
    EpochReader,
    Priority,
    Terms,
    WithdrawReason,
    WithdrawScope,
    encode_terms,
    minute_of,
)
from mithaq.ledger.stream import FIRST_PUT, Run, Slot, StreamState
from mithaq.node.sealing.at_rest import Randomness
from mithaq.node.sealing.body import ContentKey, SealedBody, salt_for

_FIRST: Final = struct.Struct(">QI32s32s")
_NEXT: Final = struct.Struct(">QQI32s32s")
_TARGETED: Final = struct.Struct(">QQ")
_PLAIN: Final = struct.Struct(">Q")
_NONCE_SIZE_BYTES: Final = 12


class PutTerms(NamedTuple):
    """What a PUT says beside its body: entries that share it stand in one run."""

    category: str
    priority: Priority
    expires_at: datetime


class PutDraft(NamedTuple):
    """A record to be sealed; `target` is the first PUT of the alert whose version it is.

    `seed` is the record's own 32 random bytes, from which its salts follow.
    """

    record_no: int
    terms: PutTerms
    record: bytes
    seed: bytes
    target: int | None = None


class WithdrawDraft(NamedTuple):
    """A record to be taken back, by the sequence of its first PUT."""

    target: int
    reason: WithdrawReason
    scope: WithdrawScope


class Placed(NamedTuple):
    """Where a record was put."""

    record_no: int
    sequence: int
    first_sequence: int


class Body(NamedTuple):
    """A body and the sequence of its entry."""

    sequence: int
    body: bytes


class Segment(NamedTuple):
    """Entries that travel as one batch, and the stream after them."""

    first_sequence: int
    runs: tuple[Run, ...]
    bodies: tuple[Body, ...]
    hashes: list[bytes]
    state: StreamState


class _Line(NamedTuple):
    """One entry: its terms, the own fields, and the body where it has one."""

    terms_bytes: bytes
    own: bytes
    body: Body | None


class Drawer:
    """Draws up what follows a stream's state, entry after entry; `segments` gives it all."""

    def __init__(
        self,
        state: StreamState,
        *,
        agreement_version: int,
        registry_size: int,
        at: datetime,
        random: Randomness,
    ) -> None:
        self._before = state
        self._agreement_version = agreement_version
        self._registry_size = registry_size
        self._created_at = minute_of(at)
        self._random = random
        self._lines: list[_Line] = []

    @property
    def next_sequence(self) -> int:
        """The sequence of the entry that will be added next."""
        return self._before.size + len(self._lines)

    def epoch(self, number: int, *, readers: Sequence[EpochReader], sealed: SealedBody) -> int:
        """Add an EPOCH and return its sequence."""
        terms = self._terms(EntryKind.EPOCH, epoch=number, readers=tuple(readers))
        sequence = self.next_sequence
        own = _FIRST.pack(sequence, len(sealed.body), sealed.body_hash, sealed.commitment)
        self._lines.append(_Line(terms, own, Body(sequence, sealed.body)))
        return sequence

    def puts(self, drafts: Iterable[PutDraft], *, epoch: int, key: ContentKey) -> list[Placed]:
        """Seal records, those of equal terms beside each other; return where each was put."""
        # A run's entries share terms and width, so both decide what stands together.
        together: dict[tuple[PutTerms, bool], list[PutDraft]] = {}
        for draft in drafts:
            together.setdefault((draft.terms, draft.target is not None), []).append(draft)
        placed: list[Placed] = []
        for (terms, _), group in sorted(together.items(), key=itemgetter(0)):
            terms_bytes = self._terms(
                EntryKind.PUT,
                category=terms.category,
                priority=terms.priority,
                epoch=epoch,
                expires_at=terms.expires_at,
            )
            placed += self._put_all(group, terms_bytes, key)
        return placed

    def withdraw(self, draft: WithdrawDraft) -> int:
        """Add a WITHDRAW and return its sequence."""
        terms = self._terms(EntryKind.WITHDRAW, scope=draft.scope, reason=draft.reason)
        sequence = self.next_sequence
        self._lines.append(_Line(terms, _TARGETED.pack(sequence, draft.target), None))
        return sequence

    def close(self, *, successor: bytes | None) -> int:
        """Add the CLOSE and return its sequence."""
        terms = self._terms(EntryKind.CLOSE, successor=successor)
        sequence = self.next_sequence
        self._lines.append(_Line(terms, _PLAIN.pack(sequence), None))
        return sequence

    def segments(self) -> Iterator[Segment]:
        """Yield all that was added as batches (PROTOCOL 5.1), judged as a reader would.

        Raises:
            LedgerError: the stream's rules don't admit what was drawn up.

        """
        state = self._before
        for lines in _cut(self._lines):
            runs = tuple(
                Run(terms_bytes, own_size, b"".join(each.own for each in group))
                for (terms_bytes, own_size), group in groupby(lines, key=_run_of)
            )
            first = state.size
            admission = state.admit_all(runs, kind_at=_own_targets)
            state = admission.state
            bodies = tuple(each.body for each in lines if each.body is not None)
            yield Segment(first, runs, bodies, admission.leaf_hashes, state)

    def _put_all(
        self, drafts: Sequence[PutDraft], terms_bytes: bytes, key: ContentKey
    ) -> list[Placed]:
        """Seal records of equal terms and width, each for its place."""
        stream_id, lines = self._before.stream_id, self._lines
        # One draw for all: each takes 12 bytes of it that no other takes.
        nonces = self._random(_NONCE_SIZE_BYTES * len(drafts))
        placed: list[Placed] = []
        for number, (record_no, _, record, seed, target) in enumerate(drafts):
            sequence = self.next_sequence
            salt = salt_for(seed, stream_id=stream_id, sequence=sequence)
            nonce = nonces[number * _NONCE_SIZE_BYTES : (number + 1) * _NONCE_SIZE_BYTES]
            body, body_hash, commitment = key.seal(sequence, record, salt=salt, nonce=nonce)
            if target is None:
                own = _FIRST.pack(sequence, len(body), body_hash, commitment)
            else:
                own = _NEXT.pack(sequence, target, len(body), body_hash, commitment)
            lines.append(_Line(terms_bytes, own, Body(sequence, body)))
            placed.append(Placed(record_no, sequence, target or sequence))
        return placed

    def _terms(
        self,
        kind: EntryKind,
        *,
        category: str | None = None,
        priority: Priority | None = None,
        epoch: int | None = None,
        expires_at: datetime | None = None,
        scope: WithdrawScope | None = None,
        reason: WithdrawReason | None = None,
        successor: bytes | None = None,
        readers: tuple[EpochReader, ...] = (),
    ) -> bytes:
        return encode_terms(
            Terms(
                kind=kind,
                registry_size=self._registry_size,
                agreement_version=self._agreement_version,
                created_at=self._created_at,
                stream_id=self._before.stream_id,
                category=category,
                priority=priority,
                epoch=epoch,
                expires_at=expires_at,
                scope=scope,
                reason=reason,
                successor=successor,
                readers=readers,
            )
        )


def _run_of(line: _Line) -> tuple[bytes, int]:
    return line.terms_bytes, len(line.own)


def _cut(lines: Sequence[_Line]) -> Iterator[list[_Line]]:
    """Yield the lines in batches of at most 256 entries and 1 MiB (PROTOCOL 5.1)."""
    batch: list[_Line] = []
    size = 0
    for line in lines:
        # Terms are counted for each entry, although a run carries them once.
        terms_bytes, own, body = line
        weight = len(terms_bytes) + len(own) + (len(body.body) if body else 0)
        if batch and (len(batch) == BATCH_ENTRIES_MAX or size + weight > BATCH_SIZE_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += weight
    if batch:
        yield batch


def _own_targets(sequences: Sequence[int]) -> list[Slot]:
    # The targets come from our own rows of first PUTs, not from anybody's bytes.
    return [FIRST_PUT] * len(sequences)
