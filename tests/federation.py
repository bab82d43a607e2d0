"""A whole federation in memory, for the tests of every room: real keys, real signatures.

`Federation.found()` makes trust administrators, a registrar and an issuing CA; `enrol`
adds agencies, `enrol_hub` the hub, `agree` an agreement that all of them signed. Every
act goes through the code that a real federation uses, and what comes out are the leaves
of a registry that anybody can replay. Nothing is written to disk.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from mithaq.agreements.categories import Category
from mithaq.agreements.clause import Clause, Party
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import (
    Handling,
    InformationGrade,
    OfficerRole,
    PartyKind,
    Purpose,
    RecordField,
    SourceGrade,
)
from mithaq.certs import acts
from mithaq.certs.authority import Authority, IssuedCertificate
from mithaq.certs.cards import KeyCard
from mithaq.certs.entries import EntrySigner, draw_up, sign_agreement, sign_entry
from mithaq.certs.genesis import create_genesis, found
from mithaq.certs.hub_enrolment import HubApproval, check_hub_request
from mithaq.certs.keys import Ed25519Key, MlDsa44Key, ReceptionKey, SigningPair
from mithaq.certs.registry import Registry
from mithaq.certs.tls import IdentityKind, SpiffeId, TlsKey, csr, new_tls_key, tls_key_to_pem
from mithaq.ledger.checkpoint import Checkpoint, sign_checkpoint
from mithaq.service.tls import TlsMaterial

FEDERATION = "test.example"
HOSTS = ("localhost", "127.0.0.1")
# Everything happens around the real now: TLS certificates are checked by the clock.
LONG_AGO = timedelta(days=1)
COUNTRIES = {"eg": "EGY", "tn": "TUN", "cy": "CYP", "it": "ITA", "gr": "GRC", "ma": "MAR"}


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(slots=True)
class Agency:
    """A member with all its private keys, as its node and its offices would hold them."""

    member: str
    log: SigningPair
    held: Ed25519Key
    opened: Ed25519Key
    receipt_mldsa: MlDsa44Key
    reception: ReceptionKey
    duty: Ed25519Key
    signatories: dict[str, SigningPair]
    tls_key: TlsKey
    certificate: IssuedCertificate


@dataclass(slots=True)
class HubParty:
    """The hub's keys and certificate."""

    cosigning: SigningPair
    tls_key: TlsKey
    certificate: IssuedCertificate


