"""What the registrar keeps beside the registry: invitations, what waits, what was decided.

Values and one mutable table of them, written row by row by the store. Nothing is decided
here; ``registrar`` does that.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from mithaq.agreements.terms import Agreement
from mithaq.certs import acts
from mithaq.certs.acts import Act
from mithaq.certs.enrolment import InvitationRecord
from mithaq.certs.entries import SignedEntry, body_hash
from mithaq.certs.keys import grouped
from mithaq.certs.renewal import TlsHolder
from mithaq.certs.tls import fingerprint


class PendingKind(StrEnum):
    """What waits for signatures."""

    HUB = "hub"
    MEMBER = "member"
    AGREEMENT = "agreement"
    LIFTING = "lifting"
    RENEWAL = "renewal"
    OTHER = "other"


_KINDS: Final[dict[type, PendingKind]] = {
    acts.HubEnrolled: PendingKind.HUB,
    acts.MemberEnrolled: PendingKind.MEMBER,
    acts.AgreementAdmitted: PendingKind.AGREEMENT,
    acts.AgreementLifted: PendingKind.LIFTING,
    acts.TlsRenewed: PendingKind.RENEWAL,
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a request, and when: the certificate (DER), or a reason code."""

    request_hash: bytes
    approved: bool
    decided_at: datetime
    certificate: bytes = field(default=b"", repr=False)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PendingItem:
    """An entry that waits for signatures, with what was issued for the case that it gets them."""

    entry: SignedEntry
    kind: PendingKind
    subject: str
    received_at: datetime
    # SHA-256 of the request that this answers; empty where an entry itself came in.
    request_hash: bytes = b""
    # DER of the certificate that is handed out when the entry is in.
    certificate: bytes = field(default=b"", repr=False)

    @property
    def id(self) -> str:
        """Hex of the first 8 bytes of SHA-256 of the body."""
        return body_hash(self.entry.body)[:8].hex()

    @property
    def fingerprint(self) -> str:
        """What people compare over another channel: SHA-256 of the request or body, grouped."""
        return grouped(self.request_hash or body_hash(self.entry.body))

    def approval(self, *, at: datetime) -> Decision | None:
        """Return what whoever asked is told once the entry is in; None if nobody asked."""
        if not self.request_hash:
            return None
        return Decision(
            self.request_hash,
            approved=True,
            decided_at=at.replace(microsecond=0),
            certificate=self.certificate,
        )

    def refusal(self, reason: str, *, at: datetime) -> Decision | None:
        """Return what whoever asked is told of a refusal; None if nobody asked."""
        if not self.request_hash:
            return None
        return Decision(
            self.request_hash, approved=False, decided_at=at.replace(microsecond=0), reason=reason
        )


@dataclass(frozen=True, slots=True)
class Step:
    """What one act changes: rows to be written, and the leaf to be appended, if any."""

    leaf: bytes | None = None
    invitation: InvitationRecord | None = None
    # With its present signatures; absent if the act touches none.
    pending: PendingItem | None = None
    # Id of an item that waits no longer.
    settled: str | None = None
    decision: Decision | None = None


@dataclass(slots=True)
class RegistrarState:
    """What the registrar keeps beside the registry; the store writes it row by row."""

    invitations: dict[bytes, InvitationRecord] = field(
        default_factory=dict[bytes, InvitationRecord]
    )
    pending: dict[str, PendingItem] = field(default_factory=dict[str, PendingItem])
    decisions: dict[bytes, Decision] = field(default_factory=dict[bytes, Decision])


def is_same_act(first: Act, second: Act) -> bool:
    """Tell whether two acts ask for the same, though they were drawn up apart."""
    if isinstance(first, acts.AgreementAdmitted) and isinstance(second, acts.AgreementAdmitted):
        # No two ML-DSA signatures over the same terms are equal (LIMITS).
        return first.terms == second.terms
    return first == second


def kind_of(act: Act) -> PendingKind:
    """Return what kind of item an act waits as."""
    return _KINDS.get(type(act), PendingKind.OTHER)


def subject_of(act: Act) -> str:
    """Return whom or what an act concerns, as people name it on the command line."""
    match act:
        case acts.AgreementAdmitted():
            subject = Agreement.from_bytes(act.terms).id
        case acts.AgreementLifted() | acts.AgreementEnded() | acts.AgreementSuspended():
            subject = act.agreement_id
        case acts.HubEnrolled():
            subject = "hub"
        case acts.TlsRenewed():
            subject = TlsHolder(act.subject, act.member).name
        case acts.KeyRevoked():
            subject = act.key_id.hex()[:16]
        case acts.CaAdded():
            subject = fingerprint(act.ca_certificate).hex()[:16]
        case acts.AdministratorAdded():
            subject = act.administrator.name
        case _:
            subject = str(getattr(act, "member", "") or getattr(act, "name", ""))
    return subject
