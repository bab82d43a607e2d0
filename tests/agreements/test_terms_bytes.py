"""Terms: one encoding, strict limits, and no contradictions."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithaq.agreements import terms
from mithaq.agreements.categories import CATEGORIES, Category
from mithaq.agreements.clause import Clause, Party
from mithaq.agreements.errors import AgreementError, TermsBytesError, TermsInvalidError
from mithaq.agreements.terms import TERMS_SIZE_BYTES_MAX, Agreement
from mithaq.agreements.vocabulary import (
    ClauseEffect,
    EntryKind,
    Handling,
    InformationGrade,
    LegalBasis,
    MinorsRule,
    OffenceClass,
    OfficerRole,
    OnwardTransfer,
    OriginStateRule,
    PartyKind,
    Purpose,
    RecordField,
    SourceGrade,
    StreamRole,
    SubjectType,
)
from mithaq.v1 import agreement_pb2, entry_pb2, record_pb2
from tests.agreements.samples import (
    BEGIN,
    EGYPT,
    END,
    IOM,
    PARTIES,
    SECOND,
    STRANGER,
    TUNISIA,
    agreed,
    permit,
    refusal,
)
from tests.agreements.strategies import PATIENT, agreements


@PATIENT
@given(agreements())
def test_terms_come_back_from_their_bytes_with_the_same_bytes(agreement: Agreement) -> None:
    again = Agreement.from_bytes(agreement.to_bytes())
    assert again == agreement
    assert hash(again) == hash(agreement)
    assert again.clauses == agreement.clauses
    assert again.deadlines == agreement.deadlines
    assert again.to_bytes() == agreement.to_bytes()
    assert again.hash == hashlib.sha256(agreement.to_bytes()).digest()


@PATIENT
@given(agreements(), st.data())
def test_no_changed_byte_gives_other_terms_under_the_same_bytes(
    agreement: Agreement, data: st.DataObject
) -> None:
    encoded = bytearray(agreement.to_bytes())
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] ^= data.draw(st.integers(1, 255))
    try:
        other = Agreement.from_bytes(bytes(encoded))
    except AgreementError:
        return
    assert other.to_bytes() == bytes(encoded)
    assert other != agreement


@PATIENT
@given(st.binary(max_size=200))
def test_hostile_bytes_raise_a_coded_error_and_nothing_else(encoded: bytes) -> None:
    with pytest.raises(AgreementError) as caught:
        Agreement.from_bytes(encoded)
    assert caught.value.code in {"MQ-AGREEMENT-BYTES", "MQ-AGREEMENT-TERMS"}


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(TermsBytesError, match="unknown fields"):
        Agreement.from_bytes(agreed().to_bytes() + b"\xfa\x07\x01x")


def test_a_set_out_of_order_is_refused() -> None:
    message = agreement_pb2.AgreementTerms.FromString(agreed().to_bytes())
    numbers = list(message.clauses[0].purposes)
    message.clauses[0].ClearField("purposes")
    message.clauses[0].purposes.extend(reversed(numbers))
    with pytest.raises(TermsBytesError, match="canonical"):
        Agreement.from_bytes(message.SerializeToString())


def test_a_word_outside_the_vocabulary_is_refused() -> None:
    message = agreement_pb2.AgreementTerms.FromString(agreed().to_bytes())
    message.clauses[0].MergeFromString(b"\x42\x01\x63")
    with pytest.raises(TermsInvalidError, match="purposes") as caught:
        Agreement.from_bytes(message.SerializeToString())
    assert caught.value.path[:3] == ("clauses", 0, "purposes")


def test_bytes_beyond_the_limit_are_refused_unread() -> None:
    with pytest.raises(TermsBytesError, match=str(TERMS_SIZE_BYTES_MAX)):
        Agreement.from_bytes(b"x" * (TERMS_SIZE_BYTES_MAX + 1))


def test_terms_that_would_take_more_bytes_than_the_limit_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = len(agreed().to_bytes())
    monkeypatch.setattr(terms, "TERMS_SIZE_BYTES_MAX", size)
    assert len(agreed().to_bytes()) == size
    with pytest.raises(TermsInvalidError, match="bytes"):
        agreed(title="Test.")


def test_two_agreements_are_equal_by_their_bytes_only() -> None:
    assert agreed() == agreed()
    assert agreed() != agreed(version=2)
    assert agreed() != agreed().to_bytes()


# --- contradictions ---------------------------------------------------------------


def changed(clause: Clause, name: str, value: object) -> Clause:
    changes: dict[str, Any] = {name: value}
    return replace(clause, **changes)


def refuse(match: str, **changes: Any) -> TermsInvalidError:  # noqa: ANN401 - any field
    with pytest.raises(TermsInvalidError, match=match) as caught:
        agreed(**changes)
    assert caught.value.fix
    return caught.value


def test_parties_stand_once_each_and_in_order() -> None:
    refuse("not sorted", parties=PARTIES[::-1])
    refuse("not sorted", parties=(PARTIES[0], *PARTIES))


def test_an_agreement_needs_two_parties_and_a_clause() -> None:
    one = permit(senders=frozenset({EGYPT, TUNISIA}))
    with pytest.raises(TermsInvalidError, match="no party"):
        agreed(one, parties=PARTIES[:1])
    with pytest.raises(TermsInvalidError, match="parties"):
        agreed(refusal(), parties=PARTIES[:1])
    with pytest.raises(TermsInvalidError, match="clauses"):
        replace(agreed(), clauses=())


def test_a_clause_names_parties_only() -> None:
    with pytest.raises(TermsInvalidError, match=STRANGER):
        agreed(permit(senders=frozenset({EGYPT, STRANGER})))
    with pytest.raises(TermsInvalidError, match=STRANGER):
        agreed(permit(), refusal(recipients=frozenset({STRANGER})))


def test_a_clause_does_not_let_a_member_send_to_itself_only() -> None:
    with pytest.raises(TermsInvalidError, match="itself"):
        agreed(permit(recipients=frozenset({EGYPT})))


def test_clause_ids_are_unique() -> None:
    with pytest.raises(TermsInvalidError, match="C1 stands twice"):
        agreed(permit(), permit())


def test_an_agreement_ends_after_it_begins() -> None:
    assert agreed(expires_at=BEGIN + SECOND).expires_at == BEGIN + SECOND
    refuse("ends before", expires_at=BEGIN)


def test_instants_are_whole_seconds_of_utc() -> None:
    refuse("expires_at", expires_at=END + timedelta(microseconds=1))
    refuse("expires_at", expires_at=END.replace(tzinfo=None))
    refuse("effective_from", effective_from=BEGIN.astimezone(timezone(timedelta(hours=2))))


@pytest.mark.parametrize(
    ("name", "within", "outside"),
    [
        ("version", 1, 0),
        ("version", 1_000_000, 1_000_001),
        ("id", "abc", "ab"),
        ("id", "a" * 64, "a" * 65),
        ("id", "eg-2026", "EG-2026"),
        ("federation", "a.b", "ab"),
        ("federation", "euroarab.example", "euroarab"),
        ("title", "x", ""),
        ("title", "x" * 200, "x" * 201),
        ("staleness_limit", timedelta(hours=1), timedelta(hours=1) - SECOND),
        ("staleness_limit", timedelta(days=30), timedelta(days=30) + SECOND),
        ("wind_down", timedelta(days=1), timedelta(days=1) - SECOND),
        ("wind_down", timedelta(days=365), timedelta(days=365) + SECOND),
        ("log_retention_days", 365, 364),
        (
            "effective_from",
            datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
            datetime(1970, 1, 1, tzinfo=UTC),
        ),
        ("excluded_origin_systems", frozenset({"A"}), frozenset({"a"})),
    ],
)
def test_each_limit_of_the_terms_has_two_sides(name: str, within: object, outside: object) -> None:
    assert getattr(agreed(**{name: within}), name) == within
    error = refuse(name, **{name: outside})
    assert error.path[0] == name


@pytest.mark.parametrize(
    ("name", "within", "outside"),
    [
        ("id", "C", ""),
        ("id", "A" * 16, "A" * 17),
        ("title", "x" * 200, "x" * 201),
        ("retention_days_max", 36_500, 36_501),
        ("quota_per_day", 10_000_000, 10_000_001),
        ("necessity_min_length", 10_000, 10_001),
        ("legal_reference", "x" * 200, "x" * 201),
    ],
)
def test_each_limit_of_a_clause_has_two_sides(name: str, within: object, outside: object) -> None:
    def clause(value: object) -> Clause:
        return changed(permit(), name, value)

    assert getattr(agreed(clause(within)).clauses[0], name) == within
    with pytest.raises(TermsInvalidError, match=name) as caught:
        agreed(clause(outside))
    assert caught.value.path == ("clauses", 0, name)


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(TermsInvalidError, match="negative"):
        agreed(permit(quota_per_day=-1))


def test_a_text_that_is_no_unicode_is_refused() -> None:
    refuse("no Unicode", title="\ud800")


@pytest.mark.parametrize(
    "name",
    ["senders", "recipients", "categories", "purposes", "fields", "handling", "roles", "sources"],
)
def test_a_clause_that_permits_names_all_that_it_grants(name: str) -> None:
    with pytest.raises(TermsInvalidError, match=name):
        changed(permit(), name, frozenset[str]())


def test_a_clause_that_refuses_has_no_retention_quota_or_length() -> None:
    for name in ("retention_days_max", "quota_per_day", "necessity_min_length"):
        with pytest.raises(TermsInvalidError, match=name):
            changed(refusal(), name, 1)


def test_a_state_has_a_country_and_an_organisation_has_none() -> None:
    with pytest.raises(TermsInvalidError, match=EGYPT):
        Party(member=EGYPT, display_name="Egypt", kind=PartyKind.STATE)
    with pytest.raises(TermsInvalidError, match=IOM):
        Party(member=IOM, display_name="IOM", kind=PartyKind.ORGANISATION, country="CHE")


def test_a_party_is_found_by_its_member_id() -> None:
    assert agreed().party(IOM) == PARTIES[1]
    assert agreed().party(STRANGER) is None


# --- the table of clauses ---------------------------------------------------------


def test_the_table_of_clauses_keeps_no_rows_for_hostile_headers() -> None:
    agreement = agreed()
    for category in ("LUNCH", "ARREST"):
        for sender in (STRANGER, EGYPT):
            agreement.rows(sender, category)
    rows = agreement._rows  # pyright: ignore[reportPrivateUsage]
    assert set(rows) == {(EGYPT, "ARREST")}


def test_a_refusal_without_names_speaks_of_all_but_the_sender() -> None:
    rows = agreed(permit(), refusal()).rows(EGYPT, "ARREST")
    assert set(rows.denies) == {TUNISIA, IOM}


# --- the vocabulary on the wire ---------------------------------------------------


VOCABULARIES: list[tuple[type[StrEnum], list[str], str]] = [
    (Category, agreement_pb2.AlertCategory.keys(), "ALERT_CATEGORY_"),
    (SubjectType, agreement_pb2.SubjectType.keys(), "SUBJECT_TYPE_"),
    (Purpose, agreement_pb2.Purpose.keys(), "PURPOSE_"),
    (RecordField, agreement_pb2.RecordField.keys(), "RECORD_FIELD_"),
    (OfficerRole, agreement_pb2.OfficerRole.keys(), "OFFICER_ROLE_"),
    (ClauseEffect, agreement_pb2.ClauseEffect.keys(), "CLAUSE_EFFECT_"),
    (MinorsRule, agreement_pb2.MinorsRule.keys(), "MINORS_RULE_"),
    (OnwardTransfer, agreement_pb2.OnwardTransfer.keys(), "ONWARD_TRANSFER_"),
    (LegalBasis, agreement_pb2.LegalBasis.keys(), "LEGAL_BASIS_"),
    (PartyKind, agreement_pb2.PartyKind.keys(), "PARTY_KIND_"),
    (OriginStateRule, agreement_pb2.OriginStateRule.keys(), "ORIGIN_STATE_RULE_"),
    (Handling, record_pb2.Handling.keys(), "HANDLING_"),
    (SourceGrade, record_pb2.SourceGrade.keys(), "SOURCE_GRADE_"),
    (InformationGrade, record_pb2.InformationGrade.keys(), "INFORMATION_GRADE_"),
    (OffenceClass, record_pb2.OffenceClass.keys(), "OFFENCE_CLASS_"),
]


@pytest.mark.parametrize(("words", "names", "prefix"), VOCABULARIES)
def test_every_word_is_one_of_the_proto_in_its_order(
    words: type[StrEnum], names: list[str], prefix: str
) -> None:
    assert [f"{prefix}UNSPECIFIED", *(f"{prefix}{word}" for word in words)] == names


def test_the_actions_of_categories_are_those_of_records_where_records_have_them() -> None:
    known = {name.removeprefix("ACTION_") for name in record_pb2.Action.keys()}  # noqa: SIM118
    # Their subjects have no message in records yet.
    later = {"SEIZE", "IDENTIFY", "TAKE_HEALTH_MEASURE", "RESCUE"}
    assert {rule.action for rule in CATEGORIES.values()} <= known | later


def test_kinds_and_roles_have_the_numbers_of_the_wire() -> None:
    for kind in EntryKind:
        assert int(entry_pb2.EntryKind.Value(f"ENTRY_KIND_{kind.name}")) == int(kind)
    for role in StreamRole:
        assert int(entry_pb2.StreamRole.Value(f"STREAM_ROLE_{role.name}")) == int(role)
    assert len(entry_pb2.EntryKind.keys()) == len(EntryKind) + 1
