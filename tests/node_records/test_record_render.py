"""What an officer sees: the action and the warnings, then the subject, in the field's words."""

import re

import pytest

from mithaq.node.records.countries import code_of, codes, state_of
from mithaq.node.records.model import parse_record
from mithaq.node.records.render import hit_rows, rows_of
from mithaq.node.records.synthetic import CATEGORIES, made_up_alert
from mithaq.node.records.wording import action_text, partial_date, place_text, warnings_of
from mithaq.service.text import plain
from mithaq.v1 import record_pb2 as wire
from mithaq.v1 import subject_pb2 as subject
from tests.node_records.alerts import AT, alert, chance, changed


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_alert_can_be_shown(category: str) -> None:
    rows = rows_of(alert(category).alert)
    assert action_text(alert(category).alert).endswith(".")
    assert all(row.label and row.text for row in rows)
    assert rows[0].text == f"{alert(category).alert_id} version 1"


@pytest.mark.parametrize("category", CATEGORIES)
def test_neither_seconds_since_1970_nor_names_of_enums_are_shown(category: str) -> None:
    texts = " ".join(row.text for row in rows_of(alert(category).alert))
    assert not re.search(r"\b1[0-9]{9}\b", texts)
    assert not re.search(r"[A-Z]+_(KIND|GRADE|SUBJECT|STATUS|PRECISION)_[A-Z0-9]+", texts)
    assert "UNSPECIFIED" not in texts.upper()
    assert "2026-03-04 05:06Z to " in texts


def test_what_no_clause_grants_leaves_no_empty_line() -> None:
    masked = wire.Alert(alert_id="eg-moi-01M7ZXWM8YCJ1JR5455VZ56396", category="ARREST")
    masked.person.names.add()
    masked.arrest.SetInParent()
    assert [row.label for row in rows_of(masked)] == ["alert", "category"]
    assert action_text(masked).startswith("Arrest for surrender")


def test_a_hit_report_is_shown_in_words() -> None:
    report = wire.HitReport(
        hit_id="tn-dgsn-01M7ZXWTG29HAFSFDTTS8HMN0W",
        outcome=wire.ACTION_OUTCOME_NOT_POSSIBLE,
        outcome_note="The ferry had left",
        found_at=int(AT.timestamp()),
    )
    report.place.city = "Zarbal"
    rows = {row.label: row.text for row in hit_rows(report)}
    assert rows["action"] == "not possible"
    assert rows["found"] == "2026-03-04 05:06Z, Zarbal"
    assert rows["hit"] == report.hit_id


def test_warnings_come_before_anything_else_is_read() -> None:
    def warn(target: wire.Alert) -> None:
        target.markers[:] = [wire.MARKER_ARMED, wire.MARKER_SUICIDE_RISK]
        target.handling = wire.HANDLING_H3
        target.handling_note = "ask the bureau"
        target.restrictions.child_protection_only = True
        target.restrictions.no_third_state = True

    assert warnings_of(parse_record(changed(warn)).alert) == [
        "armed",
        "suicide risk",
        "for child protection only",
        "not to be passed to any other state",
        "H3: ask the bureau",
    ]


def test_a_hostile_text_cannot_steer_the_terminal_or_turn_the_letters() -> None:
    def spoil(target: wire.Alert) -> None:
        target.reason = "calm\x1b[2J\u202egnorw\u2066"
        target.handling = wire.HANDLING_H3
        target.handling_note = "a\x07b"

    spoilt = parse_record(changed(spoil)).alert
    shown = " ".join([*warnings_of(spoilt), *(row.text for row in rows_of(spoilt))])
    assert not set(shown) & set("\x1b\x07\u202e\u2066")


@pytest.mark.parametrize(
    ("handling", "shown"),
    [
        (wire.HANDLING_H1, "H1: no use in court without leave of the issuer"),
        (wire.HANDLING_H2, "H2: no further dissemination without leave of the issuer"),
    ],
)
def test_a_handling_code_is_told_in_words(handling: wire.Handling.ValueType, shown: str) -> None:
    record = parse_record(changed(lambda a: setattr(a, "handling", handling)))
    assert shown in warnings_of(record.alert)


