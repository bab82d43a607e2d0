"""What the registry shows of those who take part: values for reading, never for changing.

A size counts entries: what an entry at size n says holds for those who have replayed
to n or further.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from mithaq.agreements.status import AgreementStatus
from mithaq.agreements.terms import Agreement
from mithaq.certs.acts import LocalizedName, NamedPair, NarrowingReason, ReceiptKeys
from mithaq.certs.keys import PairPublic
from mithaq.ledger.cosignature import Role


class MemberState(StrEnum):
    """Whether a member may act."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


class PrincipalKind(StrEnum):
    """What stands at the other end of a connection."""

    HUB = "hub"
    NODE = "node"
    REGISTRAR = "registrar"


@dataclass(frozen=True, slots=True)
class Principal:
    """Whose TLS certificate it is; ``member`` is empty for the hub and the registrar."""

    kind: PrincipalKind
    member: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """An agency that takes part, with every key that binds it."""

    id: str
    state: MemberState
    display_name: LocalizedName
    country: str
    log: PairPublic = field(repr=False)
    receipt: ReceiptKeys = field(repr=False)
    duty: bytes = field(repr=False)
    signatories: tuple[NamedPair, ...] = field(repr=False)
    # Newest last; at most two, so that a certificate can be renewed without a gap.
    tls_fingerprints: tuple[bytes, ...] = field(repr=False)
    enrolled_size: int
    changed_size: int

    @property
    def log_ed25519(self) -> bytes:
        """Ed25519 half of the log key."""
        return self.log.ed25519

    @property
    def log_mldsa(self) -> bytes:
        """ML-DSA-44 half of the log key."""
        return self.log.mldsa44

    @property
    def opened_ed25519(self) -> bytes:
        """Ed25519 key of opened cosignatures."""
        return self.receipt.opened

    @property
    def receipt_mldsa(self) -> bytes:
        """ML-DSA-44 key of this member's daily cosignatures, whatever their role."""
        return self.receipt.mldsa44

    def receipt_key(self, role: Role) -> bytes:
        """Return the Ed25519 key for cosignatures of a role (PROTOCOL 1.4)."""
        return self.receipt.opened if role is Role.OPENED else self.receipt.held

    def signatory(self, name: str) -> NamedPair | None:
        """Return the signatory of this name, or None."""
        return next((each for each in self.signatories if each.name == name), None)


@dataclass(frozen=True, slots=True)
class Hub:
    """The relay: the keys it cosigns with, its certificates and addresses (host:port)."""

    cosigning: PairPublic = field(repr=False)
    tls_fingerprints: tuple[bytes, ...] = field(repr=False)
    exchange_address: str
    enrolment_address: str
    enrolled_size: int

    @property
    def hosts(self) -> tuple[str, ...]:
        """The host names or addresses that its certificate has to be good for."""
        return hosts_of(self.exchange_address, self.enrolment_address)

    @property
    def cosign_ed25519(self) -> bytes:
        """Ed25519 key of the hub's cosignatures, role ``hub``."""
        return self.cosigning.ed25519

    @property
    def cosign_mldsa(self) -> bytes:
        """ML-DSA-44 key of the hub's cosignatures, role ``hub``."""
        return self.cosigning.mldsa44


@dataclass(frozen=True, slots=True)
class Registrar:
    """Who orders the registry and signs its time."""

    key: PairPublic = field(repr=False)
    tls_fingerprints: tuple[bytes, ...] = field(repr=False)
    appointed_size: int


@dataclass(frozen=True, slots=True)
class ReceptionRecord:
    """A reception key that a member announced, and where in the registry."""

    key_id: bytes
    public: bytes = field(repr=False)
    announced_size: int
    announced_at: datetime
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class AgreementRecord:
    """An agreement as admitted, all its versions, and where it stands."""

    agreement: Agreement
    status: AgreementStatus
    admitted_size: int
    changed_size: int
    # Every version that was admitted, oldest first; the last one is ``agreement``.
    versions: tuple[Agreement, ...] = field(repr=False)

    def in_force(self, *, at: datetime) -> Agreement:
        """Return the newest version that has begun by then, or the first if none has."""
        begun = [each for each in self.versions if each.effective_from <= at]
        return begun[-1] if begun else self.versions[0]

    def version(self, number: int) -> Agreement | None:
        """Return the version of this number, or None."""
        return next((each for each in self.versions if each.version == number), None)


@dataclass(frozen=True, slots=True)
class Narrowing:
    """That something was taken away from a member or an agreement (PROTOCOL 2.5)."""

    size: int
    subject: str
    act: str
    reason: NarrowingReason | None


def hosts_of(*addresses: str) -> tuple[str, ...]:
    """Return the hosts of host:port addresses, each once."""
    hosts = (each.rpartition(":")[0].strip("[]") for each in addresses)
    return tuple(dict.fromkeys(hosts))
