"""What the fields of a record must be together, whatever its category.

The .proto files say what one field may hold; here stands what they cannot say
cheaply: that a date has the parts of its precision and is a day of the calendar,
that a name or a place says something. The rule: an error names the field, never
its value.
"""

from calendar import monthrange
from collections.abc import Iterable

from mithaq.node.records import countries
from mithaq.node.records.errors import RecordFieldError
from mithaq.v1 import record_pb2 as wire
from mithaq.v1 import subject_pb2 as subject

_ID_SUFFIX_CHARS = 27  # a hyphen and a ULID


def check_structure(alert: wire.Alert) -> None:
    """Raise RecordFieldError where fields of an alert do not go together."""
    _check_identity(alert)
    _check_times(alert)
    if alert.handling == wire.HANDLING_H3 and not alert.handling_note:
        raise RecordFieldError("handling code H3 needs its note", path="alert.handling_note")
    if alert.HasField("person"):
        check_person(alert.person, path="alert.person")
    elif alert.HasField("entity"):
        _check_entity(alert.entity, path="alert.entity")
    else:
        _check_travel_document(alert.travel_document, path="alert.travel_document")
    if alert.HasField("listing"):
        _check_listing(alert.listing, path="alert.listing")


def check_person(person: subject.Person, *, path: str) -> None:
    """Raise RecordFieldError where a part of a person says nothing or contradicts itself."""
    _check_names(person.names, path=f"{path}.names")
    _check_dates(person.dates_of_birth, path=f"{path}.dates_of_birth")
    _check_places(person.places_of_birth, path=f"{path}.places_of_birth")
    for i, country in enumerate(person.nationalities):
        _check_country(country, path=path, field=f"nationalities[{i}]")
    _check_documents(person.documents, path=f"{path}.documents")
    _check_places(person.addresses, path=f"{path}.addresses")


def check_date(born: subject.PartialDate, *, path: str) -> None:
    """Raise RecordFieldError unless the parts are those that the precision names."""
    parts = (born.year > 0, born.month > 0, born.day > 0, born.year_to > 0)
    if parts != _PARTS[born.precision]:
        raise RecordFieldError("the parts of the date must be those of its precision", path=path)
    if born.day and born.day > monthrange(born.year, born.month)[1]:
        raise RecordFieldError("the month has no such day", path=f"{path}.day")
    if born.year_to and born.year_to < born.year:
        raise RecordFieldError("a range ends after it begins", path=f"{path}.year_to")


_PARTS = {
    subject.DATE_PRECISION_DAY: (True, True, True, False),
    subject.DATE_PRECISION_MONTH: (True, True, False, False),
    subject.DATE_PRECISION_YEAR: (True, False, False, False),
    subject.DATE_PRECISION_YEAR_RANGE: (True, False, False, True),
    subject.DATE_PRECISION_UNKNOWN: (False, False, False, False),
}


def _check_identity(alert: wire.Alert) -> None:
    if alert.alert_id[:-_ID_SUFFIX_CHARS] != alert.issuer:
        raise RecordFieldError("the id must begin with the issuer", path="alert.alert_id")


def _check_times(alert: wire.Alert) -> None:
    if not (alert.valid_from < alert.expires_at and alert.created_at < alert.expires_at):
        raise RecordFieldError("an alert expires after it begins", path="alert.expires_at")
    if not alert.valid_from <= alert.review_by <= alert.expires_at:
        raise RecordFieldError(
            "the review lies between the beginning and the end", path="alert.review_by"
        )


def _check_entity(entity: subject.Entity, *, path: str) -> None:
    _check_names(entity.names, path=f"{path}.names")
    _check_places(entity.addresses, path=f"{path}.addresses")
    _check_documents(entity.registrations, path=f"{path}.registrations")


def _check_travel_document(document: subject.TravelDocument, *, path: str) -> None:
    _check_country(document.issuing_state, path=path, field="issuing_state")
    series = document.status in (
        subject.DOCUMENT_STATUS_STOLEN_BLANK,
        subject.DOCUMENT_STATUS_COUNTERFEIT_SERIES,
    )
    if document.number_to and not series:
        raise RecordFieldError("only a series has a last number", path=f"{path}.number_to")
    if document.HasField("lost_on"):
        check_date(document.lost_on, path=f"{path}.lost_on")
    if document.HasField("issued_on"):
        check_date(document.issued_on, path=f"{path}.issued_on")
    if document.HasField("expires_on"):
        check_date(document.expires_on, path=f"{path}.expires_on")
    if document.HasField("holder"):
        check_person(document.holder, path=f"{path}.holder")


def _check_listing(listing: wire.Listing, *, path: str) -> None:
    _check_dates(listing.updated_on, path=f"{path}.updated_on")
    check_date(listing.listed_on, path=f"{path}.listed_on")
    if listing.HasField("delisted_on"):
        check_date(listing.delisted_on, path=f"{path}.delisted_on")
    if listing.HasField("submitted_on"):
        check_date(listing.submitted_on, path=f"{path}.submitted_on")


def _check_names(names: Iterable[subject.Name], *, path: str) -> None:
    for i, name in enumerate(names):
        said = name.surname or name.forenames or name.full or name.original_script
        if not said and not any(name.parts):
            raise RecordFieldError("the name says nothing", path=f"{path}[{i}]")
        if name.HasField("date_of_birth"):
            check_date(name.date_of_birth, path=f"{path}[{i}].date_of_birth")
        if name.HasField("place_of_birth"):
            _check_places((name.place_of_birth,), path=f"{path}[{i}].place_of_birth")


def _check_dates(dates: Iterable[subject.PartialDate], *, path: str) -> None:
    for i, date in enumerate(dates):
        check_date(date, path=f"{path}[{i}]")


def _check_places(places: Iterable[subject.Place], *, path: str) -> None:
    for i, place in enumerate(places):
        if place.HasField("country"):
            _check_country(place.country, path=f"{path}[{i}]", field="country")
        elif not place.ByteSize():
            raise RecordFieldError("the place says nothing", path=f"{path}[{i}]")


def _check_documents(documents: Iterable[subject.IdentityDocument], *, path: str) -> None:
    for i, document in enumerate(documents):
        if not document.ByteSize():
            raise RecordFieldError("the document says nothing", path=f"{path}[{i}]")
        if document.HasField("issuing_state"):
            _check_country(document.issuing_state, path=f"{path}[{i}]", field="issuing_state")
        if document.HasField("issued_in"):
            _check_country(document.issued_in, path=f"{path}[{i}]", field="issued_in")
        if document.HasField("issued_on"):
            check_date(document.issued_on, path=f"{path}[{i}].issued_on")
        if document.HasField("expires_on"):
            check_date(document.expires_on, path=f"{path}[{i}].expires_on")


def _check_country(country: subject.Country, *, path: str, field: str) -> None:
    if country.code and country.code not in countries.codes():
        raise RecordFieldError(
            "must be an ISO 3166-1 alpha-3 or Doc 9303-3 code", path=f"{path}.{field}.code"
        )
    if not (country.code or country.as_written):
        raise RecordFieldError("give a code or the source's words", path=f"{path}.{field}")
