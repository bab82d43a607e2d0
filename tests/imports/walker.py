"""All texts of a list, read twice without a line of the importer.

`file_texts` walks the XML with the standard library; `record_texts` goes from a record
back to what the file must have said, by the meaning of the record's fields. Both name
a text by its entry, its path and the number of its block among those of its name that
say anything, so equal answers mean that nothing was lost, invented, moved from one
block to another or put in another order.
"""

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator

from mithaq.v1 import record_pb2 as wire
from mithaq.v1 import subject_pb2 as subject

Texts = Counter[tuple[str, int, str, str]]


def file_texts(data: bytes) -> dict[str, Texts]:
    """Return the texts of every entry of a file by DATAID."""
    root = ET.fromstring(data)  # noqa: S314  lists that the tests made or the user brought
    return {
        entry.findtext("DATAID", ""): Counter(_of_entry(entry))
        for tag in ("INDIVIDUAL", "ENTITY")
        for entry in root.iter(tag)
    }


def _of_entry(entry: ET.Element) -> Iterator[tuple[str, int, str, str]]:
    seen: Counter[str] = Counter()
    for child in entry:
        if len(child) == 0:
            if (child.text or "").strip():
                yield f"{entry.tag}/{child.tag}", 0, "", child.text or ""
            continue
        leaves = [(leaf.tag, leaf.text) for leaf in child if (leaf.text or "").strip()]
        assert all(len(leaf) == 0 for leaf in child)
        if {tag for tag, _ in leaves} == {"VALUE"}:
            # A block of values: their order is what counts.
            for number, (tag, text) in enumerate(leaves):
                yield f"{entry.tag}/{child.tag}", number, tag, text or ""
        elif leaves:
            for tag, text in leaves:
                yield f"{entry.tag}/{child.tag}", seen[child.tag], tag, text or ""
            seen[child.tag] += 1


def record_texts(alert: wire.Alert) -> Texts:
    """Return the texts that the file must have said for this record to come out."""
    tag = "INDIVIDUAL" if alert.HasField("person") else "ENTITY"
    said = [*_listing(alert), *(_person(alert) if tag == "INDIVIDUAL" else _entity(alert))]
    return Counter((f"{tag}/{path}", n, leaf, text) for path, n, leaf, text in said if text)


Said = Iterator[tuple[str, int, str, str]]


def _listing(alert: wire.Alert) -> Said:
    listing = alert.listing
    yield "DATAID", 0, "", alert.origin.reference
    yield "VERSIONNUM", 0, "", alert.origin.version
    yield "UN_LIST_TYPE", 0, "", listing.regime
    yield "REFERENCE_NUMBER", 0, "", listing.reference_number
    yield "LISTED_ON", 0, "", _date(listing.listed_on)
    yield "COMMENTS1", 0, "", listing.comments
    yield "SUBMITTED_BY", 0, "", listing.submitted_by
    yield "SORT_KEY", 0, "", listing.sort_key
    yield "SORT_KEY_LAST_MOD", 0, "", listing.sort_key_modified
    yield "SUBMITTED_ON", 0, "", _date(listing.submitted_on)
    yield "DELISTED_ON", 0, "", _date(listing.delisted_on)
    yield "LIST_TYPE", 0, "VALUE", listing.list_name
    for n, date in enumerate(listing.updated_on):
        yield "LAST_DAY_UPDATED", n, "VALUE", _date(date)


