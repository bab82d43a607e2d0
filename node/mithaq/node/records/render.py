"""What an officer sees of a record: the subject first, then the case, then who says so.

Rows of plain text, for a terminal, a console or a national system; the action to be taken
and the warnings (`wording`) come before them. What a clause does not grant is absent, not
empty. Nothing here decides who may see it; the caller has asked the agreement before it
renders (DESIGN 7: again at every reading).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mithaq.node.records.wording import (
    ACTION_WORDS,
    country_text,
    document_kind,
    document_status,
    document_text,
    joined,
    latin_name,
    minute,
    partial_date,
    place_text,
    tidy,
    word,
)
from mithaq.service.text import plain
from mithaq.v1 import entry_pb2
from mithaq.v1 import record_pb2 as wire
from mithaq.v1 import subject_pb2 as subject

_NAMES = {
    subject.NAME_KIND_PRIMARY: "name",
    subject.NAME_KIND_BIRTH: "birth name",
    subject.NAME_KIND_FORMER: "former name",
    subject.NAME_KIND_ALIAS: "alias",
    subject.NAME_KIND_OTHER: "other name",
    subject.NAME_KIND_PSEUDONYM: "pseudonym",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A label and what stands beside it."""

    label: str
    text: str


def rows_of(alert: wire.Alert) -> tuple[Row, ...]:
    """Return an alert as an officer reads it, whole or as far as it was granted."""
    return _said(_alert(alert))


def hit_rows(report: wire.HitReport) -> tuple[Row, ...]:
    """Return a hit report as the issuer's bureau reads it."""
    return _said(_hit(report))


def _said(rows: Iterable[Row]) -> tuple[Row, ...]:
    tidied = (Row(row.label, plain(tidy(row.text))) for row in rows)
    return tuple(row for row in tidied if row.text)


def _alert(alert: wire.Alert) -> Iterator[Row]:
    yield Row("alert", f"{alert.alert_id} version {alert.version}")
    yield Row("category", alert.category)
    yield Row("priority", word(entry_pb2.Priority.Name(alert.priority), "PRIORITY_"))
    yield Row("reason", alert.reason)
    if alert.HasField("person"):
        yield from _person(alert.person)
    elif alert.HasField("entity"):
        yield from _names(alert.entity.names)
        yield from _each("address", map(place_text, alert.entity.addresses))
        yield from _each("registration", map(document_text, alert.entity.registrations))
    elif alert.HasField("travel_document"):
        yield from _travel_document(alert.travel_document)
    yield from _case(alert)
    yield from _limits(alert)
    yield from _issuer(alert)


def _issuer(alert: wire.Alert) -> Iterator[Row]:
    yield Row("issued by", joined(alert.issuer, alert.authority, alert.decision_reference, by=", "))
    yield Row("legal basis", alert.legal_basis)
    yield Row("purposes", ", ".join(alert.purposes))
    yield Row("necessity", alert.necessity)
    yield Row("valid", joined(minute(alert.valid_from), minute(alert.expires_at), by=" to "))
    yield Row("review by", minute(alert.review_by))
    yield Row("assessment", _assessment(alert))
    yield Row("concerned as", word(wire.DataSubject.Name(alert.data_subject), "DATA_SUBJECT_"))
    source = alert.origin
    yield Row("source", joined(source.system, source.reference, minute(source.as_of), by=", "))
    yield from _each("remark", (f"[{each.language}] {each.text}" for each in alert.remarks))


def _person(person: subject.Person) -> Iterator[Row]:
    yield from _names(person.names)
    yield from _each("date of birth", map(partial_date, person.dates_of_birth))
    yield from _each("place of birth", map(place_text, person.places_of_birth))
    yield from _each("nationality", map(country_text, person.nationalities))
    yield Row("sex", word(subject.Sex.Name(person.sex), "SEX_"))
    yield from _each("document", map(document_text, person.documents))
    yield from _each("address", map(place_text, person.addresses))
    yield from _each("title", person.titles)
    yield from _each("function", person.designations)
    yield Row("marks", person.physical_marks)


def _names(names: Iterable[subject.Name]) -> Iterator[Row]:
    for name in names:
        low = " (low quality)" if name.quality == subject.NAME_QUALITY_LOW else ""
        note = f"({tidy(name.note)})" if name.note.strip() else ""
        yield Row(_NAMES.get(name.kind, "name") + low, joined(latin_name(name), note, by=" "))
        # On a line of its own: beside Latin letters its direction would turn theirs.
        yield Row("own script", name.original_script)
        yield Row("machine-readable", name.mrz)


