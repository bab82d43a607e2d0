"""The leaves of the evaluator: each says what stands in the way, or None.

They look at one thing each and are asked in a fixed order, the absolute before the
negotiated, so that the reason of a refusal is the same wherever it is worked out.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from mithaq.agreements.categories import CATEGORIES
from mithaq.agreements.clause import Clause, OffenceGate
from mithaq.agreements.facts import Facts
from mithaq.agreements.reason import Reason
from mithaq.agreements.status import AgreementState, AgreementStatus
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import (
    ORIGIN_SYSTEMS_NEVER,
    PROTECTIVE_PURPOSES,
    MinorsRule,
    Purpose,
    SubjectAge,
    SubjectType,
)

# PROTOCOL 5.8: beyond this, clocks are at fault. A federation's policy may say another limit;
# this is the policy's default, and stands here because nothing is imported from `certs`.
CLOCK_SKEW_DEFAULT: Final = timedelta(minutes=2)
DAY: Final = timedelta(days=1)
AGREEMENTS_KEPT_MAX: Final = 256
NOT_ADULT: Final = (SubjectAge.CHILD, SubjectAge.UNKNOWN)
# Another edition of a closed system is still that system: SIS2, SISII, SIS-RECAST.
NEVER: Final = re.compile(rf"(?:{'|'.join(sorted(ORIGIN_SYSTEMS_NEVER))})(?:II|[0-9_-].*)?")

STATE_REASONS: Final = {
    AgreementState.DRAFT: Reason.AGREEMENT_DRAFT,
    AgreementState.SUSPENDED: Reason.AGREEMENT_SUSPENDED,
    AgreementState.ENDED: Reason.AGREEMENT_ENDED,
}


def not_in_force(agreement: Agreement, status: AgreementStatus, at: datetime) -> Reason | None:
    """Return why the agreement grants nothing at an instant."""
    if status.state is not AgreementState.ACTIVE:
        return STATE_REASONS[status.state]
    if status.suspended_by:
        return Reason.AGREEMENT_SUSPENDED
    if at < agreement.effective_from:
        return Reason.AGREEMENT_NOT_YET_IN_FORCE
    # DESIGN 7: the end is exclusive at sender, hub and receiver alike.
    if at >= agreement.expires_at:
        return Reason.AGREEMENT_EXPIRED
    return None


def not_parties(agreement: Agreement, *, sender: str, recipient: str) -> Reason | None:
    """Return why two members are not sender and recipient under the agreement."""
    if sender not in agreement.members:
        return Reason.SENDER_NOT_PARTY
    if recipient not in agreement.members:
        return Reason.RECIPIENT_NOT_PARTY
    if sender == recipient:
        return Reason.RECIPIENT_IS_SENDER
    return None


def left(status: AgreementStatus, *, sender: str, recipient: str) -> Reason | None:
    """Return which of two parties has left the agreement."""
    if sender in status.left:
        return Reason.SENDER_LEFT
    if recipient in status.left:
        return Reason.RECIPIENT_LEFT
    return None


def wind_down_end(agreement: Agreement, status: AgreementStatus, *, member: str) -> datetime:
    """Return the first instant after a party's winding down (PROTOCOL 3.7).

    A leaver's began when it left, everybody else's begins with the agreement's end.
    """
    end = status.wind_down_until or agreement.expires_at + agreement.wind_down
    return min(end, status.left.get(member, end))


def no_standing(
    agreement: Agreement, status: AgreementStatus, *, sender: str, recipient: str, at: datetime
) -> Reason | None:
    """Return why the agreement grants this pair nothing, whatever the record."""
    return (
        not_in_force(agreement, status, at)
        or not_parties(agreement, sender=sender, recipient=recipient)
        or left(status, sender=sender, recipient=recipient)
    )


def out_of_time(
    expires_at: datetime | None, *, created_at: datetime, at: datetime, clock_skew: timedelta
) -> Reason | None:
    """Return why a record is too young, too old, or would live for ever."""
    if created_at > at + clock_skew:
        # Else a sender could lengthen retention by dating ahead.
        return Reason.CREATED_IN_FUTURE
    if expires_at is None:
        return Reason.RETENTION_TOO_LONG
    return Reason.RECORD_EXPIRED if at >= expires_at else None


def never_allowed(agreement: Agreement, facts: Facts) -> Reason | None:
    """Return the rule that refuses these facts to everybody, whatever the clauses say."""
    system = facts.origin_system
    if system in agreement.excluded_origin_systems or NEVER.fullmatch(system):
        return Reason.ORIGIN_SYSTEM_EXCLUDED
    if facts.excluded is None:
        return Reason.EXCLUSION_UNKNOWN
    if facts.partner and not facts.onward_consent:
        return Reason.ONWARD_CONSENT_MISSING
    return against_category(facts)


def excluded(facts: Facts, recipient: str) -> Reason | None:
    """Return whether the record is kept from this recipient."""
    if facts.excluded is None or recipient in facts.excluded:
        return Reason.RECIPIENT_EXCLUDED
    return None


def against_category(facts: Facts) -> Reason | None:
    """Return the rule of the category that the facts break (DOMAIN 3.1)."""
    rule = CATEGORIES[facts.category]
    if facts.subject_type not in rule.subject_types:
        return Reason.SUBJECT_TYPE_NOT_OF_CATEGORY
    if facts.subject_age not in rule.ages:
        unknown = facts.subject_age is SubjectAge.UNKNOWN
        return Reason.AGE_UNKNOWN if unknown else Reason.AGE_NOT_OF_CATEGORY
    if not facts.purposes <= rule.purposes:
        return Reason.PURPOSE_NOT_OF_CATEGORY
    if not facts.fields.isdisjoint(rule.fields_refused):
        return Reason.FIELD_NOT_OF_CATEGORY
    return None


def _type(clause: Clause, facts: Facts) -> Reason | None:
    if clause.subject_types and facts.subject_type not in clause.subject_types:
        return Reason.SUBJECT_TYPE_NOT_GRANTED
    return None


def _purposes(clause: Clause, facts: Facts) -> Reason | None:
    return None if facts.purposes <= clause.purposes else Reason.PURPOSE_NOT_GRANTED


def _minors(clause: Clause, facts: Facts) -> Reason | None:
    rule, age = clause.minors, facts.subject_age
    if rule is MinorsRule.ADULTS_ONLY:
        refused = age in NOT_ADULT
    elif rule is MinorsRule.CHILDREN_ONLY:
        refused = age is not SubjectAge.CHILD
    else:
        # ANY refuses nobody.
        refused = (
            rule is MinorsRule.PROTECTION_ONLY
            and age in NOT_ADULT
            and not facts.purposes <= PROTECTIVE_PURPOSES
        )
    return Reason.MINOR_NOT_GRANTED if refused else None


def _fields(clause: Clause, facts: Facts) -> Reason | None:
    return None if facts.fields <= clause.fields else Reason.FIELD_NOT_GRANTED


def _handling(clause: Clause, facts: Facts) -> Reason | None:
    return None if facts.handling in clause.handling else Reason.HANDLING_NOT_GRANTED


def _source(clause: Clause, facts: Facts) -> Reason | None:
    return None if facts.source in clause.sources else Reason.SOURCE_NOT_GRANTED


def _information(clause: Clause, facts: Facts) -> Reason | None:
    return None if facts.information in clause.information else Reason.INFORMATION_NOT_GRANTED


def _offence(clause: Clause, facts: Facts) -> Reason | None:
    gate = clause.offence_gate
    return None if gate is None else closed_gate(gate, facts)


def closed_gate(gate: OffenceGate, facts: Facts) -> Reason | None:
    """Return why an offence does not pass a gate; what nobody has assessed does not."""
    if facts.offence is None or facts.max_sentence_months is None:
        return Reason.OFFENCE_UNKNOWN
    if facts.offence in gate.excluded:
        return Reason.OFFENCE_EXCLUDED
    if facts.max_sentence_months < gate.max_sentence_months_min:
        return Reason.SENTENCE_TOO_SHORT
    if gate.dual_criminality and not facts.dual_criminality:
        return Reason.NOT_DUALLY_CRIMINAL
    if gate.assurances and not facts.assurances:
        return Reason.ASSURANCES_MISSING
    return None


def _necessity(clause: Clause, facts: Facts) -> Reason | None:
    short = facts.necessity_length < clause.necessity_min_length
    return Reason.NECESSITY_TOO_SHORT if short else None


# In this order: the reason of a refusal is the first obstacle of the clause that came
# furthest.
OBSTACLES: Final[tuple[Callable[[Clause, Facts], Reason | None], ...]] = (
    _type,
    _purposes,
    _minors,
    _fields,
    _handling,
    _source,
    _information,
    _offence,
    _necessity,
)


def obstacle(clause: Clause, facts: Facts) -> tuple[int, Reason | None]:
    """Return the first thing in a permit's way and how far it came, or None."""
    for reached, find in enumerate(OBSTACLES):
        reason = find(clause, facts)
        if reason is not None:
            return reached, reason
    return len(OBSTACLES), None


