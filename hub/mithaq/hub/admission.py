"""What the hub decides about entries, by their headers alone; each distinct terms once.

The hub judges by its own registry at the moment of its commit (PROTOCOL 2.5) and sees no
more than a header says, so it refuses what no record behind that header could make right
and leaves the rest to the reader. Pure: registry and clock are arguments. The rule: what
is denied keeps its place in the stream; only a bad OPEN is refused outright.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mithaq.agreements.decision import decide_header
from mithaq.agreements.reason import Reason
from mithaq.agreements.streams import streams_from
from mithaq.agreements.terms import Agreement
from mithaq.certs.errors import TrustError, UnknownAgreementError
from mithaq.certs.participants import MemberState
from mithaq.certs.registry import Registry
from mithaq.hub.errors import OpeningRefusedError, RegistryBehindError
from mithaq.ledger.kinds import EntryKind
from mithaq.ledger.terms import Opening, Terms


class HubReason(StrEnum):
    """Codes of refusals that are the registry's to decide, not the agreement's."""

    AGREEMENT_UNKNOWN = "AGREEMENT_UNKNOWN"
    # A narrowing after the registry size that the sender judged by (PROTOCOL 2.5).
    NARROWED_SINCE = "NARROWED_SINCE"
    SENDER_INACTIVE = "SENDER_INACTIVE"
    READER_INACTIVE = "READER_INACTIVE"
    RECEPTION_KEY_UNKNOWN = "RECEPTION_KEY_UNKNOWN"
    # It announced no key for longer than the catch-up limit (PROTOCOL 4.7).
    READER_LAPSED = "READER_LAPSED"
    # The epoch that would say who reads it was itself refused.
    EPOCH_REFUSED = "EPOCH_REFUSED"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether entries of some terms are admitted: no reason, or a stable code."""

    reason: str | None = None
    clause_ids: tuple[str, ...] = ()


ADMITTED = Verdict()


def judge(
    terms: Terms, *, opening: Opening, readers: Collection[str], registry: Registry, at: datetime
) -> Verdict:
    """Decide about the entries of these terms; `readers` are those of the entry's epoch.

    Their registry size is one that we have (see ``check_registry_size``).
    """
    if terms.kind is EntryKind.WITHDRAW or terms.kind is EntryKind.CLOSE:
        # They take back or end: nothing that narrows may stand in their way (PROTOCOL 3.7).
        return _by_agreement(terms, opening, opening.audience, registry=registry, at=at)
    members = {opening.sender, *readers}
    reason = _standing(members, opening, registry=registry, since=terms.registry_size)
    if reason is None and terms.kind is EntryKind.EPOCH:
        reason = _reception_keys(terms, registry)
    if reason is None and not readers:
        reason = HubReason.EPOCH_REFUSED
    if reason is not None:
        return Verdict(reason)
    return _by_agreement(terms, opening, readers, registry=registry, at=at)


def check_registry_size(terms: Terms, registry: Registry) -> None:
    """Raise RegistryBehindError if the sender has seen more of the registry than we have."""
    if terms.registry_size > registry.size:
        raise RegistryBehindError(
            f"an entry names registry size {terms.registry_size}, the hub has {registry.size}"
        )


def check_opening(
    terms: Terms, opening: Opening, *, sender: str, registry: Registry, at: datetime
) -> None:
    """Check an OPEN entry: the one kind that is refused outright (PROTOCOL 3.1, 5.2).

    Raises:
        OpeningRefusedError: another federation or sender, another registry, an agreement that
            isn't in force between these members, or an audience that no plan of it has.

    """
    if opening.federation != registry.federation or opening.sender != sender:
        raise OpeningRefusedError("an OPEN names another federation or another sender")
    if opening.registry_root != registry.root_at(terms.registry_size):
        raise OpeningRefusedError("an OPEN names another registry root than ours at its size")
    reason = _standing(
        {sender, *opening.audience}, opening, registry=registry, since=terms.registry_size
    )
    if reason is not None:
        raise OpeningRefusedError(f"an OPEN was refused: {reason}")
    verdict = _by_agreement(terms, opening, opening.audience, registry=registry, at=at)
    if verdict.reason is not None:
        raise OpeningRefusedError(f"an OPEN was refused: {verdict.reason}")
    _check_planned(opening, registry.agreement(opening.agreement_id).in_force(at=at))


def _check_planned(opening: Opening, agreement: Agreement) -> None:
    # Late joiners get streams of their own and joint ones go on without those who lapsed
    # (PROTOCOL 4.8), so an audience may be smaller than planned, never larger.
    for plan in streams_from(agreement, sender=opening.sender):
        if int(plan.role) == int(opening.role) and (
            set(opening.audience) <= set(plan.audience)
            and set(opening.purposes) <= set(plan.purposes)
        ):
            return
    raise OpeningRefusedError("no stream of the agreement has this audience and these purposes")


def _standing(
    members: Collection[str], opening: Opening, *, registry: Registry, since: int
) -> HubReason | None:
    """Return why these members take no part, or who has been narrowed since a size."""
    for member in members:
        if not is_active(registry, member):
            sender = member == opening.sender
            return HubReason.SENDER_INACTIVE if sender else HubReason.READER_INACTIVE
    if registry.narrowing_since(since, members=members, agreement=opening.agreement_id):
        return HubReason.NARROWED_SINCE
    return None


def is_active(registry: Registry, member: str) -> bool:
    """Tell whether the registry lists this member as taking part now."""
    try:
        return registry.member(member).state is MemberState.ACTIVE
    except TrustError:
        return False


def _reception_keys(terms: Terms, registry: Registry) -> HubReason | None:
    for reader in terms.readers:
        keys = registry.reception_keys(reader.member)
        if reader.key_id not in {key.key_id for key in keys if not key.revoked}:
            return HubReason.RECEPTION_KEY_UNKNOWN
        # By the minute in which it was sealed: on its way it may take as long as it takes.
        if terms.created_at - keys[-1].announced_at > registry.policy.catch_up_limit:
            return HubReason.READER_LAPSED
    return None


def _by_agreement(
    terms: Terms, opening: Opening, recipients: Collection[str], *, registry: Registry, at: datetime
) -> Verdict:
    try:
        record = registry.agreement(opening.agreement_id)
    except UnknownAgreementError:
        return Verdict(HubReason.AGREEMENT_UNKNOWN)
    agreement = record.in_force(at=at)
    grants = terms.kind in {EntryKind.OPEN, EntryKind.EPOCH, EntryKind.PUT}
    if grants and terms.agreement_version != agreement.version:
        return Verdict(Reason.VERSION_OTHER)
    decision = decide_header(
        agreement,
        status=record.status,
        category=terms.category or "",
        sender=opening.sender,
        recipients=recipients,
        purposes=opening.purposes,
        expires_at=terms.expires_at,
        at=at,
        kind=terms.kind,
        role=opening.role,
        created_at=terms.created_at,
        clock_skew=registry.policy.clock_skew_limit,
    )
    if decision.allowed:
        return Verdict(None, decision.clause_ids)
    return Verdict(decision.reason, decision.clause_ids)
