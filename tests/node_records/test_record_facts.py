"""What agreements are decided on: codes and flags of a record, and no personal data."""

from datetime import UTC, datetime

import pytest

from mithaq.agreements.categories import Category
from mithaq.agreements.clause import Clause, Party
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import (
    Handling,
    InformationGrade,
    OffenceClass,
    OfficerRole,
    OriginStateRule,
    PartyKind,
    Purpose,
    RecordField,
    SourceGrade,
    SubjectAge,
    SubjectType,
)
from mithaq.ledger.entry import EntryKind, Priority, Terms
from mithaq.node.records.errors import HeaderMismatchError
from mithaq.node.records.facts import facts_of, fields_of
from mithaq.node.records.header import Announcement
from mithaq.node.records.model import ParsedRecord, parse_record, seal_in
from mithaq.node.records.synthetic import CATEGORIES
from mithaq.v1 import record_pb2 as wire
from mithaq.v1 import subject_pb2 as subject
from tests.node_records.alerts import AT, alert, changed

F = RecordField


def agreement(rule: OriginStateRule = OriginStateRule.PROTECTED) -> Agreement:
    members = {"eg-moi": "EGY", "tn-dgsn": "TUN", "jo-psd": "JOR"}
    return Agreement(
        id="synthetic-1",
        version=1,
        federation="synthetic.example",
        title="Synthetic agreement",
        parties=tuple(
            Party(member=member, display_name=member, kind=PartyKind.STATE, country=country)
            for member, country in sorted(members.items())
        ),
        clauses=(
            Clause(
                id="C1",
                senders=frozenset(members),
                recipients=frozenset(members),
                categories=frozenset({Category.ARREST}),
                purposes=frozenset({Purpose.BORDER_CONTROL}),
                fields=frozenset({F.NAME}),
                handling=frozenset({Handling.H0}),
                roles=frozenset({OfficerRole.FIRST_LINE}),
                sources=frozenset(SourceGrade),
                information=frozenset(InformationGrade),
                retention_days_max=1826,
            ),
        ),
        effective_from=datetime(2026, 1, 1, tzinfo=UTC),
        expires_at=datetime(2030, 1, 1, tzinfo=UTC),
        origin_state_rule=rule,
    )


def shielded(*nationalities: str) -> ParsedRecord:
    def shield(target: wire.Alert) -> None:
        target.restrictions.no_origin_state = True
        del target.person.nationalities[:]
        for words in nationalities:
            if words.isupper():
                target.person.nationalities.add(code=words)
            else:
                target.person.nationalities.add(as_written=words)

    return parse_record(changed(shield))


def test_the_facts_of_an_arrest() -> None:
    facts = facts_of(alert(), agreement=agreement(), sender="eg-moi")
    assert facts.subject_type is SubjectType.PERSON
    assert facts.subject_age is SubjectAge.ADULT
    assert facts.offence is OffenceClass.TRAFFICKING_IN_PERSONS
    assert facts.max_sentence_months == 180
    assert facts.expires_at == alert().expires_at
    assert (facts.partner, facts.excluded) == (False, frozenset())
    assert {F.NAME, F.DATE_OF_BIRTH, F.IDENTITY_DOCUMENT, F.WARRANT} <= facts.fields


@pytest.mark.parametrize("category", CATEGORIES)
def test_facts_hold_nothing_that_tells_who_it_is_about(category: str) -> None:
    record = alert(category)
    text = facts_of(record, agreement=agreement(), sender="eg-moi").to_json()
    person = record.alert.person
    told = [
        *(name.surname for name in person.names),
        *(name.mrz for name in person.names),
        *(document.number for document in person.documents),
        record.alert.travel_document.number,
        record.alert.decision_reference,
        record.alert_id,
    ]
    assert not [value for value in told if value and value in text]


def test_an_alert_from_somebody_else_is_a_partners() -> None:
    assert facts_of(alert(), agreement=agreement(), sender="tn-dgsn").partner


def test_unassessed_is_not_the_same_as_no() -> None:
    assert facts_of(alert(), agreement=agreement(), sender="eg-moi").dual_criminality is None
    record = parse_record(changed(lambda a: setattr(a.arrest, "dual_criminality", False)))
    assert facts_of(record, agreement=agreement(), sender="eg-moi").dual_criminality is False


def test_states_that_the_sender_excludes_become_members() -> None:
    record = parse_record(changed(lambda a: a.restrictions.exclude_states.extend(["JOR", "MAR"])))
    facts = facts_of(record, agreement=agreement(), sender="eg-moi")
    assert facts.excluded == frozenset({"jo-psd"})


def test_a_shielded_person_is_kept_from_the_states_of_nationality() -> None:
    facts = facts_of(shielded("TUN", "JOR"), agreement=agreement(), sender="eg-moi")
    assert facts.excluded == frozenset({"tn-dgsn", "jo-psd"})


@pytest.mark.parametrize("nationalities", [(), ("perhaps Nowherish",), ("TUN", "or another")])
def test_where_nobody_can_tell_the_state_nobody_receives(nationalities: tuple[str, ...]) -> None:
    facts = facts_of(shielded(*nationalities), agreement=agreement(), sender="eg-moi")
    assert facts.excluded is None


