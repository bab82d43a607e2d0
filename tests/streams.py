"""A sender's streams for tests: entries, bodies and signed notes as a node would send them.

Bodies are random bytes: whoever relays them can't tell. The signatures, hashes and
numbers are real, and each can be spoilt by a test that wants to.
"""

import hashlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from mithaq.hub.batch import run_message
from mithaq.ledger.checkpoint import sign_checkpoint
from mithaq.ledger.entry import Own, pack_own
from mithaq.ledger.instants import day_from, minute_of
from mithaq.ledger.kinds import EntryKind, Priority, StreamRole, WithdrawReason, WithdrawScope
from mithaq.ledger.stream import FIRST_PUT, Run, Slot, StreamState
from mithaq.ledger.terms import EpochReader, Opening, Terms, encode_terms
from mithaq.v1 import exchange_pb2
from tests.federation import Federation

CATEGORY = "ARREST"
PURPOSES = ("ARREST_SURRENDER", "BORDER_CONTROL")
BODY_SIZE_BYTES = 1024 + 28


def open_terms(
    federation: Federation,
    sender: str,
    audience: Sequence[str],
    *,
    agreement_id: str = "test-agreement",
    agreement_version: int = 1,
    role: StreamRole = StreamRole.DISCLOSURE,
    purposes: Sequence[str] = PURPOSES,
    predecessor: bytes | None = None,
    ordinal: int = 0,
    at: datetime | None = None,
) -> Terms:
    """Return the terms of an OPEN entry, judged by the federation's registry as it is."""
    opening = Opening(
        federation=federation.name,
        sender=sender,
        agreement_id=agreement_id,
        audience=tuple(sorted(audience)),
        purposes=tuple(sorted(purposes)),
        registry_root=federation.registry.root,
        role=role,
        predecessor=predecessor,
        ordinal=ordinal,
    )
    return Terms(
        kind=EntryKind.OPEN,
        registry_size=federation.registry.size,
        agreement_version=agreement_version,
        created_at=minute_of(at or datetime.now(UTC)),
        opening=opening,
    )


