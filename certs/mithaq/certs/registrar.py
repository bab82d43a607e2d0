"""The registrar's logic apart from disk and network (PROTOCOL 2.2).

It takes requests and signed entries, collects administrators' signatures, puts complete
entries in order and signs the registry's time. Each act returns a ``Step``: what to make
durable. Only after that does ``commit`` make it count, and only then is it signed: the
registrar signs nothing that a crash could take back (PROTOCOL 1.5).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from mithaq.agreements.terms import Agreement
from mithaq.certs import acts
from mithaq.certs.acts import Act
from mithaq.certs.authority import Authority, IssuedCertificate
from mithaq.certs.enrolment import (
    AHEAD_MAX,
    EnrolmentRequest,
    InvitationRecord,
    check_enrolment_request,
    parse_enrolment_request,
)
from mithaq.certs.entries import (
    Body,
    SignedEntry,
    SignerRole,
    body_hash,
    draw_up,
    merge_signatures,
    parse_body,
)
from mithaq.certs.errors import (
    AuthorityMissingError,
    ClockSkewError,
    EntryConflictError,
    ImplausibleTimeError,
    InvitationUnknownError,
    InvitationUsedError,
    PendingFullError,
    PendingMissingError,
    TrustFormatError,
)
from mithaq.certs.hub_enrolment import HubApproval, check_hub_request
from mithaq.certs.invitation import Invitation, new_secret
from mithaq.certs.keys import SigningPair
from mithaq.certs.registry import Applied, Registry
from mithaq.ledger.checkpoint import Checkpoint, sign_checkpoint

PENDING_MAX: Final = 1000
INVITATIONS_MAX: Final = 1000
# "At least every minute" (PROTOCOL 2.2), with room for a slow moment.
CHECKPOINT_INTERVAL: Final = timedelta(seconds=30)
# How old an entry may be when it comes complete: administrators sign on paper time.
BODY_AGE_MAX: Final = timedelta(days=30)


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
        digest = (self.request_hash or body_hash(self.entry.body)).hex()
        return " ".join(digest[at : at + 4] for at in range(0, len(digest), 4))


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a request: the certificate (DER), or a reason code."""

    request_hash: bytes
    approved: bool
    certificate: bytes = field(default=b"", repr=False)
    reason: str = ""


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


