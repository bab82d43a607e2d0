"""What the fields of a record must be together, whatever its category.

The .proto files say what one field may hold; here stands what they cannot say
cheaply: that a date has the parts of its precision and is a day of the calendar,
that a name or a place says something. The rule: an error names the field, never
its value.
"""

from calendar import monthrange
from collections.abc import Sequence
from typing import Final

from mithaq.node.records import countries
from mithaq.node.records.errors import RecordFieldError, RecordIdentityError
from mithaq.v1 import record_pb2 as wire
from mithaq.v1 import subject_pb2 as subject
from mithaq.v1.record_values import (
    Alert,
    Country,
    Entity,
    IdentityDocument,
    Listing,
    Name,
    PartialDate,
    Person,
    Place,
    TravelDocument,
)

_ID_SUFFIX_CHARS: Final = 27  # a hyphen and a ULID
_DAYS_OF_EVERY_MONTH: Final = 28
_CODES: Final = countries.codes()
_EMPTY_PLACE: Final = Place("", "", "", "", None, "")
_EMPTY_DOCUMENT: Final = IdentityDocument(
    subject.DOCUMENT_KIND_UNSPECIFIED, "", "", "", None, None, "", None, None, ""
)


def check_structure(alert: Alert) -> None:
    """Raise RecordFieldError where fields of an alert do not go together."""
    _check_identity(alert)
    _check_times(alert)
    if alert.handling == wire.HANDLING_H3 and not alert.handling_note:
        raise RecordFieldError("handling code H3 needs its note", path="alert.handling_note")
    if alert.person is not None:
        check_person(alert.person, path="alert.person")
    if alert.entity is not None:
        _check_entity(alert.entity, path="alert.entity")
    if alert.travel_document is not None:
        _check_travel_document(alert.travel_document, path="alert.travel_document")
    if alert.listing is not None:
        _check_listing(alert.listing, path="alert.listing")


def check_person(person: Person, *, path: str) -> None:
    """Raise RecordFieldError where a part of a person says nothing or contradicts itself."""
    _check_names(person.names, path, "names")
    _check_dates(person.dates_of_birth, path, "dates_of_birth")
    _check_places(person.places_of_birth, path, "places_of_birth")
    for i, country in enumerate(person.nationalities):
        if fault := _country_fault(country):
            raise fault.at(f"{path}.nationalities[{i}]")
    _check_documents(person.documents, path, "documents")
    _check_places(person.addresses, path, "addresses")


class _Fault:
    """What is wrong with a part, told where it stands only if something is."""

    def __init__(self, expected: str, field: str = "") -> None:
        self.expected = expected
        self.field = field

    def at(self, path: str) -> RecordFieldError:
        return RecordFieldError(self.expected, path=f"{path}{self.field}")


_DATE_PARTS: Final = _Fault("the parts of the date must be those of its precision")
_DATE_DAY: Final = _Fault("the month has no such day", ".day")
_DATE_RANGE: Final = _Fault("a range ends after it begins", ".year_to")
_COUNTRY_CODE: Final = _Fault("must be an ISO 3166-1 alpha-3 or Doc 9303-3 code", ".code")
_COUNTRY_EMPTY: Final = _Fault("give a code or the source's words")
_PARTS: Final = {
    subject.DATE_PRECISION_DAY: (True, True, True, False),
    subject.DATE_PRECISION_MONTH: (True, True, False, False),
    subject.DATE_PRECISION_YEAR: (True, False, False, False),
    subject.DATE_PRECISION_YEAR_RANGE: (True, False, False, True),
    subject.DATE_PRECISION_UNKNOWN: (False, False, False, False),
}


def _date_fault(date: PartialDate) -> _Fault | None:
    precision, _, year, month, day, year_to, *_ = date
    if (year > 0, month > 0, day > 0, year_to > 0) != _PARTS[precision]:
        return _DATE_PARTS
    if day > _DAYS_OF_EVERY_MONTH and day > monthrange(year, month)[1]:
        return _DATE_DAY
    return _DATE_RANGE if year_to and year_to < year else None


def _country_fault(country: Country) -> _Fault | None:
    code, as_written = country
    if code:
        return None if code in _CODES else _COUNTRY_CODE
    return None if as_written else _COUNTRY_EMPTY