def _person(alert: wire.Alert) -> Said:
    person = alert.person
    primary, *aliases = person.names
    tags = ("FIRST_NAME", "SECOND_NAME", "THIRD_NAME", "FOURTH_NAME")
    for tag, part in zip(tags, primary.parts, strict=False):
        yield tag, 0, "", part
    yield "NAME_ORIGINAL_SCRIPT", 0, "", primary.original_script
    canonical = {subject.SEX_MALE: "Male", subject.SEX_FEMALE: "Female"}
    yield "GENDER", 0, "", person.sex_as_written or canonical.get(person.sex, "")
    for n, title in enumerate(person.titles):
        yield "TITLE", n, "VALUE", title
    for n, office in enumerate(person.designations):
        yield "DESIGNATION", n, "VALUE", office
    for n, country in enumerate(person.nationalities):
        yield "NATIONALITY", n, "VALUE", country.as_written
    for n, alias in enumerate(aliases):
        yield from _alias("INDIVIDUAL_ALIAS", n, alias)
    for n, place in enumerate(person.addresses):
        yield from _place("INDIVIDUAL_ADDRESS", n, place)
    for n, place in enumerate(person.places_of_birth):
        yield from _place("INDIVIDUAL_PLACE_OF_BIRTH", n, place)
    for n, document in enumerate(person.documents):
        yield from _document("INDIVIDUAL_DOCUMENT", n, document)
    for n, date in enumerate(person.dates_of_birth):
        yield from _birth("INDIVIDUAL_DATE_OF_BIRTH", n, date)


def _entity(alert: wire.Alert) -> Said:
    primary, *aliases = alert.entity.names
    yield "FIRST_NAME", 0, "", "".join(primary.parts)
    yield "NAME_ORIGINAL_SCRIPT", 0, "", primary.original_script
    for n, alias in enumerate(aliases):
        yield from _alias("ENTITY_ALIAS", n, alias)
    for n, place in enumerate(alert.entity.addresses):
        yield from _place("ENTITY_ADDRESS", n, place)


def _alias(path: str, n: int, name: subject.Name) -> Said:
    qualities = {subject.NAME_QUALITY_GOOD: "Good", subject.NAME_QUALITY_LOW: "Low"}
    kinds = {subject.NAME_KIND_ALIAS: "a.k.a.", subject.NAME_KIND_FORMER: "f.k.a."}
    yield path, n, "QUALITY", qualities.get(name.quality) or kinds.get(name.kind, "")
    yield path, n, "ALIAS_NAME", name.full
    yield path, n, "NOTE", name.note
    yield path, n, "DATE_OF_BIRTH", _date(name.date_of_birth)
    yield path, n, "CITY_OF_BIRTH", name.place_of_birth.city
    yield path, n, "COUNTRY_OF_BIRTH", name.place_of_birth.country.as_written


def _place(path: str, n: int, place: subject.Place) -> Said:
    yield path, n, "STREET", place.street
    yield path, n, "CITY", place.city
    yield path, n, "STATE_PROVINCE", place.region
    yield path, n, "ZIP_CODE", place.postal_code
    yield path, n, "COUNTRY", place.country.as_written
    yield path, n, "NOTE", place.note


def _document(path: str, n: int, document: subject.IdentityDocument) -> Said:
    yield path, n, "TYPE_OF_DOCUMENT", document.kind_as_written
    yield path, n, "TYPE_OF_DOCUMENT2", document.kind_detail
    yield path, n, "NUMBER", document.number
    yield path, n, "ISSUING_COUNTRY", document.issuing_state.as_written
    yield path, n, "COUNTRY_OF_ISSUE", document.issued_in.as_written
    yield path, n, "CITY_OF_ISSUE", document.city_of_issue
    yield path, n, "DATE_OF_ISSUE", _date(document.issued_on)
    yield path, n, "NOTE", document.note


def _birth(path: str, n: int, date: subject.PartialDate) -> Said:
    qualifiers = ("", "EXACT", "APPROXIMATELY", "BETWEEN")
    yield path, n, "TYPE_OF_DATE", qualifiers[date.qualifier]
    yield path, n, "NOTE", date.note
    if date.precision == subject.DATE_PRECISION_YEAR_RANGE:
        yield path, n, "FROM_YEAR", f"{date.year:04}"
        yield path, n, "TO_YEAR", f"{date.year_to:04}"
    else:
        tag = "YEAR" if date.precision == subject.DATE_PRECISION_YEAR else "DATE"
        yield path, n, tag, _date(date)


def _date(date: subject.PartialDate) -> str:
    if date.as_written:
        return date.as_written
    if date.precision == subject.DATE_PRECISION_DAY:
        return f"{date.year:04}-{date.month:02}-{date.day:02}"
    return f"{date.year:04}" if date.precision == subject.DATE_PRECISION_YEAR else ""
