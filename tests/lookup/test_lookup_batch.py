"""Words and keys of many records at once: those that each record has alone, letter by letter."""

import re
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from mithaq.node.lookup.keys import IndexKey, Label, entries_of
from mithaq.node.lookup.normal import document_numbers, name_words, words_of_all
from mithaq.node.lookup.runs import entry_of
from mithaq.node.records.model import ParsedRecord, parse_record
from mithaq.node.records.synthetic import CATEGORIES
from mithaq.v1 import record_pb2 as wire
from mithaq.v1 import subject_pb2 as subject
from tests.node_records.alerts import alert, changed
from tests.node_records.test_record_model import form

KEY = IndexKey(b"k" * 32)
PARTICLES = {"AL", "EL", "UL", "BIN", "BEN", "IBN", "BINT", "DE", "LA", "VAN", "VON"}
ARABIC = dict(zip("أإآٱىیئؤةک", "ااااييي" + "وهك", strict=True)) | {"ـ": ""}
LATIN = {
    "Ø": "O",
    "Ł": "L",
    "Đ": "D",
    "Ð": "D",
    "Æ": "AE",
    "Œ": "OE",
    "Þ": "TH",
    "Ħ": "H",
    "Ŧ": "T",
}


def plain_words(text: str) -> list[str]:
    """Return the words of one name, one letter after the other."""
    if text.isascii():
        bare = text.replace("'", "")
    else:
        wide = re.sub("['’‘`´ʼʻʾʿ]", "", unicodedata.normalize("NFKC", text))
        apart = unicodedata.normalize("NFD", "".join(ARABIC.get(char, char) for char in wide))
        bare = "".join(char for char in apart if not unicodedata.combining(char))
    words: list[str] = []
    for word in re.findall(r"[^\W\d_]+", "".join(LATIN.get(char, char) for char in bare.upper())):
        if words and words[-1] == "عبد":
            words[-1] += word
        else:
            words.append(word)
    words = [word[2:] if word.startswith("ال") and len(word) > 3 else word for word in words]
    return [word for word in words if len(word) > 1 and word not in PARTICLES]


LETTERS = "AlbinØłæßﬁıİ é̈́-'’` _1٣\x00\n" + "الرحمنعبدحسّىئةکـأؤ"
texts = st.one_of(
    st.text(alphabet=LETTERS, max_size=30),
    st.text(max_size=30),
    st.lists(
        st.sampled_from(["عبد", "ال", "الحسن", "bin", "Al-Zarbal", "O'Neil", "D’Arc", "Łódź"]),
        max_size=5,
    ).map(" ".join),
)


@given(st.lists(texts, max_size=12))
@example(["", "́a", "عبد", "الله", "O`Neil", "O’Neil"])
@example(["a\x00b", "cd"])
@example(["أ\x00b", "cd"])
def test_the_words_of_many_texts_are_those_of_each(many: list[str]) -> None:
    alone = list(map(plain_words, many))
    assert list(map(name_words, many)) == alone
    assert words_of_all(many) == alone


def plain_keys(record: ParsedRecord) -> set[bytes]:
    """Return the keys of a person's record, one question after the other."""
    keys: set[bytes] = set()
    person = record.alert.person
    for name in person.names:
        latin = " ".join([name.forenames, name.surname, name.full, *name.parts])
        for word in plain_words(latin) + plain_words(name.original_script):
            keys.add(KEY.of(Label.NAME_WORD, word))
    for document in person.documents:
        for number in document_numbers(document.number):
            keys.add(KEY.document(number))
            keys.update(
                KEY.document(number, country.code)
                for country in (document.issuing_state, document.issued_in)
                if country.code
            )
    for born in person.dates_of_birth:
        known = born.precision != subject.DATE_PRECISION_UNKNOWN
        keys.add(KEY.of(Label.BIRTH_YEAR, str(born.year) if known else "?"))
    return keys


names = st.tuples(texts.filter(str.strip), texts, st.lists(texts, max_size=3))
numbers = st.sampled_from(["A123", "a-1 23", "P 12345; 99887", "٣٤٥٦٧", "", "AB", "12345,67890"])


@st.composite
def persons(draw: st.DrawFn) -> ParsedRecord:
    def change(target: wire.Alert) -> None:
        del target.person.names[1:]
        for surname, original, parts in draw(st.lists(names, max_size=3)):
            target.person.names.add(
                kind=subject.NAME_KIND_ALIAS, surname=surname, original_script=original, parts=parts
            )
        target.person.documents[0].number = draw(numbers)
        if draw(st.booleans()):
            target.person.documents[0].issued_in.code = draw(st.sampled_from(["EGY", "TUN"]))

    return parse_record(changed(change))


@given(st.lists(persons(), max_size=4))
def test_the_entries_of_many_records_are_those_of_each(records: list[ParsedRecord]) -> None:
    entries = [
        entry_of(key, number)
        for number, record in enumerate(records, 7)
        for key in plain_keys(record)
    ]
    assert entries_of(enumerate(records, 7), KEY) == sorted(entries)


def test_what_is_no_alert_has_no_entry_beside_others() -> None:
    records = [(n, alert(category)) for n, category in enumerate(CATEGORIES)]
    answer = parse_record(wire.Record(form=form()).SerializeToString())
    assert entries_of([*records, (99, answer)], KEY) == entries_of(records, KEY)
    assert {entry[-1] for entry in entries_of(records, KEY)} == set(range(len(records)))
