"""What agreements are decided on, taken from a record.

Facts hold codes, flags and lengths, and no personal data. They are the same at
sender and reader, because both take them from the same bytes; the age class is
that of the day on which the version was made. All but the expiry and the length of the
necessity follows from the record's outline, and is worked out once for each outline.
"""

from functools import lru_cache
from typing import Any, Final

from mithaq.agreements.categories import Category
from mithaq.agreements.facts import Facts, members_of_states
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import (
    Handling,
    InformationGrade,
    OffenceClass,
    OriginStateRule,
    Purpose,
    RecordField,
    SourceGrade,
)
from mithaq.node.records.minimum import subject_type
from mithaq.node.records.model import ParsedRecord
from mithaq.node.records.outline import ArrestOutline, Outline, PersonOutline, outline_of
from mithaq.v1 import record_pb2 as wire
from mithaq.v1 import subject_pb2 as subject
from mithaq.v1.record_values import Alert

_HANDLING: Final = {
    wire.HANDLING_H0: Handling.H0,
    wire.HANDLING_H1: Handling.H1,
    wire.HANDLING_H2: Handling.H2,
    wire.HANDLING_H3: Handling.H3,
}
_SOURCES: Final = {
    wire.SOURCE_GRADE_A: SourceGrade.A,
    wire.SOURCE_GRADE_B: SourceGrade.B,
    wire.SOURCE_GRADE_C: SourceGrade.C,
    wire.SOURCE_GRADE_X: SourceGrade.X,
}
_INFORMATION: Final = {
    wire.INFORMATION_GRADE_1: InformationGrade.FIRST,
    wire.INFORMATION_GRADE_2: InformationGrade.SECOND,
    wire.INFORMATION_GRADE_3: InformationGrade.THIRD,
    wire.INFORMATION_GRADE_4: InformationGrade.FOURTH,
}
_OFFENCES: Final = {
    number: OffenceClass(name.removeprefix("OFFENCE_CLASS_"))
    for name, number in wire.OffenceClass.items()
    if number
}
# Every alert says these.
_ALWAYS: Final = frozenset(
    {
        RecordField.REASON,
        RecordField.AUTHORITY,
        RecordField.DECISION_REFERENCE,
        RecordField.ACTION,
    }
)
_OF_ARREST: Final = frozenset({RecordField.OFFENCE, RecordField.WARRANT})
_OF_PROTECTION: Final = frozenset({RecordField.CASE_TYPE, RecordField.CONTACT})
_NAME_FIELDS: Final = {
    subject.NAME_KIND_PRIMARY: RecordField.NAME,
    subject.NAME_KIND_BIRTH: RecordField.FORMER_NAMES,
    subject.NAME_KIND_FORMER: RecordField.FORMER_NAMES,
    subject.NAME_KIND_ALIAS: RecordField.NAME,
    subject.NAME_KIND_OTHER: RecordField.NAME,
    subject.NAME_KIND_PSEUDONYM: RecordField.PSEUDONYM,
}


_OUTLINES_CACHED_MAX: Final = 4096


def facts_of(
    record: ParsedRecord, *, agreement: Agreement, sender: str, onward_consent: bool = False
) -> Facts:
    """Return the facts of an alert under an agreement.

    `sender` is the member that discloses it, which may have it from another one.
    """
    return Facts(
        **_of_outline(record.outline, agreement, sender),
        expires_at=record.expiry,
        necessity_length=len(record.values.necessity),
        onward_consent=onward_consent,
    )


def fields_of(alert: Alert) -> frozenset[RecordField]:
    """Return the groups of data that an alert carries."""
    return _fields(outline_of(alert))


@lru_cache(maxsize=_OUTLINES_CACHED_MAX)
def _of_outline(outline: Outline, agreement: Agreement, sender: str) -> dict[str, Any]:
    """Return the facts that alerts of one outline share; the dict is read, never changed."""
    arrest = outline.arrest
    return {
        "category": Category(outline.category),
        "subject_type": subject_type(outline),
        "subject_age": outline.age,
        "origin_system": outline.origin_system,
        "handling": _HANDLING[outline.handling],
        "purposes": frozenset(map(Purpose, outline.purposes)),
        "fields": _fields(outline),
        "source": _SOURCES[outline.source_grade],
        "information": _INFORMATION[outline.information_grade],
        "excluded": _excluded(outline, agreement),
        "partner": outline.issuer != sender,
        **(_of_arrest(arrest) if arrest else {}),
    }


def _of_arrest(arrest: ArrestOutline) -> dict[str, Any]:
    return {
        "offence": _OFFENCES[arrest.offence],
        "max_sentence_months": arrest.maximum_sentence_months,
        "dual_criminality": arrest.dual_criminality,
        "assurances": True if arrest.assurances else None,
    }


@lru_cache(maxsize=_OUTLINES_CACHED_MAX)
def _fields(outline: Outline) -> frozenset[RecordField]:
    found = set(_ALWAYS)
    if outline.person is not None:
        found |= _of_person(outline.person)
    if outline.subject == "travel_document":
        found.add(RecordField.TRAVEL_DOCUMENT)
    if outline.arrest is not None:
        found |= _OF_ARREST
    if outline.protection:
        found |= _OF_PROTECTION
    if outline.markers:
        found.add(RecordField.MARKERS)
    if outline.links:
        found.add(RecordField.LINKS)
    if outline.remarks:
        found.add(RecordField.FREE_TEXT)
    return frozenset(found)


def _of_person(person: PersonOutline) -> set[RecordField]:
    said = (
        (person.born or person.name_born, RecordField.DATE_OF_BIRTH),
        (person.birthplace or person.name_birthplace, RecordField.PLACE_OF_BIRTH),
        (person.national_number, RecordField.NATIONAL_NUMBER),
        (person.identity_document, RecordField.IDENTITY_DOCUMENT),
        (person.whereabouts, RecordField.WHEREABOUTS),
        (person.sex, RecordField.SEX),
        (bool(person.nationalities), RecordField.NATIONALITY),
        (person.marks, RecordField.MARKS),
        (person.roles, RecordField.FREE_TEXT),
    )
    names = {_NAME_FIELDS[kind] for kind in person.name_kinds}
    return names | {field for given, field in said if given}


def _excluded(outline: Outline, agreement: Agreement) -> frozenset[str] | None:
    """Return the members that may not receive the alert, or None where nobody can tell."""
    by_sender = members_of_states(agreement, outline.excluded_states)
    shield = outline.no_origin_state or agreement.origin_state_rule is OriginStateRule.ALL_NATIONALS
    # A person, if only as the holder of a document; an entity has no nationality.
    person = None if outline.subject == "entity" else outline.person
    if not shield or person is None:
        return by_sender
    nationalities = frozenset(person.nationalities)
    if not nationalities or "" in nationalities:
        # DOMAIN 4, T10: a state that may be the person's own is not told by mistake.
        return None
    return by_sender | members_of_states(agreement, nationalities)
