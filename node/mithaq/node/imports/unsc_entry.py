"""From an entry of the Security Council's list to the subject and listing of an alert.

Every text of an entry has one field, and is kept as it was written, white space
and all; where a field is typed, `as_written` keeps the source's form if the typed
value would not give it back. What is left out is named in `LEFT_OUT`.
"""

import re
from types import MappingProxyType
from typing import Final

from mithaq.node.imports.block import Block
from mithaq.node.records import countries
from mithaq.v1 import record_pb2 as wire
from mithaq.v1 import subject_pb2 as subject

# What the record of an entry does not carry, and why.
LEFT_OUT: Final = MappingProxyType(
    {
        "elements without text": "they say nothing: an empty QUALITY names no quality",
        "text of white space only": "as elements without text",
        "white space between elements": "the layout of the file, no part of an entry",
        "xsi:noNamespaceSchemaLocation of the list": "where a schema lay; says nothing of entries",
        "order of different elements in an entry": "the list is a set of named parts; the order "
        "of equally named ones is kept",
        "comments in the file": "not part of the data by the rules of XML",
    }
)

_DAY: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})((?:[+-]\d{2}:\d{2})?)")
_YEAR: Final = re.compile(r"\d{4}")
_NAME_TAGS: Final = ("FIRST_NAME", "SECOND_NAME", "THIRD_NAME", "FOURTH_NAME")
_QUALITIES: Final = MappingProxyType(
    {
        "Good": (subject.NAME_KIND_ALIAS, subject.NAME_QUALITY_GOOD),
        "Low": (subject.NAME_KIND_ALIAS, subject.NAME_QUALITY_LOW),
        "a.k.a.": (subject.NAME_KIND_ALIAS, subject.NAME_QUALITY_UNSPECIFIED),
        "f.k.a.": (subject.NAME_KIND_FORMER, subject.NAME_QUALITY_UNSPECIFIED),
        "": (subject.NAME_KIND_OTHER, subject.NAME_QUALITY_UNSPECIFIED),
    }
)
_QUALIFIERS: Final = MappingProxyType(
    {
        "EXACT": subject.DATE_QUALIFIER_EXACT,
        "APPROXIMATELY": subject.DATE_QUALIFIER_APPROXIMATE,
        "BETWEEN": subject.DATE_QUALIFIER_BETWEEN,
        "": subject.DATE_QUALIFIER_UNSPECIFIED,
    }
)
_SEXES: Final = MappingProxyType(
    {"male": subject.SEX_MALE, "female": subject.SEX_FEMALE, "unknown": subject.SEX_UNKNOWN}
)
# The words that the list uses most, for the officer's display.
_DOCUMENT_KINDS: Final = MappingProxyType(
    {
        "passport": subject.DOCUMENT_KIND_PASSPORT,
        "national identification number": subject.DOCUMENT_KIND_NATIONAL_ID,
    }
)


def person_of(entry: Block) -> subject.Person:
    """Take a person's own parts from an INDIVIDUAL; raise EntryError for what is wrong."""
    person = subject.Person(
        names=[_primary(entry, _NAME_TAGS), *_aliases(entry, "INDIVIDUAL_ALIAS")],
        dates_of_birth=_dates_of_birth(entry),
        places_of_birth=_places(entry, "INDIVIDUAL_PLACE_OF_BIRTH"),
        nationalities=[_country(text) for text in entry.texts("NATIONALITY", "VALUE")],
        documents=_documents(entry),
        addresses=_places(entry, "INDIVIDUAL_ADDRESS"),
        titles=entry.texts("TITLE", "VALUE"),
        designations=entry.texts("DESIGNATION", "VALUE"),
    )
    if gender := entry.text("GENDER"):
        person.sex = _SEXES.get(gender.strip().casefold(), subject.SEX_OTHER)
        person.sex_as_written = gender
    return person


def entity_of(entry: Block) -> subject.Entity:
    """Take an entity's own parts from an ENTITY; raise EntryError for what is wrong."""
    return subject.Entity(
        names=[_primary(entry, ("FIRST_NAME",)), *_aliases(entry, "ENTITY_ALIAS")],
        addresses=_places(entry, "ENTITY_ADDRESS"),
    )


def listing_of(entry: Block) -> wire.Listing:
    """Take what the list says of the entry rather than of the subject."""
    lists = entry.texts("LIST_TYPE", "VALUE")
    if len(lists) != 1:
        raise entry.fail("LIST_TYPE", "one list is named")
    listing = wire.Listing(
        list_name=lists[0],
        regime=entry.text("UN_LIST_TYPE"),
        reference_number=entry.text("REFERENCE_NUMBER"),
        listed_on=_date(entry, "LISTED_ON", entry.text("LISTED_ON")),
        updated_on=[
            _date(entry, "LAST_DAY_UPDATED/VALUE", text)
            for text in entry.texts("LAST_DAY_UPDATED", "VALUE")
        ],
        comments=entry.text("COMMENTS1"),
        submitted_by=entry.text("SUBMITTED_BY"),
        sort_key=entry.text("SORT_KEY"),
        sort_key_modified=entry.text("SORT_KEY_LAST_MOD"),
    )
    if text := entry.text("SUBMITTED_ON"):
        listing.submitted_on.CopyFrom(_date(entry, "SUBMITTED_ON", text))
    if text := entry.text("DELISTED_ON"):
        listing.delisted_on.CopyFrom(_date(entry, "DELISTED_ON", text))
    return listing


