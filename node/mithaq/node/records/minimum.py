"""The least that an alert must say, by its category (DOMAIN 3.1, 3.2).

What one field must look like stands in the .proto files, what fields must be
together in `structure`; here stands what the category demands. The rule: an error
names the field, never its value.
"""

from functools import lru_cache
from typing import Final

from mithaq.agreements.categories import CATEGORIES, Category, CategoryRule
from mithaq.agreements.vocabulary import ORIGIN_SYSTEMS_NEVER, Purpose, SubjectAge, SubjectType
from mithaq.node.records import countries
from mithaq.node.records.categories import ACTION_CODES, SUBJECT_TYPES, Parts, parts_of
from mithaq.node.records.errors import (
    OriginExcludedError,
    RecordCategoryError,
    RecordIncompleteError,
)
from mithaq.node.records.outline import Outline, PersonOutline
from mithaq.v1 import subject_pb2 as subject

# The second generation of SIS goes by these names too.
EXCLUDED_ORIGINS: Final = ORIGIN_SYSTEMS_NEVER | {"SISII", "SIS2"}
_CATEGORY_CODES: Final = frozenset(Category)
_PURPOSE_CODES: Final = frozenset(Purpose)
_PSEUDONYM: Final = frozenset({subject.NAME_KIND_PSEUDONYM})
_MISSING: Final = frozenset({Category.MISSING_LOCATE, Category.MISSING_PROTECT})
_OUTLINES_CACHED_MAX: Final = 4096


# Nothing but the arguments is looked at, so that what was found to fit fits again; an error
# is not remembered.
@lru_cache(maxsize=_OUTLINES_CACHED_MAX)
def check_minimum(outline: Outline, *, lasts_days: int) -> None:
    """Raise RecordError where an alert lacks or exceeds what its category says.

    `lasts_days` are the days from `valid_from` to `expires_at`, a part of one counted whole.
    """
    _check_origin(outline)
    if outline.category not in _CATEGORY_CODES:
        raise RecordCategoryError("the category is not known", path="alert.category")
    category = Category(outline.category)
    _check_frame(outline, CATEGORIES[category], lasts_days)
    parts = parts_of(category)
    _check_parts(outline, parts)
    if outline.subject == "person" and outline.person is not None:
        _check_person(outline, outline.person, CATEGORIES[category], parts)
    elif outline.subject == "entity" and outline.person is not None:
        _check_primary(outline.person, path="alert.entity.names[0].kind")
    elif parts.own_documents_only:
        _check_issuing_state(outline)


def subject_type(outline: Outline) -> SubjectType:
    """Return what an alert is about; raise RecordIncompleteError where it is about nothing."""
    if outline.subject not in SUBJECT_TYPES:
        raise RecordIncompleteError("a subject is missing", path="alert.subject")
    return SUBJECT_TYPES[outline.subject]


def _check_origin(outline: Outline) -> None:
    plain = outline.origin_system.replace("-", "").replace("_", "")
    if plain in EXCLUDED_ORIGINS:
        # Their law keeps their data in their own circle; this is a separate channel.
        raise OriginExcludedError(
            "data of SIS, Eurodac, VIS and EES stay in their own circle",
            path="alert.origin.system",
        )


def _check_frame(outline: Outline, rule: CategoryRule, lasts_days: int) -> None:
    if subject_type(outline) not in rule.subject_types:
        raise RecordCategoryError(
            f"{rule.code} is about {' or '.join(sorted(rule.subject_types))}",
            path="alert.subject",
        )
    if ACTION_CODES[outline.action] != rule.action:
        raise RecordCategoryError(f"{rule.code} asks for {rule.action}", path="alert.action")
    if lasts_days > rule.validity_days:
        raise RecordCategoryError(
            f"{rule.code} lasts at most {rule.validity_days} days", path="alert.expires_at"
        )
    if not _PURPOSE_CODES.issuperset(outline.purposes):
        raise RecordCategoryError("a purpose is not known", path="alert.purposes")


def _check_parts(outline: Outline, parts: Parts) -> None:
    present = (
        ("arrest", parts.arrest, outline.arrest is not None),
        ("listing", parts.listing, outline.listing),
    )
    for field, wanted, given in present:
        if wanted and not given:
            raise RecordIncompleteError("the category demands it", path=f"alert.{field}")
        if given and not wanted:
            raise RecordCategoryError("the category has no such part", path=f"alert.{field}")
    if parts.protection and not outline.protection:
        raise RecordIncompleteError(
            "the category demands the kind of case and a protection contact",
            path="alert.protection",
        )


def _check_person(
    outline: Outline, person: PersonOutline, rule: CategoryRule, parts: Parts
) -> None:
    if parts.pseudonym_only:
        _check_pseudonym(person)
    else:
        _check_primary(person, path="alert.person.names[0].kind")
    age = outline.age
    if age not in rule.ages:
        raise RecordCategoryError(
            f"{rule.code} is for {' or '.join(sorted(rule.ages))} only",
            path="alert.person.dates_of_birth",
        )
    # A missing child, or perhaps one: somebody must be there to take it in.
    perhaps_child = age is not SubjectAge.ADULT and person.dated
    if rule.code in _MISSING and perhaps_child and not outline.protection:
        raise RecordIncompleteError(
            "a missing child needs the kind of case and a protection contact",
            path="alert.protection",
        )


def _check_primary(person: PersonOutline, *, path: str) -> None:
    if person.first_name_kind != subject.NAME_KIND_PRIMARY:
        raise RecordIncompleteError("the first name must be the primary one", path=path)


def _check_pseudonym(person: PersonOutline) -> None:
    if not person.name_kinds <= _PSEUDONYM:
        raise RecordCategoryError("victims go by a pseudonym only", path="alert.person.names")


def _check_issuing_state(outline: Outline) -> None:
    if not outline.issuing_state or outline.issuing_state != countries.state_of(outline.issuer):
        raise RecordCategoryError(
            "only the issuing state may report a document",
            path="alert.travel_document.issuing_state.code",
        )
