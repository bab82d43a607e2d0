"""Registry entries: a body that says one act, and signatures over its exact bytes.

``parse_body`` and ``SignedEntry.from_bytes`` believe nothing: they say what stands
there. Whether the signatures are right, and enough, is ``mandate``'s to check.
"""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum
from typing import Final, Self

from mithaq.certs.act_codec import act_from_pb, act_to_pb, check_sorted
from mithaq.certs.acts import (
    Act,
    AdministratorAdded,
    AdministratorRemoved,
    AgreementAdmitted,
    AgreementEnded,
    AgreementLifted,
    AgreementSignature,
    AgreementSuspended,
    CaAdded,
    Genesis,
    HubEnrolled,
    KeyRevoked,
    LocalizedName,
    MemberEnrolled,
    MemberReinstated,
    MemberRevoked,
    MemberSuspended,
    NamedPair,
    NarrowingReason,
    Policy,
    ReceiptKeys,
    ReceptionKeyAnnounced,
    RegistrarIdentity,
    RegistrarReplaced,
    TlsRenewed,
    TlsSubject,
)
from mithaq.certs.errors import TrustFormatError
from mithaq.certs.keys import Ed25519Key, SigningPair
from mithaq.certs.wire import encode_exact, instant, parse_exact, seconds
from mithaq.ledger.commitment import lp
from mithaq.v1 import registry_pb2 as pb

__all__ = [
    "Act",
    "AdministratorAdded",
    "AdministratorRemoved",
    "AgreementAdmitted",
    "AgreementEnded",
    "AgreementLifted",
    "AgreementSignature",
    "AgreementSuspended",
    "Body",
    "CaAdded",
    "EntrySignature",
    "EntrySigner",
    "Genesis",
    "HubEnrolled",
    "KeyRevoked",
    "LocalizedName",
    "MemberEnrolled",
    "MemberReinstated",
    "MemberRevoked",
    "MemberSuspended",
    "NamedPair",
    "NarrowingReason",
    "Policy",
    "ReceiptKeys",
    "ReceptionKeyAnnounced",
    "RegistrarIdentity",
    "RegistrarReplaced",
    "SignedEntry",
    "SignerRole",
    "TlsRenewed",
    "TlsSubject",
    "body_hash",
    "draw_up",
    "encode_body",
    "merge_signatures",
    "parse_body",
    "sign_agreement",
    "sign_entry",
    "signed_message",
]

NONCE_SIZE_BYTES: Final = 16
BODY_SIZE_BYTES_MAX: Final = 786_432
_LABEL: Final = b"mithaq/registry/v1"
_AGREEMENT_LABEL: Final = b"mithaq/agreement/v1"


class SignerRole(IntEnum):
    """In which capacity a signature was given; numbers as in registry.proto."""

    ADMINISTRATOR = 1
    LOG = 2
    SIGNATORY = 3
    DUTY = 4


@dataclass(frozen=True, slots=True)
class Body:
    """What is signed: one act, for one federation, once (the nonce sees to that)."""

    federation: str
    nonce: bytes
    made_at: datetime
    act: Act


def draw_up(act: Act, *, federation: str, at: datetime) -> bytes:
    """Return the exact bytes of a new body, with a fresh nonce, ready to be signed.

    Raises:
        TrustFormatError: a field breaks its rule.

    """
    return encode_body(Body(federation, secrets.token_bytes(NONCE_SIZE_BYTES), at, act))


def encode_body(body: Body) -> bytes:
    """Return a body's bytes, in their one spelling; raises TrustFormatError."""
    message = act_to_pb(body.act)
    message.federation = body.federation
    message.nonce = body.nonce
    message.made_at = seconds(body.made_at)
    data = encode_exact(message)
    # Rules that span fields bind the writer as they bind the reader.
    act_from_pb(message)
    return data


def parse_body(data: bytes) -> Body:
    """Read the exact bytes of a body; raises TrustFormatError."""
    message = parse_exact(pb.RegistryBody, data, size_bytes_max=BODY_SIZE_BYTES_MAX)
    made_at = instant(message.made_at)
    return Body(message.federation, message.nonce, made_at, act_from_pb(message))


def body_hash(body: bytes) -> bytes:
    """Return what a body is called while it waits and after it was entered: its SHA-256."""
    return hashlib.sha256(body).digest()


def signed_message(federation: str, body: bytes) -> bytes:
    """Return ``label ‖ lp(federation) ‖ body``, what every signature of an entry is over."""
    return _LABEL + lp(federation.encode()) + body


def agreement_message(federation: str, terms: bytes) -> bytes:
    """Return ``label ‖ lp(federation) ‖ lp(terms)``, what signatories sign of an agreement."""
    return _AGREEMENT_LABEL + lp(federation.encode()) + lp(terms)


