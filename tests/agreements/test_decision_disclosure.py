"""Disclosure: each rule on either side of its line."""

from datetime import timedelta
from typing import Any

import pytest

from mithaq.agreements.categories import CATEGORIES, Category
from mithaq.agreements.clause import OffenceGate
from mithaq.agreements.facts import Facts, members_of_states
from mithaq.agreements.reason import NO_GRANT, PUBLIC_TEXTS, TEXTS, Reason
from mithaq.agreements.status import AgreementState, AgreementStatus
from mithaq.agreements.vocabulary import (
    Handling,
    InformationGrade,
    MinorsRule,
    OffenceClass,
    Purpose,
    RecordField,
    SourceGrade,
    SubjectAge,
    SubjectType,
)
from tests.agreements.samples import (
    BEGIN,
    DAY,
    EGYPT,
    END,
    FACTS,
    IOM,
    NOW,
    SECOND,
    STRANGER,
    TICK,
    TUNISIA,
    agreed,
    disclose,
    facts,
    offence,
    permit,
)


def check_refused(reason: Reason, *clause_ids: str, record: Facts = FACTS, **terms: Any) -> None:  # noqa: ANN401 - any field
    decision = disclose(agreed(permit(**terms)), record)
    assert (decision.allowed, decision.reason, decision.clause_ids) == (False, reason, clause_ids)


def check_allowed(record: Facts = FACTS, **terms: Any) -> None:  # noqa: ANN401 - any field
    decision = disclose(agreed(permit(**terms)), record)
    assert (decision.allowed, decision.reason, decision.clause_ids) == (
        True,
        Reason.ALLOWED,
        ("C1",),
    )


def test_a_clause_that_fits_allows_and_is_named() -> None:
    check_allowed()


# --- standing ---------------------------------------------------------------------


def test_an_agreement_grants_from_its_first_instant_until_just_before_its_end() -> None:
    agreement = agreed()
    record = facts(expires_at=END + DAY, handling=Handling.H0)
    early = disclose(agreement, facts(expires_at=BEGIN + DAY), at=BEGIN - TICK)
    assert early.reason is Reason.AGREEMENT_NOT_YET_IN_FORCE
    assert disclose(agreement, facts(expires_at=BEGIN + DAY), at=BEGIN).allowed
    assert disclose(agreement, record, at=END - TICK).allowed
    assert disclose(agreement, record, at=END).reason is Reason.AGREEMENT_EXPIRED


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (AgreementState.DRAFT, Reason.AGREEMENT_DRAFT),
        (AgreementState.SUSPENDED, Reason.AGREEMENT_SUSPENDED),
        (AgreementState.ENDED, Reason.AGREEMENT_ENDED),
    ],
)
def test_only_an_active_agreement_grants(state: AgreementState, reason: Reason) -> None:
    assert disclose(agreed(), status=AgreementStatus(state)).reason is reason


def test_one_party_s_suspension_stops_all_even_if_the_state_says_active() -> None:
    status = AgreementStatus(AgreementState.ACTIVE, suspended_by=frozenset({IOM}))
    assert disclose(agreed(), status=status).reason is Reason.AGREEMENT_SUSPENDED


def test_nobody_but_parties_sends_or_receives_and_nobody_sends_to_itself() -> None:
    agreement = agreed()
    assert disclose(agreement, sender=STRANGER).reason is Reason.SENDER_NOT_PARTY
    assert disclose(agreement, recipient=STRANGER).reason is Reason.RECIPIENT_NOT_PARTY
    assert disclose(agreement, recipient=EGYPT).reason is Reason.RECIPIENT_IS_SENDER


def test_who_has_left_neither_sends_nor_receives_and_the_others_go_on() -> None:
    def left(member: str) -> AgreementStatus:
        return AgreementStatus(AgreementState.ACTIVE, left={member: NOW})

    agreement = agreed()
    assert disclose(agreement, status=left(EGYPT)).reason is Reason.SENDER_LEFT
    assert disclose(agreement, status=left(TUNISIA)).reason is Reason.RECIPIENT_LEFT
    assert disclose(agreement, status=left(IOM)).allowed


