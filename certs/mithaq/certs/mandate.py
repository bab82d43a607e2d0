"""Whose signatures each kind of entry needs (PROTOCOL 2.1), and whether they are there.

k administrators widen, one narrows; a member's log key speaks for its reception keys,
its signatories for its agreements, its duty key suspends them and does nothing else.
The rule: exactly the roles that are called for, each signature good, or no entry.
A key and its algorithm come from the registry, never from the message.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from mithaq.certs import acts
from mithaq.certs.acts import Act, AgreementSignature
from mithaq.certs.entries import (
    EntrySignature,
    SignedEntry,
    SignerRole,
    agreement_message,
    signed_message,
)
from mithaq.certs.errors import (
    AuthorityMissingError,
    SignatureUncalledError,
    SignerUnknownError,
)
from mithaq.certs.keys import PairPublic, PairSignature, verify_ed25519, verify_pair
from mithaq.certs.participants import Member, MemberState

SIGNATORIES_NEEDED: Final = 2


@dataclass(frozen=True, slots=True)
class Mandate:
    """How many signatures are needed, by role and member (empty for administrators)."""

    needed: Mapping[tuple[SignerRole, str], int]

    def check_called_for(self, entry: SignedEntry) -> None:
        """Raise SignatureUncalledError if somebody signed in a role that isn't called for."""
        for each in entry.signatures:
            if (each.role, each.member) not in self.needed:
                raise SignatureUncalledError(f"no signature as {_role(each.role, each.member)}")

    def missing(self, entry: SignedEntry) -> dict[tuple[SignerRole, str], int]:
        """Return how many signatures an entry lacks, by role and member; empty if none."""
        given = Counter((each.role, each.member) for each in entry.signatures)
        return {who: count - given[who] for who, count in self.needed.items() if given[who] < count}


class Signers(Protocol):
    """Whose keys signatures are checked against: the registry before the entry."""

    @property
    def federation(self) -> str:
        """The federation's name."""
        ...

    @property
    def threshold(self) -> int:
        """The number k of administrators that widen."""
        ...

    @property
    def administrators(self) -> Mapping[str, PairPublic]:
        """Keys of the administrators, by name."""
        ...

    @property
    def members(self) -> Mapping[str, Member]:
        """Members by id."""
        ...


def mandate_of(act: Act, *, threshold: int) -> Mandate:
    """Return the signatures that an act needs."""
    widens = {(SignerRole.ADMINISTRATOR, ""): threshold}
    narrows = {(SignerRole.ADMINISTRATOR, ""): 1}
    match act:
        case acts.ReceptionKeyAnnounced(member=member):
            return Mandate({(SignerRole.LOG, member): 1})
        case acts.AgreementSuspended(member=member) if member:
            return Mandate({(SignerRole.DUTY, member): 1})
        case acts.AgreementLifted(member=member) if member:
            return Mandate({**widens, (SignerRole.SIGNATORY, member): SIGNATORIES_NEEDED})
        case acts.AgreementEnded(member=member) if member:
            return Mandate({(SignerRole.SIGNATORY, member): SIGNATORIES_NEEDED})
        case (
            acts.MemberSuspended()
            | acts.MemberRevoked()
            | acts.KeyRevoked()
            | acts.AgreementSuspended()
            | acts.AgreementEnded()
            | acts.AdministratorRemoved()
        ):
            return Mandate(narrows)
        case _:
            # The default is the stricter side: what is not named above takes k.
            return Mandate(widens)


def check_authority(entry: SignedEntry, act: Act, signers: Signers) -> None:
    """Check that an entry carries the signatures that its act needs, all of them good.

    Raises:
        SignatureUncalledError, AuthorityMissingError: by what ``mandate_of`` says.
        SignerUnknownError: a signer whom the registry doesn't know in this role.
        SignatureInvalidError: a signature doesn't verify, or one of a pair's two.

    """
    mandate = mandate_of(act, threshold=signers.threshold)
    mandate.check_called_for(entry)
    # Before any signature is verified: counting is the cheaper refusal.
    for (role, member), count in mandate.missing(entry).items():
        raise AuthorityMissingError(f"{count} more to sign as {_role(role, member)}")
    _check_signatures(entry, signers)


def check_given(
    entry: SignedEntry, act: Act, signers: Signers
) -> dict[tuple[SignerRole, str], int]:
    """Check the signatures that an entry has so far, and return how many it lacks.

    Raises:
        SignatureUncalledError, SignerUnknownError, SignatureInvalidError: as
            ``check_authority``.

    """
    mandate = mandate_of(act, threshold=signers.threshold)
    mandate.check_called_for(entry)
    _check_signatures(entry, signers)
    return mandate.missing(entry)


def check_agreement_signatures(
    terms: bytes,
    signatures: tuple[AgreementSignature, ...],
    *,
    parties: frozenset[str],
    signers: Signers,
) -> None:
    """Check that two signatories of each party, and nobody else, signed an agreement's bytes.

    Raises:
        SignatureUncalledError: somebody signed for a member that is no party.
        AuthorityMissingError: fewer than two signed for a party.
        SignerUnknownError, SignatureInvalidError: as ``check_authority``.

    """
    given = Counter(each.member for each in signatures)
    if strangers := sorted(set(given) - parties):
        raise SignatureUncalledError(f"{strangers[0]} is no party to the agreement")
    for party in sorted(parties):
        if given[party] < SIGNATORIES_NEEDED:
            raise AuthorityMissingError(
                f"{SIGNATORIES_NEEDED} signatories of {party} have to sign, {given[party]} did"
            )
    message = agreement_message(signers.federation, terms)
    for each in signatures:
        key = _signatory_key(signers, each.member, each.name)
        verify_pair(key, message, PairSignature(each.ed25519, each.mldsa44))


def _role(role: SignerRole, member: str) -> str:
    return f"{role.name.lower()} of {member}" if member else role.name.lower()


def _check_signatures(entry: SignedEntry, signers: Signers) -> None:
    message = signed_message(signers.federation, entry.body)
    for each in entry.signatures:
        _check_signature(each, message, signers)


def _check_signature(signature: EntrySignature, message: bytes, signers: Signers) -> None:
    if signature.role is SignerRole.DUTY:
        duty = _acting_member(signers, signature.member).duty
        verify_ed25519(duty, message, signature.ed25519)
        return
    pair = PairSignature(signature.ed25519, signature.mldsa44)
    verify_pair(_pair_key(signature, signers), message, pair)


def _pair_key(signature: EntrySignature, signers: Signers) -> PairPublic:
    if signature.role is SignerRole.LOG:
        return _acting_member(signers, signature.member).log
    if signature.role is SignerRole.SIGNATORY:
        return _signatory_key(signers, signature.member, signature.name)
    key = signers.administrators.get(signature.name)
    if key is None:
        raise SignerUnknownError(f"there is no administrator {signature.name}")
    return key


def _signatory_key(signers: Signers, member: str, name: str) -> PairPublic:
    signatory = _acting_member(signers, member).signatory(name)
    if signatory is None:
        raise SignerUnknownError(f"{member} has no signatory {name}")
    return signatory.key


def _acting_member(signers: Signers, member: str) -> Member:
    found = signers.members.get(member)
    # A suspended member may still narrow: suspend or leave. What widens is refused
    # where the act is applied (transitions).
    if found is None or found.state is MemberState.REVOKED:
        raise SignerUnknownError(f"{member} is no member that can sign")
    return found