def test_the_holder_of_a_document_is_shielded_too() -> None:
    def held(target: wire.Alert) -> None:
        target.restrictions.no_origin_state = True
        target.travel_document.holder.CopyFrom(alert().alert.person)
        target.travel_document.holder.nationalities[0].code = "JOR"

    record = parse_record(changed(held, "DOC_INVALID"))
    facts = facts_of(record, agreement=agreement(), sender="eg-moi")
    assert facts.excluded == frozenset({"jo-psd"})


def test_an_agreement_may_shield_all_nationals() -> None:
    rule = agreement(OriginStateRule.ALL_NATIONALS)
    assert facts_of(alert(), agreement=rule, sender="eg-moi").excluded == frozenset({"eg-moi"})


def test_fields_are_those_that_say_something() -> None:
    record = alert("DOC_INVALID")
    always = {F.REASON, F.AUTHORITY, F.DECISION_REFERENCE, F.ACTION}
    assert fields_of(record.values) == always | {F.TRAVEL_DOCUMENT}


def test_an_unknown_date_or_sex_is_no_field() -> None:
    def blur(target: wire.Alert) -> None:
        date = subject.PartialDate(precision=subject.DATE_PRECISION_UNKNOWN)
        target.person.dates_of_birth[0].CopyFrom(date)
        target.person.sex = subject.SEX_UNKNOWN

    assert not fields_of(parse_record(changed(blur)).values) & {F.DATE_OF_BIRTH, F.SEX}


def test_the_holder_of_a_document_is_a_person_with_fields() -> None:
    def held(target: wire.Alert) -> None:
        target.travel_document.holder.CopyFrom(alert().alert.person)

    fields = fields_of(parse_record(changed(held, "DOC_INVALID")).values)
    assert {F.TRAVEL_DOCUMENT, F.NAME, F.DATE_OF_BIRTH, F.NATIONALITY} <= fields


def test_each_kind_of_name_and_number_has_its_field() -> None:
    def more(target: wire.Alert) -> None:
        born = target.person.dates_of_birth[0]
        del target.person.dates_of_birth[:]
        target.person.dates_of_birth.add(precision=subject.DATE_PRECISION_UNKNOWN)
        del target.person.places_of_birth[:]
        del target.person.documents[:]
        target.person.documents.add(kind=subject.DOCUMENT_KIND_NATIONAL_REGISTER_NUMBER, number="1")
        target.person.names.add(
            kind=subject.NAME_KIND_BIRTH,
            full="Zanbar",
            date_of_birth=born,
            place_of_birth=subject.Place(city="Zarbal"),
        )

    fields = fields_of(parse_record(changed(more)).values)
    assert {F.FORMER_NAMES, F.NATIONAL_NUMBER, F.DATE_OF_BIRTH, F.PLACE_OF_BIRTH} <= fields
    assert F.IDENTITY_DOCUMENT not in fields


def terms(
    *, category: str = "ARREST", day: int = 27, priority: Priority = Priority.URGENT
) -> Terms:
    return Terms(
        kind=EntryKind.PUT,
        registry_size=1,
        agreement_version=1,
        created_at=AT,
        stream_id=bytes(32),
        category=category,
        priority=priority,
        epoch=1,
        # The alert expires in the morning of 27 February: rounded up.
        expires_at=datetime(2027, 2, day + 1, tzinfo=UTC),
    )


def check_announced(record: ParsedRecord, announced: Terms, *, audience: list[str]) -> None:
    Announcement.of(announced, audience=audience).check(record)


def test_a_record_is_what_its_header_announced() -> None:
    check_announced(alert(), terms(), audience=["tn-dgsn"])


@pytest.mark.parametrize(
    "other",
    [terms(category="JUDICIAL"), terms(day=26), terms(priority=Priority.ROUTINE)],
)
def test_a_record_that_its_header_did_not_announce_is_refused(other: Terms) -> None:
    with pytest.raises(HeaderMismatchError):
        check_announced(alert(), other, audience=["tn-dgsn"])


def test_an_answer_has_no_expiry_but_its_headers() -> None:
    receipt = wire.ErasureReceipt(
        disclosure=wire.DisclosureName(stream_id=bytes(32), sequence=1),
        member="tn-dgsn",
        outcome=wire.ERASURE_OUTCOME_ERASED,
        done_at=int(AT.timestamp()),
    )
    record = seal_in(wire.Record(erasure_receipt=receipt))
    check_announced(record, terms(category="ERASURE_RECEIPT"), audience=["eg-moi"])
    with pytest.raises(HeaderMismatchError):
        check_announced(record, terms(category="RETURN_MESSAGE"), audience=["eg-moi"])


def test_a_record_in_a_stream_to_a_state_that_it_excludes_is_refused() -> None:
    record = parse_record(changed(lambda a: a.restrictions.exclude_states.append("TUN")))
    check_announced(record, terms(), audience=["jo-psd"])
    with pytest.raises(HeaderMismatchError):
        check_announced(record, terms(), audience=["jo-psd", "tn-dgsn"])