class StreamWriter:
    """A sender's own copy of one of its streams, and the batches that continue it."""

    def __init__(self, federation: Federation, terms: Terms) -> None:
        """Begin with an OPEN entry, which is the first thing in the first batch."""
        assert terms.opening is not None
        self.federation = federation
        self.opening = terms.opening
        self.agency = federation.agencies[terms.opening.sender]
        run = Run(encode_terms(terms), 8, pack_own(EntryKind.OPEN, Own(0)))
        self.state = StreamState.open(run.leaves()[0])
        self.before = 0
        # The leaf hash of every entry.
        self.hashes = run.leaf_hashes()
        self.runs: list[Run] = [run]
        self.bodies: list[bytes] = []
        # Every body ever sent, by its sequence, and what stands where.
        self.sent: dict[int, bytes] = {}
        self.slots: dict[int, Slot] = {}

    @classmethod
    def to(
        cls, federation: Federation, sender: str, *audience: str, ordinal: int = 0
    ) -> "StreamWriter":
        """Return the writer of a new disclosure stream."""
        return cls(federation, open_terms(federation, sender, audience, ordinal=ordinal))

    @property
    def stream_id(self) -> bytes:
        return self.state.stream_id

    @property
    def size(self) -> int:
        return self.state.size

    def terms(self, kind: EntryKind, **fields: object) -> Terms:
        """Return terms of a kind with what every entry of this stream says."""
        common: dict[str, object] = {
            "registry_size": max(self.federation.registry.size, self.state.last_registry_size),
            "agreement_version": 1,
            "created_at": minute_of(datetime.now(UTC)),
            "stream_id": self.stream_id,
        }
        return Terms(kind=kind, **{**common, **fields})  # type: ignore[arg-type]

    def epoch(self, *readers: str, **fields: object) -> int:
        """Begin an epoch, for the whole audience unless readers are named; return its sequence."""
        members = readers or self.opening.audience
        named = tuple(
            EpochReader(each, self.federation.agencies[each].reception.key_id)
            for each in sorted(members)
        )
        terms = self.terms(
            EntryKind.EPOCH, epoch=self.state.epoch + 1, **{"readers": named, **fields}
        )
        return self.add(terms, [os.urandom(1300)])

    def put(
        self,
        count: int = 1,
        *,
        size_bytes: int = BODY_SIZE_BYTES,
        target: int | None = None,
        valid: timedelta = timedelta(days=30),
        **fields: object,
    ) -> int:
        """Add records of one terms, or next versions of one; return the first sequence."""
        now = datetime.now(UTC)
        terms = self.terms(
            EntryKind.PUT,
            **{
                "epoch": self.state.epoch,
                "category": CATEGORY,
                "priority": Priority.ROUTINE,
                "expires_at": day_from(now + valid),
                **fields,
            },
        )
        return self.add(terms, [os.urandom(size_bytes) for _ in range(count)], target=target)

    def withdraw(self, *targets: int, **fields: object) -> int:
        """Take records back; return the first sequence."""
        terms = self.terms(
            EntryKind.WITHDRAW,
            **{
                "scope": WithdrawScope.DISCLOSURE,
                "reason": WithdrawReason.WITHDRAWN,
                **fields,
            },
        )
        first = self.size
        owns = [
            pack_own(EntryKind.WITHDRAW, Own(first + number, target))
            for number, target in enumerate(targets)
        ]
        return self._append(Run(encode_terms(terms), 16, b"".join(owns)), terms)

    def close(self, successor: bytes | None = None) -> int:
        """End the stream; return the sequence of CLOSE."""
        terms = self.terms(EntryKind.CLOSE, successor=successor)
        run = Run(encode_terms(terms), 8, pack_own(EntryKind.CLOSE, Own(self.size)))
        return self._append(run, terms)

    def add(self, terms: Terms, bodies: Sequence[bytes], *, target: int | None = None) -> int:
        """Add entries of one terms, one for each body; return the first sequence."""
        first = self.size
        owns = [
            pack_own(
                terms.kind,
                Own(
                    first + number,
                    target,
                    len(body),
                    hashlib.sha256(body).digest(),
                    hashlib.sha256(b"commitment" + body).digest(),
                ),
            )
            for number, body in enumerate(bodies)
        ]
        run = Run(encode_terms(terms), len(owns[0]), b"".join(owns))
        self.bodies += bodies
        self.sent.update(zip(range(first, first + len(bodies)), bodies, strict=True))
        return self._append(run, terms)

    def note(self, *, at: datetime | None = None) -> bytes:
        """Return the signed note over all entries so far."""
        return sign_checkpoint(
            self.state.checkpoint(),
            ed25519=self.agency.log.ed25519,
            mldsa=self.agency.log.mldsa,
            at=at or datetime.now(UTC),
        )

    def batch(self, *, checkpoint: bytes | None = None) -> exchange_pb2.Batch:
        """Return what was added since the last batch, signed."""
        message = exchange_pb2.Batch(
            stream_id=self.stream_id,
            first_sequence=self.before,
            runs=[run_message(run) for run in self.runs],
            bodies=self.bodies,
            checkpoint=checkpoint or self.note(),
        )
        self.before, self.runs, self.bodies = self.size, [], []
        return message

    def _append(self, run: Run, terms: Terms) -> int:
        first = self.size
        self.slots.update(
            dict.fromkeys(range(first, first + len(run)), Slot(terms.kind, run.own_size))
        )
        self.state = self.state.admit(
            run, kind_at=lambda wanted: [self.slots.get(each, FIRST_PUT) for each in wanted]
        )
        self.runs.append(run)
        self.hashes += run.leaf_hashes()
        return first