# --- default deny -----------------------------------------------------------------


def test_no_clause_no_flow() -> None:
    agreement = agreed()
    assert disclose(agreement, recipient=IOM).reason is Reason.NO_CLAUSE
    assert disclose(agreement, sender=TUNISIA, recipient=EGYPT).reason is Reason.NO_CLAUSE
    other = facts(category=Category.JUDICIAL, purposes=frozenset({Purpose.BORDER_CONTROL}))
    assert disclose(agreement, other).reason is Reason.NO_CLAUSE
    assert disclose(agreement, other).clause_ids == ()


def test_who_is_named_by_no_clause_learns_which_clause_grants_it_to_others() -> None:
    agreement = agreed()
    granted = disclose(agreement)
    assert granted.allowed
    assert disclose(agreement, recipient=IOM).clause_ids == granted.clause_ids


def test_a_refusal_names_the_clause_that_came_nearest() -> None:
    near = permit("C2", fields=frozenset({RecordField.ACTION}))
    nearer = permit("C3", retention_days_max=1)
    far = permit("C4", purposes=frozenset({Purpose.BORDER_CONTROL}))
    decision = disclose(agreed(near, nearer, far))
    assert (decision.reason, decision.clause_ids) == (Reason.RETENTION_TOO_LONG, ("C3",))


def test_of_clauses_that_came_as_near_the_first_is_named() -> None:
    fields = frozenset({RecordField.ACTION})
    decision = disclose(agreed(permit("C7", fields=fields), permit("C3", fields=fields)))
    assert decision.clause_ids == ("C7",)


def test_the_first_obstacle_of_a_clause_is_the_reason() -> None:
    strict = permit(fields=frozenset({RecordField.ACTION}), retention_days_max=1)
    assert disclose(agreed(strict)).reason is Reason.FIELD_NOT_GRANTED


def test_all_clauses_that_permit_are_named() -> None:
    assert disclose(agreed(permit("C1"), permit("C2"))).clause_ids == ("C1", "C2")


# --- what a clause asks -----------------------------------------------------------


def test_a_clause_grants_its_types_of_subject_or_all_of_the_category() -> None:
    check: dict[str, Any] = {
        "categories": frozenset({Category.CHECK_DISCREET}),
        "purposes": frozenset({Purpose.BORDER_CONTROL}),
    }
    car = facts(
        category=Category.CHECK_DISCREET,
        subject_type=SubjectType.VEHICLE,
        subject_age=SubjectAge.NOT_A_PERSON,
        purposes=frozenset({Purpose.BORDER_CONTROL}),
    )
    check_allowed(car, **check)
    check_allowed(car, subject_types=frozenset({SubjectType.VEHICLE}), **check)
    check_refused(
        Reason.SUBJECT_TYPE_NOT_GRANTED,
        "C1",
        record=car,
        subject_types=frozenset({SubjectType.PERSON}),
        **check,
    )


def test_every_purpose_of_the_record_must_be_granted() -> None:
    both = frozenset({Purpose.ARREST_SURRENDER, Purpose.COUNTER_TERRORISM})
    check_refused(Reason.PURPOSE_NOT_GRANTED, "C1", record=facts(purposes=both))
    check_allowed(facts(purposes=both), purposes=both)


def test_every_field_of_the_record_must_be_granted() -> None:
    with_prints = facts(fields=FACTS.fields | {RecordField.FINGERPRINTS})
    check_refused(Reason.FIELD_NOT_GRANTED, "C1", record=with_prints)
    check_allowed(with_prints, fields=with_prints.fields)


def test_the_handling_code_must_be_granted() -> None:
    check_allowed(facts(handling=Handling.H1))
    check_refused(Reason.HANDLING_NOT_GRANTED, "C1", record=facts(handling=Handling.H2))