@dataclass(slots=True)
class Federation:
    """All parties of one federation, and the registry that they have signed so far."""

    name: str
    administrators: dict[str, SigningPair]
    threshold: int
    registrar: SigningPair
    registrar_tls: TlsKey
    registrar_certificate: IssuedCertificate
    authority: Authority
    registry: Registry
    leaves: list[bytes]
    agencies: dict[str, Agency] = field(default_factory=dict[str, Agency])
    hub: HubParty | None = None

    @classmethod
    def found(
        cls,
        name: str = FEDERATION,
        *,
        administrators: Sequence[str] = ("admin-a", "admin-b", "admin-c"),
        threshold: int = 2,
        policy: acts.Policy | None = None,
        at: datetime | None = None,
    ) -> "Federation":
        """Return a federation whose registry holds the genesis entry alone."""
        at = at or now() - LONG_AGO
        pairs = {each: SigningPair.generate() for each in administrators}
        registrar, tls_key = SigningPair.generate(), new_tls_key()
        authority = Authority.create(name, at=at)
        request = csr(tls_key, SpiffeId(name, IdentityKind.REGISTRAR))
        certificate = authority.issue_registrar(request, HOSTS, at=at)
        body = create_genesis(
            name,
            administrators=[
                KeyCard.administrator(name, each, pair) for each, pair in pairs.items()
            ],
            threshold=threshold,
            registrar=acts.RegistrarIdentity(registrar.public, certificate.fingerprint),
            ca_certificate=authority.certificate.der,
            at=at,
            policy=policy,
        )
        signers = [EntrySigner.administrator(each, pair) for each, pair in pairs.items()]
        entry = sign_entry(body, signers[:threshold])
        return cls(
            name=name,
            administrators=pairs,
            threshold=threshold,
            registrar=registrar,
            registrar_tls=tls_key,
            registrar_certificate=certificate,
            authority=authority,
            registry=found(entry),
            leaves=[entry.to_bytes()],
        )

    @property
    def pin(self) -> bytes:
        """The leaf hash of the genesis entry, which everybody is told beforehand."""
        return self.registry.genesis_hash

    # --- the registry -----------------------------------------------------------------

    def entry(
        self,
        act: acts.Act,
        signers: Sequence[EntrySigner] | None = None,
        *,
        at: datetime | None = None,
    ) -> bytes:
        """Return a signed entry, by k administrators unless others are named, not entered."""
        body = draw_up(act, federation=self.name, at=at or now())
        return sign_entry(body, self.by_administrators() if signers is None else signers).to_bytes()

    def enter(
        self,
        act: acts.Act,
        signers: Sequence[EntrySigner] | None = None,
        *,
        at: datetime | None = None,
    ) -> bytes:
        """Enter an act in the registry and return its leaf."""
        leaf = self.entry(act, signers, at=at)
        self.registry.apply(leaf)
        self.leaves.append(leaf)
        return leaf

    def by_administrators(self, count: int | None = None) -> list[EntrySigner]:
        """Return k administrators as signers, or as many as asked for."""
        signers = [
            EntrySigner.administrator(name, pair) for name, pair in self.administrators.items()
        ]
        return signers[: self.threshold if count is None else count]

    def checkpoint(self, *, size: int | None = None, at: datetime | None = None) -> bytes:
        """Return the registrar's signed note over the registry at a size."""
        size = self.registry.size if size is None else size
        root = self.registry.root_at(size)
        assert root is not None
        return sign_checkpoint(
            Checkpoint(self.registry.origin, size, root),
            ed25519=self.registrar.ed25519,
            mldsa=self.registrar.mldsa,
            at=at or now(),
        )

    # --- parties ----------------------------------------------------------------------

    def enrol_hub(
        self,
        *,
        exchange_address: str = "127.0.0.1:7443",
        enrolment_address: str = "127.0.0.1:7444",
        cosigning: SigningPair | None = None,
        at: datetime | None = None,
    ) -> HubParty:
        """Enrol the hub, which listens on this machine."""
        at = at or now()
        key, cosigning = new_tls_key(), cosigning or SigningPair.generate()
        request = csr(key, SpiffeId(self.name, IdentityKind.HUB))
        certificate = self.authority.issue_hub(request, HOSTS, at=at)
        self.hub = HubParty(cosigning, key, certificate)
        self.enter(
            acts.HubEnrolled(
                cosigning.public, certificate.fingerprint, exchange_address, enrolment_address
            ),
            at=at,
        )
        return self.hub

    def approve_hub(self, request: bytes, *, at: datetime | None = None) -> HubApproval:
        """Enrol a hub that made its own request, and return what it gets back."""
        checked = check_hub_request(request, federation=self.name)
        certificate = self.authority.issue_hub(
            checked.certificate_request, checked.hosts, at=at or now()
        )
        self.enter(checked.act(tls_fingerprint=certificate.fingerprint), at=at)
        return self.approval(certificate)

    def approval(self, certificate: IssuedCertificate) -> HubApproval:
        """Return what a hub gets back, with the registry as it is now."""
        return HubApproval(certificate.der, tuple(self.leaves), self.checkpoint())

    def new_agency(self, member: str, *, at: datetime | None = None) -> Agency:
        """Return an agency with fresh keys and a certificate, not yet a member."""
        key = new_tls_key()
        request = csr(key, SpiffeId(self.name, IdentityKind.NODE, member))
        return Agency(
            member=member,
            log=SigningPair.generate(),
            held=Ed25519Key.generate(),
            opened=Ed25519Key.generate(),
            receipt_mldsa=MlDsa44Key.generate(),
            reception=ReceptionKey.generate(),
            duty=Ed25519Key.generate(),
            signatories={name: SigningPair.generate() for name in ("signer-a", "signer-b")},
            tls_key=key,
            certificate=self.authority.issue_node(request, member, at=at or now()),
        )

    def enrol(self, *members: str, at: datetime | None = None) -> list[Agency]:
        """Enrol agencies and return them."""
        for member in members:
            agency = self.new_agency(member, at=at)
            self.agencies[member] = agency
            self.enter(self.enrolment_of(agency), at=at)
        return [self.agencies[member] for member in members]

    def enrolment_of(self, agency: Agency) -> acts.MemberEnrolled:
        """Return the act that enrols an agency."""
        return acts.MemberEnrolled(
            member=agency.member,
            display_name=acts.LocalizedName(f"Agency {agency.member}"),
            country=COUNTRIES.get(agency.member[:2], "XXO"),
            log=agency.log.public,
            receipt=acts.ReceiptKeys(
                agency.held.public, agency.opened.public, agency.receipt_mldsa.public
            ),
            reception=agency.reception.public,
            duty=agency.duty.public,
            signatories=tuple(
                acts.NamedPair(name, pair.public) for name, pair in agency.signatories.items()
            ),
            tls_fingerprint=agency.certificate.fingerprint,
        )

    # --- agreements -------------------------------------------------------------------

    def agree(self, agreement: Agreement, *, at: datetime | None = None) -> bytes:
        """Let every party sign an agreement, enter it, and return its leaf."""
        terms = agreement.to_bytes()
        signatures = [
            sign_agreement(terms, federation=self.name, member=party.member, name=name, pair=pair)
            for party in agreement.parties
            for name, pair in sorted(self.agencies[party.member].signatories.items())
        ]
        return self.enter(acts.AgreementAdmitted(terms, tuple(signatures)), at=at)

    def suspend_agreement(self, agreement_id: str, member: str) -> bytes:
        """Suspend an agreement by a party's duty key."""
        signer = EntrySigner.duty(member, self.agencies[member].duty)
        reason = acts.NarrowingReason.AGREEMENT_BREACH
        return self.enter(acts.AgreementSuspended(agreement_id, reason, member), [signer])

    def lift_agreement(self, agreement_id: str, member: str) -> bytes:
        """Lift a party's own suspension, by its signatories and k administrators."""
        signatories = [
            EntrySigner.signatory(member, name, pair)
            for name, pair in self.agencies[member].signatories.items()
        ]
        signers = [*self.by_administrators(), *signatories]
        return self.enter(acts.AgreementLifted(agreement_id, member), signers)

    def end_agreement(self, agreement_id: str) -> bytes:
        """End an agreement for all, by the administrators."""
        return self.enter(
            acts.AgreementEnded(agreement_id, acts.NarrowingReason.TERM_ENDED),
        )

    def suspend(self, member: str) -> bytes:
        """Suspend a member, by one administrator."""
        act = acts.MemberSuspended(member, acts.NarrowingReason.ADMINISTRATIVE)
        return self.enter(act, self.by_administrators(1))

    def revoke(self, member: str) -> bytes:
        """Revoke a member, by one administrator."""
        act = acts.MemberRevoked(member, acts.NarrowingReason.KEY_COMPROMISED)
        return self.enter(act, self.by_administrators(1))

    def announce(self, member: str, key: ReceptionKey) -> bytes:
        """Announce a member's next reception key, under its own log key."""
        agency = self.agencies[member]
        agency.reception = key
        act = acts.ReceptionKeyAnnounced(member, key.public)
        return self.enter(act, [EntrySigner.log(member, agency.log)])

    # --- TLS --------------------------------------------------------------------------

    def node_tls(self, member: str) -> TlsMaterial:
        """Return a node's TLS material."""
        agency = self.agencies[member]
        return self._tls(agency.tls_key, agency.certificate)

    def hub_tls(self) -> TlsMaterial:
        """Return the hub's TLS material."""
        assert self.hub is not None
        return self._tls(self.hub.tls_key, self.hub.certificate)

    def registrar_material(self) -> TlsMaterial:
        """Return the registrar's TLS material."""
        return self._tls(self.registrar_tls, self.registrar_certificate)

    def _tls(self, key: TlsKey, certificate: IssuedCertificate) -> TlsMaterial:
        return TlsMaterial(
            private_key=tls_key_to_pem(key),
            chain=certificate.pem,
            roots=self.authority.certificate.pem,
        )