def _travel_document(document: subject.TravelDocument) -> Iterator[Row]:
    number = joined(document.number, document.number_to, by=" to ")
    yield Row(
        "document",
        joined(
            joined(document_kind(document.kind), number, by=" "),
            country_text(document.issuing_state),
            by=", ",
        ),
    )
    yield Row("status", document_status(document.status))
    if document.HasField("lost_on"):
        yield Row("since", partial_date(document.lost_on))
    yield Row("what to look for", document.note)
    if document.HasField("holder"):
        yield from _person(document.holder)


def _case(alert: wire.Alert) -> Iterator[Row]:
    if alert.HasField("arrest"):
        yield from _arrest(alert.arrest)
    if alert.HasField("protection"):
        kind = wire.ProtectionCaseKind.Name(alert.protection.kind)
        yield Row("case", word(kind, "PROTECTION_CASE_KIND_"))
        yield Row("call", alert.protection.contact)
        yield Row("order", alert.protection.order_reference)
    if alert.HasField("listing"):
        listing = alert.listing
        yield Row("listed", joined(listing.reference_number, listing.regime, by=", "))
        yield Row("listed on", partial_date(listing.listed_on))
        yield from _each("updated on", map(partial_date, listing.updated_on))
        yield Row("comments", listing.comments)


def _arrest(arrest: wire.ArrestBasis) -> Iterator[Row]:
    yield Row("offence", arrest.offence_text)
    warrant = minute(arrest.warrant_issued_at)
    yield Row("warrant", joined(arrest.warrant_reference, arrest.court, warrant, by=", "))
    months = arrest.maximum_sentence_months
    yield Row("maximum sentence", f"{months} months" if months else "")
    yield Row("assurances", arrest.assurances)


def _limits(alert: wire.Alert) -> Iterator[Row]:
    yield Row("only for units", ", ".join(alert.restrictions.only_units))
    yield Row("not for states", ", ".join(alert.restrictions.exclude_states))
    for flag in alert.flags:
        instead = ACTION_WORDS.get(flag.substitute_action, "")
        until = f"until {minute(flag.valid_to)}" if flag.valid_to else ""
        over = f"withdrawn {minute(flag.withdrawn_at)}" if flag.withdrawn_at else ""
        reason = word(wire.FlagReason.Name(flag.reason), "FLAG_REASON_")
        yield Row("flag", joined(flag.requested_by, reason, until, over, instead, by=", "))
    for link in alert.links:
        kind = word(wire.LinkKind.Name(link.kind), "LINK_KIND_")
        yield Row("link", joined(kind, link.alert_id, by=": "))


def _assessment(alert: wire.Alert) -> str:
    source = word(wire.SourceGrade.Name(alert.source_grade), "SOURCE_GRADE_").upper()
    information = word(wire.InformationGrade.Name(alert.information_grade), "INFORMATION_GRADE_")
    return joined(
        f"source {source}" if source else "",
        f"information {information}" if information else "",
        word(wire.Basis.Name(alert.basis), "BASIS_"),
        by=", ",
    )


def _hit(report: wire.HitReport) -> Iterator[Row]:
    yield Row("hit", report.hit_id)
    yield Row("on alert", f"{report.alert_id} version {report.alert_version}")
    yield Row("reported by", report.reporter)
    yield Row("urgent", "yes" if report.urgent else "")
    yield Row("action", word(wire.ActionOutcome.Name(report.outcome), "ACTION_OUTCOME_"))
    yield Row("what was done", report.outcome_note)
    yield Row("found", joined(minute(report.found_at), place_text(report.place), by=", "))
    if report.HasField("document_seen"):
        yield Row("document seen", document_text(report.document_seen))
    yield Row("case", report.case_reference)
    yield Row("officer (code)", report.officer_reference)
    yield Row("second line (code)", report.second_line_reference)
    yield Row("handling", word(wire.Handling.Name(report.handling), "HANDLING_").upper())
    yield Row("reported", minute(report.created_at))
    yield from _each("remark", (f"[{each.language}] {each.text}" for each in report.remarks))


def _each(label: str, texts: Iterable[str]) -> Iterator[Row]:
    for text in texts:
        yield Row(label, text)
