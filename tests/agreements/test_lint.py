"""Lint: each finding with its cause, and none without."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mithaq.agreements.categories import Category
from mithaq.agreements.clause import Clause, Deadlines, OffenceGate, Party
from mithaq.agreements.lint import Severity, covers, lint
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import (
    Handling,
    MinorsRule,
    OffenceClass,
    OfficerRole,
    OnwardTransfer,
    PartyKind,
    Purpose,
    RecordField,
    SubjectType,
)
from tests.agreements.samples import EGYPT, IOM, PARTIES, TUNISIA, agreed, permit, refusal

SUPERVISED = tuple(replace(party, supervisor="Supervisor") for party in PARTIES[::2])
GATE = OffenceGate(
    excluded=frozenset({OffenceClass.POLITICAL, OffenceClass.MILITARY, OffenceClass.RELIGIOUS})
)


def sound(clause_id: str = "C1", **changes: Any) -> Clause:  # noqa: ANN401 - any field
    careful: dict[str, Any] = {
        "offence_gate": GATE,
        "minors": MinorsRule.ADULTS_ONLY,
        "necessity_min_length": 20,
        "legal_reference": "Article 1",
    }
    return permit(clause_id, **(careful | changes))


def terms(*clauses: Clause, **changes: Any) -> Agreement:  # noqa: ANN401 - any field
    parties: dict[str, Any] = {"parties": SUPERVISED}
    return agreed(*(clauses or (sound(),)), **(parties | changes))


def codes(*clauses: Clause, **changes: Any) -> list[str]:  # noqa: ANN401 - any field
    return [finding.code for finding in lint(terms(*clauses, **changes))]


def test_sound_terms_have_no_finding() -> None:
    assert codes() == []


def test_findings_say_what_to_do_and_errors_come_first() -> None:
    found = lint(terms(sound(legal_reference="", fields=frozenset({RecordField.DNA}))))
    assert [finding.severity for finding in found][:1] == [Severity.ERROR]
    assert sorted(found, key=lambda finding: finding.severity) == found
    assert all(finding.fix and finding.message for finding in found)


@pytest.mark.parametrize(
    "changes",
    [
        {"subject_types": frozenset({SubjectType.VEHICLE})},
        {"purposes": frozenset({Purpose.PUBLIC_HEALTH})},
        {"fields": frozenset({RecordField.DNA})},
        {
            "categories": frozenset({Category.CHILD_ABDUCTION_RISK}),
            "purposes": frozenset({Purpose.CHILD_PROTECTION}),
        },
        {
            "categories": frozenset({Category.VULNERABLE_ADULT_RISK}),
            "purposes": frozenset({Purpose.BORDER_CONTROL}),
            "minors": MinorsRule.CHILDREN_ONLY,
        },
        {
            "categories": frozenset({Category.CHILD_ABDUCTION_RISK}),
            "purposes": frozenset({Purpose.BORDER_CONTROL}),
            "minors": MinorsRule.PROTECTION_ONLY,
        },
    ],
)
def test_a_clause_that_can_never_apply_is_an_error(changes: dict[str, Any]) -> None:
    assert "NEVER_APPLIES" in codes(sound(**changes))


def test_a_category_to_which_a_clause_can_never_apply_is_an_error() -> None:
    both = frozenset({Category.ARREST, Category.HEALTH_EVENT})
    assert codes(sound(categories=both)).count("CATEGORY_NEVER_APPLIES") == 1


def test_a_clause_that_others_refuse_altogether_is_an_error() -> None:
    assert codes(sound(), refusal()) == ["ALWAYS_FORBIDDEN"]
    assert codes(sound(), refusal(fields=frozenset({RecordField.PHOTO}))) == []


def test_a_refusal_of_what_nobody_permits_is_an_error() -> None:
    back = refusal(
        senders=frozenset({TUNISIA}),
        recipients=frozenset({EGYPT}),
        fields=frozenset({RecordField.PHOTO}),
    )
    assert codes(sound(), back) == ["REFUSES_NOTHING"]
    other = frozenset({Category.JUDICIAL})
    assert codes(sound(), refusal(categories=other)) == ["REFUSES_NOTHING"]


def test_a_party_in_no_clause_is_an_error() -> None:
    iom = Party(member=IOM, display_name="IOM", kind=PartyKind.ORGANISATION, supervisor="S")
    parties = (SUPERVISED[0], iom, SUPERVISED[1])
    assert codes(parties=parties) == ["PARTY_WITHOUT_CLAUSE"]


def test_a_party_without_a_supervisor_is_told_of() -> None:
    assert codes(parties=PARTIES[::2]) == ["SUPERVISOR_MISSING"] * 2


def test_urgent_deadlines_that_are_the_longer_ones_are_an_error() -> None:
    reversed_ones = Deadlines(request_urgent=timedelta(days=2), request=timedelta(days=1))
    assert codes(deadlines=reversed_ones) == ["DEADLINES_REVERSED"]


def test_a_deadline_longer_than_usual_is_told_of_and_a_shorter_one_is_not() -> None:
    assert codes(deadlines=Deadlines(flag=timedelta(hours=25))) == ["DEADLINE_LONG"]
    assert codes(deadlines=Deadlines(flag=timedelta(hours=23))) == []


def test_a_closed_system_that_the_terms_do_not_name_is_told_of() -> None:
    assert codes(excluded_origin_systems=frozenset({"SIS"})) == ["ORIGIN_NOT_NAMED"]


def test_logs_kept_for_less_than_three_years_are_told_of() -> None:
    assert codes(log_retention_days=1094) == ["LOGS_TOO_SHORT"]
    assert codes(log_retention_days=1095) == []


def test_words_that_can_have_no_effect_are_told_of() -> None:
    clause = sound(
        purposes=frozenset({Purpose.ARREST_SURRENDER, Purpose.PUBLIC_HEALTH}),
        fields=frozenset({RecordField.NAME, RecordField.DNA}),
        roles=frozenset({OfficerRole.BUREAU, OfficerRole.AUDITOR}),
    )
    assert codes(clause) == ["PURPOSE_IDLE", "FIELD_IDLE", "ROLE_IDLE"]


def test_retention_longer_than_the_category_s_default_is_told_of() -> None:
    assert codes(sound(retention_days_max=1826)) == []
    assert codes(sound(retention_days_max=1827)) == ["RETENTION_LONG"]


def test_missing_safeguards_are_told_of() -> None:
    assert codes(sound(offence_gate=None)) == ["GATE_OPEN"]
    assert codes(sound(offence_gate=OffenceGate())) == ["GATE_OPEN"]
    assert codes(sound(minors=MinorsRule.ANY)) == ["MINORS_OPEN"]
    assert codes(sound(necessity_min_length=0)) == ["NECESSITY_NOT_ASKED"]
    assert codes(sound(legal_reference="")) == ["LAW_NOT_NAMED"]


def test_a_clause_that_another_covers_is_told_of_whichever_comes_first() -> None:
    narrow = sound("C2", handling=frozenset({Handling.H0}))
    assert codes(sound(), narrow) == ["SHADOWED"]
    assert codes(narrow, sound()) == ["SHADOWED"]


def test_clauses_that_overlap_in_part_are_told_of_and_separate_ones_are_not() -> None:
    one = sound("C1", handling=frozenset({Handling.H0}))
    two = sound("C2", handling=frozenset({Handling.H1}))
    assert codes(one, two) == ["OVERLAP"]
    back = sound("C2", senders=frozenset({TUNISIA}), recipients=frozenset({EGYPT}))
    assert codes(sound(), back) == []


@pytest.mark.parametrize(
    ("name", "wide", "narrow"),
    [
        ("subject_types", frozenset[SubjectType](), frozenset({SubjectType.PERSON})),
        ("minors", MinorsRule.ANY, MinorsRule.ADULTS_ONLY),
        ("offence_gate", None, GATE),
        ("onward", OnwardTransfer.CONSENT, OnwardTransfer.NONE),
        ("retention_days_max", 2, 1),
        ("necessity_min_length", 1, 2),
        ("quota_per_day", 0, 5),
        ("quota_per_day", 6, 5),
    ],
)
def test_a_clause_covers_another_that_asks_for_more_and_not_the_other_way(
    name: str, wide: object, narrow: object
) -> None:
    of_wide: dict[str, Any] = {name: wide}
    of_narrow: dict[str, Any] = {name: narrow}
    wider, narrower = sound(**of_wide), sound(**of_narrow)
    assert covers(wider, narrower)
    assert not covers(narrower, wider)
    assert covers(wider, wider)


def test_types_of_subject_that_differ_cover_one_another_by_inclusion() -> None:
    both = sound(subject_types=frozenset({SubjectType.PERSON, SubjectType.ENTITY}))
    one = sound(subject_types=frozenset({SubjectType.PERSON}))
    assert covers(both, one)
    assert not covers(one, both)
