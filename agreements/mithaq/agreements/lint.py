"""Terms examined before anybody signs them: what can't work, and what is unwise.

An error says that terms don't do what they seem to say; a warning that they leave out
what comparable agreements have (DOMAIN 3.4, 4). Lint changes nothing and refuses
nothing: the parties decide.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from itertools import permutations
from typing import Final

from mithaq.agreements.categories import CATEGORIES, Category
from mithaq.agreements.clause import Clause, Deadlines
from mithaq.agreements.explain import can_apply
from mithaq.agreements.grant import forbids_header
from mithaq.agreements.terms import LOG_RETENTION_DAYS, Agreement
from mithaq.agreements.vocabulary import (
    ORIGIN_SYSTEMS_NEVER,
    ROLES_WITHOUT_RECORDS,
    MinorsRule,
    OffenceClass,
    OnwardTransfer,
    SubjectType,
)


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found; `clause_id` is empty where it concerns the whole."""

    code: str
    severity: Severity
    clause_id: str
    message: str
    fix: str


POLICING: Final = frozenset(
    {
        Category.ARREST,
        Category.JUDICIAL,
        Category.CHECK_DISCREET,
        Category.CHECK_INQUIRY,
        Category.CHECK_SPECIFIC,
        Category.INFO_SERIOUS_CRIME,
    }
)
# INTERPOL's neutrality rule and its like (DOMAIN 4, T8).
NEUTRALITY: Final = frozenset(
    {OffenceClass.POLITICAL, OffenceClass.MILITARY, OffenceClass.RELIGIOUS}
)
URGENT_PAIRS: Final = (
    ("acknowledgement_urgent", "acknowledgement"),
    ("supplementary_urgent", "supplementary"),
    ("request_urgent_direct", "request_urgent"),
    ("request_urgent", "request"),
    ("redress_block", "redress_access"),
)


def lint(agreement: Agreement) -> list[Finding]:
    """Return the findings, errors first, in the order of the clauses."""
    found = [*_whole(agreement)]
    for clause in agreement.clauses:
        found += _permit(agreement, clause) if clause.permits else _refusal(agreement, clause)
    found += _overlaps(agreement)
    return sorted(found, key=lambda finding: finding.severity is Severity.WARNING)


def _error(code: str, clause_id: str, message: str, *, fix: str) -> Finding:
    return Finding(code, Severity.ERROR, clause_id, message, fix)


def _warning(code: str, clause_id: str, message: str, *, fix: str) -> Finding:
    return Finding(code, Severity.WARNING, clause_id, message, fix)


def _whole(agreement: Agreement) -> Iterator[Finding]:
    yield from _parties(agreement)
    yield from _deadlines(agreement.deadlines)
    missing = ORIGIN_SYSTEMS_NEVER - agreement.excluded_origin_systems
    if missing:
        yield _warning(
            "ORIGIN_NOT_NAMED",
            "",
            f"the terms don't exclude {', '.join(sorted(missing))}, which is refused all the same",
            fix="name them in excluded_origin_systems, so that readers of the terms see it",
        )
    if agreement.log_retention_days < LOG_RETENTION_DAYS:
        yield _warning(
            "LOGS_TOO_SHORT",
            "",
            f"logs are kept for {agreement.log_retention_days} days",
            fix=f"keep them for {LOG_RETENTION_DAYS} days or more",
        )


def _parties(agreement: Agreement) -> Iterator[Finding]:
    named: set[str] = set()
    for clause in agreement.clauses:
        if clause.permits:
            named |= clause.senders | clause.recipients
    for party in agreement.parties:
        if party.member not in named:
            yield _error(
                "PARTY_WITHOUT_CLAUSE",
                "",
                f"no clause lets {party.member} send or receive anything",
                fix="name it in a clause, or leave it out of the parties",
            )
        if not party.supervisor:
            yield _warning(
                "SUPERVISOR_MISSING",
                "",
                f"{party.member} names no supervisor",
                fix="name the authority that supervises its use of data",
            )


