"""Explain: what could flow, before anybody sends anything."""

from hypothesis import given

from mithaq.agreements.categories import Category
from mithaq.agreements.clause import OffenceGate
from mithaq.agreements.explain import Row, explain, explain_one
from mithaq.agreements.facts import Facts
from mithaq.agreements.reason import Reason
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import (
    Handling,
    InformationGrade,
    MinorsRule,
    OffenceClass,
    OnwardTransfer,
    Purpose,
    RecordField,
    SourceGrade,
)
from tests.agreements.samples import EGYPT, IOM, TUNISIA, agreed, disclose, permit, refusal
from tests.agreements.strategies import MEMBERS, PATIENT, agreements, records


def row(agreement: Agreement, recipient: str = TUNISIA) -> Row:
    return explain_one(agreement, sender=EGYPT, recipient=recipient, category=Category.ARREST)


@PATIENT
@given(agreements(), records())
def test_what_is_allowed_stands_in_a_row_with_its_purposes_and_fields(
    agreement: Agreement, record: Facts
) -> None:
    for sender in MEMBERS:
        for recipient in set(MEMBERS) - {sender}:
            decision = disclose(agreement, record, sender=sender, recipient=recipient)
            found = explain_one(
                agreement, sender=sender, recipient=recipient, category=record.category
            )
            if decision.allowed:
                assert found.allowed
                assert set(decision.clause_ids) <= set(found.clause_ids)
                assert record.purposes <= set(found.purposes)
                assert record.fields <= set(found.fields)


def test_there_is_a_row_for_each_pair_and_category() -> None:
    rows = explain(agreed())
    assert len(rows) == 6 * len(Category)
    assert [found.category for found in rows if found.allowed] == [Category.ARREST]


def test_a_row_names_clauses_reason_action_purposes_and_fields() -> None:
    found = row(agreed())
    assert (found.allowed, found.clause_ids, found.reason) == (True, ("C1",), Reason.ALLOWED)
    assert found.action.startswith("Arrest")
    assert found.purposes == (Purpose.ARREST_SURRENDER, Purpose.BORDER_CONTROL)
    assert RecordField.PHOTO in found.fields


def test_a_row_without_a_clause_or_under_a_refusal_is_refused() -> None:
    nothing = row(agreed(), IOM)
    assert (nothing.allowed, nothing.clause_ids, nothing.reason) == (False, (), Reason.NO_CLAUSE)
    forbidden = row(agreed(permit(), refusal()))
    assert (forbidden.clause_ids, forbidden.reason) == (("D1",), Reason.FORBIDDEN_BY_CLAUSE)
    assert (forbidden.purposes, forbidden.fields, forbidden.conditions) == ((), (), ())


def test_conditions_say_what_else_is_asked() -> None:
    strict = permit(
        minors=MinorsRule.ADULTS_ONLY,
        necessity_min_length=20,
        quota_per_day=5,
        onward=OnwardTransfer.CONSENT,
        offence_gate=OffenceGate(
            max_sentence_months_min=12,
            excluded=frozenset({OffenceClass.POLITICAL}),
            dual_criminality=True,
            assurances=True,
        ),
    )
    partly = refusal(title="photos", fields=frozenset({RecordField.PHOTO}))
    told = "\n".join(row(agreed(strict, partly)).conditions)
    for part in (
        "Adults only",
        "H0, H1 only",
        "A/B 1/2 only",
        "12 months",
        "POLITICAL",
        "both laws",
        "death penalty",
        "100 days",
        "20 characters",
        "5 records a day",
        "recorded consent",
        "D1 refuses photos.",
    ):
        assert part in told


def test_a_clause_that_asks_for_nothing_else_says_only_how_long_and_how_far() -> None:
    wide = permit(
        handling=frozenset(Handling),
        sources=frozenset(SourceGrade),
        information=frozenset(InformationGrade),
        offence_gate=OffenceGate(),
    )
    told = row(agreed(wide, refusal(fields=frozenset({RecordField.PHOTO})))).conditions
    assert told == (
        "C1: An offence with a maximum sentence of 0 months or more.",
        "C1: Kept for at most 100 days.",
        "C1: Never passed on.",
        "D1 refuses part of it.",
    )
