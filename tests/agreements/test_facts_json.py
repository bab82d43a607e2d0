"""Facts and acts as JSON: strict, and without a person in them."""

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithaq.agreements import json_form
from mithaq.agreements.act import Disclosure, act_of
from mithaq.agreements.errors import FactsInvalidError
from mithaq.agreements.facts import FACT_NAMES, Facts
from mithaq.agreements.status import ACTIVE, AgreementState, AgreementStatus
from mithaq.agreements.vocabulary import SubjectAge, SubjectType
from tests.agreements.samples import EGYPT, FACTS, NOW, SECOND, TICK, TUNISIA, facts
from tests.agreements.strategies import PATIENT, records

STATUS: dict[str, object] = {
    "state": "ACTIVE",
    "suspended_by": [],
    "wind_down_until": None,
    "left": {},
}
KINDS = (StrEnum, str, int, frozenset, datetime, type(None))
ACT = Disclosure(
    status=ACTIVE, facts=FACTS, sender=EGYPT, recipient=TUNISIA, at=NOW, created_at=NOW
)


@PATIENT
@given(records())
def test_facts_come_back_from_their_json(record: Facts) -> None:
    text = record.to_json()
    assert Facts.from_json(text) == record
    assert Facts.from_json(text).to_json() == text
    assert json.loads(text).keys() == set(FACT_NAMES)


def test_facts_have_no_place_for_a_name_a_number_or_a_nationality() -> None:
    assert all(isinstance(getattr(FACTS, name), KINDS) for name in FACT_NAMES)
    assert not [name for name in FACT_NAMES if "name" in name or "nation" in name]


def changed(**changes: Any) -> str:  # noqa: ANN401 - any field
    return json.dumps(json.loads(FACTS.to_json()) | changes)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "null",
        '{"category": "ARREST"}',
        FACTS.to_json()[:-1] + ',"partner":false}',
        changed(name="x"),
        changed(category="LUNCH"),
        changed(category=1),
        changed(category=["ARREST"]),
        changed(purposes="BORDER_CONTROL"),
        changed(purposes=["LUNCH"]),
        changed(purposes=[]),
        changed(fields=[]),
        changed(origin_system="sis"),
        changed(origin_system="X" * 33),
        changed(origin_system=None),
        changed(expires_at="2026-01-01"),
        changed(expires_at="2026-13-01T00:00:00Z"),
        changed(expires_at="2026-01-01T00:00:00.5Z"),
        changed(expires_at="2026-01-01T00:00:00+02:00"),
        changed(expires_at=0),
        changed(necessity_length=-1),
        changed(necessity_length=100_001),
        changed(necessity_length=True),
        changed(necessity_length=1.0),
        changed(max_sentence_months=1201),
        changed(partner=None),
        changed(partner=0),
        changed(assurances="yes"),
        changed(excluded=["Egypt"]),
        changed(excluded={}),
        changed(subject_age="NOT_A_PERSON"),
        changed(subject_type="VEHICLE"),
        "[" * 100_000,
        " " * 70_000,
    ],
)
def test_what_facts_would_not_have_written_is_refused(text: str) -> None:
    with pytest.raises(FactsInvalidError) as caught:
        Facts.from_json(text)
    assert caught.value.code == "MQ-AGREEMENT-FACTS"
    assert caught.value.fix


@pytest.mark.parametrize(
    "text",
    [
        changed(necessity_length=100_000),
        changed(max_sentence_months=1200),
        changed(origin_system="X" * 32),
        changed(excluded=None),
        changed(assurances=None),
    ],
)
def test_what_lies_within_the_limits_is_read(text: str) -> None:
    assert json.loads(Facts.from_json(text).to_json()) == json.loads(text)


@PATIENT
@given(st.text(max_size=100))
def test_hostile_text_raises_one_kind_of_error(text: str) -> None:
    for read in (Facts.from_json, act_of):
        with pytest.raises(FactsInvalidError):
            read(text)


def test_facts_are_made_of_whole_seconds_of_utc() -> None:
    assert facts(expires_at=NOW + SECOND).expires_at == NOW + SECOND
    for instant in (
        NOW + TICK,
        NOW.replace(tzinfo=None),
        NOW.astimezone(timezone(timedelta(hours=1))),
    ):
        with pytest.raises(FactsInvalidError, match="whole second"):
            facts(expires_at=instant)


def test_an_origin_system_is_a_code() -> None:
    with pytest.raises(FactsInvalidError, match="origin system"):
        facts(origin_system="National police")


def test_a_person_has_an_age_class_and_a_thing_has_none() -> None:
    with pytest.raises(FactsInvalidError, match="age class"):
        facts(subject_age=SubjectAge.NOT_A_PERSON)
    with pytest.raises(FactsInvalidError, match="age class"):
        facts(subject_type=SubjectType.VEHICLE)


@pytest.mark.parametrize(
    "changes",
    [
        {"place": "KITCHEN"},
        {"place": None},
        {"place": ["DISCLOSURE"]},
        {"place": "READING"},
        {"sender": "Egypt"},
        {"status": None},
        {"status": {}},
        {"status": STATUS | {"left": ["tn-dgsn"]}},
        {"status": STATUS | {"left": {"Tunis": "2027-01-01T00:00:00Z"}}},
        {"status": STATUS | {"left": {"tn-dgsn": None}}},
        {"facts": []},
        {"facts": {}},
        {"more": 1},
    ],
)
def test_what_an_act_would_not_have_written_is_refused(changes: dict[str, object]) -> None:
    assert act_of(ACT.to_json()) == ACT
    with pytest.raises(FactsInvalidError):
        act_of(json.dumps(json.loads(ACT.to_json()) | changes))


def test_an_act_says_until_when_a_leaver_winds_down() -> None:
    act = replace(ACT, status=AgreementStatus(AgreementState.ACTIVE, left={TUNISIA: NOW}))
    assert act_of(act.to_json()) == act
    assert json.loads(act.to_json())["status"] == STATUS | {
        "left": {TUNISIA: "2026-06-01T12:00:00Z"}
    }


def test_values_without_a_json_form_are_refused() -> None:
    with pytest.raises(FactsInvalidError, match="bytes"):
        json_form.dump({"key": b"x"})
