"""What may flow from whom to whom, row by row, before anybody sends anything.

A row answers for every sender, recipient and category: which clauses permit it, under
which conditions, and which refuse it at once or in part. It says what could be allowed;
only a decision on facts says that something is.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Final

from mithaq.agreements.categories import CATEGORIES, Category
from mithaq.agreements.clause import Clause, OffenceGate
from mithaq.agreements.grant import forbids_header
from mithaq.agreements.reason import Reason
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import (
    PROTECTIVE_PURPOSES,
    Handling,
    InformationGrade,
    MinorsRule,
    OnwardTransfer,
    Purpose,
    RecordField,
    SourceGrade,
    SubjectAge,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One sender, recipient and category; `conditions` are one sentence each.

    `clause_ids` are the clauses behind the answer; `action` is what the recipient is
    asked to do.
    """

    sender: str
    recipient: str
    category: Category
    action: str
    allowed: bool
    clause_ids: tuple[str, ...]
    reason: Reason
    purposes: tuple[Purpose, ...]
    fields: tuple[RecordField, ...]
    conditions: tuple[str, ...]


def explain(agreement: Agreement) -> list[Row]:
    """Return a row for each ordered pair of parties and each category."""
    members = [party.member for party in agreement.parties]
    return [
        explain_one(agreement, sender=sender, recipient=recipient, category=category)
        for sender, recipient in permutations(members, 2)
        for category in Category
    ]


def explain_one(agreement: Agreement, *, sender: str, recipient: str, category: Category) -> Row:
    """Return the row of one sender, recipient and category."""
    rows = agreement.rows(sender, category)
    permits = [clause for clause in rows.permits.get(recipient, ()) if can_apply(clause, category)]
    purposes = _of_category(permits, category)
    always = [
        clause for clause in rows.denies.get(recipient, ()) if forbids_header(clause, purposes)
    ]
    if permits and not always:
        deciding, reason = permits, Reason.ALLOWED
    elif permits:
        deciding, reason = always, Reason.FORBIDDEN_BY_CLAUSE
    else:
        deciding, reason = [], Reason.NO_CLAUSE
    allowed = reason is Reason.ALLOWED
    refusals = [clause for clause in rows.denies.get(recipient, ()) if clause not in always]
    return Row(
        sender=sender,
        recipient=recipient,
        category=category,
        action=CATEGORIES[category].action_text,
        allowed=allowed,
        clause_ids=tuple(clause.id for clause in deciding),
        reason=reason,
        purposes=tuple(sorted(purposes)) if allowed else (),
        fields=tuple(sorted(_fields(permits, category))) if allowed else (),
        conditions=tuple(_conditions(permits, refusals)) if allowed else (),
    )


def can_apply(clause: Clause, category: Category) -> bool:
    """Return whether some record of the category could pass a permit's conditions."""
    rule = CATEGORIES[category]
    ages_fit = {
        MinorsRule.ADULTS_ONLY: not rule.child_only,
        MinorsRule.CHILDREN_ONLY: SubjectAge.CHILD in rule.ages,
        MinorsRule.PROTECTION_ONLY: not rule.child_only
        or not PROTECTIVE_PURPOSES.isdisjoint(clause.purposes & rule.purposes),
    }
    return (
        (not clause.subject_types or not clause.subject_types.isdisjoint(rule.subject_types))
        and not clause.purposes.isdisjoint(rule.purposes)
        and not clause.fields <= rule.fields_refused
        and ages_fit.get(clause.minors, True)
    )


def _of_category(permits: Iterable[Clause], category: Category) -> frozenset[Purpose]:
    named = frozenset(purpose for clause in permits for purpose in clause.purposes)
    return named & CATEGORIES[category].purposes


def _fields(permits: Iterable[Clause], category: Category) -> frozenset[RecordField]:
    named = frozenset(field for clause in permits for field in clause.fields)
    return named - CATEGORIES[category].fields_refused


def _conditions(permits: Iterable[Clause], refusals: Iterable[Clause]) -> Iterator[str]:
    for clause in permits:
        for sentence in conditions_of(clause):
            yield f"{clause.id}: {sentence}"
    for clause in refusals:
        yield f"{clause.id} refuses {clause.title or 'part of it'}."


def conditions_of(clause: Clause) -> Iterator[str]:
    """Yield what a clause asks beside its sender, recipient, category, purposes and fields."""
    if clause.minors in MINORS_TEXTS:
        yield MINORS_TEXTS[clause.minors]
    if len(clause.handling) < len(Handling):
        yield f"Handling codes {', '.join(sorted(clause.handling))} only."
    if len(clause.sources) < len(SourceGrade) or len(clause.information) < len(InformationGrade):
        grades = f"{'/'.join(sorted(clause.sources))} {'/'.join(sorted(clause.information))}"
        yield f"Evaluated as {grades} only."
    if clause.offence_gate is not None:
        yield from _gate(clause.offence_gate)
    yield f"Kept for at most {clause.retention_days_max} days."
    if clause.necessity_min_length:
        yield f"Necessity stated in at least {clause.necessity_min_length} characters."
    if clause.quota_per_day:
        yield f"At most {clause.quota_per_day} records a day."
    yield ONWARD_TEXTS[clause.onward]


def _gate(gate: OffenceGate) -> Iterator[str]:
    yield f"An offence with a maximum sentence of {gate.max_sentence_months_min} months or more."
    if gate.excluded:
        yield f"Never for offences classed {', '.join(sorted(gate.excluded))}."
    if gate.dual_criminality:
        yield "An offence under both laws."
    if gate.assurances:
        yield "Assurances against the death penalty and torture on record."


MINORS_TEXTS: Final = {
    MinorsRule.ADULTS_ONLY: "Adults only; an unknown age counts as a child's.",
    MinorsRule.CHILDREN_ONLY: "Children only; an unknown age counts as an adult's.",
    MinorsRule.PROTECTION_ONLY: "Children for purposes of protection only.",
}
ONWARD_TEXTS: Final = {
    OnwardTransfer.NONE: "Never passed on.",
    OnwardTransfer.CONSENT: "Passed on only with the sender's recorded consent.",
}
