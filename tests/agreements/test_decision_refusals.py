"""Clauses that refuse: they win where they apply, and apply where nobody can tell."""

from typing import Any

import pytest

from mithaq.agreements.categories import Category
from mithaq.agreements.clause import OffenceGate
from mithaq.agreements.reason import Reason
from mithaq.agreements.vocabulary import (
    Handling,
    InformationGrade,
    MinorsRule,
    OffenceClass,
    OfficerRole,
    Purpose,
    RecordField,
    SourceGrade,
    SubjectAge,
    SubjectType,
)
from tests.agreements.samples import (
    EGYPT,
    FACTS,
    IOM,
    TUNISIA,
    agreed,
    disclose,
    facts,
    offence,
    permit,
    refusal,
)

CHILD = facts(subject_age=SubjectAge.CHILD)
UNKNOWN = facts(subject_age=SubjectAge.UNKNOWN)


@pytest.mark.parametrize(
    "narrowing",
    [
        {},
        {"senders": frozenset({EGYPT})},
        {"recipients": frozenset({TUNISIA})},
        {"categories": frozenset({Category.ARREST})},
        {"subject_types": frozenset({SubjectType.PERSON})},
        {"purposes": frozenset({Purpose.ARREST_SURRENDER, Purpose.PUBLIC_HEALTH})},
        {"fields": frozenset({RecordField.NAME, RecordField.DNA})},
        {"handling": frozenset({Handling.H0})},
        {"sources": frozenset({SourceGrade.A})},
        {"information": frozenset({InformationGrade.FIRST})},
        {"minors": MinorsRule.ADULTS_ONLY},
        {"offence_gate": OffenceGate()},
    ],
)
def test_a_clause_that_refuses_wins_where_it_applies(narrowing: dict[str, Any]) -> None:
    decision = disclose(agreed(permit(), refusal(**narrowing)))
    assert (decision.reason, decision.clause_ids) == (Reason.FORBIDDEN_BY_CLAUSE, ("D1",))


@pytest.mark.parametrize(
    "narrowing",
    [
        {"senders": frozenset({TUNISIA})},
        {"recipients": frozenset({IOM})},
        {"categories": frozenset({Category.JUDICIAL})},
        {"subject_types": frozenset({SubjectType.ENTITY})},
        {"purposes": frozenset({Purpose.PUBLIC_HEALTH})},
        {"fields": frozenset({RecordField.DNA})},
        {"handling": frozenset({Handling.H3})},
        {"sources": frozenset({SourceGrade.X})},
        {"information": frozenset({InformationGrade.FOURTH})},
        {"minors": MinorsRule.CHILDREN_ONLY},
        {"minors": MinorsRule.PROTECTION_ONLY},
        # A refusal that names roles is about reading.
        {"roles": frozenset({OfficerRole.FIRST_LINE})},
    ],
)
def test_a_clause_that_refuses_leaves_alone_what_it_does_not_name(
    narrowing: dict[str, Any],
) -> None:
    assert disclose(agreed(permit(), refusal(**narrowing))).allowed


@pytest.mark.parametrize(
    "rule", [MinorsRule.CHILDREN_ONLY, MinorsRule.ADULTS_ONLY, MinorsRule.PROTECTION_ONLY]
)
def test_a_refusal_by_age_applies_to_an_unknown_age(rule: MinorsRule) -> None:
    decision = disclose(agreed(permit(), refusal(minors=rule)), UNKNOWN)
    assert decision.reason is Reason.FORBIDDEN_BY_CLAUSE


def test_a_refusal_of_children_for_other_than_protection_leaves_protection_alone() -> None:
    missing = facts(
        category=Category.MISSING_LOCATE,
        subject_age=SubjectAge.CHILD,
        purposes=frozenset({Purpose.MISSING_PERSONS}),
    )
    agreement = agreed(
        permit(
            categories=frozenset({Category.MISSING_LOCATE, Category.ARREST}),
            purposes=frozenset({Purpose.MISSING_PERSONS, Purpose.ARREST_SURRENDER}),
        ),
        refusal(minors=MinorsRule.PROTECTION_ONLY),
    )
    assert disclose(agreement, missing).allowed
    assert disclose(agreement, CHILD).reason is Reason.FORBIDDEN_BY_CLAUSE


def test_a_refusal_without_a_gate_applies_whatever_the_offence() -> None:
    decision = disclose(agreed(permit(), refusal()), offence())
    assert decision.reason is Reason.FORBIDDEN_BY_CLAUSE


def test_a_refusal_by_offence_applies_to_what_its_gate_would_stop() -> None:
    agreement = agreed(
        permit(),
        refusal(offence_gate=OffenceGate(excluded=frozenset({OffenceClass.POLITICAL}))),
    )
    assert disclose(agreement, offence()).allowed
    for record in (offence(OffenceClass.POLITICAL), FACTS):
        assert disclose(agreement, record).reason is Reason.FORBIDDEN_BY_CLAUSE
