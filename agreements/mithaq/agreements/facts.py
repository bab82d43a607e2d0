"""What a decision needs to know of a record, and nothing that tells who it is about.

Facts stand in audit logs for years and are compared between members, so they hold
codes, flags, lengths and an expiry; no name, number, date of birth or nationality.
Whom a protected person's record must be kept from is one set of members, without the
reason why (DOMAIN 4, T10): `members_of_states` makes it.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from mithaq.agreements import json_form
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
        return json_form.dump(self.to_object())

    def to_object(self) -> dict[str, object]:
        """Return these facts as a JSON object."""
        return {name: getattr(self, name) for name in FACT_NAMES}

    @classmethod
    def from_json(cls, text: str) -> "Facts":
        """Return the facts of a JSON text; raise FactsInvalidError for anything else."""
        return cls.from_object(json_form.parse_object(text))

    @classmethod
    def from_object(cls, value: dict[str, Any]) -> "Facts":
        """Return the facts of a JSON object; raise FactsInvalidError for anything else."""
        json_form.check_keys(value, FACT_NAMES)
        return cls(**{name: READERS[name](value[name]) for name in FACT_NAMES})


FACT_NAMES: Final = tuple(Facts.__dataclass_fields__)

READERS: Final[dict[str, Callable[[object], Any]]] = {
    "category": json_form.word(Category),
    "subject_type": json_form.word(SubjectType),
    "subject_age": json_form.word(SubjectAge),
    "origin_system": json_form.text(ORIGIN_SYSTEM),
    "handling": json_form.word(Handling),
    "purposes": json_form.set_of(json_form.word(Purpose)),
    "fields": json_form.set_of(json_form.word(RecordField)),
    "expires_at": json_form.instant,
    "source": json_form.word(SourceGrade),
    "information": json_form.word(InformationGrade),
    "necessity_length": json_form.number(NECESSITY_LENGTH_MAX),
    "excluded": json_form.optional(json_form.set_of(json_form.text(MEMBER))),
    "offence": json_form.optional(json_form.word(OffenceClass)),
    "max_sentence_months": json_form.optional(json_form.number(SENTENCE_MONTHS_MAX)),
    "dual_criminality": json_form.optional(json_form.flag),
    "assurances": json_form.optional(json_form.flag),
    "partner": json_form.flag,
    "onward_consent": json_form.flag,
}


def members_of_states(agreement: Agreement, states: Iterable[str]) -> frozenset[str]:
    """Return the parties of some states, given as ISO 3166-1 alpha-3 codes.

    For a protected person, or under the rule ALL_NATIONALS for anybody, `states` are the
    nationalities; the result joins the record's own exclusions in `Facts.excluded`.
    """
    wanted = frozenset(states)
    return frozenset(
        party.member for party in agreement.parties if party.country and party.country in wanted
    )
