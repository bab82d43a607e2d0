"""Reading the Security Council's list: nothing lost, nothing let in, each fault named."""

from collections.abc import Callable
from contextlib import suppress
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mithaq.agreements.vocabulary import RecordField
from mithaq.node.imports.errors import (
    ListError,
    ListForbiddenError,
    ListMalformedError,
    ListTooLargeError,
)
from mithaq.node.imports.unsc import Delta, Fault, ListedAlert, delta, read_list
from mithaq.node.imports.unsc_entry import LEFT_OUT
from mithaq.node.lookup.keys import IndexKey, keys_of
from mithaq.node.records import forms
from mithaq.node.records.facts import fields_of
from mithaq.node.records.model import parse_record
from mithaq.node.records.render import rows_of
from mithaq.v1 import subject_pb2 as subject
from tests.imports.lists import (
    AT,
    COUNTS,
    LISTS,
    MADE_UP,
    PUBLISHED,
    TERMS,
    chunks,
    identify,
    individual,
    wrapped,
)
from tests.imports.walker import file_texts, record_texts

each_list = pytest.mark.parametrize("name", [name for name, _ in LISTS])


def read(data: bytes, *, size: int = 65_536) -> tuple[list[ListedAlert], list[Fault]]:
    taken = list(read_list(chunks(data, size), TERMS, identify=identify(), at=AT))
    alerts = [each for each in taken if isinstance(each, ListedAlert)]
    return alerts, [each for each in taken if isinstance(each, Fault)]


@cache
def listed(name: str) -> tuple[list[ListedAlert], list[Fault]]:
    return read(dict(LISTS)[name]())


def faults_of(*entries: str) -> list[Fault]:
    return read(wrapped("".join(entries)))[1]


@each_list
def test_every_text_of_every_entry_is_in_its_record(name: str) -> None:
    alerts, faults = listed(name)
    assert faults == []
    said = file_texts(dict(LISTS)[name]())
    assert said.keys() == {alert.dataid for alert in alerts}, name
    assert sum(map(len, said.values())) > 10
    for alert in alerts:
        # Compared as a flag: a failure must not print what an entry says.
        equal = record_texts(alert.record.alert) == said[alert.dataid]
        assert equal, f"entry {alert.dataid} of {name} differs"


@each_list
def test_every_entry_is_taken(name: str) -> None:
    alerts, _ = listed(name)
    kinds = [alert.record.subject_type for alert in alerts]
    assert (kinds.count("PERSON"), kinds.count("ENTITY")) == COUNTS.get(
        name, (kinds.count("PERSON"), len(kinds) - kinds.count("PERSON"))
    )


@each_list
def test_records_of_a_list_are_read_back_by_people_and_programs(name: str) -> None:
    for alert in listed(name)[0][::50]:
        assert parse_record(alert.record.raw) == alert.record, name
        same = forms.load(forms.dump(alert.record.message)) == alert.record.message
        assert same, f"entry {alert.dataid} of {name} is written otherwise"


@each_list
def test_every_entry_can_be_shown_and_decided_on(name: str) -> None:
    for alert in listed(name)[0][::5]:
        labels = {row.label for row in rows_of(alert.record.alert)}
        assert {"name", "listed", "listed on", "valid"} <= labels, f"{alert.dataid} of {name}"
        assert {RecordField.NAME, RecordField.ACTION} <= fields_of(alert.record.values)
        assert keys_of(alert.record, IndexKey(bytes(32)))


def test_an_entity_with_an_address_tells_whereabouts() -> None:
    entity = read(MADE_UP)[0][-1].record.values
    assert RecordField.WHEREABOUTS in fields_of(entity)


def changes() -> list[tuple[str, Callable[[], tuple[bytes, bytes]], tuple[int, int, int, int]]]:
    older = wrapped(individual(1) + individual(2) + individual(3))
    newer = wrapped(individual(2) + individual(3, first="Other") + individual(4))
    known = [("made up", lambda: (older, newer), (1, 1, 1, 1))]
    names = [path.name for path in PUBLISHED]
    pair = ("un_consolidated_2018-10-29.xml", "un_consolidated_2025-08-02.xml")
    if set(pair) <= set(names):
        first, second = (PUBLISHED[names.index(name)] for name in pair)
        known.append(
            ("published", lambda: (first.read_bytes(), second.read_bytes()), (69, 283, 648, 162))
        )
    return known


