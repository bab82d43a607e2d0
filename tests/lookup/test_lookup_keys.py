"""Index keys: keyed, apart by label, the same for what is stored and what is asked."""

from datetime import UTC, datetime

import pytest

from mithaq.node.lookup.keys import IndexKey, Label, keys_of
from mithaq.node.records.model import parse_record, seal_in
from mithaq.node.records.synthetic import CATEGORIES
from mithaq.v1 import record_pb2 as wire
from mithaq.v1 import subject_pb2 as subject
from tests.node_records.alerts import alert, changed

KEY = IndexKey(b"k" * 32)


@pytest.mark.parametrize("category", CATEGORIES)
def test_an_alert_is_found_by_all_that_it_says(category: str) -> None:
    record = alert(category)
    keys = keys_of(record, KEY)
    person = record.alert.person
    asked: set[bytes] = set()
    for name in person.names:
        asked.update(KEY.name_words(f"{name.forenames} {name.surname}"))
        asked.update(KEY.name_words(name.original_script))
    for document in person.documents:
        asked.add(KEY.document(f"{document.number[:3]} {document.number[3:].lower()}"))
        asked.add(KEY.document(document.number, document.issuing_state.code))
    if category == "DOC_INVALID":
        asked.add(KEY.document(record.alert.travel_document.number))
        asked.add(KEY.document(record.alert.travel_document.number, "EGY"))
    assert asked <= keys
    assert 2 <= len(keys) <= 14


def test_without_the_index_key_a_key_says_nothing() -> None:
    assert KEY.document("A1").hex() != IndexKey(b"j" * 32).document("A1").hex()
    assert "6b6b" not in repr(KEY)
    assert "k" * 4 not in repr(KEY)


def test_one_value_under_two_labels_has_two_keys() -> None:
    assert len({KEY.of(label, "1980") for label in Label}) == len(Label)


def test_a_key_is_a_keyed_blake2b() -> None:
    # Pinned: a change would make every stored index useless. Computed with OpenSSL:
    # printf A1 | openssl mac -macopt hexkey:6b… -macopt custom:mithaq/document \
    #     -macopt size:16 -in /dev/stdin BLAKE2BMAC
    assert KEY.document("a-1") == KEY.of(Label.DOCUMENT, "A1")
    assert KEY.document("a-1").hex() == "c8f8b54ebb3d5162617393703a33b305"


def test_an_index_key_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        IndexKey(b"short")


def test_a_number_of_another_state_is_another_key() -> None:
    assert KEY.document("A1", "EGY") != KEY.document("A1", "TUN")


def dates(*given: subject.PartialDate) -> set[bytes]:
    def dated(target: wire.Alert) -> None:
        del target.person.dates_of_birth[:]
        target.person.dates_of_birth.extend(given)

    record = parse_record(changed(dated))
    asked = {year: set(KEY.birth_years(year)) for year in range(1900, 2030)}
    keys = keys_of(record, KEY)
    return {str(year).encode() for year, found in asked.items() if found & keys}


def test_a_date_of_birth_is_found_by_its_year_and_those_of_its_range() -> None:
    day = subject.PartialDate(precision=subject.DATE_PRECISION_DAY, year=1980, month=3, day=7)
    years = subject.PartialDate(
        precision=subject.DATE_PRECISION_YEAR_RANGE, year=1955, year_to=1957
    )
    assert dates(day) == {b"1980"}
    assert dates(day, years) == {b"1980", b"1955", b"1956", b"1957"}


def test_a_date_that_is_unknown_or_too_wide_is_found_by_every_year() -> None:
    unknown = subject.PartialDate(precision=subject.DATE_PRECISION_UNKNOWN)
    wide = subject.PartialDate(precision=subject.DATE_PRECISION_YEAR_RANGE, year=1950, year_to=1990)
    assert len(dates(unknown)) == len(dates(wide)) == 130


def test_an_entity_is_found_by_its_names_and_registrations() -> None:
    def entity(target: wire.Alert) -> None:
        target.category, target.action = "UNSC_LISTED", wire.ACTION_APPLY_SANCTIONS
        target.ClearField("arrest")
        target.entity.names.add(kind=subject.NAME_KIND_PRIMARY, full="Zarbal Trading")
        target.entity.registrations.add(number="HRB 1234")
        target.listing.list_name = target.listing.regime = "Synthetic"
        target.listing.reference_number = "SYe.001"
        target.listing.listed_on.precision = subject.DATE_PRECISION_UNKNOWN

    keys = keys_of(parse_record(changed(entity)), KEY)
    assert {*KEY.name_words("ZARBAL"), KEY.document("hrb1234")} <= keys


def test_a_holder_is_found_by_the_document_that_is_reported() -> None:
    def held(target: wire.Alert) -> None:
        target.travel_document.holder.names.add(kind=subject.NAME_KIND_PRIMARY, full="Zanbar")
        target.travel_document.holder.dates_of_birth.add(precision=subject.DATE_PRECISION_UNKNOWN)

    assert set(KEY.name_words("zanbar")) <= keys_of(parse_record(changed(held, "DOC_INVALID")), KEY)


def test_what_is_no_alert_has_no_keys() -> None:
    form = wire.Form(
        form_id=alert().alert_id,
        kind=wire.FORM_KIND_MISCELLANEOUS,
        sender="eg-moi",
        alert_id=alert().alert_id,
        created_at=int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()),
        handling=wire.HANDLING_H0,
        remarks=[wire.Remark(language="en", text="Zanbar")],
    )
    assert keys_of(seal_in(wire.Record(form=form)), KEY) == set()
