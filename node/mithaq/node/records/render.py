"""What an officer sees of a record: what to do first, then warnings, then the subject.

Rows of plain text, for a terminal, a console or a national system. Restrictions and
handling are shown with the data they bind. Nothing here decides who may see it; the
caller has asked the agreement before it renders (DESIGN 7: again at every reading).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from mithaq.agreements.categories import CATEGORIES, Category
from mithaq.node.records.model import ParsedRecord
from mithaq.service.text import plain
from mithaq.v1 import record_pb2 as wire
from mithaq.v1 import subject_pb2 as subject

_UNKNOWN: Final = "unknown"
# Embeddings, overrides and isolates; the plain marks U+200E and U+200F stay.


@dataclass(frozen=True, slots=True)
class Row:
    """A label and what stands beside it."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """An alert as it is shown: the action comes first, whatever else is read."""

    action: str
    warnings: tuple[str, ...]
    rows: tuple[Row, ...]


def sheet_of(record: ParsedRecord) -> Sheet:
    """Return an alert as an officer sees it."""
    alert = record.alert
    return Sheet(
        action=CATEGORIES[Category(alert.category)].action_text,
        warnings=tuple(map(plain, _warnings(alert))),
        rows=tuple(Row(row.label, plain(row.text)) for row in _rows(alert) if row.text),
    )


def partial_date(date: subject.PartialDate) -> str:
    """Return a date as far as it is known: 1980-03-07, 1980-03, 1980, 1955 to 1958."""
    text = {
        subject.DATE_PRECISION_DAY: f"{date.year:04}-{date.month:02}-{date.day:02}",
        subject.DATE_PRECISION_MONTH: f"{date.year:04}-{date.month:02}",
        subject.DATE_PRECISION_YEAR: f"{date.year:04}",
        subject.DATE_PRECISION_YEAR_RANGE: f"{date.year:04} to {date.year_to:04}",
    }.get(date.precision, _UNKNOWN)
    if date.qualifier == subject.DATE_QUALIFIER_APPROXIMATE:
        text = f"about {text}"
    if date.calendar in {subject.SOURCE_CALENDAR_HIJRI, subject.SOURCE_CALENDAR_SOLAR_HIJRI}:
        text = f"{text} (converted from the Hijri calendar)"
    return _joined(text, f"({_tidy(date.note)})" if date.note.strip() else "", by=" ")


def name_text(name: subject.Name) -> str:
    """Return a name in Latin letters and in its own script."""
    latin = _joined(name.surname, name.forenames, by=", ") or name.full or " ".join(name.parts)
    return _joined(_tidy(latin), _tidy(name.original_script), by=" / ")


def place_text(place: subject.Place) -> str:
    """Return a place from street to country, and its note."""
    text = _joined(
        *map(_tidy, (place.street, place.city, place.region, place.postal_code)),
        _country(place.country),
        by=", ",
    )
    return _joined(text, f"({_tidy(place.note)})" if place.note.strip() else "", by=" ")


def document_text(document: subject.IdentityDocument) -> str:
    """Return a document: kind, number, issuing state, dates and note."""
    kind = _tidy(document.kind_as_written) or _word(
        subject.DocumentKind.Name(document.kind), "DOCUMENT_KIND_"
    )
    issued = f"issued {partial_date(document.issued_on)}" if document.HasField("issued_on") else ""
    until = f"until {partial_date(document.expires_on)}" if document.HasField("expires_on") else ""
    return _joined(
        _joined(kind, _tidy(document.kind_detail), _tidy(document.number), by=" "),
        _country(document.issuing_state),
        issued,
        until,
        _tidy(document.note),
        by=", ",
    )


def _warnings(alert: wire.Alert) -> Iterator[str]:
    for marker in alert.markers:
        yield _word(wire.Marker.Name(marker), "MARKER_")
    limits = alert.restrictions
    if limits.child_protection_only:
        yield "for child protection only"
    if limits.no_third_state:
        yield "not to be passed to any other state"
    if alert.handling == wire.HANDLING_H1:
        yield "H1: no use in court without leave of the issuer"
    if alert.handling == wire.HANDLING_H2:
        yield "H2: no further dissemination without leave of the issuer"
    if alert.handling == wire.HANDLING_H3:
        yield f"H3: {alert.handling_note}"


def _rows(alert: wire.Alert) -> Iterator[Row]:
    yield Row("alert", f"{alert.alert_id} version {alert.version}")
    yield Row("category", alert.category)
    yield Row("reason", alert.reason)
    if alert.HasField("person"):
        yield from _person(alert.person)
    elif alert.HasField("entity"):
        yield from _names(alert.entity.names)
        yield from _each("address", map(place_text, alert.entity.addresses))
        yield from _each("registration", map(document_text, alert.entity.registrations))
    else:
        yield from _travel_document(alert.travel_document)
    yield from _case(alert)
    yield Row("issued by", f"{alert.issuer}, {alert.authority}, {alert.decision_reference}")
    yield Row("legal basis", alert.legal_basis)
    yield Row("valid", f"{_instant(alert.valid_from)} to {_instant(alert.expires_at)}")
    yield Row("assessment", _assessment(alert))
    yield from _each("remark", (f"[{r.language}] {r.text}" for r in alert.remarks))


def _person(person: subject.Person) -> Iterator[Row]:
    yield from _names(person.names)
    yield from _each("date of birth", map(partial_date, person.dates_of_birth))
    yield from _each("place of birth", map(place_text, person.places_of_birth))
    yield from _each("nationality", map(_country, person.nationalities))
    yield Row("sex", _word(subject.Sex.Name(person.sex), "SEX_") if person.sex else "")
    yield from _each("document", map(document_text, person.documents))
    yield from _each("address", map(place_text, person.addresses))
    yield from _each("title", map(_tidy, person.titles))
    yield from _each("function", map(_tidy, person.designations))
    yield Row("marks", person.physical_marks)


def _names(names: Iterable[subject.Name]) -> Iterator[Row]:
    for name in names:
        kind = _word(subject.NameKind.Name(name.kind), "NAME_KIND_")
        low = " (low quality)" if name.quality == subject.NAME_QUALITY_LOW else ""
        label = "name" if name.kind == subject.NAME_KIND_PRIMARY else f"{kind} name{low}"
        note = f"({_tidy(name.note)})" if name.note.strip() else ""
        yield Row(label, _joined(name_text(name), note, by=" "))
        yield Row("machine-readable name", name.mrz)


def _travel_document(document: subject.TravelDocument) -> Iterator[Row]:
    kind = _word(subject.DocumentKind.Name(document.kind), "DOCUMENT_KIND_")
    number = _joined(document.number, document.number_to, by=" to ")
    yield Row("document", f"{kind} {number}, {_country(document.issuing_state)}")
    yield Row("status", _word(subject.DocumentStatus.Name(document.status), "DOCUMENT_STATUS_"))
    if document.HasField("lost_on"):
        yield Row("since", partial_date(document.lost_on))
    yield Row("what to look for", document.note)
    if document.HasField("holder"):
        yield from _person(document.holder)


def _case(alert: wire.Alert) -> Iterator[Row]:
    if alert.HasField("arrest"):
        arrest = alert.arrest
        yield Row("offence", arrest.offence_text)
        yield Row("warrant", f"{arrest.warrant_reference}, {arrest.court}")
        yield Row("maximum sentence", f"{arrest.maximum_sentence_months} months")
        yield Row("assurances", arrest.assurances)
    if alert.HasField("protection"):
        kind = wire.ProtectionCaseKind.Name(alert.protection.kind)
        yield Row("case", _word(kind, "PROTECTION_CASE_KIND_"))
        yield Row("call", alert.protection.contact)
    if alert.HasField("listing"):
        listing = alert.listing
        yield Row("listed", f"{_tidy(listing.reference_number)}, {_tidy(listing.regime)}")
        yield Row("listed on", partial_date(listing.listed_on))
        yield Row("comments", _tidy(listing.comments))


def _assessment(alert: wire.Alert) -> str:
    source = _word(wire.SourceGrade.Name(alert.source_grade), "SOURCE_GRADE_").upper()
    information = _word(wire.InformationGrade.Name(alert.information_grade), "INFORMATION_GRADE_")
    basis = _word(wire.Basis.Name(alert.basis), "BASIS_")
    who = _word(wire.DataSubject.Name(alert.data_subject), "DATA_SUBJECT_")
    return f"{source}{information}, {basis}, {who}"


def _each(label: str, texts: Iterable[str]) -> Iterator[Row]:
    for text in texts:
        yield Row(label, text)


def _country(country: subject.Country) -> str:
    words = _tidy(country.as_written)
    return _joined(country.code, f"({words})" if country.code and words else words, by=" ")


def _instant(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).replace("_", " ").lower()


def _joined(*texts: str, by: str) -> str:
    return by.join(text for text in texts if text)


def _tidy(text: str) -> str:
    return " ".join(text.split())