def _check_date(date: PartialDate | None, path: str, field: str) -> None:
    if date is not None and (fault := _date_fault(date)):
        raise fault.at(f"{path}.{field}")


def _check_country(country: Country | None, path: str, field: str) -> None:
    if country is not None and (fault := _country_fault(country)):
        raise fault.at(f"{path}.{field}")


def _check_identity(alert: Alert) -> None:
    if alert.alert_id[:-_ID_SUFFIX_CHARS] != alert.issuer:
        raise RecordIdentityError("the id must begin with the issuer", path="alert.alert_id")


def _check_times(alert: Alert) -> None:
    if not (alert.valid_from < alert.expires_at and alert.created_at < alert.expires_at):
        raise RecordFieldError("an alert expires after it begins", path="alert.expires_at")
    if not alert.valid_from <= alert.review_by <= alert.expires_at:
        raise RecordFieldError(
            "the review lies between the beginning and the end", path="alert.review_by"
        )


def _check_entity(entity: Entity, *, path: str) -> None:
    _check_names(entity.names, path, "names")
    _check_places(entity.addresses, path, "addresses")
    _check_documents(entity.registrations, path, "registrations")


def _check_travel_document(document: TravelDocument, *, path: str) -> None:
    _check_country(document.issuing_state, path, "issuing_state")
    series = document.status in (
        subject.DOCUMENT_STATUS_STOLEN_BLANK,
        subject.DOCUMENT_STATUS_COUNTERFEIT_SERIES,
    )
    if document.number_to and not series:
        raise RecordFieldError("only a series has a last number", path=f"{path}.number_to")
    _check_date(document.lost_on, path, "lost_on")
    _check_date(document.issued_on, path, "issued_on")
    _check_date(document.expires_on, path, "expires_on")
    if document.holder is not None:
        check_person(document.holder, path=f"{path}.holder")


def _check_listing(listing: Listing, *, path: str) -> None:
    _check_dates(listing.updated_on, path, "updated_on")
    _check_date(listing.listed_on, path, "listed_on")
    _check_date(listing.delisted_on, path, "delisted_on")
    _check_date(listing.submitted_on, path, "submitted_on")


def _check_names(names: Sequence[Name], path: str, field: str) -> None:
    for i, name in enumerate(names):
        said = name.surname or name.forenames or name.full or name.original_script
        if not said and not any(name.parts):
            raise RecordFieldError("the name says nothing", path=f"{path}.{field}[{i}]")
        if name.date_of_birth is not None and (fault := _date_fault(name.date_of_birth)):
            raise fault.at(f"{path}.{field}[{i}].date_of_birth")
        if name.place_of_birth is not None:
            _check_places((name.place_of_birth,), f"{path}.{field}[{i}]", "place_of_birth")


def _check_dates(dates: Sequence[PartialDate], path: str, field: str) -> None:
    for i, date in enumerate(dates):
        if fault := _date_fault(date):
            raise fault.at(f"{path}.{field}[{i}]")


def _check_places(places: Sequence[Place], path: str, field: str) -> None:
    for i, place in enumerate(places):
        if place.country is not None:
            if fault := _country_fault(place.country):
                raise fault.at(f"{path}.{field}[{i}].country")
        elif place == _EMPTY_PLACE:
            raise RecordFieldError("the place says nothing", path=f"{path}.{field}[{i}]")


def _check_documents(documents: Sequence[IdentityDocument], path: str, field: str) -> None:
    for i, document in enumerate(documents):
        if document == _EMPTY_DOCUMENT:
            raise RecordFieldError("the document says nothing", path=f"{path}.{field}[{i}]")
        if document.issuing_state is not None and (fault := _country_fault(document.issuing_state)):
            raise fault.at(f"{path}.{field}[{i}].issuing_state")
        if document.issued_in is not None and (fault := _country_fault(document.issued_in)):
            raise fault.at(f"{path}.{field}[{i}].issued_in")
        if document.issued_on is not None and (fault := _date_fault(document.issued_on)):
            raise fault.at(f"{path}.{field}[{i}].issued_on")
        if document.expires_on is not None and (fault := _date_fault(document.expires_on)):
            raise fault.at(f"{path}.{field}[{i}].expires_on")
