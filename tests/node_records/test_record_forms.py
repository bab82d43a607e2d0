"""Alerts as people write them: both ways exact, errors that name field and line."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithaq.node.records import drafts, forms
from mithaq.node.records.errors import FormError, RecordCategoryError, RecordIncompleteError
from mithaq.node.records.identifiers import issuer_of, new_alert_id
from mithaq.node.records.synthetic import CATEGORIES
from mithaq.v1 import entry_pb2
from mithaq.v1 import record_pb2 as wire
from mithaq.v1 import subject_pb2 as subject
from tests.node_records.alerts import AT, alert, chance

CHILD = """
# A comment is for people.
category: MISSING_PROTECT
person:
  names:
    - {surname: AL-ZARKAL, forenames: Barzan, original_script: بارزان الزركال}
    - {full: Barzi}
  dates_of_birth: [2015-02-03]
  nationalities: [EGY]
source_grade: A
information_grade: 1
data_subject: MISSING
basis: FACT
legal_basis: Synthetic Act, section 3
purposes: [MISSING_PERSONS]
necessity: Expected at the border of a neighbour within days.
authority: Synthetic prosecutor
decision_reference: A/1
reason: Missing child
expires_at: 2027-01-01
protection: {kind: RUNAWAY, contact: "+999 555 0100"}
"""
ALERT_ID = alert().alert_id


def completed(text: str) -> wire.Alert:
    record = drafts.complete(forms.load(text), issuer="eg-moi", alert_id=ALERT_ID, version=1, at=AT)
    return record.alert


@pytest.mark.parametrize("category", CATEGORIES)
def test_what_is_written_out_is_read_back_the_same(category: str) -> None:
    message = alert(category).message
    assert forms.load(forms.dump(message)) == message


# What protobuf can carry; the ranges that break naive writers of YAML more often.
TEXTS = st.text(st.characters(codec="utf-8"), max_size=60) | st.text(
    st.sampled_from(" \n\r\t:#-'\"\\&*x\u0085\u2028\ufeff\x1b\u202e"), max_size=60
)


@given(TEXTS, TEXTS)
def test_any_text_is_read_back_exactly(one: str, other: str) -> None:
    message = wire.Record(alert=wire.Alert(reason=one, necessity=other))
    assert forms.load(forms.dump(message)) == message


@pytest.mark.parametrize(
    "date",
    [
        subject.PartialDate(precision=subject.DATE_PRECISION_DAY, year=1980, month=3, day=7),
        subject.PartialDate(precision=subject.DATE_PRECISION_MONTH, year=1980, month=3),
        subject.PartialDate(
            precision=subject.DATE_PRECISION_YEAR,
            year=980,
            qualifier=subject.DATE_QUALIFIER_APPROXIMATE,
        ),
        subject.PartialDate(precision=subject.DATE_PRECISION_YEAR_RANGE, year=1955, year_to=1958),
        subject.PartialDate(precision=subject.DATE_PRECISION_UNKNOWN),
        subject.PartialDate(
            precision=subject.DATE_PRECISION_UNKNOWN, qualifier=subject.DATE_QUALIFIER_APPROXIMATE
        ),
        subject.PartialDate(
            precision=subject.DATE_PRECISION_DAY, year=1980, month=3, day=7, note="from a passport"
        ),
        subject.PartialDate(
            precision=subject.DATE_PRECISION_YEAR,
            year=1980,
            calendar=subject.SOURCE_CALENDAR_HIJRI,
            as_written="1400",
        ),
    ],
)
def test_every_date_is_read_back_the_same(date: subject.PartialDate) -> None:
    message = wire.Record()
    message.alert.person.dates_of_birth.append(date)
    assert forms.load(forms.dump(message)) == message


def test_json_is_read_too() -> None:
    text = '{"category": "ARREST", "person": {"sex": "MALE", "nationalities": ["EGY"]}}'
    read = forms.load(text).alert
    assert (read.category, read.person.sex) == ("ARREST", subject.SEX_MALE)


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("", "", 1),
        ("a: [", "", 1),
        ("- a", "alert", 1),
        ("category: X\ncategory: Y", "alert.category", 2),
        ("category: &a X", "", 1),
        ("person:\n  nmaes: []", "alert.person", 2),
        ("person:\n  names: Zanbar", "alert.person.names", 2),
        ("person:\n  names:\n    - [Zanbar]", "alert.person.names[0]", 3),
        ("person: {sex: MAEL}", "alert.person.sex", 1),
        ("person: {dates_of_birth: [1980-3-7]}", "alert.person.dates_of_birth[0]", 1),
        ("expires_at: 2027-13-01", "alert.expires_at", 1),
        ("expires_at: tomorrow", "alert.expires_at", 1),
        ("version: -1", "alert.version", 1),
        ("version: 4294967296", "alert.version", 1),
        ("arrest: {dual_criminality: yes}", "alert.arrest.dual_criminality", 1),
        ("origin: {digest: xyz}", "alert.origin.digest", 1),
        ("reason: [a]", "alert.reason", 1),
        ("reason:", "alert.reason", 1),
    ],
)
def test_an_error_names_the_field_and_the_line(text: str, path: str, line: int) -> None:
    with pytest.raises(FormError) as caught:
        forms.load(text)
    assert (caught.value.path, f"line {line}:" in str(caught.value)) == (path, True)


@pytest.mark.parametrize(
    "text",
    [
        'reason: "\\uD83D"',
        '"\\uD83D": 1',
        'restrictions: {exclude_states: ["\\uD83D"]}',
        '"\\UFFFFFFFF": 1',
        "created_at: 1969-12-31",
    ],
)
def test_what_no_record_can_hold_is_refused_by_its_line(text: str) -> None:
    with pytest.raises(FormError, match="line 1"):
        forms.load(text)


def test_an_error_suggests_the_word_that_was_meant() -> None:
    with pytest.raises(FormError, match="did you mean `names`"):
        forms.load("person: {nmaes: []}")


@pytest.mark.parametrize(
    "text",
    [
        "Canaryname: x",
        "category: [Canaryname",
        "person: {names: Canaryname}",
        "person: {sex: Canaryname}",
        "person: {dates_of_birth: [Canaryname]}",
        "expires_at: Canaryname",
        "? [Canaryname]\n: x",
        "Canaryname",
        "category: !Canaryname x",
    ],
)
def test_an_error_never_says_what_was_written(text: str) -> None:
    with pytest.raises(FormError) as caught:
        forms.load(text)
    assert "Canaryname" not in f"{caught.value}{caught.value.__cause__}"


def test_what_follows_from_the_category_is_filled_in() -> None:
    read = completed(CHILD)
    assert (read.issuer, read.alert_id, read.version) == ("eg-moi", ALERT_ID, 1)
    assert read.action == wire.ACTION_PROTECT_AND_INFORM
    assert read.priority == entry_pb2.PRIORITY_URGENT
    assert (read.handling, read.origin.system) == (wire.HANDLING_H0, "MITHAQ")
    assert [name.kind for name in read.person.names] == [
        subject.NAME_KIND_PRIMARY,
        subject.NAME_KIND_ALIAS,
    ]
    assert read.person.names[0].script == "Arab"
    assert read.created_at == read.valid_from == int(AT.timestamp())


def test_what_was_said_is_not_changed() -> None:
    text = CHILD + "priority: FLASH\nhandling: H1\nvalid_from: 2026-04-01\n"
    read = completed(text)
    assert (read.priority, read.handling) == (entry_pb2.PRIORITY_FLASH, wire.HANDLING_H1)
    assert read.valid_from == int(datetime(2026, 4, 1, tzinfo=UTC).timestamp())
    assert read.expires_at == int(datetime(2027, 1, 1, tzinfo=UTC).timestamp())


def test_without_an_end_an_alert_lasts_as_long_as_its_category() -> None:
    read = completed(CHILD.replace("expires_at: 2027-01-01", ""))
    assert read.expires_at - read.valid_from == 1826 * 86_400


def test_the_first_name_of_an_entity_is_the_primary_one() -> None:
    draft = forms.load(forms.dump(alert().message))
    draft.alert.ClearField("person")
    draft.alert.ClearField("arrest")
    draft.alert.ClearField("action")
    draft.alert.category = "UNSC_LISTED"
    draft.alert.entity.names.add(full="Zarbal Trading")
    draft.alert.listing.CopyFrom(
        wire.Listing(
            list_name="Synthetic",
            regime="Synthetic",
            reference_number="SYe.001",
            listed_on=subject.PartialDate(precision=subject.DATE_PRECISION_UNKNOWN),
        )
    )
    made = drafts.complete(draft, issuer="eg-moi", alert_id=ALERT_ID, version=1, at=AT)
    assert made.alert.entity.names[0].kind == subject.NAME_KIND_PRIMARY
    assert made.alert.action == wire.ACTION_APPLY_SANCTIONS


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ("issuer: tn-dgsn", RecordIncompleteError),
        ("version: 2", RecordIncompleteError),
        (f"alert_id: {ALERT_ID[:-1]}0", RecordIncompleteError),
    ],
)
def test_a_draft_cannot_choose_who_it_is(more: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        completed(CHILD + more)


def test_a_draft_of_no_known_category_is_refused() -> None:
    with pytest.raises(RecordCategoryError):
        completed(CHILD.replace("MISSING_PROTECT", "MISSING_LINK"))


def test_a_draft_that_is_no_alert_is_refused() -> None:
    with pytest.raises(RecordIncompleteError):
        drafts.complete(wire.Record(), issuer="eg-moi", alert_id=ALERT_ID, version=1, at=AT)


def test_ids_sort_by_time_and_name_their_issuer() -> None:
    rng = chance()
    later = datetime(2026, 3, 4, 5, 6, 0, 1000, tzinfo=UTC)
    ids = [new_alert_id("int-iom", at=at, randomness=rng.randbytes) for at in (AT, later)]
    assert ids == sorted(ids)
    assert all(re.fullmatch("int-iom-[0-7][0-9A-HJKMNP-TV-Z]{25}", each) for each in ids)
    assert {issuer_of(each) for each in ids} == {"int-iom"}


def test_a_ulid_is_that_of_its_specification() -> None:
    # 01ARYZ6S41 is the time of the specification's own example.
    at = datetime.fromtimestamp(1469918176.385, UTC)
    made = new_alert_id("eg-moi", at=at, randomness=bytes)
    assert made == "eg-moi-01ARYZ6S41" + "0" * 16