def _deadlines(deadlines: Deadlines) -> Iterator[Finding]:
    usual = Deadlines()
    for field in fields(Deadlines):
        agreed, default = getattr(deadlines, field.name), getattr(usual, field.name)
        if agreed > default:
            yield _warning(
                "DEADLINE_LONG",
                "",
                f"the deadline {field.name} is longer than usual",
                fix="shorten it, or be sure that the parties can't do better",
            )
    for urgent, ordinary in URGENT_PAIRS:
        if getattr(deadlines, urgent) > getattr(deadlines, ordinary):
            yield _error(
                "DEADLINES_REVERSED",
                "",
                f"the deadline {urgent} is longer than {ordinary}",
                fix="let the urgent one be the shorter",
            )


def _permit(agreement: Agreement, clause: Clause) -> Iterator[Finding]:
    yield from _reach(agreement, clause)
    yield from _unused_words(clause)
    yield from _retention(clause)
    yield from _safeguards(clause)


def _reach(agreement: Agreement, clause: Clause) -> Iterator[Finding]:
    dead = sorted(each for each in clause.categories if not can_apply(clause, each))
    if len(dead) == len(clause.categories):
        yield _error(
            "NEVER_APPLIES",
            clause.id,
            f"{clause.id} can never apply: its types, purposes, fields or ages fit no category",
            fix="compare them with the categories that it names",
        )
    elif dead:
        yield _error(
            "CATEGORY_NEVER_APPLIES",
            clause.id,
            f"{clause.id} can never apply to {', '.join(dead)}",
            fix="take the category out, or give it purposes, fields and subjects that it can have",
        )
    if dead == [] and _always_forbidden(agreement, clause):
        yield _error(
            "ALWAYS_FORBIDDEN",
            clause.id,
            f"{clause.id} can never apply: other clauses refuse all of it",
            fix="take it out, or narrow the clause that refuses",
        )


def _always_forbidden(agreement: Agreement, clause: Clause) -> bool:
    return all(
        any(
            forbids_header(refusal, clause.purposes)
            for refusal in agreement.rows(sender, category).denies.get(recipient, ())
        )
        for sender, recipient in _pairs(clause)
        for category in clause.categories
    )


def _pairs(clause: Clause) -> list[tuple[str, str]]:
    return [
        (sender, recipient)
        for sender in clause.senders
        for recipient in clause.recipients
        if sender != recipient
    ]


def _unused_words(clause: Clause) -> Iterator[Finding]:
    rules = [CATEGORIES[category] for category in clause.categories]
    idle = sorted(
        purpose
        for purpose in clause.purposes
        if not any(purpose in rule.purposes for rule in rules)
    )
    if idle:
        yield _warning(
            "PURPOSE_IDLE",
            clause.id,
            f"no category of {clause.id} can serve {', '.join(idle)}",
            fix="take the purpose out",
        )
    carried = sorted(
        field for field in clause.fields if all(field in rule.fields_refused for rule in rules)
    )
    if carried:
        yield _warning(
            "FIELD_IDLE",
            clause.id,
            f"no category of {clause.id} may carry {', '.join(carried)}",
            fix="take the field out",
        )
    blind = sorted(clause.roles & ROLES_WITHOUT_RECORDS)
    if blind:
        yield _warning(
            "ROLE_IDLE",
            clause.id,
            f"{', '.join(blind)} never reads records",
            fix="take the role out",
        )


def _retention(clause: Clause) -> Iterator[Finding]:
    for category in sorted(clause.categories):
        usual = CATEGORIES[category].validity_days
        if clause.retention_days_max > usual:
            yield _warning(
                "RETENTION_LONG",
                clause.id,
                f"{clause.id} keeps {category} for {clause.retention_days_max} days, "
                f"usual are {usual}",
                fix="give the category a clause of its own with its usual period",
            )


