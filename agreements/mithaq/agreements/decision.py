"""The evaluator: whether a record may be disclosed, admitted, read, passed on.

Every place asks the same clauses: the sender before sealing and the reader on opening
with the full facts, the hub with what a header tells, the reader at every reading with
its officer's role and purpose. The rule: no clause, no flow; a clause that refuses
wins; what can't be evaluated is refused.

Deciding looks at nothing but its arguments, so that ``act.replay`` gives the same answer
from an audit log years later.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from mithaq.agreements.categories import CATEGORIES
from mithaq.agreements.clause import Clause
from mithaq.agreements.facts import Facts
from mithaq.agreements.grant import (
    CLOCK_SKEW_DEFAULT,
    excluded,
    forbids,
    is_person_like,
    left,
    never_allowed,
    no_standing,
    not_in_force,
    not_parties,
    obstacle,
    out_of_time,
    retention_end,
)
from mithaq.agreements.header import Header, judge
from mithaq.agreements.reason import Decision, Reason, allowed, refused
from mithaq.agreements.status import AgreementStatus
from mithaq.agreements.terms import Agreement, ClauseRows
from mithaq.agreements.vocabulary import (
    COMPATIBLE_PURPOSES,
    ROLES_WITHOUT_RECORDS,
    EntryKind,
    OfficerRole,
    OnwardTransfer,
    Purpose,
    StreamRole,
    SubjectType,
)

__all__ = [
    "Decision",
    "decide_audience",
    "decide_disclosure",
    "decide_header",
    "decide_onward",
    "decide_quota",
    "decide_reading",
    "decide_search",
]


def decide_disclosure(
    agreement: Agreement,
    *,
    status: AgreementStatus,
    facts: Facts,
    sender: str,
    recipient: str,
    at: datetime,
    created_at: datetime | None = None,
    clock_skew: timedelta = CLOCK_SKEW_DEFAULT,
) -> Decision:
    """Decide whether one recipient may be given a record: before sealing, and on opening.

    `created_at` is the header's, from which retention runs; leave it out before sealing.
    `clock_skew` is by how much it may lie ahead: what the federation's policy says.
    """
    created = at if created_at is None else created_at
    reason = (
        no_standing(agreement, status, sender=sender, recipient=recipient, at=at)
        or _unfit(agreement, facts, created_at=created, at=at, clock_skew=clock_skew)
        or excluded(facts, recipient)
    )
    if reason is not None:
        return refused(reason)
    rows = agreement.rows(sender, facts.category)
    return _by_clauses(rows, recipient, facts, created)


def decide_audience(
    agreement: Agreement,
    *,
    status: AgreementStatus,
    facts: Facts,
    sender: str,
    at: datetime,
    created_at: datetime | None = None,
) -> dict[str, Decision]:
    """Decide about every other party at once; each decision is that of `decide_disclosure`.

    What is the same for all recipients is asked once, and parties to whom the same
    clauses apply share a decision: an audience of 31 costs little more than one of 2.
    """
    created = at if created_at is None else created_at
    not_now = not_in_force(agreement, status, at)
    unfit = _unfit(agreement, facts, created_at=created, at=at)
    rows = agreement.rows(sender, facts.category)
    known: dict[tuple[int, int], Decision] = {}
    decisions: dict[str, Decision] = {}
    for recipient in (party.member for party in agreement.parties if party.member != sender):
        reason = (
            not_now
            or not_parties(agreement, sender=sender, recipient=recipient)
            or left(status, sender=sender, recipient=recipient)
            or unfit
            or excluded(facts, recipient)
        )
        if reason is not None:
            decisions[recipient] = refused(reason)
            continue
        permits, denies = rows.permits.get(recipient, ()), rows.denies.get(recipient, ())
        # Rows with the same clauses are one tuple (``terms``).
        key = id(permits), id(denies)
        if key not in known:
            known[key] = _by_clauses(rows, recipient, facts, created)
        decisions[recipient] = known[key]
    return decisions


def _unfit(
    agreement: Agreement,
    facts: Facts,
    *,
    created_at: datetime,
    at: datetime,
    clock_skew: timedelta = CLOCK_SKEW_DEFAULT,
) -> Reason | None:
    return out_of_time(
        facts.expires_at, created_at=created_at, at=at, clock_skew=clock_skew
    ) or never_allowed(agreement, facts)


def _by_clauses(rows: ClauseRows, recipient: str, facts: Facts, created_at: datetime) -> Decision:
    forbidding = [
        clause.id
        for clause in rows.denies.get(recipient, ())
        # A refusal that names roles is about reading.
        if not clause.roles and forbids(clause, facts, facts.purposes)
    ]
    if forbidding:
        return refused(Reason.FORBIDDEN_BY_CLAUSE, *forbidding)
    permits = rows.permits.get(recipient, ())
    if not permits:
        # Named, so that whoever is refused can read which clause grants it to others.
        near = dict.fromkeys(each.id for others in rows.permits.values() for each in others)
        return refused(Reason.NO_CLAUSE, *near)
    return _granted(permits, facts, created_at)


def _granted(permits: Iterable[Clause], facts: Facts, created_at: datetime) -> Decision:
    """Return the permits without an obstacle, or the obstacle of the nearest."""
    granting: list[str] = []
    furthest, nearest = -1, refused(Reason.NO_CLAUSE)
    for clause in permits:
        reached, reason = obstacle(clause, facts)
        if reason is None and facts.expires_at > retention_end(
            created_at, clause.retention_days_max
        ):
            reason = Reason.RETENTION_TOO_LONG
        if reason is None:
            granting.append(clause.id)
        elif reached > furthest:
            furthest, nearest = reached, refused(reason, clause.id)
    return allowed(*granting) if granting else nearest


def decide_header(
    agreement: Agreement,
    *,
    status: AgreementStatus,
    category: str,
    sender: str,
    recipients: Collection[str],
    purposes: Collection[str],
    expires_at: datetime | None,
    at: datetime,
    kind: int = EntryKind.PUT,
    role: int = StreamRole.DISCLOSURE,
    created_at: datetime | None = None,
    clock_skew: timedelta = CLOCK_SKEW_DEFAULT,
) -> Decision:
    """Decide by a header alone whether an entry is admitted: at the hub (see ``Header``)."""
    header = Header(
        kind=kind,
        role=role,
        category=category,
        sender=sender,
        recipients=tuple(recipients),
        purposes=frozenset(purposes),
        expires_at=expires_at,
        created_at=at if created_at is None else created_at,
    )
    return judge(agreement, header, status=status, at=at, clock_skew=clock_skew)


def decide_reading(
    agreement: Agreement,
    *,
    status: AgreementStatus,
    facts: Facts,
    sender: str,
    reader: str,
    purpose: Purpose,
    role: OfficerRole,
    at: datetime,
) -> Decision:
    """Decide whether an officer of the reader may see a record that `sender` disclosed."""
    reason = (
        no_standing(agreement, status, sender=sender, recipient=reader, at=at)
        or _unfit(agreement, facts, created_at=at, at=at)
        or excluded(facts, reader)
        or _unfit_for_reading(facts, purpose=purpose, role=role)
    )
    if reason is not None:
        return refused(reason)
    rows = agreement.rows(sender, facts.category)
    forbidding = [
        clause.id
        for clause in rows.denies.get(reader, ())
        if _forbids_reading(clause, facts, purpose=purpose, role=role)
    ]
    if forbidding:
        return refused(Reason.FORBIDDEN_BY_CLAUSE, *forbidding)
    return _readable(rows.permits.get(reader, ()), facts, purpose=purpose, role=role)


def _unfit_for_reading(facts: Facts, *, purpose: Purpose, role: OfficerRole) -> Reason | None:
    if role in ROLES_WITHOUT_RECORDS:
        return Reason.ROLE_NOT_GRANTED
    if purpose not in CATEGORIES[facts.category].purposes:
        return Reason.PURPOSE_NOT_OF_CATEGORY
    if not any(purpose in COMPATIBLE_PURPOSES[given] for given in facts.purposes):
        return Reason.PURPOSE_INCOMPATIBLE
    return None


def _forbids_reading(clause: Clause, facts: Facts, *, purpose: Purpose, role: OfficerRole) -> bool:
    if clause.roles:
        return role in clause.roles and forbids(clause, facts, {purpose})
    return forbids(clause, facts, facts.purposes | {purpose})


def _readable(
    permits: Iterable[Clause], facts: Facts, *, purpose: Purpose, role: OfficerRole
) -> Decision:
    """Return the permits that let this officer read; retention was judged on opening."""
    granting: list[str] = []
    furthest, nearest = -1, refused(Reason.NO_CLAUSE)
    for clause in permits:
        reached, reason = obstacle(clause, facts)
        if reason is None:
            if purpose not in clause.purposes:
                reason = Reason.PURPOSE_NOT_GRANTED
            elif role not in clause.roles:
                reached, reason = reached + 1, Reason.ROLE_NOT_GRANTED
        if reason is None:
            granting.append(clause.id)
        elif reached > furthest:
            furthest, nearest = reached, refused(reason, clause.id)
    return allowed(*granting) if granting else nearest


def decide_search(
    agreement: Agreement,
    *,
    status: AgreementStatus,
    searcher: str,
    subject_type: SubjectType,
    purpose: Purpose,
    role: OfficerRole,
    synced_at: datetime,
    at: datetime,
) -> Decision:
    """Decide whether what others disclosed under the agreement may be searched.

    `synced_at` is the registry's time when the searcher was last in touch. Beyond the
    staleness limit names are closed, and documents and objects are "verify with the
    bureau" (DESIGN 7).
    """
    reason = no_standing_to_search(agreement, status, searcher=searcher, at=at)
    if reason is not None:
        return refused(reason)
    granting = _searchable(agreement, searcher=searcher, purpose=purpose, role=role)
    if not granting:
        return refused(Reason.ROLE_NOT_GRANTED)
    if at - synced_at <= agreement.staleness_limit:
        return allowed(*granting)
    if is_person_like(subject_type):
        return refused(Reason.STALE_PERSON_SEARCH_CLOSED, *granting)
    return allowed(*granting, reason=Reason.ALLOWED_VERIFY_WITH_BUREAU)


def no_standing_to_search(
    agreement: Agreement, status: AgreementStatus, *, searcher: str, at: datetime
) -> Reason | None:
    """Return why a member may search nothing under the agreement."""
    if (reason := not_in_force(agreement, status, at)) is not None:
        return reason
    if searcher not in agreement.members:
        return Reason.RECIPIENT_NOT_PARTY
    return Reason.RECIPIENT_LEFT if searcher in status.left else None


def _searchable(
    agreement: Agreement, *, searcher: str, purpose: Purpose, role: OfficerRole
) -> list[str]:
    if role in ROLES_WITHOUT_RECORDS:
        return []
    return [
        clause.id
        for clause in agreement.clauses
        if clause.permits
        and searcher in clause.recipients
        and purpose in clause.purposes
        and role in clause.roles
    ]


def decide_onward(
    agreement: Agreement,
    *,
    status: AgreementStatus,
    facts: Facts,
    sender: str,
    holder: str,
    recipient: str,
    at: datetime,
) -> Decision:
    """Decide whether `holder` may pass on to `recipient` what `sender` disclosed to it.

    `facts.onward_consent` is the sender's recorded consent to this record's transfer.
    The transfer itself needs an agreement of its own between holder and recipient.
    """
    reason = (
        no_standing(agreement, status, sender=sender, recipient=holder, at=at)
        or _unfit(agreement, facts, created_at=at, at=at)
        or excluded(facts, recipient)
    )
    if reason is not None:
        return refused(reason)
    permits = agreement.rows(sender, facts.category).permits.get(holder, ())
    granting = [clause for clause in permits if obstacle(clause, facts)[1] is None]
    if not granting:
        return refused(Reason.NO_CLAUSE)
    consenting = [c.id for c in granting if c.onward is OnwardTransfer.CONSENT]
    if not consenting:
        return refused(Reason.ONWARD_NOT_GRANTED, *(clause.id for clause in granting))
    if not facts.onward_consent:
        return refused(Reason.ONWARD_CONSENT_MISSING, *consenting)
    return allowed(*consenting)


def decide_quota(
    agreement: Agreement, *, sender: str, category: str, recipient: str, sent_today: int
) -> Decision:
    """Decide whether one more record of the category fits the sender's day.

    A quota counts acts and not what is in them, so whoever counts asks for it apart:
    `sent_today` are the records of the category that went to the recipient since
    midnight UTC. A clause without a quota leaves the others without effect.
    """
    permits = agreement.rows(sender, category).permits.get(recipient, ())
    roomy = [
        clause.id
        for clause in permits
        if clause.quota_per_day == 0 or sent_today < clause.quota_per_day
    ]
    if roomy:
        return allowed(*roomy)
    if not permits:
        return refused(Reason.NO_CLAUSE)
    return refused(Reason.QUOTA_USED_UP, *(clause.id for clause in permits))