def test_a_document_is_shown_with_its_holder() -> None:
    def held(target: wire.Alert) -> None:
        target.travel_document.holder.CopyFrom(alert().alert.person)
        target.travel_document.ClearField("lost_on")

    labels = [row.label for row in rows_of(parse_record(changed(held, "DOC_INVALID")).alert)]
    assert "name" in labels
    assert "since" not in labels


def test_arabic_letters_and_their_joiners_are_shown_as_they_are() -> None:
    assert plain("زانبار \u200cتيم\u200f") == "زانبار \u200cتيم\u200f"


@pytest.mark.parametrize(
    ("date", "shown"),
    [
        (
            subject.PartialDate(precision=subject.DATE_PRECISION_DAY, year=1980, month=3, day=7),
            "1980-03-07",
        ),
        (
            subject.PartialDate(precision=subject.DATE_PRECISION_MONTH, year=1980, month=3),
            "1980-03",
        ),
        (
            subject.PartialDate(
                precision=subject.DATE_PRECISION_YEAR,
                year=1980,
                qualifier=subject.DATE_QUALIFIER_APPROXIMATE,
            ),
            "about 1980",
        ),
        (
            subject.PartialDate(
                precision=subject.DATE_PRECISION_YEAR_RANGE, year=1955, year_to=1958
            ),
            "1955 to 1958",
        ),
        (
            subject.PartialDate(precision=subject.DATE_PRECISION_UNKNOWN, note=" camp list"),
            "unknown (camp list)",
        ),
        (
            subject.PartialDate(
                precision=subject.DATE_PRECISION_YEAR,
                year=1980,
                calendar=subject.SOURCE_CALENDAR_HIJRI,
            ),
            "1980 (converted from the Hijri calendar)",
        ),
    ],
)
def test_a_date_is_shown_as_far_as_it_is_known(date: subject.PartialDate, shown: str) -> None:
    assert partial_date(date) == shown


def test_a_place_is_shown_from_street_to_country() -> None:
    place = subject.Place(street="1 Rush  Road", city="Zarbal", note=" until 2009 ")
    place.country.CopyFrom(subject.Country(code="IRQ", as_written="Iraq"))
    assert place_text(place) == "1 Rush Road, Zarbal, IRQ (Iraq) (until 2009)"


def test_one_seed_makes_one_set_of_alerts() -> None:
    made = [
        [made_up_alert(rng, category=each, issuer="eg-moi", at=AT).raw for each in CATEGORIES * 5]
        for rng in (chance(7), chance(7))
    ]
    assert made[0] == made[1]
    assert len(set(made[0])) == 25


def test_made_up_alerts_are_about_one_kibibyte() -> None:
    sizes = [len(alert(category).raw) for category in CATEGORIES]
    assert 500 < min(sizes) < max(sizes) < 1500


def test_a_member_of_no_state_makes_alerts_about_persons_of_no_stated_one() -> None:
    record = made_up_alert(chance(), category="MISSING_LOCATE", issuer="int-iom", at=AT)
    assert record.alert.person.nationalities[0].code == "XXX"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("Tunisia", "TUN"),
        (" iran (islamic  republic OF) ", "IRN"),
        ("Türkiye", "TUR"),
        ("Turkey", "TUR"),
        ("Democratic Republic of the Congo", "COD"),
        ("Congo", "COG"),
        ("Possibly Ethiopian", ""),
        ("", ""),
    ],
)
def test_words_name_a_state_only_where_they_are_its_name(words: str, code: str) -> None:
    assert code_of(words) == code


@pytest.mark.parametrize(
    ("member", "state"), [("eg-moi", "EGY"), ("tun-dgsn", "TUN"), ("int-iom", ""), ("zz-x", "")]
)
def test_a_member_is_of_the_state_that_its_id_begins_with(member: str, state: str) -> None:
    assert state_of(member) == state


def test_codes_of_states_and_of_travel_documents_alone_are_known() -> None:
    assert len([code for code in codes() if not code.startswith("X")]) == 249 + 12
    assert {"PSE", "SSD", "XXA", "RKS"} <= codes()
    assert not {"ZZZ", "ROM", "YUG"} & codes()
