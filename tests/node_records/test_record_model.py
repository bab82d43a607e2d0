"""From bytes to a record: strictly, with the field named and no value told."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import given
from hypothesis import strategies as st

from mithaq.node.records.errors import (
    OriginExcludedError,
    RecordCategoryError,
    RecordError,
    RecordFieldError,
    RecordIncompleteError,
    RecordMalformedError,
    RecordTooLargeError,
    RecordUnknownFieldError,
)
from mithaq.node.records.model import (
    RECORD_SIZE_BYTES_MAX,
    RecordKind,
    parse_record,
    seal_in,
    serialise,
)
from mithaq.node.records.synthetic import CATEGORIES
from mithaq.v1 import record_pb2 as wire
from mithaq.v1 import subject_pb2 as subject
from tests.node_records.alerts import AT, alert, changed, refusal

DAY_SECONDS = 86_400
CANARY = "Canaryname"


def check_taken(raw: bytes) -> None:
    assert parse_record(raw).raw == raw


def born(target: wire.Alert, year: int, month: int = 0, day: int = 0) -> None:
    precision = (
        subject.DATE_PRECISION_DAY
        if day
        else subject.DATE_PRECISION_MONTH
        if month
        else subject.DATE_PRECISION_YEAR
    )
    target.person.dates_of_birth[0].CopyFrom(
        subject.PartialDate(precision=precision, year=year, month=month, day=day)
    )


Change = Callable[[wire.Alert], object]
BROKEN_FIELDS: list[tuple[Change, str]] = [
    (lambda a: a.ClearField("authority"), "alert.authority"),
    (lambda a: a.ClearField("decision_reference"), "alert.decision_reference"),
    (lambda a: a.ClearField("legal_basis"), "alert.legal_basis"),
    (lambda a: a.ClearField("reason"), "alert.reason"),
    (lambda a: a.ClearField("basis"), "alert.basis"),
    (lambda a: a.ClearField("data_subject"), "alert.data_subject"),
    (lambda a: a.ClearField("necessity"), "alert.necessity"),
    (lambda a: a.ClearField("origin"), "alert.origin"),
    (lambda a: a.ClearField("purposes"), "alert.purposes"),
    (lambda a: a.ClearField("person"), "alert.subject"),
    (lambda a: a.person.ClearField("dates_of_birth"), "alert.person.dates_of_birth"),
    (lambda a: a.person.ClearField("names"), "alert.person.names"),
    (lambda a: setattr(a.person.names[0], "mrz", CANARY), "alert.person.names[0].mrz"),
    (
        lambda a: setattr(a.person.nationalities[0], "code", "ZZZ"),
        "alert.person.nationalities[0].code",
    ),
    (lambda a: a.person.nationalities.add(), "alert.person.nationalities[1]"),
    (lambda a: a.person.documents.add(), "alert.person.documents[1]"),
    (lambda a: a.person.addresses.add(), "alert.person.addresses[0]"),
    (lambda a: a.person.names.add(kind=subject.NAME_KIND_ALIAS), "alert.person.names[1]"),
    (lambda a: born(a, 1999, 2, 29), "alert.person.dates_of_birth[0].day"),
    (lambda a: setattr(a, "handling", wire.HANDLING_H3), "alert.handling_note"),
    (lambda a: setattr(a, "issuer", "tn-dgsn"), "alert.alert_id"),
    (lambda a: setattr(a, "expires_at", a.valid_from), "alert.expires_at"),
    (lambda a: setattr(a, "review_by", a.expires_at + 1), "alert.review_by"),
    # A marker of number 99.
    (lambda a: a.MergeFromString(b"\x8a\x02\x01\x63"), "alert.markers[0]"),
    (lambda a: a.remarks.add(language="xx", text=CANARY), "alert.remarks[0].language"),
]
MISFITS: list[tuple[str, Change, type[RecordError]]] = [
    ("ARREST", lambda a: setattr(a, "category", "UNKNOWN"), RecordCategoryError),
    ("ARREST", lambda a: setattr(a, "category", "OBJECT_SEIZE"), RecordCategoryError),
    ("ARREST", lambda a: setattr(a, "action", wire.ACTION_INFORM), RecordCategoryError),
    ("ARREST", lambda a: a.ClearField("arrest"), RecordIncompleteError),
    ("ARREST", lambda a: a.purposes.append("FISHING"), RecordCategoryError),
    (
        "ARREST",
        lambda a: setattr(a.person.names[0], "kind", subject.NAME_KIND_ALIAS),
        RecordIncompleteError,
    ),
    ("MISSING_LOCATE", lambda a: a.arrest.CopyFrom(alert().alert.arrest), RecordCategoryError),
    ("MISSING_PROTECT", lambda a: a.ClearField("protection"), RecordIncompleteError),
    ("CHILD_ABDUCTION_RISK", lambda a: a.ClearField("protection"), RecordIncompleteError),
    ("DOC_INVALID", lambda a: a.entity.names.add(), RecordFieldError),
    (
        "DOC_INVALID",
        lambda a: setattr(a.travel_document.issuing_state, "code", "TUN"),
        RecordCategoryError,
    ),
    (
        "DOC_INVALID",
        lambda a: setattr(a.travel_document, "number_to", "X9"),
        RecordFieldError,
    ),
]


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_valid_alert_is_taken_with_its_exact_bytes(category: str) -> None:
    record = alert(category)
    assert parse_record(record.raw) == record
    assert (record.kind, record.category, record.version) == (RecordKind.ALERT, category, 1)


def test_a_record_with_an_unknown_field_is_refused() -> None:
    unknown = wire.Record.FromString(alert().raw + b"\xa2\x06\x04more")
    assert len(UnknownFieldSet(unknown)) == 1
    with pytest.raises(RecordUnknownFieldError):
        parse_record(serialise(unknown))


def test_an_unknown_field_deep_inside_is_refused() -> None:
    def hide(target: wire.Alert) -> None:
        name = target.person.names[0]
        name.MergeFromString(b"\xa2\x06\x04more")

    with pytest.raises(RecordUnknownFieldError):
        parse_record(changed(hide))


def test_a_second_copy_of_a_field_that_hides_the_first_is_refused() -> None:
    hidden = wire.Record(alert=wire.Alert(reason="what only the log would show"))
    with pytest.raises(RecordMalformedError):
        parse_record(serialise(hidden) + alert().raw)


def test_bytes_in_another_order_are_refused() -> None:
    def moved(raw: bytes) -> bytes:
        # The first field of the alert, its id (tag, length, 33 characters), put last.
        inner = wire.Record.FromString(raw).alert.SerializeToString(deterministic=True)
        first = 2 + inner[1]
        outer = inner[first:] + inner[:first]
        return raw[: len(raw) - len(inner)] + outer

    raw = alert().raw
    assert wire.Record.FromString(moved(raw)) == wire.Record.FromString(raw)
    with pytest.raises(RecordMalformedError):
        parse_record(moved(raw))


def test_a_record_without_content_is_refused() -> None:
    with pytest.raises(RecordFieldError):
        parse_record(b"")


def test_a_record_is_at_most_64_kib() -> None:
    with pytest.raises(RecordTooLargeError):
        parse_record(bytes(RECORD_SIZE_BYTES_MAX + 1))
    with pytest.raises(RecordMalformedError):
        parse_record(bytes(RECORD_SIZE_BYTES_MAX))


@given(st.binary(max_size=400))
def test_hostile_bytes_are_refused_with_an_error_of_ours(raw: bytes) -> None:
    with pytest.raises(RecordError):
        parse_record(raw)


@given(st.integers(0, 900), st.integers(0, 255))
def test_a_changed_byte_gives_a_record_or_an_error_of_ours(at: int, value: int) -> None:
    raw = bytearray(alert().raw)
    raw[at % len(raw)] = value
    with suppress(RecordError):
        assert parse_record(bytes(raw)).raw == bytes(raw)


@pytest.mark.parametrize(("change", "path"), BROKEN_FIELDS)
def test_an_error_names_the_field_that_is_wrong(change: Change, path: str) -> None:
    def without_markers(target: wire.Alert) -> None:
        target.ClearField("markers")
        change(target)

    assert refusal(without_markers).path == path


def test_an_error_never_tells_a_value() -> None:
    def spoil(target: wire.Alert) -> None:
        target.person.names[0].surname = CANARY * 100
        target.person.names[0].mrz = CANARY

    error = refusal(spoil)
    assert CANARY not in f"{error}{error.__cause__}{error.__context__}{error.public_message}"


@pytest.mark.parametrize(
    ("date", "fits"),
    [
        (
            subject.PartialDate(precision=subject.DATE_PRECISION_DAY, year=2000, month=2, day=29),
            True,
        ),
        (
            subject.PartialDate(precision=subject.DATE_PRECISION_DAY, year=1900, month=2, day=29),
            False,
        ),
        (
            subject.PartialDate(precision=subject.DATE_PRECISION_DAY, year=1980, month=4, day=31),
            False,
        ),
        (subject.PartialDate(precision=subject.DATE_PRECISION_DAY, year=1980, month=4), False),
        (subject.PartialDate(precision=subject.DATE_PRECISION_MONTH, year=1980, month=4), True),
        (subject.PartialDate(precision=subject.DATE_PRECISION_MONTH, year=1980), False),
        (subject.PartialDate(precision=subject.DATE_PRECISION_YEAR, year=1980), True),
        (subject.PartialDate(precision=subject.DATE_PRECISION_YEAR, year=1980, month=1), False),
        (
            subject.PartialDate(
                precision=subject.DATE_PRECISION_YEAR_RANGE, year=1980, year_to=1982
            ),
            True,
        ),
        (
            subject.PartialDate(
                precision=subject.DATE_PRECISION_YEAR_RANGE, year=1980, year_to=1979
            ),
            False,
        ),
        (subject.PartialDate(precision=subject.DATE_PRECISION_UNKNOWN), True),
        (subject.PartialDate(precision=subject.DATE_PRECISION_UNKNOWN, year=1980), False),
        (subject.PartialDate(year=1980), False),
    ],
)
def test_a_date_has_the_parts_of_its_precision(date: subject.PartialDate, *, fits: bool) -> None:
    raw = changed(lambda a: a.person.dates_of_birth.append(date))
    if fits:
        assert parse_record(raw).alert.person.dates_of_birth[1] == date
    else:
        with pytest.raises(RecordFieldError, match=r"dates_of_birth\[1\]"):
            parse_record(raw)


@pytest.mark.parametrize("system", ["SIS", "SIS-II", "SIS_2", "EURODAC", "VIS", "EES"])
def test_records_of_closed_circles_are_refused(system: str) -> None:
    error = refusal(lambda a: setattr(a.origin, "system", system))
    assert isinstance(error, OriginExcludedError)
    assert system not in str(error).replace("data of SIS, Eurodac, VIS and EES", "")


@pytest.mark.parametrize("system", ["MITHAQ", "NATIONAL", "SISTER", "UNSC"])
def test_records_of_other_systems_are_taken(system: str) -> None:
    check_taken(changed(lambda a: setattr(a.origin, "system", system)))


@pytest.mark.parametrize(("category", "change", "error"), MISFITS)
def test_an_alert_must_fit_its_category(
    category: str, change: Change, error: type[RecordError]
) -> None:
    assert type(refusal(change, category)) is error


def test_an_alert_lasts_as_long_as_its_category_lets_it() -> None:
    def lasting(seconds: int) -> Callable[[wire.Alert], None]:
        return lambda a: setattr(a, "expires_at", a.valid_from + seconds)

    longest = 1826 * DAY_SECONDS
    check_taken(changed(lasting(longest)))
    assert refusal(lasting(longest + 1)).path == "alert.expires_at"


@pytest.mark.parametrize(
    ("year", "month", "day", "child"),
    [
        (2008, 3, 4, False),  # 18 on the day of the alert
        (2008, 3, 5, True),  # 18 on the day after
        (2008, 2, 0, False),
        (2008, 4, 0, True),
        (2007, 0, 0, False),
        (2009, 0, 0, True),
        (2008, 0, 0, None),
        (2008, 3, 0, None),
    ],
)
def test_a_child_is_somebody_who_is_not_18_for_certain(
    year: int, month: int, day: int, *, child: bool | None
) -> None:
    def aged(target: wire.Alert) -> None:
        born(target, year, month, day)

    if child:
        check_taken(changed(aged, "CHILD_ABDUCTION_RISK"))
    else:
        assert refusal(aged, "CHILD_ABDUCTION_RISK").path == "alert.person.dates_of_birth"


def test_a_missing_person_who_may_be_a_child_needs_a_protection_contact() -> None:
    assert refusal(lambda a: born(a, 2008), "MISSING_LOCATE").path == "alert.protection"
    check_taken(changed(lambda a: born(a, 2007), "MISSING_LOCATE"))


def test_a_series_of_documents_has_a_first_and_a_last_number() -> None:
    def series(target: wire.Alert) -> None:
        document = target.travel_document
        document.status = subject.DOCUMENT_STATUS_STOLEN_BLANK
        document.number_to = "Z99999999"
        document.issued_on.precision = subject.DATE_PRECISION_UNKNOWN
        document.expires_on.CopyFrom(
            subject.PartialDate(precision=subject.DATE_PRECISION_UNKNOWN, year=2030)
        )

    def undated(target: wire.Alert) -> None:
        series(target)
        target.travel_document.ClearField("expires_on")

    assert refusal(series, "DOC_INVALID").path == "alert.travel_document.expires_on"
    check_taken(changed(undated, "DOC_INVALID"))


def test_victims_go_by_a_pseudonym_only() -> None:
    def referral(target: wire.Alert) -> None:
        target.category, target.action = "VICTIM_REFERRAL", wire.ACTION_REFER_VICTIM
        target.ClearField("person")
        target.person.names.add(kind=subject.NAME_KIND_PSEUDONYM, full="V-1")
        target.person.dates_of_birth.add(precision=subject.DATE_PRECISION_UNKNOWN)

    def named(target: wire.Alert) -> None:
        referral(target)
        target.person.names.add(kind=subject.NAME_KIND_ALIAS, full="Zanbar")

    check_taken(changed(referral, "MISSING_LOCATE"))
    assert refusal(named, "MISSING_LOCATE").path == "alert.person.names"


def seconds() -> int:
    return int(AT.timestamp())


def disclosure() -> wire.DisclosureName:
    return wire.DisclosureName(stream_id=bytes(32), sequence=3)


def hit() -> wire.HitReport:
    record = alert()
    return wire.HitReport(
        hit_id=record.alert_id.replace("eg-moi", "tn-dgsn"),
        reporter="tn-dgsn",
        alert_id=record.alert_id,
        alert_version=1,
        matched=disclosure(),
        found_at=seconds(),
        created_at=seconds(),
        place=subject.Place(city="Zarbal"),
        outcome=wire.ACTION_OUTCOME_TAKEN,
        officer_reference="o-17",
        case_reference="c-4",
        handling=wire.HANDLING_H0,
    )


def receipt() -> wire.ErasureReceipt:
    return wire.ErasureReceipt(
        disclosure=disclosure(),
        member="tn-dgsn",
        outcome=wire.ERASURE_OUTCOME_RETAINED_IN_CASE_FILE,
        done_at=seconds(),
        ground="Synthetic Code of Procedure, article 9",
        retained_until=seconds() + 1,
    )


def form() -> wire.Form:
    return wire.Form(
        form_id=hit().hit_id,
        kind=wire.FORM_KIND_MISCELLANEOUS,
        sender="tn-dgsn",
        alert_id=alert().alert_id,
        created_at=seconds(),
        handling=wire.HANDLING_H0,
        remarks=[wire.Remark(language="fr", text="Bien reçu")],
    )


def test_the_hub_cannot_tell_a_hit_from_a_form_by_the_category() -> None:
    reported = seal_in(wire.Record(hit_report=hit()))
    written = seal_in(wire.Record(form=form()))
    assert (reported.kind, written.kind) == (RecordKind.HIT_REPORT, RecordKind.FORM)
    assert reported.category == written.category == "RETURN_MESSAGE"
    assert reported.alert_id == alert().alert_id


def test_a_retained_record_names_ground_and_end() -> None:
    assert seal_in(wire.Record(erasure_receipt=receipt())).category == "ERASURE_RECEIPT"
    for field in ("ground", "retained_until"):
        lacking = receipt()
        lacking.ClearField(field)
        with pytest.raises(RecordFieldError):
            seal_in(wire.Record(erasure_receipt=lacking))


def test_an_erased_record_names_neither_ground_nor_end() -> None:
    erased = receipt()
    erased.outcome = wire.ERASURE_OUTCOME_ERASED
    with pytest.raises(RecordFieldError):
        seal_in(wire.Record(erasure_receipt=erased))
    erased.ground, erased.retained_until = "", 0
    assert seal_in(wire.Record(erasure_receipt=erased)).kind is RecordKind.ERASURE_RECEIPT


def test_a_record_that_is_no_alert_has_none() -> None:
    record = seal_in(wire.Record(form=form()))
    for attribute in ("alert", "expiry"):
        with pytest.raises(TypeError):
            getattr(record, attribute)