def test_source_and_information_must_be_as_reliable_as_the_clause_asks() -> None:
    check_allowed(facts(source=SourceGrade.B, information=InformationGrade.SECOND))
    check_refused(Reason.SOURCE_NOT_GRANTED, "C1", record=facts(source=SourceGrade.C))
    check_refused(
        Reason.INFORMATION_NOT_GRANTED, "C1", record=facts(information=InformationGrade.THIRD)
    )


def test_necessity_must_be_stated_at_the_length_that_the_clause_asks() -> None:
    check_allowed(facts(necessity_length=40), necessity_min_length=40)
    check_refused(
        Reason.NECESSITY_TOO_SHORT,
        "C1",
        record=facts(necessity_length=39),
        necessity_min_length=40,
    )


CHILD = facts(subject_age=SubjectAge.CHILD)
UNKNOWN = facts(subject_age=SubjectAge.UNKNOWN)
THING = facts(
    category=Category.DOC_INVALID,
    subject_type=SubjectType.TRAVEL_DOCUMENT,
    subject_age=SubjectAge.NOT_A_PERSON,
    purposes=frozenset({Purpose.BORDER_CONTROL}),
)
BOTH = frozenset({Category.ARREST, Category.DOC_INVALID})


def test_a_clause_for_adults_takes_no_child_and_no_unknown_age() -> None:
    check_allowed(minors=MinorsRule.ADULTS_ONLY)
    check_allowed(THING, minors=MinorsRule.ADULTS_ONLY, categories=BOTH)
    for record in (CHILD, UNKNOWN):
        check_refused(Reason.MINOR_NOT_GRANTED, "C1", record=record, minors=MinorsRule.ADULTS_ONLY)


def test_a_clause_for_children_takes_nobody_else() -> None:
    check_allowed(CHILD, minors=MinorsRule.CHILDREN_ONLY)
    for record in (FACTS, UNKNOWN, THING):
        check_refused(
            Reason.MINOR_NOT_GRANTED,
            "C1",
            record=record,
            minors=MinorsRule.CHILDREN_ONLY,
            categories=BOTH,
        )


def test_a_clause_for_all_ages_takes_all_ages() -> None:
    check_allowed(CHILD)
    check_allowed(UNKNOWN)


def test_a_protective_clause_takes_children_for_protective_purposes_only() -> None:
    missing = facts(
        category=Category.MISSING_LOCATE,
        subject_age=SubjectAge.UNKNOWN,
        purposes=frozenset({Purpose.MISSING_PERSONS}),
    )
    terms: dict[str, Any] = {
        "minors": MinorsRule.PROTECTION_ONLY,
        "categories": frozenset({Category.MISSING_LOCATE, Category.ARREST}),
        "purposes": frozenset(
            {Purpose.MISSING_PERSONS, Purpose.ARREST_SURRENDER, Purpose.BORDER_CONTROL}
        ),
    }
    check_allowed(missing, **terms)
    check_allowed(**terms)
    check_refused(Reason.MINOR_NOT_GRANTED, "C1", record=UNKNOWN, **terms)


GATE = OffenceGate(
    max_sentence_months_min=12,
    excluded=frozenset({OffenceClass.POLITICAL}),
    dual_criminality=True,
    assurances=True,
)


def test_a_gate_opens_for_an_offence_that_is_assessed_grave_and_not_excluded() -> None:
    record = offence(months=12, dual_criminality=True, assurances=True)
    check_allowed(record, offence_gate=GATE)
    check_allowed(offence(months=0), offence_gate=OffenceGate())


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (FACTS, Reason.OFFENCE_UNKNOWN),
        (offence(months=None), Reason.OFFENCE_UNKNOWN),
        (facts(max_sentence_months=120), Reason.OFFENCE_UNKNOWN),
        (offence(OffenceClass.POLITICAL), Reason.OFFENCE_EXCLUDED),
        (offence(months=11), Reason.SENTENCE_TOO_SHORT),
        (offence(assurances=True), Reason.NOT_DUALLY_CRIMINAL),
        (offence(assurances=True, dual_criminality=False), Reason.NOT_DUALLY_CRIMINAL),
        (offence(dual_criminality=True), Reason.ASSURANCES_MISSING),
        (offence(dual_criminality=True, assurances=False), Reason.ASSURANCES_MISSING),
    ],
)
def test_a_gate_stays_shut_for_what_is_not_assessed_or_not_enough(
    record: Facts, reason: Reason
) -> None:
    check_refused(reason, "C1", record=record, offence_gate=GATE)


