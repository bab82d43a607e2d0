"""The outline of an alert: the codes and presences that its category and agreements look at.

Taken once when a record is read. What a category demands and what agreements decide on are
functions of it, so that alerts of one outline share one answer. The rule: no name, number,
date or text stands in it; the nationalities and the states that it is kept from do, so it
is never logged and never leaves the process.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

from mithaq.agreements.vocabulary import SubjectAge
from mithaq.v1 import record_pb2 as wire
from mithaq.v1 import subject_pb2 as subject
from mithaq.v1.record_values import (
    Alert,
    ArrestBasis,
    Entity,
    IdentityDocument,
    Name,
    PartialDate,
    Person,
)

ADULT_AGE_YEARS: Final = 18
_DAY_SECONDS: Final = 86_400
_DAYS_CACHED_MAX: Final = 4096
_SEX_NOT_SAID: Final = frozenset({subject.SEX_UNSPECIFIED, subject.SEX_UNKNOWN})


class PersonOutline(NamedTuple):
    """What of a person, or of an entity with names and documents alone, is said at all.

    `ages` are the age classes of all dates of birth on the day when the version was made;
    `dated` says that one of these is known, `born` that one is known or has a note.
    """

    first_name_kind: subject.NameKind.ValueType
    name_kinds: frozenset[subject.NameKind.ValueType]
    name_born: bool
    name_birthplace: bool
    national_number: bool
    identity_document: bool
    whereabouts: bool
    ages: frozenset[SubjectAge] = frozenset()
    dated: bool = False
    born: bool = False
    birthplace: bool = False
    sex: bool = False
    nationalities: tuple[str, ...] = ()
    marks: bool = False
    roles: bool = False


class ArrestOutline(NamedTuple):
    """What of the basis of an arrest agreements ask for."""

    offence: wire.OffenceClass.ValueType
    maximum_sentence_months: int
    dual_criminality: bool | None
    assurances: bool


class Outline(NamedTuple):
    """The outline of an alert; equal for alerts that are alike to category and agreements.

    `subject` is the field of the subject. `person` is the person or entity whom the alert
    is about, or the holder of its travel document; `issuing_state` is the document's.
    """

    category: str
    issuer: str
    action: wire.Action.ValueType
    handling: wire.Handling.ValueType
    source_grade: wire.SourceGrade.ValueType
    information_grade: wire.InformationGrade.ValueType
    subject: str
    person: PersonOutline | None
    issuing_state: str
    origin_system: str
    purposes: tuple[str, ...]
    arrest: ArrestOutline | None
    listing: bool
    protection: bool
    markers: bool
    links: bool
    remarks: bool
    excluded_states: tuple[str, ...]
    no_origin_state: bool

    @property
    def age(self) -> SubjectAge:
        """The age class of a person on the day when this version was made.

        Where several dates are given, or a date leaves it open, the class is UNKNOWN
        unless all agree.
        """
        if self.subject != "person" or self.person is None:
            return SubjectAge.NOT_A_PERSON
        return next(iter(self.person.ages)) if len(self.person.ages) == 1 else SubjectAge.UNKNOWN


def outline_of(alert: Alert) -> Outline:
    """Return the outline of an alert."""
    subject_field, person = _subject(alert)
    document, restrictions, listing = alert.travel_document, alert.restrictions, alert.listing
    return Outline(
        alert.category,
        alert.issuer,
        alert.action,
        alert.handling,
        alert.source_grade,
        alert.information_grade,
        subject_field,
        person,
        document.issuing_state.code if document else "",
        alert.origin.system,
        alert.purposes,
        _arrest(alert.arrest) if alert.arrest else None,
        listing is not None,
        alert.protection is not None,
        bool(alert.markers),
        bool(alert.links),
        bool(alert.remarks or (listing and listing.comments)),
        restrictions.exclude_states if restrictions else (),
        restrictions.no_origin_state if restrictions else False,
    )


def _subject(alert: Alert) -> tuple[str, PersonOutline | None]:
    if alert.person is not None:
        return "person", _person(alert.person, alert.created_at)
    if alert.entity is not None:
        return "entity", _entity(alert.entity)
    if alert.travel_document is not None:
        holder = alert.travel_document.holder
        return "travel_document", _person(holder, alert.created_at) if holder else None
    return "", None


def _person(person: Person, made_at: int) -> PersonOutline:
    ages, dated, born = _births(person.dates_of_birth, _day(made_at // _DAY_SECONDS))
    return PersonOutline(
        *_names(person.names),
        *_documents(person.documents),
        bool(person.addresses),
        ages,
        dated,
        born,
        bool(person.places_of_birth),
        person.sex not in _SEX_NOT_SAID,
        tuple([country.code for country in person.nationalities]),
        bool(person.physical_marks),
        bool(person.titles or person.designations),
    )


def _entity(entity: Entity) -> PersonOutline:
    return PersonOutline(
        *_names(entity.names), *_documents(entity.registrations), bool(entity.addresses)
    )


def _names(
    names: Sequence[Name],
) -> tuple[subject.NameKind.ValueType, frozenset[subject.NameKind.ValueType], bool, bool]:
    """Return the first name's kind, all kinds, and whether one has a birth of its own."""
    kinds: list[subject.NameKind.ValueType] = []
    born = placed = False
    for name in names:
        kinds.append(name.kind)
        born = born or name.date_of_birth is not None
        placed = placed or name.place_of_birth is not None
    return kinds[0] if kinds else subject.NAME_KIND_UNSPECIFIED, frozenset(kinds), born, placed


def _births(
    dates: Sequence[PartialDate], today: tuple[int, int, int]
) -> tuple[frozenset[SubjectAge], bool, bool]:
    """Return the age classes of dates, whether one is known, and whether one says anything."""
    ages: list[SubjectAge] = []
    dated = noted = False
    for date in dates:
        ages.append(_age_class(date, today))
        dated = dated or date.precision != subject.DATE_PRECISION_UNKNOWN
        noted = noted or bool(date.note)
    return frozenset(ages), dated, dated or noted


def _documents(documents: Sequence[IdentityDocument]) -> tuple[bool, bool]:
    national = [
        document.kind == subject.DOCUMENT_KIND_NATIONAL_REGISTER_NUMBER for document in documents
    ]
    return True in national, False in national


def _arrest(arrest: ArrestBasis) -> ArrestOutline:
    return ArrestOutline(
        arrest.offence,
        arrest.maximum_sentence_months,
        arrest.dual_criminality,
        bool(arrest.assurances),
    )


def _age_class(born: PartialDate, today: tuple[int, int, int]) -> SubjectAge:
    if born.precision == subject.DATE_PRECISION_UNKNOWN:
        return SubjectAge.UNKNOWN
    earliest = (born.year + ADULT_AGE_YEARS, born.month or 1, born.day or 1)
    latest = ((born.year_to or born.year) + ADULT_AGE_YEARS, born.month or 12, born.day or 31)
    if latest <= today:
        return SubjectAge.ADULT
    return SubjectAge.CHILD if earliest > today else SubjectAge.UNKNOWN


@lru_cache(maxsize=_DAYS_CACHED_MAX)
def _day(days: int) -> tuple[int, int, int]:
    """Return year, month and day of a day since 1970."""
    on = datetime.fromtimestamp(days * _DAY_SECONDS, UTC)
    return on.year, on.month, on.day
