"""A line that tells a match's subject apart, and the warnings that go with it.

Made from what the reader may see (`judging`), so that what a clause does not grant is
not in the line either. The rule: what it says, the record says; nothing is inferred.
"""

from collections.abc import Iterator

from mithaq.v1 import record_pb2
from mithaq.v1 import subject_pb2 as subject

SUMMARY_LENGTH_MAX = 500
_HANDLING = {
    record_pb2.HANDLING_H1: "No use in court without the issuer's leave.",
    record_pb2.HANDLING_H2: "No further dissemination without the issuer's leave.",
}


def summary_of(alert: record_pb2.Alert) -> str:
    """Return name, birth, nationality or document in one line."""
    if alert.HasField("person"):
        parts = _person(alert.person)
    elif alert.HasField("entity"):
        parts = (_name(name) for name in alert.entity.names[:1])
    elif alert.HasField("travel_document"):
        parts = _document(alert.travel_document)
    else:
        parts = iter(())
    return ", ".join(part for part in parts if part)[:SUMMARY_LENGTH_MAX]


def warnings_of(alert: record_pb2.Alert) -> list[str]:
    """Return markers in words, then the handling code in words."""
    warnings = [
        record_pb2.Marker.Name(marker).removeprefix("MARKER_").replace("_", " ").lower()
        for marker in alert.markers
    ]
    if alert.handling == record_pb2.HANDLING_H3:
        warnings.append(alert.handling_note)
    elif alert.handling in _HANDLING:
        warnings.append(_HANDLING[alert.handling])
    return warnings


def _person(person: subject.Person) -> Iterator[str]:
    yield from (_name(name) for name in person.names[:1])
    for born in person.dates_of_birth[:1]:
        yield f"born {_date(born)}"
    if person.sex not in {subject.SEX_UNSPECIFIED, subject.SEX_UNKNOWN}:
        yield subject.Sex.Name(person.sex).removeprefix("SEX_").lower()
    for country in person.nationalities[:2]:
        yield country.code or country.as_written


def _name(name: subject.Name) -> str:
    latin = f"{name.surname} {name.forenames}".strip() or name.full
    latin = latin or " ".join(part for part in name.parts if part)
    return f"{latin} ({name.original_script})" if name.original_script else latin


def _date(born: subject.PartialDate) -> str:
    if born.precision == subject.DATE_PRECISION_DAY:
        return f"{born.year:04}-{born.month:02}-{born.day:02}"
    if born.precision == subject.DATE_PRECISION_MONTH:
        return f"{born.year:04}-{born.month:02}"
    if born.precision == subject.DATE_PRECISION_YEAR_RANGE:
        return f"{born.year}-{born.year_to}"
    return str(born.year) if born.year else "at an unknown date"


def _document(document: subject.TravelDocument) -> Iterator[str]:
    kind = subject.DocumentKind.Name(document.kind).removeprefix("DOCUMENT_KIND_")
    yield kind.replace("_", " ").lower()
    yield f"{document.issuing_state.code} {document.number}".strip()
    status = subject.DocumentStatus.Name(document.status).removeprefix("DOCUMENT_STATUS_")
    yield status.replace("_", " ").lower()
