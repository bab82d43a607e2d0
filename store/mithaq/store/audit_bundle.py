"""What an auditor gets: a range of an audit log, the proof that it is that, and stream heads.

Pure: a bundle is one file, signed by its owner, that anybody verifies offline with the
public keys of the registry and nothing else. The entries give the signed root by
themselves; who witnessed it is listed, not assumed. The rule: what verification returns
was proven, and what could not be proven is an error or is named as missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

from mithaq.certs.errors import TrustError
from mithaq.certs.keys import PairPublic, PairSignature, SigningPair, verify_pair
from mithaq.certs.registry import Registry
from mithaq.ledger.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint
from mithaq.ledger.cosignature import Cosignature, Role, cosigner_name, verify_cosignature
from mithaq.ledger.errors import LedgerError
from mithaq.ledger.keytypes import KeyType
from mithaq.ledger.lists import refusals_extension
from mithaq.ledger.names import HUB, stream_origin
from mithaq.ledger.proof import verify_consistency
from mithaq.ledger.tree import HASH_SIZE_BYTES, Frontier, leaf_hash, root_of, split_hashes
from mithaq.store.audit_entry import AuditEntry
from mithaq.store.audit_wire import (
    Bundle,
    ReceiptLine,
    Side,
    SignedBytes,
    StreamEvidence,
    decode_bundle,
    encode_bundle,
)
from mithaq.store.errors import AuditFormatError, BundleInvalidError

BUNDLE_SIZE_BYTES_MAX: Final = 512 * 1024 * 1024
ENTRIES_PER_BUNDLE_MAX: Final = 65_536

K = TypeVar("K")
_LABEL: Final = b"mithaq/audit-bundle/v1"


@dataclass(frozen=True, slots=True)
class Witness:
    """Who cosigned the bundle's checkpoint, by key name, and when."""

    name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class VerifiedStream:
    """A stream's head that its sender signed, and receipts that their readers signed.

    `contradictions` are receipts over another root than the stream's own leaf hashes
    give at their size: evidence of two views.
    """

    stream_id: bytes
    side: Side
    sender: str
    audience: tuple[str, ...]
    checkpoint: SignedCheckpoint
    receipts: tuple[ReceiptLine, ...]
    leaf_hashes: tuple[bytes, ...] = field(repr=False)
    contradictions: tuple[ReceiptLine, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifiedBundle:
    """A bundle whose every signature and hash has been checked.

    `entries` are those from `first_index` on; `checkpoint` may reach beyond them.
    """

    federation: str
    owner: str
    origin: str
    exported_at: datetime
    first_index: int
    entries: tuple[AuditEntry, ...] = field(repr=False)
    checkpoint: SignedCheckpoint
    witnesses: tuple[Witness, ...]
    streams: tuple[VerifiedStream, ...]

    @property
    def is_whole(self) -> bool:
        """Whether the bundle holds every entry up to its checkpoint."""
        return self.first_index == 0 and len(self.entries) == self.checkpoint.checkpoint.size


@dataclass(frozen=True, slots=True)
class BundleKeys:
    """The public keys of a federation that a bundle is verified with, by party."""

    log: Mapping[str, PairPublic]
    held: Mapping[str, bytes]
    opened: Mapping[str, bytes]
    mldsa: Mapping[str, bytes]

    @classmethod
    def of(cls, registry: Registry) -> "BundleKeys":
        """Return the keys of all members and the hub, as a replayed registry has them."""
        members = registry.members()
        log = {each.id: each.log for each in members}
        held = {each.id: each.receipt.held for each in members}
        opened = {each.id: each.receipt.opened for each in members}
        mldsa = {each.id: each.receipt.mldsa44 for each in members}
        hub = registry.hub.cosigning
        return cls(
            {**log, HUB: hub}, {**held, HUB: hub.ed25519}, opened, {**mldsa, HUB: hub.mldsa44}
        )

    def log_key(self, party: str) -> PairPublic:
        """Return a party's log key; raise BundleInvalidError for a stranger."""
        return _known(self.log, party)

    def cosigning_key(self, party: str, role: Role, algorithm: KeyType) -> bytes:
        """Return the key that a party cosigns with in a role; raise BundleInvalidError."""
        if algorithm is KeyType.MLDSA44_COSIGNATURE:
            return _known(self.mldsa, party)
        return _known(self.opened if role is Role.OPENED else self.held, party)


def sign_bundle(bundle: Bundle, signer: SigningPair) -> bytes:
    """Return a bundle as a file; raise BundleInvalidError beyond a limit."""
    data = encode_bundle(bundle)
    signature = signer.sign(_LABEL + data)
    return SignedBytes(data, signature.ed25519, signature.mldsa44).to_bytes()


def registry_of(data: bytes, *, pinned_root_hash: bytes) -> Registry:
    """Return the registry that a bundle carries, replayed from the pinned genesis entry.

    What it says is proven by its entries' own signatures and by the registrar's note, so
    it may come from either bundle, or from anywhere.

    Raises:
        BundleInvalidError: the bundle carries none.
        TrustError: it does not begin with the pin, or an entry or the note does not verify.

    """
    bundle = decode_bundle(SignedBytes.from_bytes(data).bundle)
    if not bundle.registry:
        raise BundleInvalidError("the bundle carries no registry")
    registry = Registry.start(bundle.registry[0], pinned_root_hash)
    registry.extend(bundle.registry[1:], bundle.registry_checkpoint)
    return registry


def verify_bundle(data: bytes, keys: BundleKeys) -> VerifiedBundle:
    """Return what a bundle proves, after checking every signature and hash in it.

    Raises:
        BundleInvalidError: not a bundle of its form, not its owner's, or one part of it
            doesn't prove what it should; the message says which.

    """
    try:
        return _verified(_opened(data, keys), keys)
    except (LedgerError, AuditFormatError) as fault:
        raise BundleInvalidError(str(fault)) from fault


def _verified(bundle: Bundle, keys: BundleKeys) -> VerifiedBundle:
    federation, checkpoint = bundle.federation, _verified_log(bundle, keys)
    return VerifiedBundle(
        federation=federation,
        owner=bundle.owner,
        origin=bundle.origin,
        exported_at=bundle.exported_at,
        first_index=bundle.first_index,
        entries=tuple(AuditEntry.from_bytes(each) for each in bundle.entries),
        checkpoint=checkpoint,
        witnesses=tuple(
            _verified_witness(each, checkpoint.checkpoint, federation, keys)
            for each in bundle.cosignatures
        ),
        streams=tuple(_verified_stream(each, federation, keys) for each in bundle.streams),
    )


def _opened(data: bytes, keys: BundleKeys) -> Bundle:
    if len(data) > BUNDLE_SIZE_BYTES_MAX:
        raise BundleInvalidError(f"a bundle has at most {BUNDLE_SIZE_BYTES_MAX} bytes")
    signed = SignedBytes.from_bytes(data)
    bundle = decode_bundle(signed.bundle)
    signature = PairSignature(signed.ed25519, signed.mldsa)
    try:
        verify_pair(keys.log_key(bundle.owner), _LABEL + signed.bundle, signature)
    except TrustError:
        raise BundleInvalidError("the bundle is not signed by its owner") from None
    return bundle


def _verified_log(bundle: Bundle, keys: BundleKeys) -> SignedCheckpoint:
    """Check that the entries stand where they should in the log that the checkpoint signs."""
    origin = f"{bundle.federation}/audit/{bundle.owner}"
    if bundle.origin != origin and not bundle.origin.startswith(f"{origin}/"):
        raise BundleInvalidError("the bundle's log is not its owner's")
    key = keys.log_key(bundle.owner)
    signed = open_checkpoint(
        bundle.checkpoint,
        origin=bundle.origin,
        ed25519_public=key.ed25519,
        mldsa_public=key.mldsa44,
    )
    before = Frontier(bundle.first_index, bundle.frontier)
    after = before.extend([leaf_hash(each) for each in bundle.entries])
    # A forged frontier gives another root here, and the signature binds this one.
    verify_consistency(
        old_size=after.size,
        new_size=signed.checkpoint.size,
        old_root=after.root(),
        new_root=signed.checkpoint.root,
        proof=bundle.consistency,
    )
    return signed


def _verified_witness(
    line: str, checkpoint: Checkpoint, federation: str, keys: BundleKeys
) -> Witness:
    cosignature = Cosignature.parse(line)
    role, party = _role_and_party(cosignature.name, federation)
    _verify_line(cosignature, checkpoint, role=role, party=party, keys=keys, federation=federation)
    return Witness(cosignature.name, cosignature.at)


def _role_and_party(name: str, federation: str) -> tuple[Role, str]:
    for role in (Role.HUB, Role.WITNESS):
        prefix = f"{federation}/{role}/"
        if name.startswith(prefix):
            return role, name.removeprefix(prefix)
    raise BundleInvalidError("a cosignature is by no witness of this federation")


def _verify_line(
    cosignature: Cosignature,
    checkpoint: Checkpoint,
    *,
    role: Role,
    party: str,
    keys: BundleKeys,
    federation: str,
    extension: str = "",
) -> None:
    verify_cosignature(
        cosignature,
        checkpoint,
        name=cosigner_name(federation, role, party),
        public_key=keys.cosigning_key(party, role, cosignature.algorithm),
        algorithm=cosignature.algorithm,
        extension=extension,
    )


def _verified_stream(stream: StreamEvidence, federation: str, keys: BundleKeys) -> VerifiedStream:
    origin = stream_origin(federation, stream.stream_id)
    key = keys.log_key(stream.sender)
    signed = open_checkpoint(
        stream.checkpoint,
        origin=origin,
        ed25519_public=key.ed25519,
        mldsa_public=key.mldsa44,
    )
    for receipt in stream.receipts:
        _verify_receipt(receipt, stream, origin, federation, keys)
    if len(stream.leaf_hashes) % HASH_SIZE_BYTES:
        raise BundleInvalidError("a stream's leaf hashes are not of 32 bytes each")
    hashes = split_hashes(stream.leaf_hashes)
    if hashes and (len(hashes), root_of(hashes)) != (
        signed.checkpoint.size,
        signed.checkpoint.root,
    ):
        raise BundleInvalidError("a stream's leaf hashes don't give its signed root")
    return VerifiedStream(
        stream_id=stream.stream_id,
        side=stream.side,
        sender=stream.sender,
        audience=stream.audience,
        checkpoint=signed,
        receipts=stream.receipts,
        leaf_hashes=hashes,
        contradictions=_contradictions(stream.receipts, signed.checkpoint, hashes),
    )


def _verify_receipt(
    receipt: ReceiptLine,
    stream: StreamEvidence,
    origin: str,
    federation: str,
    keys: BundleKeys,
) -> None:
    if receipt.reader not in stream.audience:
        raise BundleInvalidError("a receipt is by nobody of the stream's audience")
    checkpoint = Checkpoint(origin, receipt.size, receipt.root)
    for line in (receipt.cosignature, receipt.cosignature_mldsa):
        if line:
            _verify_line(
                Cosignature.parse(line),
                checkpoint,
                role=receipt.role,
                party=receipt.reader,
                keys=keys,
                federation=federation,
                extension=refusals_extension(receipt.refusals_head),
            )


def _contradictions(
    receipts: Sequence[ReceiptLine], head: Checkpoint, hashes: Sequence[bytes]
) -> tuple[ReceiptLine, ...]:
    roots = {head.size: head.root}
    frontier = Frontier.empty()
    # In order, so that each leaf is hashed once, however many sizes were signed.
    for size in sorted({each.size for each in receipts if each.size <= len(hashes)}):
        frontier = frontier.extend(hashes[frontier.size : size])
        roots[size] = frontier.root()
    return tuple(each for each in receipts if roots.get(each.size, each.root) != each.root)


def _known(keys: Mapping[str, K], party: str) -> K:
    if party not in keys:
        raise BundleInvalidError("a bundle names a party that the registry doesn't know")
    return keys[party]