def clause(
    clause_id: str,
    *,
    senders: Collection[str],
    recipients: Collection[str],
    categories: Iterable[Category] = (Category.ARREST, Category.CHECK_DISCREET),
    purposes: Iterable[Purpose] = (Purpose.BORDER_CONTROL, Purpose.ARREST_SURRENDER),
    quota_per_day: int = 0,
    retention_days_max: int = 365,
) -> Clause:
    """Return a permissive clause between these members."""
    return Clause(
        id=clause_id,
        title=f"Clause {clause_id}",
        senders=frozenset(senders),
        recipients=frozenset(recipients),
        categories=frozenset(categories),
        purposes=frozenset(purposes),
        fields=frozenset(RecordField),
        handling=frozenset(Handling),
        roles=frozenset(OfficerRole),
        sources=frozenset(SourceGrade),
        information=frozenset(InformationGrade),
        retention_days_max=retention_days_max,
        quota_per_day=quota_per_day,
        legal_reference="Agreement of the test",
    )


def agreement(
    *members: str,
    clauses: Sequence[Clause] = (),
    agreement_id: str = "test-agreement",
    version: int = 1,
    federation: str = FEDERATION,
    effective_from: datetime | None = None,
    expires_at: datetime | None = None,
) -> Agreement:
    """Return an agreement in force; without clauses, all members may share with all."""
    everyone = clause("C1", senders=members, recipients=members)
    start = effective_from or now() - timedelta(days=2)
    return Agreement(
        id=agreement_id,
        version=version,
        federation=federation,
        title="An agreement of the tests",
        parties=tuple(
            Party(
                member=member,
                display_name=f"Agency {member}",
                kind=PartyKind.STATE if member[:2] in COUNTRIES else PartyKind.ORGANISATION,
                country=COUNTRIES.get(member[:2], ""),
            )
            for member in sorted(members)
        ),
        clauses=tuple(clauses) or (everyone,),
        effective_from=start,
        expires_at=expires_at or start + timedelta(days=1000),
    )


def standard_federation(*members: str) -> Federation:
    """Return a federation with a hub, these members (or three) and one agreement of all."""
    federation = Federation.found()
    federation.enrol_hub()
    parties = members or ("eg-moi", "tn-dgsn", "int-iom")
    federation.enrol(*parties)
    federation.agree(agreement(*parties))
    return federation