def _safeguards(clause: Clause) -> Iterator[Finding]:
    gate = clause.offence_gate
    if Category.ARREST in clause.categories and (gate is None or not gate.excluded >= NEUTRALITY):
        yield _warning(
            "GATE_OPEN",
            clause.id,
            f"{clause.id} lets arrest rest on political, military or religious offences",
            fix="give it an offence_gate that excludes them",
        )
    if clause.categories & POLICING and clause.minors is MinorsRule.ANY:
        yield _warning(
            "MINORS_OPEN",
            clause.id,
            f"{clause.id} lets police measures reach children",
            fix="set minors to ADULTS_ONLY or PROTECTION_ONLY",
        )
    if not clause.necessity_min_length:
        yield _warning(
            "NECESSITY_NOT_ASKED",
            clause.id,
            f"{clause.id} asks for no statement of necessity",
            fix="set necessity_min_length",
        )
    if not clause.legal_reference:
        yield _warning(
            "LAW_NOT_NAMED",
            clause.id,
            f"{clause.id} doesn't say which law or treaty it rests on",
            fix="name it in legal_reference",
        )


def _refusal(agreement: Agreement, clause: Clause) -> Iterator[Finding]:
    senders = clause.senders or agreement.members
    recipients = clause.recipients or agreement.members
    touched = any(
        not clause.categories or not permit.categories.isdisjoint(clause.categories)
        for sender, recipient in permutations(sorted(agreement.members), 2)
        if sender in senders and recipient in recipients
        for permit in agreement.clauses
        if permit.permits and sender in permit.senders and recipient in permit.recipients
    )
    if not touched:
        yield _error(
            "REFUSES_NOTHING",
            clause.id,
            f"{clause.id} refuses what no clause permits",
            fix="take it out, or correct its senders, recipients and categories",
        )


def _overlaps(agreement: Agreement) -> Iterator[Finding]:
    permits = [clause for clause in agreement.clauses if clause.permits]
    for place, clause in enumerate(permits):
        for other in permits[place + 1 :]:
            if covers(other, clause):
                yield _shadowed(clause, by=other)
            elif covers(clause, other):
                yield _shadowed(other, by=clause)
            elif _overlap(clause, other):
                yield _warning(
                    "OVERLAP",
                    other.id,
                    f"{clause.id} and {other.id} speak of the same sender, recipient and "
                    "category; what either permits is allowed",
                    fix="join them, or part their members or categories",
                )


def _shadowed(clause: Clause, *, by: Clause) -> Finding:
    return _warning(
        "SHADOWED",
        clause.id,
        f"{by.id} permits all that {clause.id} permits",
        fix=f"take {clause.id} out",
    )


def _overlap(clause: Clause, other: Clause) -> bool:
    return not clause.categories.isdisjoint(other.categories) and not set(
        _pairs(clause)
    ).isdisjoint(_pairs(other))


def covers(wide: Clause, narrow: Clause) -> bool:
    """Return whether one permit allows all that another allows."""
    return (
        set(_pairs(narrow)) <= set(_pairs(wide))
        and all(getattr(narrow, name) <= getattr(wide, name) for name in GRANTED_SETS)
        and (not wide.subject_types or _within(narrow.subject_types, wide.subject_types))
        and wide.minors in {MinorsRule.ANY, narrow.minors}
        and wide.offence_gate in {None, narrow.offence_gate}
        and wide.onward in {OnwardTransfer.CONSENT, narrow.onward}
        and wide.retention_days_max >= narrow.retention_days_max
        and wide.necessity_min_length <= narrow.necessity_min_length
        and quota(wide) >= quota(narrow)
    )


def _within(types: frozenset[SubjectType], wider: frozenset[SubjectType]) -> bool:
    # None named are all of them.
    return bool(types) and types <= wider


def quota(clause: Clause) -> float:
    """Return how many records a day a permit allows; infinite where it names none."""
    return clause.quota_per_day or float("inf")


GRANTED_SETS: Final = (
    "categories",
    "purposes",
    "fields",
    "handling",
    "roles",
    "sources",
    "information",
)