class RegistrarLog:
    """One federation's registrar. Not for use from two threads at once."""

    def __init__(
        self, registry: Registry, state: RegistrarState, *, key: SigningPair, authority: Authority
    ) -> None:
        """Take up the registry and rows as stored; ``key`` is the registrar's own."""
        self.registry = registry
        self.state = state
        self._key = key
        self._authority = authority

    # --- inviting and asking --------------------------------------------------------

    def invite(self, member: str, *, valid_for: timedelta, at: datetime) -> tuple[Invitation, Step]:
        """Return an invitation for an agency, and what to keep of it.

        Raises:
            EntryConflictError: the member id has been used before.
            UnknownMemberError: no hub is enrolled yet, so nobody could ask.
            PendingFullError: too many invitations are open.

        """
        if any(each.id == member for each in self.registry.members()):
            raise EntryConflictError(f"the member id {member} has been used before")
        open_ones = [each for each in self.state.invitations.values() if each.is_open(at=at)]
        if len(open_ones) >= INVITATIONS_MAX:
            raise PendingFullError(f"{INVITATIONS_MAX} invitations are open already")
        invitation = Invitation(
            federation=self.registry.federation,
            member=member,
            hub_enrolment_address=self.registry.hub.enrolment_address,
            genesis_hash=self.registry.genesis_hash,
            ca_certificate_der=self._authority.certificate_der,
            secret=new_secret(),
            expires_at=(at + valid_for).replace(microsecond=0),
        )
        return invitation, Step(invitation=InvitationRecord.of(invitation))

    def take_enrolment(self, data: bytes, *, at: datetime) -> Step:
        """Take an agency's request; the same one again changes nothing.

        Raises:
            InvitationUnknownError, InvitationUsedError and their kin: by invitation.
            EnrolmentError, TrustFormatError, EntryConflictError and their kin: by content.

        """
        request = parse_enrolment_request(data)
        record = self.state.invitations.get(request.invitation_id)
        if record is None:
            raise InvitationUnknownError("the registrar gave out no such invitation")
        check_enrolment_request(
            request,
            record,
            federation=self.registry.federation,
            genesis_hash=self.registry.genesis_hash,
            at=at,
        )
        if record.used_by == request.hash:
            return Step()
        if record.used_by is not None:
            raise InvitationUsedError(f"the invitation of {record.member} has been used")
        item = self._enrolment_item(request, at=at)
        return Step(invitation=replace(record, used_by=request.hash), pending=item)

    def take_hub_request(self, data: bytes, *, at: datetime) -> Step:
        """Take a hub's request; raises EnrolmentError, TrustFormatError and their kin."""
        request = check_hub_request(data, federation=self.registry.federation)
        issued = self._authority.issue_hub(request.certificate_request, request.hosts, at=at)
        act = request.act(tls_fingerprint=issued.fingerprint)
        return Step(pending=self._item(act, at=at, request_hash=request.hash, issued=issued))

    def propose(self, act: Act, *, at: datetime) -> Step:
        """Draw up an administrators' act, to be signed; raises what ``Registry.apply`` does."""
        return Step(pending=self._item(act, at=at))

    # --- entries --------------------------------------------------------------------

    def take_entry(self, leaf: bytes, *, at: datetime) -> Step:
        """Take a signed entry: append it if it is complete, else let it wait for the rest.

        The same act that waits already, drawn up again, changes nothing: who hands in an
        agreement twice must not fill the list.

        Raises:
            ImplausibleTimeError: drawn up too long ago or in the future.
            AuthorityMissingError: its own authors haven't signed it, so it may not wait.
            And what ``Registry.apply`` raises, but for lacking administrators.

        """
        entry = SignedEntry.from_bytes(leaf)
        examined = self.registry.examine(entry)
        act = examined.body.act
        _check_plausible(examined.body, at=at)
        if not examined.missing:
            return Step(leaf=leaf, settled=self._settled(entry))
        _check_may_wait(entry, act, examined.missing)
        item = self._merged(PendingItem(entry, _kind(act), _subject(act), at))
        if item.id not in self.state.pending and self._waits(act):
            return Step()
        return Step(pending=self._with_room(item))

    def approve(self, item_id: str, signed: bytes, *, at: datetime) -> Step:
        """Add signatures to what waits; append it once it is complete.

        Raises:
            PendingMissingError: nothing of this id waits.
            TrustFormatError: the signatures are over another body.
            And what ``take_entry`` raises.

        """
        item = self.item(item_id)
        more = SignedEntry.from_bytes(signed)
        if more.body != item.entry.body:
            raise TrustFormatError("the signatures are over another body than the one that waits")
        entry = merge_signatures(item.entry, more.signatures)
        examined = self.registry.examine(entry)
        _check_plausible(examined.body, at=at)
        item = replace(item, entry=entry)
        if examined.missing:
            return Step(pending=item)
        return Step(leaf=entry.to_bytes(), settled=item.id, decision=_approval(item))

    def reject(self, item_id: str, *, reason: str) -> Step:
        """Drop what waits, with a reason code; raises PendingMissingError."""
        item = self.item(item_id)
        decision = Decision(item.request_hash, approved=False, reason=reason)
        return Step(settled=item.id, decision=decision if item.request_hash else None)

    def commit(self, step: Step) -> Applied | None:
        """Make a step count, after it is durable; the entry applied, if it has one."""
        applied = self.registry.apply(step.leaf) if step.leaf is not None else None
        if step.invitation is not None:
            self.state.invitations[step.invitation.id] = step.invitation
        if step.pending is not None:
            self.state.pending[step.pending.id] = step.pending
        if step.settled is not None:
            self.state.pending.pop(step.settled, None)
        if step.decision is not None:
            self.state.decisions[step.decision.request_hash] = step.decision
        return applied

    # --- reading and signing --------------------------------------------------------

    def item(self, item_id: str) -> PendingItem:
        """Return what waits under this id; raises PendingMissingError."""
        found = self.state.pending.get(item_id)
        if found is None:
            raise PendingMissingError(f"nothing waits under {item_id}")
        return found

    def missing(self, item: PendingItem) -> Mapping[tuple[SignerRole, str], int]:
        """Return the signatures that an item lacks; raises what ``Registry.examine`` does."""
        return self.registry.examine(item.entry).missing

    def checkpoint_due(self, now: datetime, *, interval: timedelta = CHECKPOINT_INTERVAL) -> bool:
        """Tell whether a checkpoint has to be signed: the log grew, or the interval passed."""
        last = self.registry.checkpoint
        if last is None or last.checkpoint.size < self.registry.size:
            return True
        return now - last.at >= interval

    def sign_checkpoint(self, now: datetime) -> bytes:
        """Return the registrar's note over all that was committed, and observe it.

        Raises:
            ClockSkewError: the clock went back behind the last signed time.

        """
        registry = self.registry
        if registry.time is not None and now < registry.time:
            raise ClockSkewError(f"the clock is behind {registry.time.isoformat()}, signed before")
        note = sign_checkpoint(
            Checkpoint(registry.origin, registry.size, registry.root),
            ed25519=self._key.ed25519,
            mldsa=self._key.mldsa,
            at=now,
        )
        registry.observe_checkpoint(note)
        return note

    def hub_approval(
        self, decision: Decision, leaves: tuple[bytes, ...], checkpoint: bytes
    ) -> bytes:
        """Return what is carried back to an approved hub, with the registry so far."""
        return HubApproval(decision.certificate, leaves, checkpoint).to_bytes()

    # --- inside ---------------------------------------------------------------------

    def _enrolment_item(self, request: EnrolmentRequest, *, at: datetime) -> PendingItem:
        # Issued before it is approved, for the entry has to name it: a certificate that
        # the registry doesn't know opens nothing.
        issued = self._authority.issue_node(request.certificate_request, request.member, at=at)
        act = request.act(tls_fingerprint=issued.fingerprint)
        return self._item(act, at=at, request_hash=request.hash, issued=issued)

    def _item(
        self,
        act: Act,
        *,
        at: datetime,
        request_hash: bytes = b"",
        issued: IssuedCertificate | None = None,
    ) -> PendingItem:
        entry = SignedEntry(draw_up(act, federation=self.registry.federation, at=at), ())
        self.registry.examine(entry)
        certificate = issued.der if issued else b""
        item = PendingItem(entry, _kind(act), _subject(act), at, request_hash, certificate)
        return self._with_room(item)

    def _with_room(self, item: PendingItem) -> PendingItem:
        if item.id not in self.state.pending and len(self.state.pending) >= PENDING_MAX:
            raise PendingFullError(f"{PENDING_MAX} entries wait already")
        return item

    def _merged(self, item: PendingItem) -> PendingItem:
        """Return the item with the signatures that came for the same body before."""
        known = self.state.pending.get(item.id)
        if known is None:
            return item
        if known.entry.body != item.entry.body:
            raise EntryConflictError(f"another entry waits under {item.id}; draw this one up anew")
        return replace(known, entry=merge_signatures(known.entry, item.entry.signatures))

    def _waits(self, act: Act) -> bool:
        kind, subject = _kind(act), _subject(act)
        return any(
            _same_act(parse_body(each.entry.body).act, act)
            for each in self.state.pending.values()
            if (each.kind, each.subject) == (kind, subject)
        )

    def _settled(self, entry: SignedEntry) -> str | None:
        item_id = body_hash(entry.body)[:8].hex()
        return item_id if item_id in self.state.pending else None