@pytest.mark.parametrize(
    ("pair", "expected"), [row[1:] for row in changes()], ids=[row[0] for row in changes()]
)
def test_a_newer_list_says_what_changed(
    pair: Callable[[], tuple[bytes, bytes]], expected: tuple[int, int, int, int]
) -> None:
    old, new = ({a.dataid: a.digest for a in read(data)[0]} for data in pair())
    found = delta(old, new)
    assert expected == (
        len(found.new),
        len(found.withdrawn),
        len(found.changed),
        len(found.unchanged),
    )


def test_white_space_is_kept_and_yet_no_change() -> None:
    padded, plain = (
        read(wrapped(individual(1, first=first)))[0][0] for first in (" Zan\n bar ", "Zan bar")
    )
    assert padded.record.alert.person.names[0].parts[0] == " Zan\n bar "
    assert padded.digest == plain.digest


def test_a_text_that_moves_to_another_element_is_a_change() -> None:
    street, city = (
        read(
            wrapped(
                individual(1, f"<INDIVIDUAL_ADDRESS><{tag}>Zarbal</{tag}></INDIVIDUAL_ADDRESS>")
            )
        )[0][0]
        for tag in ("STREET", "CITY")
    )
    assert street.digest != city.digest


def test_dates_keep_their_precision() -> None:
    born = read(MADE_UP)[0][0].record.alert.person.dates_of_birth
    assert [date.precision for date in born] == [
        subject.DATE_PRECISION_DAY,
        subject.DATE_PRECISION_DAY,
        subject.DATE_PRECISION_YEAR,
        subject.DATE_PRECISION_YEAR_RANGE,
        subject.DATE_PRECISION_UNKNOWN,
        subject.DATE_PRECISION_YEAR,
    ]


def test_states_have_a_code_only_where_the_words_are_certain() -> None:
    person = read(MADE_UP)[0][0].record.alert.person
    assert [country.code for country in person.nationalities] == ["TUN", ""]


def test_a_list_is_the_same_however_its_bytes_arrive() -> None:
    whole = [(a.dataid, a.digest, a.line) for a in read(MADE_UP)[0]]
    assert [(a.dataid, a.digest, a.line) for a in read(MADE_UP, size=7)[0]] == whole


