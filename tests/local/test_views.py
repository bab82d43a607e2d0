from datetime import UTC, date, datetime

import pytest

from mithaq.agreements.vocabulary import RecordField
from mithaq.node.imports.unsc import ListedAlert, read_list
from mithaq.node.local.mask import masked
from mithaq.node.local.query import Born, Query, fit, parse_query
from mithaq.node.local.views import action_to_be_taken
from mithaq.node.lookup.keys import IndexKey
from mithaq.node.records.model import ParsedRecord, seal_in
from mithaq.node.records.synthetic import CATEGORIES
from mithaq.node.records.wording import (
    ACTION_WORDS,
    SUMMARY_LENGTH_MAX,
    summary_of,
    warnings_of,
)
from mithaq.v1 import local_pb2, record_pb2
from mithaq.v1 import subject_pb2 as subject
from tests.imports.lists import AT, EVERYTHING, TERMS, chunks, identify, wrapped
from tests.local.house import made_up

NOW = int(datetime.now(UTC).timestamp())
KEY = IndexKey(bytes(range(32)))


def listed() -> list[ParsedRecord]:
    """Return a listed person and a listed entity."""
    entries = read_list(chunks(wrapped(EVERYTHING, ENTITY)), TERMS, identify=identify(), at=AT)
    return [entry.record for entry in entries if isinstance(entry, ListedAlert)]


ENTITY = (
    "<ENTITY><DATAID>2001</DATAID><VERSIONNUM>1</VERSIONNUM><FIRST_NAME>Nowhere Trading"
    "</FIRST_NAME><UN_LIST_TYPE>Synthetic</UN_LIST_TYPE><REFERENCE_NUMBER>SYe.001"
    "</REFERENCE_NUMBER><LISTED_ON>2001-02-03</LISTED_ON><LIST_TYPE><VALUE>UN List</VALUE>"
    "</LIST_TYPE><ENTITY_ADDRESS><CITY>Qasr Dumir</CITY></ENTITY_ADDRESS></ENTITY>"
)


def test_every_action_that_a_record_may_ask_for_has_words() -> None:
    asked = {number for number in record_pb2.Action.values() if number}
    assert set(ACTION_WORDS) == asked
    assert all(words.endswith(".") for words in ACTION_WORDS.values())


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_summary_tells_the_subject_apart_in_one_line(category: str) -> None:
    alert = made_up(1, category).alert
    line = summary_of(alert)
    assert "\n" not in line
    if alert.HasField("person"):
        assert alert.person.names[0].surname in line
        assert str(alert.person.dates_of_birth[0].year) in line
    else:
        assert alert.travel_document.number in line
        assert alert.travel_document.issuing_state.code in line


def test_a_summary_of_an_entity_is_its_name() -> None:
    assert summary_of(listed()[-1].alert) == "Nowhere Trading"


@pytest.mark.parametrize(
    ("born", "said"),
    [
        (
            {"precision": subject.DATE_PRECISION_DAY, "year": 1970, "month": 5, "day": 6},
            "1970-05-06",
        ),
        ({"precision": subject.DATE_PRECISION_MONTH, "year": 1970, "month": 5}, "1970-05"),
        ({"precision": subject.DATE_PRECISION_YEAR, "year": 1970}, "1970"),
        (
            {"precision": subject.DATE_PRECISION_YEAR_RANGE, "year": 1970, "year_to": 1973},
            "1970 to 1973",
        ),
    ],
)
def test_a_date_of_birth_is_said_as_far_as_it_is_known(born: dict[str, int], said: str) -> None:
    alert = record_pb2.Alert()
    alert.person.dates_of_birth.add(**born)
    assert summary_of(alert) == f"born {said}"


def test_an_unknown_date_of_birth_is_said_to_be_unknown() -> None:
    alert = record_pb2.Alert()
    alert.person.dates_of_birth.add(precision=subject.DATE_PRECISION_UNKNOWN)
    assert summary_of(alert) == "date of birth unknown"


def test_a_summary_is_cut_at_its_limit_and_empty_where_nothing_is_granted() -> None:
    alert = record_pb2.Alert()
    alert.person.names.add(full="Zanbar " * 200)
    assert len(summary_of(alert)) == SUMMARY_LENGTH_MAX
    assert summary_of(record_pb2.Alert()) == ""


def test_markers_and_handling_are_warned_of_in_words() -> None:
    alert = record_pb2.Alert(markers=[record_pb2.MARKER_ARMED, record_pb2.MARKER_SUICIDE_RISK])
    assert warnings_of(alert) == ["armed", "suicide risk"]
    alert.handling = record_pb2.HANDLING_H2
    assert "further dissemination" in warnings_of(alert)[-1]
    alert.handling, alert.handling_note = record_pb2.HANDLING_H3, "Call before use"
    assert warnings_of(alert)[-1] == "H3: Call before use"


def flagged(**flag: int | str) -> record_pb2.Alert:
    alert = record_pb2.Alert(action=record_pb2.ACTION_ARREST)
    alert.flags.add(
        requested_by="tn-dgsn",
        reason=record_pb2.FLAG_REASON_LAW,
        substitute_action=record_pb2.ACTION_LOCATE_AND_REPORT,
        **flag,
    )
    return alert


