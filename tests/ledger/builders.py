"""What the ledger's tests are made of: keys, terms, runs and streams of made-up parties."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from mithaq.ledger.entry import (
    EntryKind,
    EpochReader,
    Opening,
    Own,
    Priority,
    StreamRole,
    Terms,
    WithdrawReason,
    WithdrawScope,
    encode_terms,
    leaf,
    pack_own,
)
from mithaq.ledger.run import Run
from mithaq.ledger.stream import Slot, StreamState

FEDERATION: Final = "euroarab.example"
SENDER: Final = "eg-moi"
READERS: Final = ("int-iom", "tn-dgsn")
NOW: Final = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
MINUTE: Final = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
EXPIRY: Final = datetime(2026, 6, 1, tzinfo=UTC)

HASH: Final = bytes(range(32))
OTHER_HASH: Final = bytes(range(32, 64))
BODY_SIZE: Final = 1052


class Ed25519Signer:
    """An Ed25519 key made from a number."""

    def __init__(self, number: int) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big"))
        self.public = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


class MlDsaSigner:
    """An ML-DSA-44 key made from a number."""

    def __init__(self, number: int) -> None:
        self._key = MLDSA44PrivateKey.from_seed_bytes(number.to_bytes(32, "big"))
        self.public = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


LOG_ED25519: Final = Ed25519Signer(1)
LOG_MLDSA: Final = MlDsaSigner(2)
HELD_ED25519: Final = Ed25519Signer(3)
OPENED_ED25519: Final = Ed25519Signer(4)
RECEIPT_MLDSA: Final = MlDsaSigner(5)

OPENING: Final = Opening(
    federation=FEDERATION,
    sender=SENDER,
    agreement_id="EA-2026-01",
    audience=READERS,
    purposes=("border-check", "missing-persons"),
    registry_root=HASH,
    role=StreamRole.DISCLOSURE,
)
OPEN_TERMS: Final = Terms(EntryKind.OPEN, 7, 1, MINUTE, opening=OPENING)
OPEN_LEAF: Final = leaf(encode_terms(OPEN_TERMS), pack_own(EntryKind.OPEN, Own(0)))
OPENED: Final = StreamState.open(OPEN_LEAF)

BARE: Final = Terms(EntryKind.CLOSE, 7, 1, MINUTE, stream_id=OPENED.stream_id)
CLOSE: Final = BARE
CLOSE_WITH_SUCCESSOR: Final = replace(BARE, successor=OTHER_HASH)
EPOCH: Final = replace(
    BARE,
    kind=EntryKind.EPOCH,
    epoch=1,
    readers=tuple(EpochReader(each, HASH) for each in READERS),
)
PUT: Final = replace(
    BARE,
    kind=EntryKind.PUT,
    epoch=1,
    category="wanted-person",
    priority=Priority.URGENT,
    expires_at=EXPIRY,
)
WITHDRAW: Final = replace(
    BARE,
    kind=EntryKind.WITHDRAW,
    scope=WithdrawScope.RECORD,
    reason=WithdrawReason.ANNULLED,
)

# Each kind once, as terms and as own fields of one width.
SHAPES: Final = (
    (OPEN_TERMS, Own(0)),
    (EPOCH, Own(1, None, BODY_SIZE, HASH, OTHER_HASH)),
    (PUT, Own(2, None, BODY_SIZE, HASH, OTHER_HASH)),
    (PUT, Own(3, 2, BODY_SIZE, HASH, OTHER_HASH)),
    (WITHDRAW, Own(4, 2)),
    (CLOSE, Own(5)),
    (CLOSE_WITH_SUCCESSOR, Own(6)),
)


def run_of(terms: Terms, *owns: Own) -> Run:
    """Return a run of entries that share their terms."""
    blocks = [pack_own(terms.kind, each) for each in owns]
    return Run(encode_terms(terms), len(blocks[0]), b"".join(blocks))


def body_own(sequence: int, target: int | None = None, *, size: int = BODY_SIZE) -> Own:
    """Return own fields that name a body."""
    return Own(sequence, target, size, HASH, OTHER_HASH)


def epoch_run(sequence: int, *, epoch: int = 1, terms: Terms = EPOCH) -> Run:
    """Return an EPOCH."""
    return run_of(replace(terms, epoch=epoch), body_own(sequence))


def put_run(start: int, count: int = 1, *, epoch: int = 1) -> Run:
    """Return first PUTs, one after another."""
    return run_of(
        replace(PUT, epoch=epoch), *(body_own(each) for each in range(start, start + count))
    )


def next_version_run(start: int, *targets: int) -> Run:
    """Return PUTs of next versions."""
    return run_of(PUT, *(body_own(at, target) for at, target in enumerate(targets, start)))


def withdraw_run(start: int, *targets: int) -> Run:
    """Return WITHDRAWs."""
    return run_of(WITHDRAW, *(Own(at, target) for at, target in enumerate(targets, start)))


def close_run(sequence: int, *, terms: Terms = CLOSE) -> Run:
    """Return a CLOSE."""
    return run_of(terms, Own(sequence))


class Log:
    """A stream and all that was admitted to it; answers what a store would be asked."""

    def __init__(self) -> None:
        self.state = OPENED
        self.slots = [Slot(EntryKind.OPEN, 8)]
        self.leaves = [OPEN_LEAF]
        self.asked: list[list[int]] = []

    def admit(self, *runs: Run) -> None:
        """Admit runs or raise; what is refused leaves nothing behind."""
        admission = self.state.admit_all(runs, kind_at=self.kind_at)
        self.state = admission.state
        for run, terms in zip(runs, admission.terms, strict=True):
            self.slots += [Slot(terms.kind, run.own_size)] * len(run)
            self.leaves += run.leaves()

    def kind_at(self, sequences: Sequence[int]) -> list[Slot]:
        """Return what stands at these sequences, and note that it was asked."""
        self.asked.append(list(sequences))
        return [self.slots[each] for each in sequences]