def _approval(item: PendingItem) -> Decision | None:
    if not item.request_hash:
        return None
    return Decision(item.request_hash, approved=True, certificate=item.certificate)


def _check_plausible(body: Body, *, at: datetime) -> None:
    if not at - BODY_AGE_MAX <= body.made_at <= at + AHEAD_MAX:
        raise ImplausibleTimeError(f"the entry was drawn up at {body.made_at.isoformat()}")


def _check_may_wait(
    entry: SignedEntry, act: Act, missing: Mapping[tuple[SignerRole, str], int]
) -> None:
    """Let nothing wait for administrators that its own authors haven't signed.

    An agreement carries its parties' signatures inside; anything else that nobody signed
    is a stranger's wish, which an administrator might sign by mistake.
    """
    for (role, member), count in missing.items():
        if role is not SignerRole.ADMINISTRATOR:
            raise AuthorityMissingError(f"{count} more to sign as {role.name.lower()} of {member}")
    if not entry.signatures and not isinstance(act, acts.AgreementAdmitted):
        raise AuthorityMissingError("nobody has signed this entry yet")


def _same_act(first: Act, second: Act) -> bool:
    if isinstance(first, acts.AgreementAdmitted) and isinstance(second, acts.AgreementAdmitted):
        # No two ML-DSA signatures over the same terms are equal (LIMITS).
        return first.terms == second.terms
    return first == second


def _kind(act: Act) -> PendingKind:
    return _KINDS.get(type(act), PendingKind.OTHER)


def _subject(act: Act) -> str:
    match act:
        case acts.AgreementAdmitted():
            return Agreement.from_bytes(act.terms).id
        case acts.AgreementLifted() | acts.AgreementEnded() | acts.AgreementSuspended():
            return act.agreement_id
        case acts.HubEnrolled():
            return "hub"
        case acts.AdministratorAdded():
            return act.administrator.name
        case _:
            return str(getattr(act, "member", "") or getattr(act, "name", ""))
