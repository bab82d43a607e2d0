"""Leaving out of an alert what its reader's clauses do not grant (DOMAIN 4, T5).

The counterpart of `records.facts.fields_of`: what that finds in an alert, this takes
out group by group. The record that is stored and committed to is never changed. The
rule: after masking, `fields_of` finds nothing outside the mask but what every alert
has to say; and that is emptied too.
"""

from collections.abc import Collection, Iterable, Sequence
from copy import deepcopy
from typing import Final, TypeVar

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from google.protobuf.message import Message

from mithaq.agreements.vocabulary import RecordField
from mithaq.v1 import record_pb2
from mithaq.v1 import subject_pb2 as subject

M = TypeVar("M", bound=Message)
_F = RecordField
_ALERT_PARTS: Final = (
    (_F.REASON, ("reason",)),
    (_F.AUTHORITY, ("authority",)),
    (_F.DECISION_REFERENCE, ("decision_reference",)),
    (_F.ACTION, ("action",)),
    (_F.MARKERS, ("markers",)),
    (_F.LINKS, ("links",)),
    (_F.FREE_TEXT, ("remarks",)),
)
_PERSON_PARTS: Final = (
    (_F.DATE_OF_BIRTH, ("dates_of_birth",)),
    (_F.PLACE_OF_BIRTH, ("places_of_birth",)),
    (_F.SEX, ("sex", "sex_as_written")),
    (_F.NATIONALITY, ("nationalities",)),
    (_F.MARKS, ("physical_marks",)),
    (_F.WHEREABOUTS, ("addresses",)),
    (_F.FREE_TEXT, ("titles", "designations")),
)
_ARREST_PARTS: Final = (
    (
        _F.OFFENCE,
        ("offence", "offence_text", "maximum_sentence_months", "dual_criminality"),
    ),
    (_F.WARRANT, ("warrant_reference", "court", "warrant_issued_at", "assurances")),
)
_PROTECTION_PARTS: Final = (
    (_F.CASE_TYPE, ("kind", "order_reference")),
    (_F.CONTACT, ("contact",)),
)
_NAMES: Final = {
    subject.NAME_KIND_BIRTH: _F.FORMER_NAMES,
    subject.NAME_KIND_FORMER: _F.FORMER_NAMES,
    subject.NAME_KIND_PSEUDONYM: _F.PSEUDONYM,
}


def masked(record: record_pb2.Record, granted: Collection[RecordField]) -> record_pb2.Record:
    """Return a copy of an alert's record without the groups of fields that are not granted."""
    shown = record_pb2.Record()
    shown.CopyFrom(record)
    alert = shown.alert
    _clear(alert, _ALERT_PARTS, granted)
    if alert.HasField("person"):
        _mask_person(alert.person, granted)
    elif alert.HasField("entity"):
        _mask_entity(alert.entity, granted)
    elif _F.TRAVEL_DOCUMENT not in granted:
        alert.ClearField("travel_document")
    elif alert.travel_document.HasField("holder"):
        _mask_person(alert.travel_document.holder, granted)
    _mask_case(alert, granted)
    return shown


def _mask_person(person: subject.Person, granted: Collection[RecordField]) -> None:
    _mask_names(person.names, granted)
    _mask_documents(person.documents, granted)
    _clear(person, _PERSON_PARTS, granted)


def _mask_entity(entity: subject.Entity, granted: Collection[RecordField]) -> None:
    _mask_names(entity.names, granted)
    _mask_documents(entity.registrations, granted)
    if _F.WHEREABOUTS not in granted:
        entity.ClearField("addresses")


def _mask_case(alert: record_pb2.Alert, granted: Collection[RecordField]) -> None:
    if alert.HasField("arrest"):
        _clear(alert.arrest, _ARREST_PARTS, granted)
    if alert.HasField("protection"):
        _clear(alert.protection, _PROTECTION_PARTS, granted)
    if alert.HasField("listing"):
        _clear(alert.listing, ((_F.FREE_TEXT, ("comments",)),), granted)


def _mask_names(
    names: RepeatedCompositeFieldContainer[subject.Name], granted: Collection[RecordField]
) -> None:
    kept = [name for name in names if _NAMES.get(name.kind, _F.NAME) in granted]
    for name in kept:
        if _F.DATE_OF_BIRTH not in granted:
            name.ClearField("date_of_birth")
        if _F.PLACE_OF_BIRTH not in granted:
            name.ClearField("place_of_birth")
    _keep(names, kept)


def _mask_documents(
    documents: RepeatedCompositeFieldContainer[subject.IdentityDocument],
    granted: Collection[RecordField],
) -> None:
    def field_of(document: subject.IdentityDocument) -> RecordField:
        national = document.kind == subject.DOCUMENT_KIND_NATIONAL_REGISTER_NUMBER
        return _F.NATIONAL_NUMBER if national else _F.IDENTITY_DOCUMENT

    _keep(documents, [each for each in documents if field_of(each) in granted])


def _keep(container: RepeatedCompositeFieldContainer[M], kept: Sequence[M]) -> None:
    copies = [deepcopy(each) for each in kept]
    del container[:]
    container.extend(copies)


def _clear(
    message: Message,
    parts: Iterable[tuple[RecordField, tuple[str, ...]]],
    granted: Collection[RecordField],
) -> None:
    for field, names in parts:
        if field not in granted:
            for name in names:
                message.ClearField(name)