def retention_end(created_at: datetime, days: int) -> datetime:
    """Return until when a record of that instant may be kept: a midnight, included.

    Headers carry the creation to the minute and the expiry rounded up to a day
    (PROTOCOL 3.4), so days are counted between midnights: then sender, hub and reader
    agree to the record.
    """
    midnight = datetime(created_at.year, created_at.month, created_at.day, tzinfo=UTC)
    return midnight + DAY + days * DAY


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the clauses of an agreement compare a length or an expiry with, ascending."""

    necessity_lengths: tuple[int, ...]
    retention_days: tuple[int, ...]


@lru_cache(maxsize=AGREEMENTS_KEPT_MAX)
def bounds_of(agreement: Agreement) -> Bounds:
    """Return every bound at which a decision about a record can change."""
    permits = [clause for clause in agreement.clauses if clause.permits]
    return Bounds(
        necessity_lengths=tuple(sorted({clause.necessity_min_length for clause in permits})),
        retention_days=tuple(sorted({clause.retention_days_max for clause in permits})),
    )


def forbids(clause: Clause, facts: Facts, purposes: Collection[Purpose]) -> bool:
    """Return whether a refusing clause applies; what can't be told applies (DESIGN 7).

    `purposes` are those of the act: of a disclosure the record's own, of a reading its.
    """
    return (
        (not clause.subject_types or facts.subject_type in clause.subject_types)
        and (not clause.purposes or not clause.purposes.isdisjoint(purposes))
        and (not clause.fields or not clause.fields.isdisjoint(facts.fields))
        and (not clause.handling or facts.handling in clause.handling)
        and (not clause.sources or facts.source in clause.sources)
        and (not clause.information or facts.information in clause.information)
        and _forbids_age(clause, facts)
        and _forbids_offence(clause, facts)
    )


def _forbids_age(clause: Clause, facts: Facts) -> bool:
    rule, age = clause.minors, facts.subject_age
    if rule is MinorsRule.ADULTS_ONLY:
        return age in {SubjectAge.ADULT, SubjectAge.UNKNOWN}
    if rule is MinorsRule.CHILDREN_ONLY:
        return age in NOT_ADULT
    if rule is MinorsRule.PROTECTION_ONLY:
        return age in NOT_ADULT and not facts.purposes <= PROTECTIVE_PURPOSES
    return True


def _forbids_offence(clause: Clause, facts: Facts) -> bool:
    gate = clause.offence_gate
    return gate is None or closed_gate(gate, facts) is not None


def forbids_header(clause: Clause, purposes: Collection[str]) -> bool:
    """Return whether a refusing clause applies to every record that a header may have."""
    if clause.looks_inside or clause.roles:
        return False
    return not clause.purposes or clause.purposes.issuperset(purposes)


def is_person_like(subject_type: SubjectType) -> bool:
    """Return whether a search for it is a search by name."""
    return subject_type in {SubjectType.PERSON, SubjectType.ENTITY}
