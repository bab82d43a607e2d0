"""Which records a question leads to: by document, by alert, by origin, by name.

The answer is numbers of records, best first, to be opened, checked and scored; an
index key may meet another value by chance, and a record may have been erased since.
A search by name asks for a word that stands in the index, so it needs one word
spelt as the record spells it; what only sounds alike is found by later means.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from mithaq.node.lookup.index import numbers
from mithaq.node.lookup.keys import IndexKey
from mithaq.node.lookup.match import NameQuery

CANDIDATES_MAX: Final = 200
NAME_WORDS_MAX: Final = 12


class NameTooPoorError(Exception):
    """A search by name needs a word that tells persons apart (DOMAIN 4, T19)."""

    code = "MQ-LOOKUP-NAME-TOO-POOR"
    public_message = "Give at least one full word of the name."


@dataclass(frozen=True, slots=True)
class Candidates:
    """Numbers of records, best first; `more` where some were left out."""

    record_numbers: tuple[int, ...]
    more: bool = False


def by_document(
    connection: sa.Connection, index_key: IndexKey, *, number: str, state: str = ""
) -> Candidates:
    """Return the records that carry a document number, of one issuing state if given."""
    return _first(numbers(connection, index_key.document(number, state)))


def by_name(connection: sa.Connection, index_key: IndexKey, query: NameQuery) -> Candidates:
    """Return the records that share words with a name, those that share most first.

    Where a date of birth is given, records of another year come after those of its
    year and those whose year is unknown. Raises NameTooPoorError without a word.
    """
    words = index_key.name_words(query.name)[:NAME_WORDS_MAX]
    if not words:
        raise NameTooPoorError(NameTooPoorError.public_message)
    shared = Counter(record for key in words for record in numbers(connection, key))
    likely: set[int] = set()
    if query.born is not None:
        for key in index_key.birth_years(query.born.year):
            likely.update(numbers(connection, key))
    ranked = sorted(shared, key=lambda record: (-shared[record], record not in likely, -record))
    return _first(ranked)


def _first(record_numbers: list[int]) -> Candidates:
    kept = tuple(record_numbers[:CANDIDATES_MAX])
    return Candidates(kept, more=len(record_numbers) > len(kept))
