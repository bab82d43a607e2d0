"""The least that an alert must say, by its category (DOMAIN 3.1, 3.2).

What one field must look like stands in the .proto files, what fields must be
together in `structure`; here stands what the category demands. The rule: an error
names the field, never its value.
"""

from datetime import UTC, date, datetime
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
from mithaq.v1 import subject_pb2 as subject
from mithaq.v1.record_pb2 import Alert

# The second generation of SIS goes by these names too.
EXCLUDED_ORIGINS: Final = ORIGIN_SYSTEMS_NEVER | {"SISII", "SIS2"}
ADULT_AGE_YEARS: Final = 18
_DAY_SECONDS: Final = 86_400
_CATEGORY_CODES: Final = frozenset(Category)
_PURPOSE_CODES: Final = frozenset(Purpose)
_MISSING: Final = frozenset({Category.MISSING_LOCATE, Category.MISSING_PROTECT})


def check_alert(alert: Alert) -> None:
    """Raise RecordError where an alert lacks or exceeds what its category says."""
    _check_origin(alert)
    if alert.category not in _CATEGORY_CODES:
        raise RecordCategoryError("the category is not known", path="alert.category")
    category = Category(alert.category)
    _check_frame(alert, CATEGORIES[category])
    parts = parts_of(category)
    _check_parts(alert, parts)
    if alert.HasField("person"):
        _check_person(alert, CATEGORIES[category], parts)
    elif alert.HasField("entity"):
        _check_primary(alert.entity.names[0], path="alert.entity.names[0].kind")
    elif parts.own_documents_only:
        _check_issuing_state(alert)


def subject_type(alert: Alert) -> SubjectType:
    """Return what an alert is about; raise RecordIncompleteError where it is about nothing."""
    field = alert.WhichOneof("subject")
    if field is None:
        raise RecordIncompleteError("a subject is missing", path="alert.subject")
    return SUBJECT_TYPES[field]


def subject_age(alert: Alert) -> SubjectAge:
    """Return the age class of a person on the day when this version was made.

    Where several dates are given, or a date leaves it open, the class is UNKNOWN
    unless all agree.
    """
    if not alert.HasField("person"):
        return SubjectAge.NOT_A_PERSON
    on = datetime.fromtimestamp(alert.created_at, UTC).date()
    classes = {_age_class(born, on) for born in alert.person.dates_of_birth}
    return classes.pop() if len(classes) == 1 else SubjectAge.UNKNOWN


def _check_origin(alert: Alert) -> None:
    plain = alert.origin.system.replace("-", "").replace("_", "")
    if plain in EXCLUDED_ORIGINS:
        # Their law keeps their data in their own circle; this is a separate channel.
        raise OriginExcludedError(
            "data of SIS, Eurodac, VIS and EES stay in their own circle",
            path="alert.origin.system",
        )


def _check_frame(alert: Alert, rule: CategoryRule) -> None:
    if subject_type(alert) not in rule.subject_types:
        raise RecordCategoryError(
            f"{rule.code} is about {' or '.join(sorted(rule.subject_types))}",
            path="alert.subject",
        )
    if ACTION_CODES[alert.action] != rule.action:
        raise RecordCategoryError(f"{rule.code} asks for {rule.action}", path="alert.action")
    if alert.expires_at - alert.valid_from > rule.validity_days * _DAY_SECONDS:
        raise RecordCategoryError(
            f"{rule.code} lasts at most {rule.validity_days} days", path="alert.expires_at"
        )
    if not _PURPOSE_CODES.issuperset(alert.purposes):
        raise RecordCategoryError("a purpose is not known", path="alert.purposes")


def _check_parts(alert: Alert, parts: Parts) -> None:
    present = (
        ("arrest", parts.arrest, alert.HasField("arrest")),
        ("listing", parts.listing, alert.HasField("listing")),
    )
    for field, wanted, given in present:
        if wanted and not given:
            raise RecordIncompleteError("the category demands it", path=f"alert.{field}")
        if given and not wanted:
            raise RecordCategoryError("the category has no such part", path=f"alert.{field}")
    if parts.protection and not alert.HasField("protection"):
        raise RecordIncompleteError(
            "the category demands the kind of case and a protection contact",
            path="alert.protection",
        )


def _check_person(alert: Alert, rule: CategoryRule, parts: Parts) -> None:
    if parts.pseudonym_only:
        _check_pseudonym(alert.person)
    else:
        _check_primary(alert.person.names[0], path="alert.person.names[0].kind")
    age = subject_age(alert)
    if age not in rule.ages:
        raise RecordCategoryError(
            f"{rule.code} is for {' or '.join(sorted(rule.ages))} only",
            path="alert.person.dates_of_birth",
        )
    # A missing child, or perhaps one: somebody must be there to take it in.
    perhaps_child = age is not SubjectAge.ADULT and _dated(alert.person)
    if rule.code in _MISSING and perhaps_child and not alert.HasField("protection"):
        raise RecordIncompleteError(
            "a missing child needs the kind of case and a protection contact",
            path="alert.protection",
        )


def _check_primary(name: subject.Name, *, path: str) -> None:
    if name.kind != subject.NAME_KIND_PRIMARY:
        raise RecordIncompleteError("the first name must be the primary one", path=path)


def _check_pseudonym(person: subject.Person) -> None:
    if any(name.kind != subject.NAME_KIND_PSEUDONYM for name in person.names):
        raise RecordCategoryError("victims go by a pseudonym only", path="alert.person.names")


def _check_issuing_state(alert: Alert) -> None:
    code = alert.travel_document.issuing_state.code
    if not code or code != countries.state_of(alert.issuer):
        raise RecordCategoryError(
            "only the issuing state may report a document",
            path="alert.travel_document.issuing_state.code",
        )


def _dated(person: subject.Person) -> bool:
    return any(born.precision != subject.DATE_PRECISION_UNKNOWN for born in person.dates_of_birth)


def _age_class(born: subject.PartialDate, on: date) -> SubjectAge:
    if born.precision == subject.DATE_PRECISION_UNKNOWN:
        return SubjectAge.UNKNOWN
    today = (on.year, on.month, on.day)
    earliest = (born.year + ADULT_AGE_YEARS, born.month or 1, born.day or 1)
    latest = ((born.year_to or born.year) + ADULT_AGE_YEARS, born.month or 12, born.day or 31)
    if latest <= today:
        return SubjectAge.ADULT
    return SubjectAge.CHILD if earliest > today else SubjectAge.UNKNOWN
