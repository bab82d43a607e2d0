"""The registrar's logic apart from disk and network (PROTOCOL 2.2).

It takes requests and signed entries, collects administrators' signatures, puts complete
entries in order and signs the registry's time. Each act returns a ``Step``: what to make
durable. Only after that does ``commit`` make it count, and only then is it signed: the
registrar signs nothing that a crash could take back (PROTOCOL 1.5).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
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
from mithaq.certs.registrar_state import (
    Decision,
    PendingItem,
    RegistrarState,
    Step,
    is_same_act,
    kind_of,
    subject_of,
)
from mithaq.certs.registry import Applied, Registry
from mithaq.certs.rejection import Rejection, check_rejection
from mithaq.certs.renewal import (
    REQUEST_AGE_MAX,
    check_new_key,
    check_renewal_request,
    is_renewal,
    issue_renewal,
    parse_renewal_request,
)
from mithaq.certs.tls import fingerprint
from mithaq.ledger.checkpoint import Checkpoint, sign_checkpoint

PENDING_MAX: Final = 1000
INVITATIONS_MAX: Final = 1000
# What waits of agreements: of all, and of those that one party is to. Members put them here,
# and what waits has to fit the message that shows it to the administrators.
AGREEMENTS_BYTES_MAX: Final = 2 * 1024 * 1024
PARTY_BYTES_MAX: Final = 1024 * 1024
PARTY_AGREEMENTS_MAX: Final = 32
# "At least every minute" (PROTOCOL 2.2), with room for a slow moment.
CHECKPOINT_INTERVAL: Final = timedelta(seconds=30)
# How old an entry may be when it comes complete: administrators sign on paper time.
BODY_AGE_MAX: Final = REQUEST_AGE_MAX
# In so long a member announces its reception keys as often as the policy has them replaced,
# some times over. Longer than a body may lie dated back, so that no date evades the count.
KEYS_WINDOW: Final = 2 * BODY_AGE_MAX
KEYS_TIMES: Final = 4
KEYS_BESIDE: Final = 32
# How long a decision is told to a hub that connects again, and a refusal kept at all.
DECISION_AGE_MAX: Final = timedelta(days=30)
# Anybody can ask and be refused: what strangers were told is bounded.
REFUSALS_MAX: Final = 1000
REJECTED: Final = "MQ-TRUST-REJECTED"
EXPIRED: Final = "MQ-TRUST-EXPIRED"
SUPERSEDED: Final = "MQ-TRUST-SUPERSEDED"


class RegistrarLog:
    """One federation's registrar. Not for use from two threads at once."""

    def __init__(
        self,
        registry: Registry,
        state: RegistrarState,
        *,
        key: SigningPair,
        authority: Authority,
        own_certificate: bytes = b"",
    ) -> None:
        """Take up the registry and rows as stored; ``key`` is the registrar's own.

        ``own_certificate`` (DER) is the one that it came with, which answered no request.
        """
        self.registry = registry
        self._own_certificate = own_certificate
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

    def take_request(self, data: bytes, *, at: datetime) -> Step:
        """Take what came by the hub: a newcomer's request or one for a certificate."""
        take = self.take_renewal if is_renewal(data) else self.take_enrolment
        return take(data, at=at)

    def take_renewal(self, data: bytes, *, at: datetime) -> Step:
        """Take a request for the next TLS certificate; the same one again changes nothing.

        One waits for each holder: a newer one takes its place. What was answered once, or
        waits, is not looked at again.

        Raises:
            RenewalOutdatedError, EnrolmentError, KeyReusedError, CertificateError and
                their kin: as ``check_renewal_request`` and ``check_new_key``.

        """
        request = parse_renewal_request(data)
        waiting = {each.request_hash: each for each in self.state.pending.values()}
        if request.hash in waiting or request.hash in self.state.decisions:
            return Step()
        check_renewal_request(request, self.registry, at=at)
        check_new_key(request, known=self.certificates())
        issued = issue_renewal(request, self.registry, self._authority, at=at)
        act = request.act(tls_fingerprint=issued.fingerprint)
        before = self._waiting_renewal(act)
        if before is None:
            item = self._item(act, at=at, request_hash=request.hash, issued=issued)
            return Step(pending=item)
        item = self._drawn_up(act, at=at, request_hash=request.hash, issued=issued)
        refusal = before.refusal(SUPERSEDED, at=at)
        return Step(pending=item, settled=before.id, decision=refusal)

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
            EntryConflictError: a member announces reception keys without end.
            PendingFullError: too much waits, of all or of one party.
            And what ``Registry.apply`` raises, but for lacking administrators.

        """
        act = parse_body(SignedEntry.from_bytes(leaf).body).act
        item = self._merged(
            PendingItem(SignedEntry.from_bytes(leaf), kind_of(act), subject_of(act), at)
        )
        examined = self.registry.examine(item.entry)
        _check_plausible(examined.body, at=at)
        if isinstance(act, acts.ReceptionKeyAnnounced):
            self._check_announced(act.member, at=at)
        known = self.state.pending.get(item.id)
        if not examined.missing:
            return self._entering(item.entry.to_bytes(), known, at)
        _check_may_wait(item.entry, act, examined.missing)
        if known is None and self._waits(act):
            return Step()
        if known is None and isinstance(act, acts.AgreementAdmitted):
            self._check_agreements(item, act)
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
        return self._entering(entry.to_bytes(), item, at)

    def reject(self, item_id: str, rejection: Rejection, *, at: datetime) -> Step:
        """Drop what waits, because an administrator turned it down.

        Raises:
            PendingMissingError: nothing of this id waits.
            SignerUnknownError, SignatureInvalidError: no administrator signed this.

        """
        item = self.item(item_id)
        check_rejection(rejection, body_hash(item.entry.body), self.registry)
        return Step(settled=item.id, decision=item.refusal(REJECTED, at=at))

    def expire(self, *, at: datetime) -> Iterator[Step]:
        """Yield a step for each item that has waited for too long to be approved at all."""
        for item in list(self.state.pending.values()):
            if item.received_at < at - BODY_AGE_MAX:
                yield Step(settled=item.id, decision=item.refusal(EXPIRED, at=at))

    def forgettable(
        self, *, at: datetime, refusals_max: int = REFUSALS_MAX
    ) -> tuple[Decision, ...]:
        """Return the decisions that nobody needs any more, oldest first.

        Refusals go by age and by number; approvals by age, once their certificate is none
        of those in use.
        """
        in_use = self._fingerprints_in_use()
        decisions = sorted(self.state.decisions.values(), key=lambda each: each.decided_at)
        refused = [each for each in decisions if not each.approved]
        beyond = {each.request_hash for each in refused[: max(0, len(refused) - refusals_max)]}
        return tuple(
            each
            for each in decisions
            if each.request_hash in beyond
            or (
                each.decided_at < at - DECISION_AGE_MAX
                and not (each.approved and fingerprint(each.certificate) in in_use)
            )
        )

    def commit(self, step: Step) -> Applied | None:
        """Make a step count, after it is durable; the entry applied, if it has one."""
        applied = self.registry.apply(step.leaf) if step.leaf is not None else None
        if step.invitation is not None:
            self.state.invitations[step.invitation.id] = step.invitation
        if step.settled is not None:
            self.state.pending.pop(step.settled, None)
        if step.pending is not None:
            self.state.pending[step.pending.id] = step.pending
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

    def certificates(self) -> dict[bytes, bytes]:
        """Return the certificates (DER) that were handed out and are known, by SHA-256."""
        answers = (each.certificate for each in self.state.decisions.values())
        return {fingerprint(each): each for each in (self._own_certificate, *answers) if each}

    def missing(self, item: PendingItem) -> Mapping[tuple[SignerRole, str], int]:
        """Return the signatures that an item lacks; raises what ``Registry.examine`` does."""
        return self.registry.examine(item.entry).missing

    def checkpoint_due(self, now: datetime, *, interval: timedelta = CHECKPOINT_INTERVAL) -> bool:
        """Tell whether a checkpoint has to be signed: the log grew, or the interval passed."""
        last = self.registry.checkpoint
        if last is None or last.checkpoint.size < self.registry.size:
            return True
        return now - last.at >= interval

    def check_clock(self, now: datetime) -> None:
        """Raise ClockSkewError if the clock went back behind the last signed time."""
        last = self.registry.time
        if last is not None and now < last:
            raise ClockSkewError(f"the clock is behind {last.isoformat()}, signed before")

    def sign_checkpoint(self, now: datetime) -> bytes:
        """Return the registrar's note over all that was committed.

        It counts once it is durable and ``Registry.observe_checkpoint`` has taken it.

        Raises:
            ClockSkewError: the clock went back behind the last signed time.

        """
        self.check_clock(now)
        registry = self.registry
        return sign_checkpoint(
            Checkpoint(registry.origin, registry.size, registry.root),
            ed25519=self._key.ed25519,
            mldsa=self._key.mldsa,
            at=now,
        )

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
        return self._with_room(self._drawn_up(act, at=at, request_hash=request_hash, issued=issued))

    def _drawn_up(
        self, act: Act, *, at: datetime, request_hash: bytes, issued: IssuedCertificate | None
    ) -> PendingItem:
        entry = SignedEntry(draw_up(act, federation=self.registry.federation, at=at), ())
        self.registry.examine(entry)
        certificate = issued.der if issued else b""
        return PendingItem(entry, kind_of(act), subject_of(act), at, request_hash, certificate)

    def _with_room(self, item: PendingItem) -> PendingItem:
        if item.id not in self.state.pending and len(self.state.pending) >= PENDING_MAX:
            raise PendingFullError(f"{PENDING_MAX} entries wait already")
        return item

    def _check_announced(self, member: str, *, at: datetime) -> None:
        """Let no member fill the registry, whose size is limited for all together."""
        keys = self.registry.reception_keys(member)
        recent = sum(each.announced_at >= at - KEYS_WINDOW for each in keys)
        expected = KEYS_WINDOW / self.registry.policy.reception_key_life
        if recent >= KEYS_BESIDE + KEYS_TIMES * expected:
            raise EntryConflictError(f"{member} announced {recent} reception keys lately")

    def _check_agreements(self, item: PendingItem, act: acts.AgreementAdmitted) -> None:
        """Let no parties fill the list on which everybody else waits too."""
        parties = Agreement.from_bytes(act.terms).members
        size = len(item.entry.body)
        waiting = [
            (len(each.entry.body), Agreement.from_bytes(other.terms).members)
            for each in self.state.pending.values()
            if isinstance(other := parse_body(each.entry.body).act, acts.AgreementAdmitted)
        ]
        if size + sum(other for other, _ in waiting) > AGREEMENTS_BYTES_MAX:
            raise PendingFullError("too many agreements wait already")
        for party in sorted(parties):
            own = [other for other, members in waiting if party in members]
            if len(own) >= PARTY_AGREEMENTS_MAX or size + sum(own) > PARTY_BYTES_MAX:
                raise PendingFullError(f"{len(own)} agreements of {party} wait already")

    def _merged(self, item: PendingItem) -> PendingItem:
        """Return the item with the signatures that came for the same body before."""
        known = self.state.pending.get(item.id)
        if known is None:
            return item
        if known.entry.body != item.entry.body:
            raise EntryConflictError(f"another entry waits under {item.id}; draw this one up anew")
        return replace(known, entry=merge_signatures(known.entry, item.entry.signatures))

    def _waits(self, act: Act) -> bool:
        kind, subject = kind_of(act), subject_of(act)
        return any(
            is_same_act(parse_body(each.entry.body).act, act)
            for each in self.state.pending.values()
            if (each.kind, each.subject) == (kind, subject)
        )

    def _waiting_renewal(self, act: acts.TlsRenewed) -> PendingItem | None:
        """Return what waits for the same holder and was asked for, or None."""
        return next(
            (
                each
                for each in self.state.pending.values()
                if each.request_hash
                and (each.kind, each.subject) == (kind_of(act), subject_of(act))
            ),
            None,
        )

    def _fingerprints_in_use(self) -> set[bytes]:
        registry = self.registry
        found = {each for member in registry.members() for each in member.tls_fingerprints}
        found.update(registry.registrar.tls_fingerprints)
        found.update(registry.hub.tls_fingerprints if registry.has_hub else ())
        return found

    def _entering(self, leaf: bytes, item: PendingItem | None, at: datetime) -> Step:
        """Return the step that enters a complete entry, and tells whoever asked for it."""
        if item is None:
            return Step(leaf=leaf)
        return Step(leaf=leaf, settled=item.id, decision=item.approval(at=at))


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
