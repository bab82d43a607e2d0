"""Hypothesis strategies for terms and facts over a small world of three members.

Everything begins wide open and is narrowed by a few things drawn from a table, so that
clauses and facts often meet and every kind of obstacle comes up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st

from mithaq.agreements.categories import Category
from mithaq.agreements.clause import Clause, OffenceGate
from mithaq.agreements.facts import Facts
from mithaq.agreements.status import ACTIVE, AgreementState, AgreementStatus
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import (
    ClauseEffect,
    Handling,
    InformationGrade,
    LegalBasis,
    MinorsRule,
    OffenceClass,
    OfficerRole,
    OnwardTransfer,
    OriginStateRule,
    Purpose,
    RecordField,
    SourceGrade,
    SubjectAge,
    SubjectType,
)
from tests.agreements.samples import BEGIN, DAY, EGYPT, END, FACTS, IOM, NOW, PARTIES, TUNISIA

# Time says nothing on a busy machine; the first case also compiles the proto's rules.
PATIENT: Final = settings(deadline=None)
MEMBERS: Final = (EGYPT, IOM, TUNISIA)
CATEGORIES_USED: Final = (Category.ARREST, Category.MISSING_LOCATE, Category.CHECK_DISCREET)
GATES: Final = (
    OffenceGate(),
    OffenceGate(max_sentence_months_min=12),
    OffenceGate(excluded=frozenset({OffenceClass.POLITICAL})),
    OffenceGate(dual_criminality=True, assurances=True),
)
TITLES: Final = (
    "ميثاق",
    "a: b # c",
    " 'x' ",
    "1",
    "no",
    "line\nbreak",
    "\u2028",
    "- x",
    "x y " * 40,
    'say "x" \\ y',
    "left\u202eright",
)
Table = Mapping[str, Sequence[object]]

SELECTORS: Final[Table] = {
    "senders": [frozenset({EGYPT, IOM}), frozenset({TUNISIA, EGYPT}), frozenset({EGYPT})],
    "recipients": [frozenset({IOM, TUNISIA}), frozenset({EGYPT, TUNISIA})],
    "categories": [frozenset({each}) for each in CATEGORIES_USED],
    "subject_types": [frozenset({SubjectType.PERSON}), frozenset({SubjectType.VEHICLE})],
    "purposes": [
        frozenset({Purpose.BORDER_CONTROL}),
        frozenset({Purpose.BORDER_CONTROL, Purpose.ARREST_SURRENDER}),
        frozenset({Purpose.MISSING_PERSONS}),
    ],
    "fields": [frozenset({RecordField.NAME, RecordField.ACTION}), frozenset({RecordField.PHOTO})],
    "handling": [frozenset({Handling.H0})],
    "roles": [frozenset({OfficerRole.FIRST_LINE}), frozenset({OfficerRole.BUREAU})],
    "minors": list(MinorsRule),
    "sources": [frozenset({SourceGrade.A})],
    "information": [frozenset({InformationGrade.FIRST})],
    "offence_gate": GATES,
    "title": TITLES,
    "legal_basis": list(LegalBasis),
    "legal_reference": ["Article 1, “quoted”", "x" * 200],
}
GRANTS: Final[Table] = {
    **SELECTORS,
    "retention_days_max": [1, 30],
    "onward": list(OnwardTransfer),
    "quota_per_day": [5],
    "necessity_min_length": [20, 41],
}
DEVIATIONS: Final[Table] = {
    "category": CATEGORIES_USED,
    "subject_age": [SubjectAge.CHILD, SubjectAge.UNKNOWN],
    "origin_system": ["INTERPOL", "SIS"],
    "handling": list(Handling),
    "purposes": [
        frozenset({Purpose.BORDER_CONTROL}),
        frozenset({Purpose.BORDER_CONTROL, Purpose.ARREST_SURRENDER}),
        frozenset({Purpose.MISSING_PERSONS}),
        frozenset({Purpose.CRIMINAL_INVESTIGATION}),
    ],
    "fields": [frozenset({RecordField.PHOTO}), frozenset({RecordField.DNA})],
    "expires_at": [NOW, NOW + DAY, NOW + 31 * DAY, NOW + 9999 * DAY],
    "source": list(SourceGrade),
    "information": list(InformationGrade),
    "necessity_length": [0, 20],
    "excluded": [None, frozenset({TUNISIA}), frozenset({IOM, EGYPT})],
    "offence": [OffenceClass.HOMICIDE, OffenceClass.POLITICAL],
    "max_sentence_months": [0, 12],
    "dual_criminality": [True, False],
    "assurances": [True, False],
    "partner": [True],
    "onward_consent": [True],
}


@st.composite
def some_of(draw: st.DrawFn, table: Table, *, most: int) -> dict[str, Any]:
    """Draw up to `most` keys of a table, each with one of its values."""
    names = draw(st.lists(st.sampled_from(sorted(table)), max_size=most, unique=True))
    return {name: draw(st.sampled_from(table[name])) for name in names}


WIDE_OPEN: Final = Clause(
    id="C0",
    senders=frozenset(MEMBERS),
    recipients=frozenset(MEMBERS),
    categories=frozenset(CATEGORIES_USED),
    purposes=frozenset(Purpose),
    fields=frozenset(RecordField),
    handling=frozenset(Handling),
    roles=frozenset(OfficerRole),
    sources=frozenset(SourceGrade),
    information=frozenset(InformationGrade),
    retention_days_max=1826,
)


def permits(clause_id: str = "X1") -> st.SearchStrategy[Clause]:
    """Return clauses that permit: wide open but for up to three things."""
    return some_of(GRANTS, most=3).map(lambda changes: replace(WIDE_OPEN, id=clause_id, **changes))


def refusals(clause_id: str = "X1") -> st.SearchStrategy[Clause]:
    """Return clauses that refuse everything but for up to four things."""
    return some_of(SELECTORS, most=4).map(
        lambda changes: Clause(id=clause_id, effect=ClauseEffect.DENY, **changes)
    )


@st.composite
def agreements(draw: st.DrawFn) -> Agreement:
    """Draw terms with one to three clauses that permit and up to two that refuse."""
    granting = draw(st.integers(1, 3))
    refusing = draw(st.sampled_from([0, 0, 1, 2]))
    return Agreement(
        id="drawn",
        version=draw(st.integers(1, 1000)),
        federation="euroarab.example",
        title=draw(st.sampled_from(TITLES)),
        parties=PARTIES,
        clauses=(
            *(draw(permits(f"C{place}")) for place in range(granting)),
            *(draw(refusals(f"D{place}")) for place in range(refusing)),
        ),
        effective_from=BEGIN,
        expires_at=END,
        staleness_limit=timedelta(seconds=draw(st.sampled_from([3600, 3601, 172800]))),
        excluded_origin_systems=draw(
            st.sampled_from([frozenset[str](), frozenset({"INTERPOL", "SIS"})])
        ),
        origin_state_rule=draw(st.sampled_from(OriginStateRule)),
    )


@st.composite
def records(draw: st.DrawFn) -> Facts:
    """Draw the facts of a record: FACTS but for up to three things, or a vehicle."""
    changes = draw(some_of(DEVIATIONS, most=3))
    if draw(st.sampled_from([False, False, False, True])):
        changes |= {
            "category": Category.CHECK_DISCREET,
            "subject_type": SubjectType.VEHICLE,
            "subject_age": SubjectAge.NOT_A_PERSON,
        }
    if changes.get("category", Category.ARREST) is not Category.ARREST:
        changes.setdefault("purposes", frozenset({Purpose.BORDER_CONTROL}))
    return replace(FACTS, **changes)


statuses: st.SearchStrategy[AgreementStatus] = st.sampled_from(
    [
        ACTIVE,
        ACTIVE,
        ACTIVE,
        AgreementStatus(AgreementState.ACTIVE, left={TUNISIA: NOW + DAY}),
        AgreementStatus(AgreementState.ACTIVE, left={EGYPT: NOW}),
        AgreementStatus(AgreementState.ACTIVE, suspended_by=frozenset({"administrators"})),
        AgreementStatus(AgreementState.SUSPENDED, suspended_by=frozenset({IOM})),
        AgreementStatus(AgreementState.ENDED, wind_down_until=NOW + DAY),
        AgreementStatus(AgreementState.DRAFT),
    ]
)