def _primary(entry: Block, tags: tuple[str, ...]) -> subject.Name:
    parts = [entry.text(tag) for tag in tags]
    while parts and not parts[-1]:
        parts.pop()
    name = subject.Name(
        kind=subject.NAME_KIND_PRIMARY,
        parts=parts,
        transliteration=subject.TRANSLITERATION_UNSTATED,
    )
    if original := entry.text("NAME_ORIGINAL_SCRIPT"):
        name.original_script = original
        name.script = "Arab" if any("\u0600" <= char <= "\u06ff" for char in original) else ""
    return name


def _aliases(entry: Block, tag: str) -> list[subject.Name]:
    names: list[subject.Name] = []
    for block in entry.blocks(tag):
        quality = block.text("QUALITY")
        if quality not in _QUALITIES:
            raise block.fail("QUALITY", "Good, Low, a.k.a. or f.k.a.")
        kind, grade = _QUALITIES[quality]
        name = subject.Name(full=block.text("ALIAS_NAME"), note=block.text("NOTE"))
        if text := block.text("DATE_OF_BIRTH"):
            name.date_of_birth.CopyFrom(_date(block, "DATE_OF_BIRTH", text))
        if city := block.text("CITY_OF_BIRTH"):
            name.place_of_birth.city = city
        if country := block.text("COUNTRY_OF_BIRTH"):
            name.place_of_birth.country.CopyFrom(_country(country))
        block.finish()
        if name.ByteSize() or quality:
            name.kind, name.quality = kind, grade
            names.append(name)
    return names


def _dates_of_birth(entry: Block) -> list[subject.PartialDate]:
    dates = [
        date
        for block in entry.blocks("INDIVIDUAL_DATE_OF_BIRTH")
        if (date := _date_of_birth(block)) is not None
    ]
    return dates or [subject.PartialDate(precision=subject.DATE_PRECISION_UNKNOWN)]


def _date_of_birth(block: Block) -> subject.PartialDate | None:
    qualifier, note = block.text("TYPE_OF_DATE"), block.text("NOTE")
    if qualifier not in _QUALIFIERS:
        raise block.fail("TYPE_OF_DATE", "EXACT, APPROXIMATELY or BETWEEN")
    texts = {tag: block.text(tag) for tag in ("DATE", "YEAR", "FROM_YEAR", "TO_YEAR")}
    block.finish()
    given = tuple(tag for tag, text in texts.items() if text)
    if not (qualifier or note or given):
        return None
    if given in {("DATE",), ("YEAR",)}:
        date = _date(block, given[0], texts[given[0]])
    elif given == ("FROM_YEAR", "TO_YEAR"):
        date = subject.PartialDate(
            precision=subject.DATE_PRECISION_YEAR_RANGE,
            year=_year(block, "FROM_YEAR", texts["FROM_YEAR"]),
            year_to=_year(block, "TO_YEAR", texts["TO_YEAR"]),
        )
    elif not given:
        date = subject.PartialDate(precision=subject.DATE_PRECISION_UNKNOWN)
    else:
        raise block.fail(given[0], "a date, a year, or the first and last of some years")
    date.qualifier, date.note = _QUALIFIERS[qualifier], note
    return date


def _places(entry: Block, tag: str) -> list[subject.Place]:
    places: list[subject.Place] = []
    for block in entry.blocks(tag):
        place = subject.Place(
            street=block.text("STREET"),
            city=block.text("CITY"),
            region=block.text("STATE_PROVINCE"),
            postal_code=block.text("ZIP_CODE"),
            note=block.text("NOTE"),
        )
        if country := block.text("COUNTRY"):
            place.country.CopyFrom(_country(country))
        block.finish()
        if place.ByteSize():
            places.append(place)
    return places


def _documents(entry: Block) -> list[subject.IdentityDocument]:
    documents: list[subject.IdentityDocument] = []
    for block in entry.blocks("INDIVIDUAL_DOCUMENT"):
        kind = block.text("TYPE_OF_DOCUMENT")
        document = subject.IdentityDocument(
            kind=_DOCUMENT_KINDS.get(kind.strip().casefold(), subject.DOCUMENT_KIND_UNSPECIFIED),
            kind_as_written=kind,
            kind_detail=block.text("TYPE_OF_DOCUMENT2"),
            number=block.text("NUMBER"),
            city_of_issue=block.text("CITY_OF_ISSUE"),
            note=block.text("NOTE"),
        )
        if state := block.text("ISSUING_COUNTRY"):
            document.issuing_state.CopyFrom(_country(state))
        if state := block.text("COUNTRY_OF_ISSUE"):
            document.issued_in.CopyFrom(_country(state))
        if text := block.text("DATE_OF_ISSUE"):
            document.issued_on.CopyFrom(_date(block, "DATE_OF_ISSUE", text))
        block.finish()
        if document.ByteSize():
            documents.append(document)
    return documents


def _country(text: str) -> subject.Country:
    return subject.Country(code=countries.code_of(text), as_written=text)


def _date(block: Block, tag: str, text: str) -> subject.PartialDate:
    if _YEAR.fullmatch(text):
        return subject.PartialDate(precision=subject.DATE_PRECISION_YEAR, year=int(text))
    found = _DAY.fullmatch(text)
    if found is None:
        raise block.fail(tag, "a date as 2001-12-31, with a zone or without, or a year")
    year, month, day, zone = found.groups()
    return subject.PartialDate(
        precision=subject.DATE_PRECISION_DAY,
        year=int(year),
        month=int(month),
        day=int(day),
        as_written=text if zone else "",
    )


def _year(block: Block, tag: str, text: str) -> int:
    if not _YEAR.fullmatch(text):
        raise block.fail(tag, "a year of four digits")
    return int(text)
