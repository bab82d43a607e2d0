"""Key cards: public keys made offline, with proof that their maker holds the private half.

An administrator, a signatory or a duty bureau makes its key where it is kept and hands
on the card alone. A card is for one federation, role, member and name: carried over to
another it proves nothing.
"""

from dataclasses import dataclass, field
from typing import Final, Self

from mithaq.certs.acts import NamedPair
from mithaq.certs.entries import SignerRole
from mithaq.certs.errors import EnrolmentError, SignatureInvalidError
from mithaq.certs.keys import (
    Ed25519Key,
    PairPublic,
    SigningPair,
    verify_ed25519,
    verify_mldsa44,
)
from mithaq.certs.wire import encode_exact, parse_exact
from mithaq.ledger.commitment import lp
from mithaq.v1 import enrolment_pb2 as pb
from mithaq.v1 import registry_pb2

CARD_SIZE_BYTES_MAX: Final = 8192
_LABEL: Final = b"mithaq/possession/v1"
# Whether a role's card has a member, a name, and an ML-DSA-44 half.
_PARTS: Final = {
    SignerRole.ADMINISTRATOR: (False, True, True),
    SignerRole.SIGNATORY: (True, True, True),
    SignerRole.DUTY: (True, False, False),
}


@dataclass(frozen=True, slots=True)
class KeyCard:
    """Whose key it is, its public halves, and the proofs; unused parts are empty."""

    federation: str
    role: SignerRole
    member: str
    name: str
    ed25519: bytes = field(repr=False)
    mldsa44: bytes = field(repr=False)
    ed25519_proof: bytes = field(repr=False)
    mldsa44_proof: bytes = field(repr=False)

    @classmethod
    def administrator(cls, federation: str, name: str, pair: SigningPair) -> Self:
        """Return the card of a trust administrator."""
        return cls._pair(federation, SignerRole.ADMINISTRATOR, "", name, pair)

    @classmethod
    def signatory(cls, federation: str, member: str, name: str, pair: SigningPair) -> Self:
        """Return the card of a member's signatory."""
        return cls._pair(federation, SignerRole.SIGNATORY, member, name, pair)

    @classmethod
    def duty(cls, federation: str, member: str, key: Ed25519Key) -> Self:
        """Return the card of a member's duty bureau."""
        message = _message(federation, SignerRole.DUTY, member, "", key.public)
        proof = key.sign(message)
        return cls(federation, SignerRole.DUTY, member, "", key.public, b"", proof, b"")

    @classmethod
    def _pair(
        cls, federation: str, role: SignerRole, member: str, name: str, pair: SigningPair
    ) -> Self:
        public = pair.public
        proof = pair.sign(_message(federation, role, member, name, public.ed25519 + public.mldsa44))
        halves = (public.ed25519, public.mldsa44)
        return cls(federation, role, member, name, *halves, proof.ed25519, proof.mldsa44)

    @property
    def named_pair(self) -> NamedPair:
        """The pair under its name, for administrators and signatories."""
        return NamedPair(self.name, PairPublic(self.ed25519, self.mldsa44))

    def check(self, *, federation: str, role: SignerRole, member: str = "") -> None:
        """Check that the card is for this, and that its maker held the private halves.

        Raises:
            EnrolmentError: it is for something else, or a proof doesn't verify.

        """
        if (self.federation, self.role, self.member) != (federation, role, member):
            raise EnrolmentError("a key card is for another federation, role or member")
        public = self.ed25519 + self.mldsa44
        message = _message(federation, role, member, self.name, public)
        try:
            verify_ed25519(self.ed25519, message, self.ed25519_proof)
            if self.mldsa44:
                verify_mldsa44(self.mldsa44, message, self.mldsa44_proof)
        except SignatureInvalidError as fault:
            raise EnrolmentError("a key card does not prove that its key is held") from fault

    def to_bytes(self) -> bytes:
        """Return the card's bytes; raises TrustFormatError."""
        return encode_exact(self.to_pb())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a card, which is believed only after ``check``.

        Raises:
            TrustFormatError: not a card in its one spelling.
            EnrolmentError: parts that its role doesn't have, or lacks.

        """
        return cls.from_pb(parse_exact(pb.KeyCard, data, size_bytes_max=CARD_SIZE_BYTES_MAX))

    def to_pb(self) -> pb.KeyCard:
        """Return the card's message."""
        return pb.KeyCard(
            federation=self.federation,
            role=registry_pb2.RegistrySignerRole.ValueType(self.role),
            member=self.member,
            name=self.name,
            ed25519=self.ed25519,
            mldsa44=self.mldsa44,
            ed25519_proof=self.ed25519_proof,
            mldsa44_proof=self.mldsa44_proof,
        )

    @classmethod
    def from_pb(cls, message: pb.KeyCard) -> Self:
        """Return the card of a message whose rules were checked; raises EnrolmentError."""
        role = SignerRole(message.role)
        given = (bool(message.member), bool(message.name), bool(message.mldsa44))
        if _PARTS.get(role) != given or given[2] != bool(message.mldsa44_proof):
            raise EnrolmentError("a key card has not the parts of its role")
        return cls(
            message.federation,
            role,
            message.member,
            message.name,
            message.ed25519,
            message.mldsa44,
            message.ed25519_proof,
            message.mldsa44_proof,
        )


def _message(federation: str, role: SignerRole, member: str, name: str, public: bytes) -> bytes:
    texts = (federation, member, role.name.lower(), name)
    return _LABEL + b"".join(lp(each.encode()) for each in texts) + lp(public)