# --- time -------------------------------------------------------------------------


def test_retention_runs_to_the_midnight_after_its_last_day() -> None:
    last = (NOW + 101 * DAY).replace(hour=0)
    check_allowed(facts(expires_at=last))
    check_refused(Reason.RETENTION_TOO_LONG, "C1", record=facts(expires_at=last + SECOND))


def test_retention_runs_from_the_header_s_creation_not_from_a_later_opening() -> None:
    late = (NOW + 101 * DAY).replace(hour=0)
    decision = disclose(agreed(), facts(expires_at=late), at=NOW + 20 * DAY, created_at=NOW)
    assert decision.allowed
    early = disclose(agreed(), facts(expires_at=late), at=NOW + 20 * DAY, created_at=NOW - DAY)
    assert early.reason is Reason.RETENTION_TOO_LONG


def test_a_record_can_be_disclosed_until_just_before_it_expires() -> None:
    record = facts(expires_at=NOW)
    assert disclose(agreed(), record, at=NOW - TICK).allowed
    assert disclose(agreed(), record, at=NOW).reason is Reason.RECORD_EXPIRED


def test_an_entry_may_be_dated_ahead_by_what_clocks_may_differ_and_no_more() -> None:
    skew = timedelta(minutes=2)
    assert disclose(agreed(), created_at=NOW + skew).allowed
    decision = disclose(agreed(), created_at=NOW + skew + TICK)
    assert decision.reason is Reason.CREATED_IN_FUTURE


# --- what no clause can permit ----------------------------------------------------


@pytest.mark.parametrize(
    "system", ["SIS", "EURODAC", "VIS", "EES", "SIS2", "SISII", "SIS-II", "VIS_2026"]
)
def test_data_of_the_closed_systems_is_refused_whatever_the_terms_say(system: str) -> None:
    agreement = agreed(excluded_origin_systems=frozenset())
    decision = disclose(agreement, facts(origin_system=system))
    assert (decision.reason, decision.clause_ids) == (Reason.ORIGIN_SYSTEM_EXCLUDED, ())


def test_a_system_that_only_begins_like_a_closed_one_is_another() -> None:
    check_allowed(facts(origin_system="SISTER"))


def test_the_terms_can_exclude_more_systems() -> None:
    record = facts(origin_system="INTERPOL")
    assert disclose(agreed(), record).allowed
    agreement = agreed(excluded_origin_systems=frozenset({"INTERPOL"}))
    assert disclose(agreement, record).reason is Reason.ORIGIN_SYSTEM_EXCLUDED


def test_a_record_reaches_nobody_whom_it_excludes() -> None:
    both = permit(recipients=frozenset({TUNISIA, IOM}))
    record = facts(excluded=frozenset({TUNISIA}))
    assert disclose(agreed(both), record).reason is Reason.RECIPIENT_EXCLUDED
    assert disclose(agreed(both), record, recipient=IOM).allowed


def test_a_record_of_which_nobody_knows_whom_it_excludes_reaches_nobody() -> None:
    check_refused(Reason.EXCLUSION_UNKNOWN, record=facts(excluded=None))


def test_a_protected_person_s_state_is_told_what_it_is_told_without_a_clause() -> None:
    # DOMAIN 4, T10: same answer.
    shielded = disclose(agreed(), facts(excluded=frozenset({TUNISIA})))
    unknown = disclose(agreed(), facts(excluded=None))
    assert shielded.public_reason == unknown.public_reason == NO_GRANT
    assert disclose(agreed(), recipient=IOM).public_reason == NO_GRANT


