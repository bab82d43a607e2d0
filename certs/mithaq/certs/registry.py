"""The registry replayed: who takes part, by which keys, under which agreements.

Pure: it reads no clock, file or connection. Each leaf is applied only if it carries
its own signatures (PROTOCOL 2.1), whoever ordered it; a leaf that is refused leaves
no trace. Order and time come from the registrar's checkpoints and nowhere else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from mithaq.certs import acts
from mithaq.certs import agreement_transitions as agreements
from mithaq.certs import transitions as members
from mithaq.certs.acts import Policy
from mithaq.certs.entries import Body, SignedEntry, SignerRole, body_hash, parse_body
from mithaq.certs.errors import (
    ClockSkewError,
    EntryConflictError,
    GenesisMismatchError,
    ReceptionKeyMissingError,
    RegistryForkError,
    RegistryFullError,
    RegistryRolledBackError,
    RegistryStaleError,
    RegistryWithheldError,
    ReplayedEntryError,
    SignatureInvalidError,
    TrustFormatError,
    UnknownMemberError,
    WrongFederationError,
)
from mithaq.certs.keys import PairPublic
from mithaq.certs.mandate import check_authority, check_given
from mithaq.certs.participants import (
    AgreementRecord,
    Hub,
    Member,
    Narrowing,
    Principal,
    ReceptionRecord,
    Registrar,
)
from mithaq.certs.state import Change, RegistryState
from mithaq.certs.transitions import Place
from mithaq.ledger.checkpoint import SignedCheckpoint, open_checkpoint
from mithaq.ledger.errors import LedgerError
from mithaq.ledger.errors import SignatureInvalidError as LedgerSignatureInvalidError
from mithaq.ledger.errors import SignatureMissingError as LedgerSignatureMissingError
from mithaq.ledger.names import registry_origin
from mithaq.ledger.tree import Frontier, leaf_hash


@dataclass(frozen=True, slots=True)
class Applied:
    """An entry that was applied: the registry's size with it, its body, what it narrowed."""

    size: int
    body: Body
    narrowing: Narrowing | None


@dataclass(frozen=True, slots=True)
class Examined:
    """An entry that would fit; ``missing`` counts signatures by role and member."""

    body: Body
    missing: Mapping[tuple[SignerRole, str], int]


