"""A question to the index: a document, a name with what is known of the birth, or both.

Parsed once at the edge. The rule: a search says whom it is after. There are no
wildcards, and a name has at least one whole word (DOMAIN 4, T19).
"""

import re
from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from mithaq.node.lookup.keys import IndexKey, keys_of
from mithaq.node.lookup.match import NameQuery, Score, score
from mithaq.node.lookup.normal import document_number, name_words
from mithaq.node.records.model import ParsedRecord
from mithaq.service.errors import InvalidRequestError
from mithaq.v1 import local_pb2
from mithaq.v1 import subject_pb2 as subject

DOCUMENT_SCORE: Final = 100
MONTHS: Final = 12
_NUMBER_CHARS_MIN: Final = 5
_OTHER_YEAR_PERCENT: Final = 50
_BORN: Final = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")
_STATE: Final = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True)
class Born:
    """What is known of a date of birth; month and day may be 0."""

    year: int
    month: int = 0
    day: int = 0

    @property
    def exists(self) -> bool:
        """Whether the calendar has such a day, month or year."""
        if not 1 <= (self.month or 1) <= MONTHS or not self.year:
            return False
        return (self.day or 1) <= monthrange(self.year, self.month or 1)[1]

    @property
    def whole(self) -> date | None:
        """The day, where it is known."""
        return date(self.year, self.month, self.day) if self.day else None

    @property
    def beginning(self) -> date:
        """The first day that it may be."""
        return date(self.year, self.month or 1, self.day or 1)


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for; document or name, or both, are not empty."""

    document: str
    state: str
    name: str
    born: Born | None

    @property
    def kind(self) -> str:
        """What is searched by, as the audit log names it."""
        return "+".join(
            part for part, given in (("document", self.document), ("name", self.name)) if given
        )

    @property
    def terms(self) -> tuple[str, ...]:
        """The terms in normal form, so that equal searches hash to equal values."""
        born = self.born
        return (
            document_number(self.document),
            self.state,
            " ".join(sorted(name_words(self.name))),
            f"{born.year:04}-{born.month:02}-{born.day:02}" if born else "",
        )

    @property
    def name_query(self) -> NameQuery:
        """The name as the index takes it: a year is enough to put candidates in order."""
        return NameQuery(self.name, self.born.beginning if self.born else None)


def parse_query(request: local_pb2.FindAlertsRequest) -> Query:
    """Return the question; raise InvalidRequestError naming the field that is wrong."""
    number = document_number(request.document_number)
    if request.document_number and len(number) < _NUMBER_CHARS_MIN:
        raise InvalidRequestError(
            ("document_number", f"has at least {_NUMBER_CHARS_MIN} letters or digits")
        )
    if request.issuing_state and not _STATE.fullmatch(request.issuing_state):
        raise InvalidRequestError(("issuing_state", "is three capital letters, such as EGY"))
    if request.name and not name_words(request.name):
        raise InvalidRequestError(("name", "has at least one whole word that tells people apart"))
    if not number and not request.name:
        raise InvalidRequestError(("document_number", "give a document number or a name"))
    if request.date_of_birth and not request.name:
        raise InvalidRequestError(("date_of_birth", "goes with a name"))
    return Query(number, request.issuing_state, request.name, _born(request.date_of_birth))


def _born(text: str) -> Born | None:
    if not text:
        return None
    found = _BORN.fullmatch(text)
    born = Born(*(int(part or 0) for part in found.groups())) if found else None
    if born is None or not born.exists:
        raise InvalidRequestError(
            ("date_of_birth", "is YYYY, YYYY-MM or YYYY-MM-DD, and a day of the calendar")
        )
    return born


def fit(record: ParsedRecord, query: Query, index_key: IndexKey) -> Score:
    """Return how well an opened record fits, and why; 0 where the index met it by chance."""
    best = Score(0, ())
    if query.document:
        key = index_key.document(query.document, query.state)
        if key in keys_of(record, index_key):
            with_state = " of the issuing state" if query.state else ""
            best = Score(DOCUMENT_SCORE, (f"document number{with_state}: the same",))
    if query.name:
        named = _fit_name(record, query)
        best = max(best, named, key=lambda each: each.value)
    return best


def _fit_name(record: ParsedRecord, query: Query) -> Score:
    born = query.born
    named = score(record, NameQuery(query.name, born.whole if born else None))
    if born is None or born.whole is not None:
        return named
    dates = list(_dates(record))
    if not dates:
        return named
    if any(_may_be(given, born) for given in dates):
        return Score(named.value, (*named.reasons, "date of birth: fits what is known"))
    value = named.value * _OTHER_YEAR_PERCENT // 100
    return Score(value, (*named.reasons, "date of birth: another year or month"))


def _dates(record: ParsedRecord) -> Iterable[subject.PartialDate]:
    alert = record.alert
    if alert.HasField("person"):
        return alert.person.dates_of_birth
    if alert.HasField("travel_document"):
        return alert.travel_document.holder.dates_of_birth
    return ()


def _may_be(given: subject.PartialDate, born: Born) -> bool:
    if given.precision == subject.DATE_PRECISION_UNKNOWN:
        return True
    if not given.year <= born.year <= (given.year_to or given.year):
        return False
    return not (given.month and born.month) or given.month == born.month
