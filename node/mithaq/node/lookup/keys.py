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

from mithaq.node.lookup.normal import (
    document_number,
    document_numbers,
    name_words,
    words_of_all,
)
from mithaq.node.records.model import ParsedRecord, RecordKind
from mithaq.v1 import record_values as values
from mithaq.v1 import subject_pb2 as subject

KEY_BYTES = 16
NUMBER_BYTES = 8
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

    def of_all(self, label: Label, values: Iterable[str]) -> dict[str, bytes]:
        """Return the keys of values, each worked out once."""
        copy = self._states[label].copy
        keys: dict[str, bytes] = {}
        for value in {*values}:
            state = copy()
            state.update(value.encode())
            keys[value] = state.digest()
        return keys

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
    return {entry[:KEY_BYTES] for entry in entries_of([(0, record)], index_key)}


def entries_of(records: Iterable[tuple[int, ParsedRecord]], index_key: IndexKey) -> list[bytes]:
    """Return the entries of records with their numbers, sorted, each once (see ``runs``).

    Words are normalised together, and a value that several records share is hashed once;
    none of it outlives the call.
    """
    found = _Values()
    for number, record in records:
        if record.kind is RecordKind.ALERT:
            found.add(record.values, number.to_bytes(NUMBER_BYTES, "big"))
    entries: set[bytes] = set()
    for label, placed in found.by_label():
        keys = index_key.of_all(label, [value for value, _ in placed])
        entries.update([keys[value] + number for value, number in placed])
    return sorted(entries)


# A value, and the number of its record in the bytes of an entry.
_Placed = list[tuple[str, bytes]]


class _Values:
    """What some alerts are found by: values of each label, with the record's number."""

    def __init__(self) -> None:
        self._names: _Placed = []
        self._documents: _Placed = []
        self._documents_of_states: _Placed = []
        self._years: _Placed = []

    def by_label(self) -> Iterator[tuple[Label, _Placed]]:
        words = words_of_all([text for text, _ in self._names])
        yield (
            Label.NAME_WORD,
            [
                (word, number)
                for each, (_, number) in zip(words, self._names, strict=True)
                for word in each
            ],
        )
        yield Label.DOCUMENT, self._documents
        yield Label.DOCUMENT_OF_STATE, self._documents_of_states
        yield Label.BIRTH_YEAR, self._years

    def add(self, alert: values.Alert, number: bytes) -> None:
        if alert.person is not None:
            self._add_person(alert.person, number)
        elif alert.entity is not None:
            self._add_names(alert.entity.names, number)
            self._add_documents(alert.entity.registrations, number)
        elif (document := alert.travel_document) is not None:
            plain = document_number(document.number)
            self._documents.append((plain, number))
            state = document.issuing_state.code
            if state:
                self._documents_of_states.append((f"{state}/{plain}", number))
            if document.holder is not None:
                self._add_person(document.holder, number)

    def _add_person(self, person: values.Person, number: bytes) -> None:
        self._add_names(person.names, number)
        self._add_documents(person.documents, number)
        of_names = [name.date_of_birth for name in person.names if name.date_of_birth is not None]
        for born in (*person.dates_of_birth, *of_names):
            self._years += [(year, number) for year in _years(born)]

    def _add_names(self, names: Iterable[values.Name], number: bytes) -> None:
        for name in names:
            self._names.append((latin_text(name), number))
            if name.original_script:
                self._names.append((name.original_script, number))

    def _add_documents(self, documents: Iterable[values.IdentityDocument], number: bytes) -> None:
        for document in documents:
            countries = filter(None, (document.issuing_state, document.issued_in))
            states = {country.code for country in countries if country.code}
            for plain in document_numbers(document.number):
                self._documents.append((plain, number))
                for state in states:
                    self._documents_of_states.append((f"{state}/{plain}", number))


def latin_text(name: values.Name) -> str:
    """Return the parts of a name's Latin form, in one text."""
    return " ".join((name.forenames, name.surname, name.full, *name.parts))


def written_words(name: values.Name) -> list[str]:
    """Return the words of a name in every script in which it is written."""
    return name_words(latin_text(name)) + name_words(name.original_script)


def _years(born: values.PartialDate) -> list[str]:
    if born.precision == subject.DATE_PRECISION_UNSPECIFIED:
        return []
    last = born.year_to or born.year
    if born.precision == subject.DATE_PRECISION_UNKNOWN or last - born.year > _YEARS_MAX:
        return [_UNKNOWN_YEAR]
    return [str(year) for year in range(born.year, last + 1)]