def test_ten_thousand_bad_entries_are_each_named_and_the_good_ones_go_in() -> None:
    bad = "<GENDER>Male</GENDER><GENDER>Male</GENDER>"
    entries = [individual(n, bad if n % 11 else "") for n in range(1, 11_001)]
    alerts, faults = read(wrapped("".join(entries)))
    assert len(alerts) == 1_000
    assert [fault.dataid for fault in faults] == [str(n) for n in range(1, 11_001) if n % 11]
    # The list begins with three lines, and each entry has its own.
    assert all(fault.line == int(fault.dataid) + 3 for fault in faults)


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        (individual("12a"), "INDIVIDUAL/DATAID"),
        (individual(""), "INDIVIDUAL/DATAID"),
        (individual(1, "<HAIR>red</HAIR>"), "INDIVIDUAL/HAIR"),
        (individual(1, "<HAIR><VALUE>red</VALUE></HAIR>"), "INDIVIDUAL/HAIR"),
        (individual(1, "<GENDER x='1'>Male</GENDER>"), "INDIVIDUAL/GENDER"),
        (individual(1, "<TITLE>x<VALUE>Dr</VALUE></TITLE>"), "INDIVIDUAL/TITLE"),
        (individual(1, "<TITLE y='1'><VALUE>Dr</VALUE></TITLE>"), "INDIVIDUAL/TITLE"),
        (individual(1, "<HAIR y='1'/>"), "INDIVIDUAL/HAIR"),
        (
            individual(
                1,
                "<INDIVIDUAL_DATE_OF_BIRTH><TYPE_OF_DATE>ROUGHLY</TYPE_OF_DATE>"
                "</INDIVIDUAL_DATE_OF_BIRTH>",
            ),
            "INDIVIDUAL/INDIVIDUAL_DATE_OF_BIRTH/TYPE_OF_DATE",
        ),
        (
            individual(
                1,
                "<INDIVIDUAL_DATE_OF_BIRTH><TYPE_OF_DATE>BETWEEN</TYPE_OF_DATE>"
                "<FROM_YEAR>?</FROM_YEAR><TO_YEAR>1970</TO_YEAR></INDIVIDUAL_DATE_OF_BIRTH>",
            ),
            "INDIVIDUAL/INDIVIDUAL_DATE_OF_BIRTH/FROM_YEAR",
        ),
        (individual(1, "<TITLE><OTHER>Dr</OTHER></TITLE>"), "INDIVIDUAL/TITLE/OTHER"),
        (individual(1, "<COMMENTS1><B>x</B></COMMENTS1>"), "INDIVIDUAL/COMMENTS1"),
        (
            individual(1, "<LIST_TYPE><VALUE>Other</VALUE></LIST_TYPE>"),
            "INDIVIDUAL/LIST_TYPE",
        ),
        (
            individual(1, "<LAST_DAY_UPDATED><VALUE>3 May 2001</VALUE></LAST_DAY_UPDATED>"),
            "INDIVIDUAL/LAST_DAY_UPDATED/VALUE",
        ),
        (
            individual(1, "<INDIVIDUAL_ALIAS><QUALITY>So-so</QUALITY></INDIVIDUAL_ALIAS>"),
            "INDIVIDUAL/INDIVIDUAL_ALIAS/QUALITY",
        ),
        (
            individual(
                1,
                "<INDIVIDUAL_DATE_OF_BIRTH><DATE>1970-01-01</DATE><YEAR>1970</YEAR>"
                "</INDIVIDUAL_DATE_OF_BIRTH>",
            ),
            "INDIVIDUAL/INDIVIDUAL_DATE_OF_BIRTH/DATE",
        ),
        (
            individual(
                1,
                "<INDIVIDUAL_DATE_OF_BIRTH><TYPE_OF_DATE>EXACT</TYPE_OF_DATE>"
                "<DATE>1970-02-30</DATE></INDIVIDUAL_DATE_OF_BIRTH>",
            ),
            "alert.person.dates_of_birth[0].day",
        ),
        (individual(1, f"<COMMENTS1>{'x' * 10_001}</COMMENTS1>"), "alert.listing.comments"),
    ],
)
def test_an_entry_that_cannot_be_carried_whole_is_a_fault_that_names_the_place(
    entry: str, path: str
) -> None:
    (fault,) = faults_of(entry, individual(999))
    assert (fault.path, fault.line) == (path, 4)


def test_the_second_entry_of_one_id_is_a_fault() -> None:
    (fault,) = faults_of(individual(1), individual(1))
    assert (fault.dataid, fault.line) == ("1", 5)