def test_a_flag_of_this_member_replaces_the_action_until_it_ends() -> None:
    def told(alert: record_pb2.Alert, member: str = "tn-dgsn", now: int = NOW) -> str:
        return action_to_be_taken(alert, member=member, now=now)

    arrest = ACTION_WORDS[record_pb2.ACTION_ARREST]
    assert "Locate and report" in told(flagged())
    assert told(flagged(), member="eg-moi") == arrest
    assert "Locate" in told(flagged(valid_to=NOW + 1))
    assert told(flagged(valid_to=NOW)) == arrest
    assert told(flagged(withdrawn_at=NOW - 1)) == arrest


def test_a_flag_without_a_substitute_says_whom_to_call() -> None:
    alert = flagged()
    alert.flags[0].ClearField("substitute_action")
    assert "call the bureau" in action_to_be_taken(alert, member="tn-dgsn", now=NOW)


def test_of_a_masked_entity_names_and_addresses_go_by_the_mask() -> None:
    entity = listed()[-1].message
    shown = masked(entity, {RecordField.NAME}).alert.entity
    assert shown.names
    assert not shown.addresses
    assert not masked(entity, set()).alert.entity.names


def test_of_a_masked_document_the_holder_goes_by_the_mask() -> None:
    message = record_pb2.Record()
    message.CopyFrom(made_up(1, "DOC_INVALID").message)
    message.alert.travel_document.holder.CopyFrom(made_up(2).alert.person)
    both = masked(message, {RecordField.TRAVEL_DOCUMENT, RecordField.NAME}).alert
    assert both.travel_document.number
    assert both.travel_document.holder.names
    assert not both.travel_document.holder.documents
    assert not masked(message, {RecordField.NAME}).alert.HasField("travel_document")


def test_of_masked_names_only_the_granted_kinds_stay() -> None:
    message = record_pb2.Record()
    message.CopyFrom(made_up(1).message)
    former = message.alert.person.names.add(kind=subject.NAME_KIND_FORMER, full="Zanbar")
    former.date_of_birth.precision = subject.DATE_PRECISION_UNKNOWN
    names = masked(message, {RecordField.FORMER_NAMES}).alert.person.names
    assert [name.full for name in names] == ["Zanbar"]
    assert not names[0].HasField("date_of_birth")


# --- questions --------------------------------------------------------------------------


def query(**asked: str) -> Query:
    return parse_query(local_pb2.FindAlertsRequest(**asked))  # type: ignore[arg-type]


def test_a_partial_date_of_birth_is_a_day_only_where_all_is_known() -> None:
    assert Born(2001).whole is None
    assert Born(2001, 2, 3).whole == date(2001, 2, 3)
    assert Born(2001, 2).beginning == date(2001, 2, 1)
    assert not Born(2001, 2, 29).exists
    assert Born(2000, 2, 29).exists


def test_the_log_names_what_was_searched_by() -> None:
    assert query(document_number="A1234567").kind == "document"
    assert query(name="Zanbar").kind == "name"
    assert query(name="Zanbar", document_number="A1234567").kind == "document+name"


def _name_of(record: ParsedRecord) -> str:
    name = record.alert.person.names[0]
    return f"{name.forenames} {name.surname}"


@pytest.mark.parametrize(
    ("born", "factor"),
    [
        ({"precision": subject.DATE_PRECISION_YEAR, "year": 1970}, 1.0),
        ({"precision": subject.DATE_PRECISION_YEAR_RANGE, "year": 1968, "year_to": 1971}, 1.0),
        ({"precision": subject.DATE_PRECISION_UNKNOWN}, 1.0),
        ({"precision": subject.DATE_PRECISION_MONTH, "year": 1970, "month": 5}, 1.0),
        ({"precision": subject.DATE_PRECISION_MONTH, "year": 1970, "month": 6}, 0.5),
        ({"precision": subject.DATE_PRECISION_YEAR, "year": 1971}, 0.5),
    ],
)
def test_a_month_that_is_known_is_compared_with_what_the_record_knows(
    born: dict[str, int], factor: float
) -> None:
    message = record_pb2.Record()
    message.CopyFrom(made_up(1).message)
    del message.alert.person.dates_of_birth[:]
    message.alert.person.dates_of_birth.add(**born)
    record = seal_in(message)
    asked = query(name=_name_of(record), date_of_birth="1970-05")
    assert fit(record, asked, KEY).value == int(100 * factor)


def test_a_record_that_the_index_met_by_chance_does_not_fit() -> None:
    assert fit(made_up(1), query(document_number="A1234567"), KEY).value == 0


def test_a_name_on_a_document_is_compared_with_its_holder() -> None:
    message = record_pb2.Record()
    message.CopyFrom(made_up(1, "DOC_INVALID").message)
    person = made_up(2)
    message.alert.travel_document.holder.CopyFrom(person.alert.person)
    record = seal_in(message)
    born = person.alert.person.dates_of_birth[0].year
    asked = query(name=_name_of(person), date_of_birth=f"{born:04}")
    assert fit(record, asked, KEY).value == 100
    assert fit(listed()[-1], query(name="Nowhere Trading", date_of_birth="1970"), KEY).value == 100
