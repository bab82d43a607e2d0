"""What a new version changes, and whether it widens."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given

from mithaq.agreements.categories import Category
from mithaq.agreements.clause import Deadlines, OffenceGate
from mithaq.agreements.diff import Change, Effect, diff
from mithaq.agreements.facts import Facts
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import (
    ClauseEffect,
    LegalBasis,
    MinorsRule,
    OffenceClass,
    OnwardTransfer,
    OriginStateRule,
    Purpose,
    RecordField,
    SubjectType,
)
from tests.agreements.samples import (
    BEGIN,
    DAY,
    EGYPT,
    END,
    IOM,
    PARTIES,
    TUNISIA,
    agreed,
    disclose,
    permit,
    refusal,
)
from tests.agreements.strategies import MEMBERS, PATIENT, agreements, records

WIDENS, NARROWS, UNCLEAR, NEUTRAL = Effect.WIDENS, Effect.NARROWS, Effect.UNCLEAR, Effect.NEUTRAL


def effects(old: Agreement, new: Agreement) -> dict[str, Effect]:
    changes = diff(old, new).changes
    assert len({change.where for change in changes}) == len(changes)
    return {change.where: change.effect for change in changes}


@PATIENT
@given(agreements())
def test_terms_differ_in_nothing_from_themselves(agreement: Agreement) -> None:
    difference = diff(agreement, replace(agreement, version=agreement.version + 1))
    assert difference.changes == ()
    assert not difference.widens
    assert not difference.narrows


@PATIENT
@given(agreements(), agreements(), records())
def test_what_only_the_new_terms_allow_is_told_as_widening(
    old: Agreement, new: Agreement, record: Facts
) -> None:
    difference = diff(old, new)
    for sender in MEMBERS:
        for recipient in set(MEMBERS) - {sender}:
            before = disclose(old, record, sender=sender, recipient=recipient).allowed
            after = disclose(new, record, sender=sender, recipient=recipient).allowed
            if after and not before:
                assert difference.widens
            if before and not after:
                assert difference.narrows


@pytest.mark.parametrize(
    ("changes", "where", "effect"),
    [
        ({"expires_at": END + DAY}, "expires_at", WIDENS),
        ({"expires_at": END - DAY}, "expires_at", NARROWS),
        ({"effective_from": BEGIN - DAY}, "effective_from", WIDENS),
        ({"effective_from": BEGIN + DAY}, "effective_from", NARROWS),
        ({"staleness_limit": timedelta(hours=72)}, "staleness_limit", WIDENS),
        ({"staleness_limit": timedelta(hours=24)}, "staleness_limit", NARROWS),
        ({"wind_down": timedelta(days=30)}, "wind_down", NEUTRAL),
        ({"title": "Other"}, "title", NEUTRAL),
        ({"log_retention_days": 2000}, "log_retention_days", NEUTRAL),
        ({"deadlines": Deadlines(flag=DAY * 2)}, "deadlines.flag", NEUTRAL),
        ({"origin_state_rule": OriginStateRule.ALL_NATIONALS}, "origin_state_rule", NARROWS),
        (
            {"excluded_origin_systems": frozenset({"SIS", "EURODAC", "VIS", "EES", "X"})},
            "excluded_origin_systems",
            NARROWS,
        ),
        ({"excluded_origin_systems": frozenset[str]()}, "excluded_origin_systems", WIDENS),
        (
            {"parties": (replace(PARTIES[0], country="FRA"), *PARTIES[1:])},
            f"parties.{EGYPT}.country",
            UNCLEAR,
        ),
        (
            {"parties": (replace(PARTIES[0], supervisor="S"), *PARTIES[1:])},
            f"parties.{EGYPT}.supervisor",
            NEUTRAL,
        ),
        ({"parties": PARTIES[::2]}, f"parties.{IOM}", NARROWS),
    ],
)
def test_each_change_of_the_whole_says_what_it_does(
    changes: dict[str, Any], where: str, effect: Effect
) -> None:
    assert effects(agreed(), agreed(**changes)) == {where: effect}
    back = {WIDENS: NARROWS, NARROWS: WIDENS}.get(effect, effect)
    assert effects(agreed(**changes), agreed()) == {where: back}


GATE = OffenceGate(max_sentence_months_min=12, excluded=frozenset({OffenceClass.FAMILY_LAW_ONLY}))


@pytest.mark.parametrize(
    ("before", "after", "where", "effect"),
    [
        ({}, {"recipients": frozenset({TUNISIA, IOM})}, "recipients", WIDENS),
        ({}, {"fields": frozenset({RecordField.NAME})}, "fields", NARROWS),
        ({}, {"subject_types": frozenset({SubjectType.PERSON})}, "subject_types", NARROWS),
        (
            {"subject_types": frozenset({SubjectType.PERSON})},
            {"subject_types": frozenset({SubjectType.PERSON, SubjectType.ENTITY})},
            "subject_types",
            WIDENS,
        ),
        ({}, {"minors": MinorsRule.ADULTS_ONLY}, "minors", NARROWS),
        (
            {"minors": MinorsRule.CHILDREN_ONLY},
            {"minors": MinorsRule.ADULTS_ONLY},
            "minors",
            UNCLEAR,
        ),
        ({}, {"offence_gate": GATE}, "offence_gate", NARROWS),
        (
            {"offence_gate": GATE},
            {"offence_gate": replace(GATE, max_sentence_months_min=24)},
            "offence_gate.max_sentence_months_min",
            NARROWS,
        ),
        (
            {"offence_gate": GATE},
            {"offence_gate": replace(GATE, excluded=frozenset[OffenceClass]())},
            "offence_gate.excluded",
            WIDENS,
        ),
        (
            {"offence_gate": GATE},
            {"offence_gate": replace(GATE, dual_criminality=True)},
            "offence_gate.dual_criminality",
            NARROWS,
        ),
        ({}, {"retention_days_max": 101}, "retention_days_max", WIDENS),
        ({}, {"necessity_min_length": 1}, "necessity_min_length", NARROWS),
        ({}, {"onward": OnwardTransfer.CONSENT}, "onward", WIDENS),
        ({}, {"quota_per_day": 5}, "quota_per_day", NARROWS),
        ({"quota_per_day": 5}, {"quota_per_day": 6}, "quota_per_day", WIDENS),
        ({}, {"title": "Other"}, "title", NEUTRAL),
        ({}, {"legal_basis": LegalBasis.ADEQUACY}, "legal_basis", NEUTRAL),
    ],
)
def test_each_change_of_a_grant_says_what_it_does(
    before: dict[str, Any], after: dict[str, Any], where: str, effect: Effect
) -> None:
    old, new = agreed(permit(**before)), agreed(permit(**after))
    assert effects(old, new) == {f"clauses.C1.{where}": effect}
    back = {WIDENS: NARROWS, NARROWS: WIDENS}.get(effect, effect)
    assert effects(new, old) == {f"clauses.C1.{where}": back}


@pytest.mark.parametrize(
    ("before", "after", "where", "effect"),
    [
        ({}, {"recipients": frozenset({IOM})}, "recipients", WIDENS),
        (
            {"purposes": frozenset({Purpose.PUBLIC_HEALTH})},
            {"purposes": frozenset({Purpose.PUBLIC_HEALTH, Purpose.BORDER_CONTROL})},
            "purposes",
            NARROWS,
        ),
        ({}, {"categories": frozenset({Category.ARREST})}, "categories", WIDENS),
        ({}, {"minors": MinorsRule.CHILDREN_ONLY}, "minors", UNCLEAR),
        ({}, {"offence_gate": GATE}, "offence_gate", UNCLEAR),
        ({}, {"title": "Other"}, "title", NEUTRAL),
    ],
)
def test_each_change_of_a_refusal_says_what_it_does(
    before: dict[str, Any], after: dict[str, Any], where: str, effect: Effect
) -> None:
    old, new = agreed(permit(), refusal(**before)), agreed(permit(), refusal(**after))
    assert effects(old, new) == {f"clauses.D1.{where}": effect}


def test_a_set_that_gains_and_loses_a_word_is_two_changes() -> None:
    new = agreed(permit(fields=frozenset({RecordField.NAME, RecordField.DNA})))
    assert diff(agreed(), new).changes == (
        Change("clauses.C1.fields", WIDENS, "", "DNA"),
        Change("clauses.C1.fields", NARROWS, "ACTION, PHOTO", ""),
    )


def test_clauses_that_come_or_go_widen_or_narrow_by_what_they_do() -> None:
    both = agreed(permit(), permit("C2"), refusal())
    assert effects(agreed(), both) == {"clauses.C2": WIDENS, "clauses.D1": NARROWS}
    assert effects(both, agreed()) == {"clauses.C2": NARROWS, "clauses.D1": WIDENS}


def test_a_clause_whose_effect_turns_is_one_change() -> None:
    grant = permit("X1")
    turned = replace(grant, effect=ClauseEffect.DENY, retention_days_max=0)
    old, new = agreed(permit(), grant), agreed(permit(), turned)
    assert effects(old, new) == {"clauses.X1.effect": NARROWS}
    assert effects(new, old) == {"clauses.X1.effect": WIDENS}