def test_a_fault_never_says_what_the_entry_says() -> None:
    canary = "Canaryname"
    inner = f"<INDIVIDUAL_ALIAS><QUALITY>{canary}</QUALITY></INDIVIDUAL_ALIAS>"
    for entry in (individual(1, inner, first=canary), individual(canary, first=canary)):
        assert canary not in str(faults_of(entry))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", ListMalformedError),
        (b"hello", ListMalformedError),
        (b"<OTHER/>", ListMalformedError),
        (b"<CONSOLIDATED_LIST/>", ListMalformedError),
        (b"<CONSOLIDATED_LIST dateGenerated='2026-01-01T00:00:00'/>", ListMalformedError),
        (MADE_UP[:-2], ListMalformedError),
        (MADE_UP[: len(MADE_UP) // 2], ListMalformedError),
        (MADE_UP.replace(b"<INDIVIDUALS>", b"<INDIVIDUALS>text"), ListMalformedError),
        (MADE_UP.replace(b"<INDIVIDUALS>", b"<?run me?><INDIVIDUALS>"), ListForbiddenError),
        (
            MADE_UP.replace(b"<CONSOLIDATED_LIST", b"<!DOCTYPE x><CONSOLIDATED_LIST", 1),
            ListForbiddenError,
        ),
        (
            MADE_UP.replace(
                b"<CONSOLIDATED_LIST",
                b"<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;&a;'>]><CONSOLIDATED_LIST",
                1,
            ),
            ListForbiddenError,
        ),
        (
            MADE_UP.replace(
                b"<CONSOLIDATED_LIST",
                b"<!DOCTYPE x SYSTEM 'file:///etc/passwd'><CONSOLIDATED_LIST",
                1,
            ),
            ListForbiddenError,
        ),
        (wrapped(individual(1, "<A>" * 9 + "</A>" * 9)), ListTooLargeError),
        (wrapped(individual(1, "<A/>" * 4_100)), ListTooLargeError),
        (wrapped(individual(1, f"<COMMENTS1>{'x' * 263_000}</COMMENTS1>")), ListTooLargeError),
    ],
)
def test_a_file_that_is_no_whole_plain_list_is_refused(data: bytes, error: type[ListError]) -> None:
    with pytest.raises(error):
        read(data)


def test_what_is_left_out_is_named_and_leaves_no_trace() -> None:
    padded = MADE_UP.replace(b"<INDIVIDUALS>", b"<!-- a comment --> <INDIVIDUALS>\n  ")
    padded = padded.replace(b"<DATAID>1002", b"<TITLE/><GENDER>  </GENDER><!-- x --><DATAID>1002")
    assert [alert.digest for alert in read(padded)[0]] == [a.digest for a in read(MADE_UP)[0]]
    assert set(LEFT_OUT) == {
        "elements without text",
        "text of white space only",
        "white space between elements",
        "xsi:noNamespaceSchemaLocation of the list",
        "order of different elements in an entry",
        "comments in the file",
    }


def test_what_came_before_the_break_of_a_file_is_good() -> None:
    seen: list[ListedAlert | Fault] = []
    taken = read_list(chunks(MADE_UP[:-30], 100), TERMS, identify=identify(), at=AT)
    with pytest.raises(ListMalformedError):
        seen.extend(iter(lambda: next(taken), None))
    assert [type(each) for each in seen] == [ListedAlert] * 4


def test_an_entry_missing_from_the_newer_list_is_withdrawn() -> None:
    assert delta({"1": b"a", "2": b"b"}, {"2": b"b"}).withdrawn == ("1",)


def test_an_entry_that_could_not_be_read_is_not_withdrawn() -> None:
    fault = Fault(line=1, dataid="1", code="MQ-IMPORT-ENTRY", path="x", message="y")
    found = delta({"1": b"a", "2": b"b"}, {}, faults=[fault])
    assert found == Delta((), (), (), withdrawn=("2",), unread=("1",))


def test_while_an_entry_without_id_is_unread_nothing_is_withdrawn() -> None:
    fault = Fault(line=1, dataid="", code="MQ-IMPORT-ENTRY", path="x", message="y")
    found = delta({"1": b"a", "2": b"b"}, {}, faults=[fault])
    assert found == Delta((), (), (), withdrawn=(), unread=("1", "2"))


@pytest.mark.parametrize("encoding", ["AUTF-8", "utf-7", "rot13", "shift_jis", "undefined"])
def test_a_file_in_an_encoding_that_cannot_be_read_is_refused(encoding: str) -> None:
    declared = MADE_UP.replace(b'encoding="UTF-8"', f'encoding="{encoding}"'.encode(), 1)
    assert declared != MADE_UP
    with pytest.raises(ListMalformedError, match="encoding"):
        read(declared)


@given(st.binary(max_size=300), st.integers(0, len(MADE_UP)))
@example(b"A", MADE_UP.index(b"UTF-8"))
@settings(max_examples=150, deadline=None)
def test_whatever_stands_in_a_file_it_is_read_or_refused(noise: bytes, at: int) -> None:
    for data in (noise, MADE_UP[:at] + noise + MADE_UP[at:]):
        with suppress(ListError):
            read(data)