class Registry:
    """One federation's registry, up to a size. Not for use from two threads at once."""

    __slots__ = ("_state",)

    def __init__(self, state: RegistryState) -> None:
        self._state = state

    @classmethod
    def start(cls, genesis_leaf: bytes, pinned_root_hash: bytes) -> Self:
        """Return the registry that holds the genesis entry alone.

        Raises:
            GenesisMismatchError: the leaf is not the pinned one, or no genesis entry.
            AuthorityMissingError and its kin: k of its own administrators didn't sign it.

        """
        if leaf_hash(genesis_leaf) != pinned_root_hash:
            raise GenesisMismatchError("the first entry has another hash than the pinned one")
        entry = SignedEntry.from_bytes(genesis_leaf)
        body = parse_body(entry.body)
        if not isinstance(body.act, acts.Genesis):
            raise GenesisMismatchError("the first entry founds no federation")
        state = members.found(body.federation, body.act)
        check_authority(entry, body.act, state)
        state.append(genesis_leaf, entry.body)
        return cls(state)

    # --- growing --------------------------------------------------------------------

    def apply(self, leaf: bytes) -> Applied:
        """Apply the next leaf, or raise and change nothing.

        Raises:
            TrustFormatError: not a signed entry in its one spelling.
            WrongFederationError, ReplayedEntryError, RegistryFullError: not one for here, now.
            AuthorityMissingError, SignatureUncalledError, SignerUnknownError,
                SignatureInvalidError: its signatures aren't what its kind calls for.
            EntryConflictError, UnknownMemberError, MemberInactiveError and their kin: it
                doesn't fit what the registry says.

        """
        entry = SignedEntry.from_bytes(leaf)
        body = self._acceptable(entry)
        check_authority(entry, body.act, self._state)
        change = self._change(body)
        # From here on nothing can fail.
        self._state.commit(change)
        self._state.append(leaf, entry.body)
        return Applied(self.size, body, change.narrowed_member or change.narrowed_agreement)

    def examine(self, entry: SignedEntry) -> Examined:
        """Check an entry that may still lack signatures, and change nothing.

        Whoever collects signatures learns early that an entry could never be applied.

        Raises:
            All that ``apply`` raises, but for AuthorityMissingError about the entry's own
            signatures: what is missing is returned.

        """
        body = self._acceptable(entry)
        missing = check_given(entry, body.act, self._state)
        self._change(body)
        return Examined(body, missing)

    def extend(self, leaves: Sequence[bytes], checkpoint: bytes) -> list[Applied]:
        """Apply leaves and the checkpoint that covers exactly them, all or nothing.

        This is how leaves from a hub are taken: nothing that the registrar hasn't signed
        can grow the registry, so a hub can't lead it into a dead end.

        Raises:
            RegistryWithheldError: the checkpoint is larger than the leaves reach.
            And all that ``apply`` and ``observe_checkpoint`` raise.

        """
        state = self._state.copy()
        grown = Registry(state)
        applied = [grown.apply(each) for each in leaves]
        signed = grown.observe_checkpoint(checkpoint)
        if applied and signed.checkpoint.size < grown.size:
            raise TrustFormatError("the checkpoint does not cover all of the leaves")
        self._state = state
        return applied

    def observe_checkpoint(self, note: bytes) -> SignedCheckpoint:
        """Take a checkpoint of the registrar; its time counts if it is the newest.

        Raises:
            TrustFormatError, SignatureInvalidError: not this registrar's checkpoint.
            RegistryWithheldError: it covers entries that have not been applied here.
            RegistryForkError: another root at a size that was replayed.
            RegistryRolledBackError: signed later than the last one, for a smaller size.

        """
        signed = self.verified(note)
        size, last = signed.checkpoint.size, self.checkpoint
        if size > self.size:
            raise RegistryWithheldError(f"{size} entries are signed, {self.size} were delivered")
        if size < 1 or signed.checkpoint.root != self._state.roots[size - 1]:
            raise RegistryForkError(f"the registrar signed another root at size {size}")
        if last is None or (signed.at >= last.at and size >= last.checkpoint.size):
            self._state.checkpoint = signed
        elif signed.at > last.at:
            raise RegistryRolledBackError(
                f"size {size} was signed after size {last.checkpoint.size}"
            )
        return signed

    def verified(self, note: bytes) -> SignedCheckpoint:
        """Return a checkpoint that this registry's registrar has signed, and take nothing from it.

        Raises:
            SignatureInvalidError: one of its two signatures is missing or wrong.
            TrustFormatError: not a checkpoint of this registry.

        """
        key = self.registrar.key
        try:
            return open_checkpoint(
                note, origin=self.origin, ed25519_public=key.ed25519, mldsa_public=key.mldsa44
            )
        except (LedgerSignatureInvalidError, LedgerSignatureMissingError) as fault:
            raise SignatureInvalidError(f"not signed by the registrar: {fault}") from fault
        except LedgerError as fault:
            raise TrustFormatError(f"not a checkpoint of the registry: {fault}") from fault

    def copy(self) -> Self:
        """Return a registry that grows apart from this one."""
        return type(self)(self._state.copy())

    # --- the log --------------------------------------------------------------------

    @property
    def size(self) -> int:
        """How many entries were applied."""
        return self._state.frontier.size

    @property
    def root(self) -> bytes:
        """The root over all entries."""
        return self._state.roots[-1]

    @property
    def frontier(self) -> Frontier:
        """What it takes to append."""
        return self._state.frontier

    @property
    def genesis_hash(self) -> bytes:
        """The root pin: the leaf hash of the genesis entry."""
        return self._state.roots[0]

    @property
    def origin(self) -> str:
        """The log's name."""
        return registry_origin(self.federation)

    @property
    def checkpoint(self) -> SignedCheckpoint | None:
        """The newest checkpoint of the registrar, or None before the first."""
        return self._state.checkpoint

    @property
    def time(self) -> datetime | None:
        """The newest instant that the registrar signed, or None before the first."""
        return self.checkpoint.at if self.checkpoint else None

    def root_at(self, size: int) -> bytes | None:
        """Return the root at a size, as an OPEN entry names it; None if not replayed so far."""
        return self._state.roots[size - 1] if 1 <= size <= self.size else None

    def holds(self, body: bytes) -> bool:
        """Tell whether these exact bytes of a body were entered."""
        return body_hash(body) in self._state.bodies

    def check_fresh(self, now: datetime) -> None:
        """Check that the registrar's time may be acted on at this instant (PROTOCOL 2.6).

        Raises:
            RegistryStaleError: no checkpoint yet, or one older than the policy allows.
            ClockSkewError: one from further ahead than clocks may differ; a stolen
                registrar key could otherwise stamp the registry fresh for years.

        """
        if self.time is None:
            raise RegistryStaleError("the registrar has signed no time yet")
        if now - self.time > self.policy.freshness_limit:
            raise RegistryStaleError(f"the registrar last signed at {self.time.isoformat()}")
        if self.time - now > self.policy.clock_skew_limit:
            raise ClockSkewError(f"the registrar signed at {self.time.isoformat()}, after now")

    # --- who takes part -------------------------------------------------------------

    @property
    def federation(self) -> str:
        """The federation's name."""
        return self._state.federation

    @property
    def policy(self) -> Policy:
        """The limits that every participant applies."""
        return self._state.policy

    @property
    def threshold(self) -> int:
        """k: how many administrators it takes to widen."""
        return self._state.threshold

    @property
    def administrators(self) -> dict[str, PairPublic]:
        """The administrators' keys, by name."""
        return dict(self._state.administrators)

    @property
    def registrar(self) -> Registrar:
        """Who orders the registry."""
        return self._state.registrar

    @property
    def ca_certificates(self) -> tuple[bytes, ...]:
        """DER of the issuing CAs, oldest first."""
        return self._state.ca_certificates

    @property
    def hub(self) -> Hub:
        """The relay; raises UnknownMemberError before one is enrolled."""
        if self._state.hub is None:
            raise UnknownMemberError("no hub is enrolled yet")
        return self._state.hub

    @property
    def has_hub(self) -> bool:
        """Whether a relay is enrolled."""
        return self._state.hub is not None

    def member(self, member_id: str) -> Member:
        """Return a member, in whatever state; raises UnknownMemberError."""
        return self._state.member(member_id)

    def active_member(self, member_id: str) -> Member:
        """Return a member that may act; raises UnknownMemberError, MemberInactiveError."""
        return self._state.active_member(member_id)

    def members(self) -> tuple[Member, ...]:
        """Return all members, in the order in which they were enrolled."""
        return tuple(self._state.members.values())

    def by_tls_fingerprint(self, fingerprint: bytes) -> Principal:
        """Return whose certificate has this SHA-256, if that party may act now.

        Raises:
            UnknownMemberError: nobody's, or no longer; whatever CA issued it.
            MemberInactiveError: a suspended or revoked member's.

        """
        principal = self._state.principals.get(fingerprint)
        if principal is None:
            raise UnknownMemberError("the registry does not know this certificate")
        if principal.member:
            self._state.active_member(principal.member)
        return principal

    def reception_key(self, member_id: str) -> ReceptionRecord:
        """Return the newest reception key, the one that senders seal to.

        Raises:
            UnknownMemberError: no such member.
            ReceptionKeyMissingError: the newest key is revoked, so the member has lapsed.

        """
        newest = self.reception_keys(member_id)[-1]
        if newest.revoked:
            raise ReceptionKeyMissingError(f"the newest reception key of {member_id} is revoked")
        return newest

    def reception_keys(self, member_id: str) -> tuple[ReceptionRecord, ...]:
        """Return all reception keys of a member, oldest first; raises UnknownMemberError."""
        return self._state.receptions[self._state.member(member_id).id]

    # --- agreements and narrowings --------------------------------------------------

    def agreement(self, agreement_id: str) -> AgreementRecord:
        """Return an agreement and where it stands; raises UnknownAgreementError."""
        return self._state.agreement(agreement_id)

    def agreements(self) -> tuple[AgreementRecord, ...]:
        """Return all agreements, in the order in which they were admitted."""
        return tuple(self._state.agreements.values())

    def narrowing_since(
        self, size: int, *, members: Iterable[str] = (), agreement: str | None = None
    ) -> Narrowing | None:
        """Return the newest narrowing after a size that touches one of these, or None.

        This is what makes an entry that was judged by a smaller registry inadmissible
        (PROTOCOL 2.5).
        """
        found = [self._state.narrowed_members.get(each) for each in members]
        if agreement is not None:
            found.append(self._state.narrowed_agreements.get(agreement))
        after = [each for each in found if each is not None and each.size > size]
        return max(after, key=lambda each: each.size, default=None)

    # --- inside ---------------------------------------------------------------------

    def _acceptable(self, entry: SignedEntry) -> Body:
        body = parse_body(entry.body)
        if body.federation != self.federation:
            raise WrongFederationError(f"the entry is for {body.federation}")
        if body_hash(entry.body) in self._state.bodies:
            raise ReplayedEntryError("the same body was entered before")
        if self.size >= self.policy.registry_entries_max:
            raise RegistryFullError(f"the registry holds {self.size} entries")
        return body

    def _change(self, body: Body) -> Change:
        change = _transition(self._state, body.act, Place(self.size + 1, body.made_at))
        members.check_fresh_keys(change.keys, self._state)
        return change


_TRANSITIONS: Final[dict[type, Callable[[RegistryState, Any, Place], Change]]] = {
    acts.HubEnrolled: members.enrol_hub,
    acts.MemberEnrolled: members.enrol_member,
    acts.TlsRenewed: members.renew_tls,
    acts.ReceptionKeyAnnounced: members.announce_reception_key,
    acts.MemberSuspended: members.suspend_member,
    acts.MemberReinstated: members.reinstate_member,
    acts.MemberRevoked: members.revoke_member,
    acts.KeyRevoked: members.revoke_key,
    acts.AgreementAdmitted: agreements.admit_agreement,
    acts.AgreementSuspended: agreements.suspend_agreement,
    acts.AgreementLifted: agreements.lift_suspension,
    acts.AgreementEnded: agreements.end_agreement,
    acts.AdministratorAdded: members.add_administrator,
    acts.AdministratorRemoved: members.remove_administrator,
    acts.CaAdded: members.add_ca,
    acts.RegistrarReplaced: members.replace_registrar,
}


def _transition(state: RegistryState, act: acts.Act, place: Place) -> Change:
    if isinstance(act, acts.Genesis):
        raise EntryConflictError("a federation is founded once")
    return _TRANSITIONS[type(act)](state, act, place)