def test_the_members_of_a_state_are_found_by_its_code_and_organisations_by_none() -> None:
    agreement = agreed()
    assert members_of_states(agreement, ["TUN", "FRA"]) == {TUNISIA}
    assert members_of_states(agreement, [""]) == frozenset()


def test_a_partner_s_record_needs_the_partner_s_consent() -> None:
    check_refused(Reason.ONWARD_CONSENT_MISSING, record=facts(partner=True))
    check_allowed(facts(partner=True, onward_consent=True))


EVERYTHING: dict[str, Any] = {
    "categories": frozenset(Category),
    "purposes": frozenset(Purpose),
    "fields": frozenset(RecordField),
}


def test_a_category_has_only_its_own_types_of_subject() -> None:
    record = facts(subject_type=SubjectType.VEHICLE, subject_age=SubjectAge.NOT_A_PERSON)
    check_refused(Reason.SUBJECT_TYPE_NOT_OF_CATEGORY, record=record, **EVERYTHING)


def test_a_category_about_children_takes_children_only_and_knows_that_they_are() -> None:
    child = facts(
        category=Category.CHILD_ABDUCTION_RISK,
        subject_age=SubjectAge.CHILD,
        purposes=frozenset({Purpose.CHILD_PROTECTION}),
    )
    check_allowed(child, **EVERYTHING)
    for age, reason in [
        (SubjectAge.ADULT, Reason.AGE_NOT_OF_CATEGORY),
        (SubjectAge.UNKNOWN, Reason.AGE_UNKNOWN),
    ]:
        check_refused(
            reason,
            record=facts(category=child.category, subject_age=age, purposes=child.purposes),
            **EVERYTHING,
        )


def test_a_category_serves_only_its_own_purposes() -> None:
    record = facts(category=Category.VICTIM_REFERRAL)
    check_refused(Reason.PURPOSE_NOT_OF_CATEGORY, record=record, **EVERYTHING)


def test_a_rescue_carries_no_identity_whatever_the_clause_grants() -> None:
    rescue = facts(
        category=Category.SAR_EVENT,
        subject_type=SubjectType.VESSEL,
        subject_age=SubjectAge.NOT_A_PERSON,
        purposes=frozenset({Purpose.SEARCH_AND_RESCUE}),
        fields=frozenset({RecordField.POSITION, RecordField.PERSONS_ON_BOARD}),
    )
    check_allowed(rescue, **EVERYTHING)
    named = facts(
        category=rescue.category,
        subject_type=rescue.subject_type,
        subject_age=rescue.subject_age,
        purposes=rescue.purposes,
        fields=rescue.fields | {RecordField.NAME},
    )
    check_refused(Reason.FIELD_NOT_OF_CATEGORY, record=named, **EVERYTHING)


# --- reasons ----------------------------------------------------------------------


def test_every_reason_has_a_sentence_of_its_own() -> None:
    assert set(TEXTS) == set(Reason)
    assert len(set(TEXTS.values())) == len(Reason)
    assert all(reason.text and reason.public for reason in Reason)


def test_no_public_reason_tells_of_facts_or_exclusions() -> None:
    told = {Reason.ALLOWED, Reason.ALLOWED_IN_WIND_DOWN, Reason.ALLOWED_VERIFY_WITH_BUREAU}
    told |= {reason for reason in Reason if reason.startswith(("AGREEMENT_", "WIND_DOWN"))}
    told |= {
        Reason.VERSION_OTHER,
        Reason.KIND_NOT_ADMITTED,
        Reason.CREATED_IN_FUTURE,
        Reason.RECORD_EXPIRED,
        Reason.QUOTA_USED_UP,
    }
    assert set(PUBLIC_TEXTS) <= told


def test_every_category_has_a_rule_and_an_action() -> None:
    assert set(CATEGORIES) == set(Category)
    assert all(rule.action_text.endswith(".") for rule in CATEGORIES.values())
    assert CATEGORIES[Category.CHILD_ABDUCTION_RISK].child_only
    assert not CATEGORIES[Category.ARREST].child_only
