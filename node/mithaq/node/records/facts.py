"""What agreements are decided on, taken from a record.

Facts hold codes, flags and lengths, and no personal data. They are the same at
sender and reader, because both take them from the same bytes; the age class is
that of the day on which the version was made.
"""

from collections.abc import Iterable
from typing import Final

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
    SubjectType,
)
from mithaq.node.records.minimum import subject_age
from mithaq.node.records.model import ParsedRecord
from mithaq.v1 import record_pb2 as wire
from mithaq.v1 import subject_pb2 as subject

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
_SEX_NOT_SAID: Final = frozenset({subject.SEX_UNSPECIFIED, subject.SEX_UNKNOWN})
_NAME_FIELDS: Final = {
    subject.NAME_KIND_PRIMARY: RecordField.NAME,
    subject.NAME_KIND_BIRTH: RecordField.FORMER_NAMES,
    subject.NAME_KIND_FORMER: RecordField.FORMER_NAMES,
    subject.NAME_KIND_ALIAS: RecordField.NAME,
    subject.NAME_KIND_OTHER: RecordField.NAME,
    subject.NAME_KIND_PSEUDONYM: RecordField.PSEUDONYM,
}


def facts_of(
    record: ParsedRecord, *, agreement: Agreement, sender: str, onward_consent: bool = False
) -> Facts:
    """Return the facts of an alert under an agreement.

    `sender` is the member that discloses it, which may have it from another one.
    """
    alert = record.alert
    arrest = alert.arrest if alert.HasField("arrest") else None
    return Facts(
        category=Category(alert.category),
        subject_type=SubjectType(record.subject_type),
        subject_age=subject_age(alert),
        origin_system=alert.origin.system,
        handling=_HANDLING[alert.handling],
        purposes=frozenset(map(Purpose, alert.purposes)),
        fields=fields_of(alert),
        expires_at=record.expiry,
        source=_SOURCES[alert.source_grade],
        information=_INFORMATION[alert.information_grade],
        necessity_length=len(alert.necessity),
        excluded=_excluded(alert, agreement),
        offence=_OFFENCES[arrest.offence] if arrest else None,
        max_sentence_months=arrest.maximum_sentence_months if arrest else None,
        dual_criminality=_assessed(arrest),
        assurances=True if arrest and arrest.assurances else None,
        partner=alert.issuer != sender,
        onward_consent=onward_consent,
    )


def fields_of(alert: wire.Alert) -> frozenset[RecordField]:
    """Return the groups of data that an alert carries."""
    found = set(_ALWAYS)
    if alert.HasField("person"):
        _add_person(found, alert.person)
    elif alert.HasField("entity"):
        _add_names(found, alert.entity.names)
        _add_documents(found, alert.entity.registrations)
        if alert.entity.addresses:
            found.add(RecordField.WHEREABOUTS)
    else:
        found.add(RecordField.TRAVEL_DOCUMENT)
        if alert.travel_document.HasField("holder"):
            _add_person(found, alert.travel_document.holder)
    if alert.HasField("arrest"):
        found |= _OF_ARREST
    if alert.HasField("protection"):
        found |= _OF_PROTECTION
    if alert.markers:
        found.add(RecordField.MARKERS)
    if alert.links:
        found.add(RecordField.LINKS)
    if alert.remarks or alert.listing.comments:
        found.add(RecordField.FREE_TEXT)
    return frozenset(found)


def _add_person(found: set[RecordField], person: subject.Person) -> None:
    _add_names(found, person.names)
    _add_documents(found, person.documents)
    if any(map(_is_known, person.dates_of_birth)):
        found.add(RecordField.DATE_OF_BIRTH)
    if person.places_of_birth:
        found.add(RecordField.PLACE_OF_BIRTH)
    if person.sex not in _SEX_NOT_SAID:
        found.add(RecordField.SEX)
    if person.nationalities:
        found.add(RecordField.NATIONALITY)
    if person.physical_marks:
        found.add(RecordField.MARKS)
    if person.addresses:
        found.add(RecordField.WHEREABOUTS)
    if person.titles or person.designations:
        found.add(RecordField.FREE_TEXT)


def _add_names(found: set[RecordField], names: Iterable[subject.Name]) -> None:
    for name in names:
        found.add(_NAME_FIELDS[name.kind])
        if name.HasField("date_of_birth"):
            found.add(RecordField.DATE_OF_BIRTH)
        if name.HasField("place_of_birth"):
            found.add(RecordField.PLACE_OF_BIRTH)


def _add_documents(found: set[RecordField], documents: Iterable[subject.IdentityDocument]) -> None:
    for document in documents:
        found.add(
            RecordField.NATIONAL_NUMBER
            if document.kind == subject.DOCUMENT_KIND_NATIONAL_REGISTER_NUMBER
            else RecordField.IDENTITY_DOCUMENT
        )


def _is_known(born: subject.PartialDate) -> bool:
    return born.precision != subject.DATE_PRECISION_UNKNOWN or bool(born.note)


def _assessed(arrest: wire.ArrestBasis | None) -> bool | None:
    if arrest is None or not arrest.HasField("dual_criminality"):
        return None
    return arrest.dual_criminality


def _excluded(alert: wire.Alert, agreement: Agreement) -> frozenset[str] | None:
    """Return the members that may not receive the alert, or None where nobody can tell."""
    by_sender = members_of_states(agreement, alert.restrictions.exclude_states)
    shield = (
        alert.restrictions.no_origin_state
        or agreement.origin_state_rule is OriginStateRule.ALL_NATIONALS
    )
    person = _person_of(alert)
    if not shield or person is None:
        return by_sender
    nationalities = {country.code for country in person.nationalities}
    if not nationalities or "" in nationalities:
        # DOMAIN 4, T10: a state that may be the person's own is not told by mistake.
        return None
    return by_sender | members_of_states(agreement, nationalities)


def _person_of(alert: wire.Alert) -> subject.Person | None:
    """Return the person whom an alert tells of, if only as the holder of a document."""
    if alert.HasField("person"):
        return alert.person
    return alert.travel_document.holder if alert.travel_document.HasField("holder") else None
