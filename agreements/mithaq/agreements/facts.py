"""What a decision needs to know of a record, and nothing that tells who it is about.

Facts stand in audit logs for years and are compared between members, so they hold
codes, flags, lengths and an expiry; no name, number, date of birth or nationality.
Whom a protected person's record must be kept from is one set of members, without the
reason why (DOMAIN 4, T10): `members_of_states` makes it.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeVar, cast

from mithaq.agreements.categories import Category
from mithaq.agreements.errors import FactsInvalidError
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import (
    Handling,
    InformationGrade,
    OffenceClass,
    Purpose,
    RecordField,
    SourceGrade,
    SubjectAge,
    SubjectType,
)

ORIGIN_SYSTEM: Final = re.compile(r"[A-Z][A-Z0-9_-]{0,31}")
NECESSITY_LENGTH_MAX: Final = 100_000
SENTENCE_MONTHS_MAX: Final = 1200
MEMBER: Final = re.compile(r"[a-z]{2,3}-[a-z0-9][a-z0-9-]{0,29}")

Word = TypeVar("Word", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The facts of one version of a record.

    `excluded` are members that may not receive it, whatever the reason; None says that
    nobody could tell, and then nobody receives it. `offence`, `max_sentence_months`,
    `dual_criminality` and `assurances` are None where nobody has assessed them; a clause
    that asks for them then refuses. `partner` says that the sender has the record from
    another member, and `onward_consent` that this member has consented to passing it on.
    """

    category: Category
    subject_type: SubjectType
    subject_age: SubjectAge
    origin_system: str
    handling: Handling
    purposes: frozenset[Purpose]
    fields: frozenset[RecordField]
    expires_at: datetime
    source: SourceGrade
    information: InformationGrade
    necessity_length: int
    excluded: frozenset[str] | None
    offence: OffenceClass | None = None
    max_sentence_months: int | None = None
    dual_criminality: bool | None = None
    assurances: bool | None = None
    partner: bool = False
    onward_consent: bool = False

    def __post_init__(self) -> None:
        if not self.purposes or not self.fields:
            raise FactsInvalidError(
                "a record has at least one purpose and one field", fix="name them"
            )
        if not ORIGIN_SYSTEM.fullmatch(self.origin_system):
            raise FactsInvalidError(
                "the origin system is no code", fix="write it like NATIONAL, in capitals"
            )
        if self.expires_at.utcoffset() != timedelta(0) or self.expires_at.microsecond:
            raise FactsInvalidError(
                "the expiry is not a whole second of UTC", fix="round it up to a second"
            )
        if (self.subject_type is SubjectType.PERSON) == (
            self.subject_age is SubjectAge.NOT_A_PERSON
        ):
            raise FactsInvalidError(
                "the age class does not fit the type of subject",
                fix="give a person CHILD, ADULT or UNKNOWN, and all else NOT_A_PERSON",
            )

    def to_json(self) -> str:
        """Return the one JSON text of these facts, keys sorted."""
        return json.dumps(
            {name: _plain(getattr(self, name)) for name in FACT_NAMES},
            sort_keys=True,
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> "Facts":
        """Return the facts of a JSON text; raise FactsInvalidError for anything else."""
        return facts_of(parse_object(text))


FACT_NAMES: Final = tuple(Facts.__dataclass_fields__)


def _plain(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(cast("frozenset[str]", value))
    if isinstance(value, datetime):
        return format_instant(value)
    return value


def format_instant(instant: datetime) -> str:
    """Return an instant as 2027-01-01T00:00:00Z, to the microsecond where it has any."""
    return instant.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"


def parse_object(text: str) -> dict[str, Any]:
    """Return a JSON object; raise FactsInvalidError where a key stands twice, or for a list."""
    try:
        value = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise FactsInvalidError("the text is no JSON", fix="give it as it was written") from error
    if not isinstance(value, dict):
        raise FactsInvalidError("the text is no JSON object", fix="give it as it was written")
    return cast("dict[str, Any]", value)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise FactsInvalidError("a key stands twice", fix="give it as it was written")
    return value


def facts_of(value: dict[str, Any]) -> Facts:
    """Return the facts of a JSON object; raise FactsInvalidError for anything else."""
    check_keys(value, FACT_NAMES)
    return Facts(
        category=word(Category, value["category"]),
        subject_type=word(SubjectType, value["subject_type"]),
        subject_age=word(SubjectAge, value["subject_age"]),
        origin_system=text_of(value["origin_system"], ORIGIN_SYSTEM),
        handling=word(Handling, value["handling"]),
        purposes=words(Purpose, value["purposes"]),
        fields=words(RecordField, value["fields"]),
        expires_at=instant_of(value["expires_at"]),
        source=word(SourceGrade, value["source"]),
        information=word(InformationGrade, value["information"]),
        necessity_length=number_of(value["necessity_length"], NECESSITY_LENGTH_MAX),
        excluded=None if value["excluded"] is None else members_of(value["excluded"]),
        offence=None if value["offence"] is None else word(OffenceClass, value["offence"]),
        max_sentence_months=(
            None
            if value["max_sentence_months"] is None
            else number_of(value["max_sentence_months"], SENTENCE_MONTHS_MAX)
        ),
        dual_criminality=_flag_or_none(value["dual_criminality"]),
        assurances=_flag_or_none(value["assurances"]),
        partner=flag_of(value["partner"]),
        onward_consent=flag_of(value["onward_consent"]),
    )


def check_keys(value: dict[str, Any], names: Iterable[str]) -> None:
    """Raise FactsInvalidError unless the object has exactly these keys."""
    for name in set(names) ^ set(value):
        raise FactsInvalidError(
            f"the key {name!r} is missing or unknown", fix="give the facts as they were written"
        )


def word(words_known: type[Word], value: object) -> Word:
    """Return a word of the vocabulary."""
    if isinstance(value, str) and value in words_known.__members__.values():
        return words_known(value)
    raise FactsInvalidError(
        f"a value is no {words_known.__name__}",
        fix=f"use one of {', '.join(words_known)}",
    )


def words(words_known: type[Word], value: object) -> frozenset[Word]:
    """Return a set of words of the vocabulary."""
    return frozenset(word(words_known, item) for item in _list_of(value))


def members_of(value: object) -> frozenset[str]:
    """Return a set of member ids."""
    return frozenset(text_of(item, MEMBER) for item in _list_of(value))


def _list_of(value: object) -> list[object]:
    if isinstance(value, list):
        return cast("list[object]", value)
    raise FactsInvalidError("a set is no JSON list", fix="give the facts as they were written")


def text_of(value: object, pattern: re.Pattern[str]) -> str:
    """Return a text of the given form."""
    if isinstance(value, str) and pattern.fullmatch(value):
        return value
    raise FactsInvalidError("a code is not of its form", fix="give the facts as they were written")


def number_of(value: object, limit: int) -> int:
    """Return a whole number from 0 to a limit."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= limit:
        return value
    raise FactsInvalidError(
        f"a number is not from 0 to {limit}", fix="give the facts as they were written"
    )


def flag_of(value: object) -> bool:
    """Return true or false."""
    if isinstance(value, bool):
        return value
    raise FactsInvalidError(
        "a flag is neither true nor false", fix="give the facts as they were written"
    )


def _flag_or_none(value: object) -> bool | None:
    return None if value is None else flag_of(value)


def instant_of(value: object) -> datetime:
    """Return an instant written as 2027-01-01T00:00:00Z."""
    if isinstance(value, str) and value.endswith("Z"):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    raise FactsInvalidError(
        "an instant is not of its form", fix="write it like 2027-01-01T00:00:00Z"
    )


def members_of_states(agreement: Agreement, states: Iterable[str]) -> frozenset[str]:
    """Return the parties of some states, given as ISO 3166-1 alpha-3 codes.

    For a protected person, or under the rule ALL_NATIONALS for anybody, `states` are the
    nationalities; the result joins the record's own exclusions in `Facts.excluded`.
    """
    wanted = frozenset(states)
    return frozenset(
        party.member for party in agreement.parties if party.country and party.country in wanted
    )
