"""What a registry has come to say, as dictionaries: written by ``registry`` alone.

``Change`` is what one entry does to it. A transition computes a whole change or
raises, and ``RegistryState.commit`` cannot fail, so an entry is applied or has left
no trace.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mithaq.certs.acts import Policy
from mithaq.certs.entries import body_hash
from mithaq.certs.errors import (
    MemberInactiveError,
    UnknownAgreementError,
    UnknownMemberError,
)
from mithaq.certs.keys import PairPublic
from mithaq.certs.participants import (
    AgreementRecord,
    Hub,
    Member,
    MemberState,
    Narrowing,
    Principal,
    ReceptionRecord,
    Registrar,
)
from mithaq.ledger.checkpoint import SignedCheckpoint
from mithaq.ledger.tree import Frontier, leaf_hash


@dataclass(frozen=True, slots=True)
class Change:
    """What one entry changes; absent parts stay as they are."""

    keys: tuple[bytes, ...] = ()
    member: Member | None = None
    agreement: AgreementRecord | None = None
    hub: Hub | None = None
    registrar: Registrar | None = None
    administrators: Mapping[str, PairPublic] | None = None
    ca_certificate: bytes | None = None
    reception: tuple[str, tuple[ReceptionRecord, ...]] | None = None
    # None takes a certificate out.
    principals: Mapping[bytes, Principal | None] = field(
        default_factory=dict[bytes, Principal | None]
    )
    narrowed_member: Narrowing | None = None
    narrowed_agreement: Narrowing | None = None


@dataclass(slots=True)
class RegistryState:
    """All that follows from the entries so far."""

    federation: str
    policy: Policy
    threshold: int
    registrar: Registrar
    administrators: Mapping[str, PairPublic]
    frontier: Frontier = field(default_factory=Frontier.empty)
    # The root at each size, from 1: an OPEN entry names one (PROTOCOL 3.1).
    roots: list[bytes] = field(default_factory=list[bytes])
    # SHA-256 of every body ever entered: none is taken twice.
    bodies: set[bytes] = field(default_factory=set[bytes])
    checkpoint: SignedCheckpoint | None = None
    hub: Hub | None = None
    ca_certificates: tuple[bytes, ...] = ()
    members: dict[str, Member] = field(default_factory=dict[str, Member])
    receptions: dict[str, tuple[ReceptionRecord, ...]] = field(
        default_factory=dict[str, tuple[ReceptionRecord, ...]]
    )
    reception_owners: dict[bytes, str] = field(default_factory=dict[bytes, str])
    agreements: dict[str, AgreementRecord] = field(default_factory=dict[str, AgreementRecord])
    principals: dict[bytes, Principal] = field(default_factory=dict[bytes, Principal])
    # SHA-256 of every public key and certificate ever entered: none is taken twice.
    keys: set[bytes] = field(default_factory=set[bytes])
    narrowed_members: dict[str, Narrowing] = field(default_factory=dict[str, Narrowing])
    narrowed_agreements: dict[str, Narrowing] = field(default_factory=dict[str, Narrowing])

    def copy(self) -> "RegistryState":
        """Return a state that changes apart from this one; its values are shared."""
        return replace(
            self,
            roots=list(self.roots),
            bodies=set(self.bodies),
            members=dict(self.members),
            receptions=dict(self.receptions),
            reception_owners=dict(self.reception_owners),
            agreements=dict(self.agreements),
            principals=dict(self.principals),
            keys=set(self.keys),
            narrowed_members=dict(self.narrowed_members),
            narrowed_agreements=dict(self.narrowed_agreements),
        )

    def member(self, member_id: str) -> Member:
        """Return a member in whatever state; raises UnknownMemberError."""
        found = self.members.get(member_id)
        if found is None:
            raise UnknownMemberError(f"the registry knows no member {member_id}")
        return found

    def active_member(self, member_id: str) -> Member:
        """Return a member that may act; raises UnknownMemberError, MemberInactiveError."""
        found = self.member(member_id)
        if found.state is not MemberState.ACTIVE:
            raise MemberInactiveError(f"the member {member_id} is {found.state}")
        return found

    def agreement(self, agreement_id: str) -> AgreementRecord:
        """Return an agreement; raises UnknownAgreementError."""
        found = self.agreements.get(agreement_id)
        if found is None:
            raise UnknownAgreementError(f"the registry holds no agreement {agreement_id}")
        return found

    def append(self, leaf: bytes, body: bytes) -> None:
        """Count an entry that has been applied."""
        self.frontier = self.frontier.append(leaf_hash(leaf))
        self.roots.append(self.frontier.root())
        self.bodies.add(body_hash(body))

    def _commit_registrar(self, change: Change) -> None:
        if change.registrar is None:
            return
        if change.registrar.key != self.registrar.key:
            # Whoever had the key before may have signed a time far ahead: it binds nobody more.
            self.checkpoint = None
        self.registrar = change.registrar

    def commit(self, change: Change) -> None:
        """Write a change; it has been checked in full, so nothing here can fail."""
        self.keys.update(change.keys)
        self.hub = change.hub or self.hub
        self._commit_registrar(change)
        if change.administrators is not None:
            self.administrators = change.administrators
        if change.ca_certificate is not None:
            self.ca_certificates = (*self.ca_certificates, change.ca_certificate)
        self._commit_records(change)
        for fingerprint, principal in change.principals.items():
            if principal is None:
                self.principals.pop(fingerprint, None)
            else:
                self.principals[fingerprint] = principal

    def _commit_records(self, change: Change) -> None:
        if change.member is not None:
            self.members[change.member.id] = change.member
        if change.agreement is not None:
            self.agreements[change.agreement.agreement.id] = change.agreement
        if change.reception is not None:
            owner, records = change.reception
            self.receptions[owner] = records
            self.reception_owners[records[-1].key_id] = owner
        if change.narrowed_member is not None:
            self.narrowed_members[change.narrowed_member.subject] = change.narrowed_member
        if change.narrowed_agreement is not None:
            self.narrowed_agreements[change.narrowed_agreement.subject] = change.narrowed_agreement
