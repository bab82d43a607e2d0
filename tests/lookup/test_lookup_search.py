"""Finding a record again: by document, by name and date of birth."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import SQLModel

from mithaq.node.lookup import index, search
from mithaq.node.lookup.keys import IndexKey, keys_of
from mithaq.node.lookup.match import SCORE_MIN, NameQuery, score
from mithaq.node.lookup.runs import sorted_entries
from mithaq.node.lookup.tables import LOOKUP_TABLES
from mithaq.node.records.model import ParsedRecord, parse_record
from mithaq.node.records.synthetic import CATEGORIES
from mithaq.store.engine import Database
from mithaq.v1 import record_pb2 as wire
from mithaq.v1 import subject_pb2 as subject
from tests.node_records.alerts import alert, changed

KEY = IndexKey(b"k" * 32)
RECORDS = {
    number: alert(category, seed=number) for number, category in enumerate(CATEGORIES * 20, start=1)
}


@pytest.fixture
def indexed(database: Database) -> Database:
    database.write_sync(
        lambda connection: SQLModel.metadata.create_all(connection, tables=list(LOOKUP_TABLES))
    )
    entries = sorted_entries((n, keys_of(record, KEY)) for n, record in RECORDS.items())
    database.write_sync(lambda connection: index.append(connection, entries))
    return database


def by_document(database: Database, number: str, state: str) -> tuple[int, ...]:
    return database.read_sync(
        lambda connection: search.by_document(connection, KEY, number=number, state=state)
    ).record_numbers


def by_name(database: Database, name: str, born: date | None = None) -> tuple[int, ...]:
    query = NameQuery(name, born)
    return database.read_sync(
        lambda connection: search.by_name(connection, KEY, query)
    ).record_numbers


def birth(record: ParsedRecord) -> date:
    given_date = record.alert.person.dates_of_birth[0]
    return date(given_date.year, given_date.month, given_date.day)


class TestSearch:
    """What holds on every database."""

    def test_a_record_is_found_by_the_number_of_its_document(self, indexed: Database) -> None:
        for number, record in RECORDS.items():
            person = record.alert.person
            document = (
                person.documents[0].number
                if person.documents
                else record.alert.travel_document.number
            )
            assert by_document(indexed, f" {document.lower()}", "EGY") == (number,)

    def test_a_person_is_found_first_by_name_and_date_of_birth_in_either_script(
        self, indexed: Database
    ) -> None:
        for number, record in list(RECORDS.items())[:40]:
            for name in record.alert.person.names:
                for written in (f"{name.surname} {name.forenames}", name.original_script):
                    assert by_name(indexed, written, birth(record))[0] == number

    def test_the_number_of_another_state_finds_nothing(self, indexed: Database) -> None:
        document = RECORDS[1].alert.person.documents[0].number
        assert by_document(indexed, document, "TUN") == ()

    def test_a_search_needs_a_word_that_tells_persons_apart(self, indexed: Database) -> None:
        with pytest.raises(search.NameTooPoorError):
            by_name(indexed, "al bin")

    def test_more_than_can_be_looked_through_says_so(self, indexed: Database) -> None:
        common = KEY.name_words("Zanbar")
        extra = sorted_entries((n, common) for n in range(1000, 1201))
        indexed.write_sync(lambda connection: index.append(connection, extra))
        found = indexed.read_sync(
            lambda connection: search.by_name(connection, KEY, NameQuery("zanbar"))
        )
        assert (len(found.record_numbers), found.more) == (search.CANDIDATES_MAX, True)


def named(name: str, *dates: subject.PartialDate, **kinds: int) -> ParsedRecord:
    def rename(target: wire.Alert) -> None:
        del target.person.names[:]
        target.person.names.add(kind=subject.NAME_KIND_PRIMARY, full=name, **kinds)
        if dates:
            del target.person.dates_of_birth[:]
            target.person.dates_of_birth.extend(dates)

    return parse_record(changed(rename))


def day(year: int, month: int, number: int) -> subject.PartialDate:
    return subject.PartialDate(
        precision=subject.DATE_PRECISION_DAY, year=year, month=month, day=number
    )


def test_the_same_name_and_day_score_a_hundred() -> None:
    found = score(
        named("Zanbar AL-TIMDUM", day(1980, 3, 7)), NameQuery("timdum, zanbar", date(1980, 3, 7))
    )
    assert found.value == 100
    assert found.reasons == ("primary name: 2 of 2 words the same", "date of birth: same day")


def test_each_difference_lowers_the_score_and_is_told() -> None:
    asked = NameQuery("Zanbar Timdum", date(1980, 3, 7))
    year = subject.PartialDate(precision=subject.DATE_PRECISION_YEAR, year=1980)
    month = subject.PartialDate(precision=subject.DATE_PRECISION_MONTH, year=1980, month=3)
    years = subject.PartialDate(
        precision=subject.DATE_PRECISION_YEAR_RANGE, year=1975, year_to=1985
    )
    unknown = subject.PartialDate(precision=subject.DATE_PRECISION_UNKNOWN)
    ladder = [day(1980, 3, 7), month, year, years, unknown, day(1980, 4, 8), day(1981, 3, 7)]
    scores = [score(named("Zanbar Timdum", date_given), asked) for date_given in ladder]
    assert [each.value for each in scores] == sorted((each.value for each in scores), reverse=True)
    assert len({each.reasons[-1] for each in scores}) == len(ladder)
    turned = score(named("Zanbar Timdum", day(1980, 7, 3)), asked)
    assert turned.reasons[-1] == "date of birth: day and month exchanged"


def test_the_best_of_several_dates_counts() -> None:
    record = named("Zanbar", day(1970, 1, 1), day(1980, 3, 7))
    assert score(record, NameQuery("Zanbar", date(1980, 3, 7))).value == 100


def test_a_letter_apart_is_alike_and_said_to_be() -> None:
    found = score(named("Zanbar Timdum"), NameQuery("Zanber Timdum"))
    assert SCORE_MIN < found.value < 100
    assert "1 of 2 words alike" in found.reasons


def test_another_name_scores_below_what_is_shown() -> None:
    assert score(named("Zanbar Timdum"), NameQuery("Kalrush Fasjun")).value < SCORE_MIN


def test_an_alias_of_low_quality_is_named_as_such() -> None:
    record = named("Zanbar", quality=subject.NAME_QUALITY_LOW)
    assert "alias of low quality" in score(record, NameQuery("Zanbar")).reasons


def test_an_entity_is_scored_by_its_name_alone() -> None:
    def entity(target: wire.Alert) -> None:
        target.category, target.action = "UNSC_LISTED", wire.ACTION_APPLY_SANCTIONS
        target.ClearField("arrest")
        target.entity.names.add(kind=subject.NAME_KIND_PRIMARY, full="Zarbal Trading")
        target.listing.list_name = target.listing.regime = "Synthetic"
        target.listing.reference_number = "SYe.001"
        target.listing.listed_on.precision = subject.DATE_PRECISION_UNKNOWN

    found = score(parse_record(changed(entity)), NameQuery("zarbal", date(1980, 3, 7)))
    assert found.reasons == ("primary name: 1 of 1 words the same",)


def test_the_holder_of_a_document_is_scored_too() -> None:
    def held(target: wire.Alert) -> None:
        holder = target.travel_document.holder
        holder.names.add(kind=subject.NAME_KIND_PRIMARY, full="Zanbar")
        holder.dates_of_birth.append(day(1980, 3, 7))

    record = parse_record(changed(held, "DOC_INVALID"))
    assert score(record, NameQuery("Zanbar", date(1980, 3, 7))).value == 100
    assert score(alert("DOC_INVALID"), NameQuery("Zanbar")).value == 0


@given(st.text(max_size=30))
def test_a_score_lies_between_nothing_and_a_hundred(name: str) -> None:
    assert 0 <= score(RECORDS[1], NameQuery(name, date(1980, 3, 7))).value <= 100
