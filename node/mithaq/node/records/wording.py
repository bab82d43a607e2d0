"""The values of a record in the field's words: dates, names, places, documents, actions.

The one place where a code becomes a word: the line of a match, an alert that is shown,
a hit report and the action to be taken are all made of these. The rule: what is said,
the record says; nothing is inferred, and a date is as precise as it is known.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from mithaq.agreements.categories import CATEGORIES, Category
from mithaq.service.text import plain
from mithaq.v1 import record_pb2 as wire
from mithaq.v1 import subject_pb2 as subject

SUMMARY_LENGTH_MAX: Final = 500
UNKNOWN: Final = "unknown"
# What a flag of a member may ask for instead, beside the actions of the categories.
_LOCATE: Final = "Locate and report; do not arrest."
ACTION_WORDS: Final = MappingProxyType(
    {
        wire.ACTION_LOCATE_AND_REPORT: _LOCATE,
        **{
            wire.Action.Value(f"ACTION_{rule.action}"): rule.action_text
            for rule in reversed(CATEGORIES.values())
            if f"ACTION_{rule.action}" in wire.Action.keys()  # noqa: SIM118 (not a mapping)
        },
    }
)
_HIJRI: Final = frozenset({subject.SOURCE_CALENDAR_HIJRI, subject.SOURCE_CALENDAR_SOLAR_HIJRI})


def action_text(alert: wire.Alert) -> str:
    """Return what the officer is asked to do: the category fixes it, whatever else is masked."""
    if alert.category in Category.__members__.values():
        return CATEGORIES[Category(alert.category)].action_text
    return ACTION_WORDS[alert.action]


def warnings_of(alert: wire.Alert) -> list[str]:
    """Return markers, limits and the handling code in words, the dangerous first."""
    texts = (*_markers(alert), *_limits(alert), _handling(alert))
    return [plain(tidy(text)) for text in texts if text]


def summary_of(alert: wire.Alert) -> str:
    """Return name, birth, nationality or document in one line, to tell a subject apart."""
    if alert.HasField("person"):
        parts = _person(alert.person)
    elif alert.HasField("entity"):
        parts = (name_text(name) for name in alert.entity.names[:1])
    elif alert.HasField("travel_document"):
        parts = _travel_document(alert.travel_document)
    else:
        parts = iter(())
    return plain(joined(*parts, by="; "))[:SUMMARY_LENGTH_MAX]


def known_date(date: subject.PartialDate) -> str:
    """Return a date as far as it is known: 1980-03-07, 1980-03, about 1980, 1955 to 1958."""
    text = {
        subject.DATE_PRECISION_DAY: f"{date.year:04}-{date.month:02}-{date.day:02}",
        subject.DATE_PRECISION_MONTH: f"{date.year:04}-{date.month:02}",
        subject.DATE_PRECISION_YEAR: f"{date.year:04}",
        subject.DATE_PRECISION_YEAR_RANGE: f"{date.year:04} to {date.year_to:04}",
    }.get(date.precision, UNKNOWN)
    about = date.qualifier == subject.DATE_QUALIFIER_APPROXIMATE
    return f"about {text}" if about else text


def partial_date(date: subject.PartialDate) -> str:
    """Return a date as far as it is known, with its calendar and its note."""
    calendar = "(converted from the Hijri calendar)" if date.calendar in _HIJRI else ""
    return joined(known_date(date), calendar, _note(date.note), by=" ")


def latin_name(name: subject.Name) -> str:
    """Return a name in Latin letters, the surname first."""
    return tidy(joined(name.surname, name.forenames, by=", ") or name.full or " ".join(name.parts))


def name_text(name: subject.Name) -> str:
    """Return a name in Latin letters and in its own script."""
    return joined(latin_name(name), tidy(name.original_script), by=" / ")


def place_text(place: subject.Place) -> str:
    """Return a place from street to country, and its note."""
    text = joined(
        *map(tidy, (place.street, place.city, place.region, place.postal_code)),
        country_text(place.country),
        by=", ",
    )
    return joined(text, _note(place.note), by=" ")


def document_text(document: subject.IdentityDocument) -> str:
    """Return a document: kind, number, issuing state, dates and note."""
    kind = tidy(document.kind_as_written) or document_kind(document.kind)
    return joined(
        joined(kind, tidy(document.kind_detail), tidy(document.number), by=" "),
        country_text(document.issuing_state),
        f"issued {partial_date(document.issued_on)}" if document.HasField("issued_on") else "",
        f"until {partial_date(document.expires_on)}" if document.HasField("expires_on") else "",
        tidy(document.note),
        by=", ",
    )


def document_kind(kind: subject.DocumentKind.ValueType) -> str:
    """Return the kind of a document: passport, national id."""
    return word(subject.DocumentKind.Name(kind), "DOCUMENT_KIND_")


def document_status(status: subject.DocumentStatus.ValueType) -> str:
    """Return why a document is reported: stolen, lost."""
    return word(subject.DocumentStatus.Name(status), "DOCUMENT_STATUS_")


def country_text(country: subject.Country) -> str:
    """Return a country's code, and what the source wrote for it."""
    words = tidy(country.as_written)
    return joined(country.code, f"({words})" if country.code and words else words, by=" ")


def minute(seconds: int) -> str:
    """Return an instant (seconds since 1970) as UTC, or nothing for none."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}Z" if seconds else ""


def word(name: str, prefix: str) -> str:
    """Return an enum's name as a word, and nothing for one that was not given."""
    text = name.removeprefix(prefix).replace("_", " ").lower()
    return "" if text == "unspecified" else text


def joined(*texts: str, by: str) -> str:
    """Return the texts that say something, joined."""
    return by.join(text for text in texts if text)


def tidy(text: str) -> str:
    """Return a text on one line, with single spaces."""
    return " ".join(text.split())


def _note(text: str) -> str:
    return f"({tidy(text)})" if text.strip() else ""


def _markers(alert: wire.Alert) -> Iterator[str]:
    for marker in alert.markers:
        yield word(wire.Marker.Name(marker), "MARKER_")


def _limits(alert: wire.Alert) -> Iterator[str]:
    limits = alert.restrictions
    if limits.child_protection_only:
        yield "for child protection only"
    if limits.no_third_state:
        yield "not to be passed to any other state"
    if limits.no_origin_state:
        yield "not to be told to a state of the person's nationality"


def _handling(alert: wire.Alert) -> str:
    return {
        wire.HANDLING_H1: "H1: no use in court without leave of the issuer",
        wire.HANDLING_H2: "H2: no further dissemination without leave of the issuer",
        wire.HANDLING_H3: f"H3: {alert.handling_note}",
    }.get(alert.handling, "")


def _person(person: subject.Person) -> Iterator[str]:
    yield from (name_text(name) for name in person.names[:1])
    for born in person.dates_of_birth[:1]:
        known = known_date(born)
        yield f"born {known}" if known != UNKNOWN else "date of birth unknown"
    if person.sex != subject.SEX_UNKNOWN:
        yield word(subject.Sex.Name(person.sex), "SEX_")
    for country in person.nationalities[:2]:
        yield country.code or tidy(country.as_written)


def _travel_document(document: subject.TravelDocument) -> Iterator[str]:
    yield document_kind(document.kind)
    yield joined(document.issuing_state.code, tidy(document.number), by=" ")
    yield document_status(document.status)
