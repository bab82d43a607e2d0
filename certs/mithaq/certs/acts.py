"""What registry entries say: one frozen value for each kind of act.

Values hold what was asked for, not who asked (that is ``mandate``) nor whether it
fits (that is ``transitions``). ``act_codec`` turns them into protobuf and back.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum
from typing import TypeAlias

from mithaq.agreements.grant import CLOCK_SKEW_DEFAULT
from mithaq.certs.keys import PairPublic


class NarrowingReason(IntEnum):
    """Why something was narrowed; numbers as in registry.proto."""

    KEY_COMPROMISED = 1
    AGREEMENT_BREACH = 2
    OWN_REQUEST = 3
    TERM_ENDED = 4
    ADMINISTRATIVE = 5


class TlsSubject(IntEnum):
    """Whose TLS certificate it is; numbers as in registry.proto."""

    NODE = 1
    HUB = 2
    REGISTRAR = 3


@dataclass(frozen=True, slots=True)
class NamedPair:
    """An administrator or a signatory: a handle of the office and both public keys."""

    name: str
    key: PairPublic


@dataclass(frozen=True, slots=True)
class ReceiptKeys:
    """What a member cosigns with: Ed25519 for held and witness, Ed25519 for opened, ML-DSA-44.

    PROTOCOL 1.4: a type 0x04 cosignature doesn't sign its role, so held and opened need
    keys of their own; a type 0x06 one does.
    """

    held: bytes
    opened: bytes
    mldsa44: bytes


@dataclass(frozen=True, slots=True)
class LocalizedName:
    """A display name in the federation's languages; French and Arabic may be empty."""

    en: str
    fr: str = ""
    ar: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits that every participant applies, fixed by the genesis entry."""

    freshness_limit: timedelta = timedelta(seconds=600)
    registry_entries_max: int = 1_000_000
    catch_up_limit: timedelta = timedelta(days=30)
    reception_key_life: timedelta = timedelta(days=7)
    batch_entries_max: int = 256
    batch_bytes_max: int = 1 << 20
    clock_skew_limit: timedelta = CLOCK_SKEW_DEFAULT


@dataclass(frozen=True, slots=True)
class RegistrarIdentity:
    """The registrar's signing keys and the SHA-256 of its TLS certificate."""

    key: PairPublic
    tls_fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Genesis:
    """The first entry: policy, threshold k, administrators, registrar, issuing CA (DER)."""

    policy: Policy
    threshold: int
    administrators: tuple[NamedPair, ...]
    registrar: RegistrarIdentity
    ca_certificate: bytes


@dataclass(frozen=True, slots=True)
class HubEnrolled:
    """The relay; a later one replaces it. Addresses are host:port."""

    cosigning: PairPublic
    tls_fingerprint: bytes
    exchange_address: str
    enrolment_address: str


@dataclass(frozen=True, slots=True)
class MemberEnrolled:
    """A new member with every key that it acts by."""

    member: str
    display_name: LocalizedName
    country: str
    log: PairPublic
    receipt: ReceiptKeys
    reception: bytes
    duty: bytes
    signatories: tuple[NamedPair, ...]
    tls_fingerprint: bytes


@dataclass(frozen=True, slots=True)
class TlsRenewed:
    """A further TLS certificate; ``member`` only for a node."""

    subject: TlsSubject
    tls_fingerprint: bytes
    member: str = ""


@dataclass(frozen=True, slots=True)
class ReceptionKeyAnnounced:
    """A member's next reception key, 1,216 public bytes."""

    member: str
    reception: bytes


@dataclass(frozen=True, slots=True)
class MemberSuspended:
    """The member takes part in nothing until it is reinstated."""

    member: str
    reason: NarrowingReason


@dataclass(frozen=True, slots=True)
class MemberReinstated:
    """The end of a suspension."""

    member: str


@dataclass(frozen=True, slots=True)
class MemberRevoked:
    """The end of a membership."""

    member: str
    reason: NarrowingReason


@dataclass(frozen=True, slots=True)
class KeyRevoked:
    """A TLS certificate or reception key, by its SHA-256, that nobody accepts any longer."""

    key_id: bytes
    reason: NarrowingReason


@dataclass(frozen=True, slots=True)
class AgreementSignature:
    """One signatory's two signatures over an agreement's exact bytes."""

    member: str
    name: str
    ed25519: bytes
    mldsa44: bytes


@dataclass(frozen=True, slots=True)
class AgreementAdmitted:
    """An agreement's exact terms and the signatures of two signatories of each party."""

    terms: bytes = field(repr=False)
    signatures: tuple[AgreementSignature, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class AgreementSuspended:
    """A suspension, by a party's duty key or (``member`` empty) by an administrator."""

    agreement_id: str
    reason: NarrowingReason
    member: str = ""


@dataclass(frozen=True, slots=True)
class AgreementLifted:
    """The end of a party's suspension or (``member`` empty) of the administrators'."""

    agreement_id: str
    member: str = ""


@dataclass(frozen=True, slots=True)
class AgreementEnded:
    """A party leaves or (``member`` empty) the administrators end the agreement for all."""

    agreement_id: str
    reason: NarrowingReason
    member: str = ""


@dataclass(frozen=True, slots=True)
class AdministratorAdded:
    """One more trust administrator."""

    administrator: NamedPair


@dataclass(frozen=True, slots=True)
class AdministratorRemoved:
    """One trust administrator fewer."""

    name: str
    reason: NarrowingReason


@dataclass(frozen=True, slots=True)
class CaAdded:
    """One more issuing CA (DER)."""

    ca_certificate: bytes


@dataclass(frozen=True, slots=True)
class RegistrarReplaced:
    """A new registrar in place of the one before."""

    registrar: RegistrarIdentity


Act: TypeAlias = (
    Genesis
    | HubEnrolled
    | MemberEnrolled
    | TlsRenewed
    | ReceptionKeyAnnounced
    | MemberSuspended
    | MemberReinstated
    | MemberRevoked
    | KeyRevoked
    | AgreementAdmitted
    | AgreementSuspended
    | AgreementLifted
    | AgreementEnded
    | AdministratorAdded
    | AdministratorRemoved
    | CaAdded
    | RegistrarReplaced
)
