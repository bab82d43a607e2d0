"""How well a name and a date of birth that were asked for fit a record, and why.

The index only says which records share a word with the name; here each is scored
from 0 to 100 with the reasons in words that an officer can check. The rule: a score
orders candidates, it decides nothing; a person does (Directive 2016/680 Article 11).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from rapidfuzz.distance import JaroWinkler

from mithaq.node.lookup.keys import written_words
from mithaq.node.lookup.normal import name_words
from mithaq.node.records.model import ParsedRecord
from mithaq.v1 import record_values as values
from mithaq.v1 import subject_pb2 as subject

SCORE_MIN: Final = 60
# Words less alike than this count as different: between short names chance is 0.5.
_WORD_LIKENESS_MIN: Final = 0.8
_BIRTH_FACTORS: Final = {
    "date of birth: same day": 1.0,
    "date of birth: same month, day unknown": 0.97,
    "date of birth: same year, day unknown": 0.95,
    "date of birth: within the years given": 0.93,
    "date of birth: unknown in the record": 0.9,
    "date of birth: day and month exchanged": 0.9,
    "date of birth: same year, another day": 0.75,
    "date of birth: another year": 0.5,
}


@dataclass(frozen=True, slots=True)
class NameQuery:
    """A name as the officer has it, in any script, and the date of birth if known."""

    name: str
    born: date | None = None

    @property
    def words(self) -> list[str]:
        """The words of the name in normal form."""
        return list(dict.fromkeys(name_words(self.name)))


@dataclass(frozen=True, slots=True)
class Score:
    """How well a record fits: 0 to 100, and the reasons."""

    value: int
    reasons: tuple[str, ...]


def score(record: ParsedRecord, query: NameQuery) -> Score:
    """Return how well the best of a record's names, and its dates of birth, fit a query."""
    words = query.words
    alert = record.values
    if alert.entity is not None:
        likeness, reasons = _best_name(words, alert.entity.names)
        return Score(round(100 * likeness), reasons)
    person = alert.person or (alert.travel_document and alert.travel_document.holder)
    if person is None:
        return Score(0, ())
    likeness, reasons = _best_name(words, person.names)
    if query.born is None or not person.dates_of_birth:
        return Score(round(100 * likeness), reasons)
    reason = _best_birth(person.dates_of_birth, query.born)
    return Score(round(100 * likeness * _BIRTH_FACTORS[reason]), (*reasons, reason))


def _best_name(words: list[str], names: Iterable[values.Name]) -> tuple[float, tuple[str, ...]]:
    scored = (_name_likeness(words, name) for name in names)
    return max(scored, default=(0.0, ()), key=lambda each: each[0])


def _name_likeness(asked: list[str], name: values.Name) -> tuple[float, tuple[str, ...]]:
    """Return how alike a name is, 0 to 1: each word asked for against the best of the name."""
    written = written_words(name)
    if not asked or not written:
        return 0.0, ()
    best = [max(JaroWinkler.similarity(word, other) for other in written) for word in asked]
    same = sum(value == 1.0 for value in best)
    alike = sum(_WORD_LIKENESS_MIN <= value < 1.0 for value in best)
    total = sum(value for value in best if value >= _WORD_LIKENESS_MIN) / len(asked)
    kind = subject.NameKind.Name(name.kind).removeprefix("NAME_KIND_").lower()
    reasons = [f"{kind} name: {same} of {len(asked)} words the same"]
    if alike:
        reasons.append(f"{alike} of {len(asked)} words alike")
    if name.quality == subject.NAME_QUALITY_LOW:
        reasons.append("alias of low quality")
    return total, tuple(reasons)


def _best_birth(dates: Iterable[values.PartialDate], born: date) -> str:
    return max((_birth(given, born) for given in dates), key=_BIRTH_FACTORS.__getitem__)


def _birth(given: values.PartialDate, born: date) -> str:
    if given.precision == subject.DATE_PRECISION_UNKNOWN:
        return "date of birth: unknown in the record"
    if not given.year <= born.year <= (given.year_to or given.year):
        return "date of birth: another year"
    if given.year_to:
        return "date of birth: within the years given"
    return _birth_in_year(given, born)


def _birth_in_year(given: values.PartialDate, born: date) -> str:
    if given.precision == subject.DATE_PRECISION_YEAR:
        return "date of birth: same year, day unknown"
    if given.precision == subject.DATE_PRECISION_MONTH:
        same = given.month == born.month
        return f"date of birth: same {'month' if same else 'year'}, day unknown"
    if (given.month, given.day) == (born.month, born.day):
        return "date of birth: same day"
    if (given.day, given.month) == (born.month, born.day):
        return "date of birth: day and month exchanged"
    return "date of birth: same year, another day"
