"""Index keys: keyed hashes of what a record may be found by.

A key is keyed BLAKE2b (RFC 7693) of 16 bytes over the value, personalised by the
label. Without the index key the index says nothing: an unkeyed hash of a document
number is undone by trying all numbers (LIMITS). Each label is a space of its own, so
that a name can never meet a number. The rule: what is stored and what is asked go through the
same normal form.
"""

import hashlib
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Final

from mithaq.node.lookup.normal import document_number, document_numbers, name_words
from mithaq.node.records.model import ParsedRecord, RecordKind
from mithaq.v1 import subject_pb2 as subject

KEY_BYTES = 16
INDEX_KEY_BYTES = 32
# A range of birth years longer than this is indexed as unknown.
_YEARS_MAX = 20
_UNKNOWN_YEAR = "?"


class Label(Enum):
    """The spaces of keys; the value goes into each key, so none may change."""

    DOCUMENT = b"mithaq/document"
    DOCUMENT_OF_STATE = b"mithaq/doc-state"
    NAME_WORD = b"mithaq/name-word"
    BIRTH_YEAR = b"mithaq/birthyear"


class IndexKey:
    """The secret under which a node indexes; its value never reaches a repr."""

    def __init__(self, secret: bytes) -> None:
        """Take 32 secret bytes."""
        if len(secret) != INDEX_KEY_BYTES:
            raise ValueError(f"an index key has {INDEX_KEY_BYTES} bytes")
        # Copied with key and label already in: 0.5 us a key, ten times a record, where
        # HMAC-SHA256 takes 2.1 that way.
        self._states: Final = {
            label: hashlib.blake2b(key=secret, person=label.value, digest_size=KEY_BYTES)
            for label in Label
        }

    def __repr__(self) -> str:
        return "IndexKey(…)"

    def of(self, label: Label, value: str) -> bytes:
        """Return the 16 bytes under which this value stands in the index."""
        state = self._states[label].copy()
        state.update(value.encode())
        return state.digest()

    def document(self, number: str, state: str = "") -> bytes:
        """Return the key of a document number, of one issuing state if one is given."""
        plain = document_number(number)
        if state:
            return self.of(Label.DOCUMENT_OF_STATE, f"{state}/{plain}")
        return self.of(Label.DOCUMENT, plain)

    def name_words(self, name: str) -> list[bytes]:
        """Return the keys of the words of a name, each once."""
        return [self.of(Label.NAME_WORD, word) for word in dict.fromkeys(name_words(name))]

    def birth_years(self, year: int) -> list[bytes]:
        """Return the keys to ask for with a year of birth: it, and those unknown."""
        return [self.of(Label.BIRTH_YEAR, value) for value in (str(year), _UNKNOWN_YEAR)]


def keys_of(record: ParsedRecord, index_key: IndexKey) -> set[bytes]:
    """Return every key of a record; none where it is no alert."""
    if record.kind is not RecordKind.ALERT:
        return set()
    alert = record.alert
    keys: set[bytes] = set()
    if alert.HasField("person"):
        keys.update(_person(alert.person, index_key))
    elif alert.HasField("entity"):
        keys.update(_names(alert.entity.names, index_key))
        keys.update(_documents(alert.entity.registrations, index_key))
    else:
        keys.update(_travel_document(alert.travel_document, index_key))
    return keys


def _person(person: subject.Person, index_key: IndexKey) -> Iterator[bytes]:
    yield from _names(person.names, index_key)
    yield from _documents(person.documents, index_key)
    born = [*person.dates_of_birth, *(n.date_of_birth for n in person.names)]
    for year in {year for date in born for year in _years(date)}:
        yield index_key.of(Label.BIRTH_YEAR, year)


def _names(names: Iterable[subject.Name], index_key: IndexKey) -> Iterator[bytes]:
    words: set[str] = set()
    for name in names:
        words.update(written_words(name))
    for word in words:
        yield index_key.of(Label.NAME_WORD, word)


def written_words(name: subject.Name) -> list[str]:
    """Return the words of a name in every script in which it is written."""
    latin = " ".join((name.forenames, name.surname, name.full, *name.parts))
    return name_words(latin) + name_words(name.original_script)


def _documents(
    documents: Iterable[subject.IdentityDocument], index_key: IndexKey
) -> Iterator[bytes]:
    for document in documents:
        states = {document.issuing_state.code, document.issued_in.code} - {""}
        for number in document_numbers(document.number):
            yield index_key.of(Label.DOCUMENT, number)
            for state in states:
                yield index_key.of(Label.DOCUMENT_OF_STATE, f"{state}/{number}")


def _travel_document(document: subject.TravelDocument, index_key: IndexKey) -> Iterator[bytes]:
    yield index_key.document(document.number)
    yield index_key.document(document.number, document.issuing_state.code)
    if document.HasField("holder"):
        yield from _person(document.holder, index_key)


def _years(born: subject.PartialDate) -> list[str]:
    if born.precision == subject.DATE_PRECISION_UNSPECIFIED:
        return []
    last = born.year_to or born.year
    if born.precision == subject.DATE_PRECISION_UNKNOWN or last - born.year > _YEARS_MAX:
        return [_UNKNOWN_YEAR]
    return [str(year) for year in range(born.year, last + 1)]