@dataclass(frozen=True, slots=True, order=True)
class EntrySignature:
    """One signature over a body; ``mldsa44`` is empty for a duty key, names where unused."""

    role: SignerRole
    member: str
    name: str
    ed25519: bytes = field(repr=False)
    mldsa44: bytes = field(repr=False)

    @property
    def signer(self) -> tuple[SignerRole, str, str]:
        """Who signed, in which role."""
        return self.role, self.member, self.name


@dataclass(frozen=True, slots=True)
class SignedEntry:
    """One leaf of the registry: a body's exact bytes and its signatures, in order of signer."""

    body: bytes
    signatures: tuple[EntrySignature, ...]

    def to_bytes(self) -> bytes:
        """Return the leaf's bytes; raises TrustFormatError."""
        message = pb.SignedEntry(
            body=self.body,
            signatures=[
                pb.RegistrySignature(
                    role=pb.RegistrySignerRole.ValueType(each.role),
                    member=each.member,
                    name=each.name,
                    ed25519=each.ed25519,
                    mldsa44=each.mldsa44,
                )
                for each in self.signatures
            ],
        )
        return encode_exact(message)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a leaf's exact bytes, as far as their form goes; raises TrustFormatError."""
        message = parse_exact(pb.SignedEntry, data)
        signatures = tuple(_signature_from_pb(each) for each in message.signatures)
        check_sorted(
            ((f"{each.role}", each.member, each.name) for each in signatures),
            "an entry's signatures",
        )
        return cls(message.body, signatures)


@dataclass(frozen=True, slots=True)
class EntrySigner:
    """Somebody who signs an entry, with the keys of the role."""

    role: SignerRole
    member: str
    name: str
    ed25519: Ed25519Key
    pair: SigningPair | None

    @classmethod
    def administrator(cls, name: str, pair: SigningPair) -> Self:
        """Return an administrator."""
        return cls(SignerRole.ADMINISTRATOR, "", name, pair.ed25519, pair)

    @classmethod
    def log(cls, member: str, pair: SigningPair) -> Self:
        """Return a member's own log key."""
        return cls(SignerRole.LOG, member, "", pair.ed25519, pair)

    @classmethod
    def signatory(cls, member: str, name: str, pair: SigningPair) -> Self:
        """Return a member's signatory."""
        return cls(SignerRole.SIGNATORY, member, name, pair.ed25519, pair)

    @classmethod
    def duty(cls, member: str, key: Ed25519Key) -> Self:
        """Return a member's duty key."""
        return cls(SignerRole.DUTY, member, "", key, None)

    def sign(self, message: bytes) -> EntrySignature:
        """Return the signature over a message, with both algorithms where the role has both."""
        mldsa44 = self.pair.mldsa.sign(message) if self.pair else b""
        return EntrySignature(
            self.role, self.member, self.name, self.ed25519.sign(message), mldsa44
        )


def sign_entry(body: bytes, signers: Sequence[EntrySigner]) -> SignedEntry:
    """Return a body with these signers' signatures; one who signs must have read it.

    Raises:
        TrustFormatError: these bytes are no body, so nobody could have read them.

    """
    message = signed_message(parse_body(body).federation, body)
    return SignedEntry(body, tuple(sorted(each.sign(message) for each in signers)))


def merge_signatures(entry: SignedEntry, more: Iterable[EntrySignature]) -> SignedEntry:
    """Return the entry with further signatures; a signer's later one replaces the earlier."""
    by_signer = {each.signer: each for each in (*entry.signatures, *more)}
    return replace(entry, signatures=tuple(by_signer[each] for each in sorted(by_signer)))


def sign_agreement(
    terms: bytes, *, federation: str, member: str, name: str, pair: SigningPair
) -> AgreementSignature:
    """Return a signatory's two signatures over an agreement's exact bytes."""
    signature = pair.sign(agreement_message(federation, terms))
    return AgreementSignature(member, name, signature.ed25519, signature.mldsa44)


def _signature_from_pb(message: pb.RegistrySignature) -> EntrySignature:
    role = SignerRole(message.role)
    parts = (bool(message.member), bool(message.name), bool(message.mldsa44))
    if parts != _PARTS[role]:
        raise TrustFormatError(f"a signature of role {role.name} has other parts")
    return EntrySignature(role, message.member, message.name, message.ed25519, message.mldsa44)


# Whether a role's signature has a member, a name, and an ML-DSA-44 half.
_PARTS: Final = {
    SignerRole.ADMINISTRATOR: (False, True, True),
    SignerRole.LOG: (True, False, True),
    SignerRole.SIGNATORY: (True, True, True),
    SignerRole.DUTY: (True, False, False),
}
