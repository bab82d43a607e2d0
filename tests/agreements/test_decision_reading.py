"""Reading, searching, passing on, and the day's quota."""

from typing import Any

import pytest

from mithaq.agreements.categories import Category
from mithaq.agreements.decision import (
    Decision,
    decide_onward,
    decide_quota,
    decide_reading,
    decide_search,
)
from mithaq.agreements.reason import Reason
from mithaq.agreements.status import ACTIVE, AgreementState, AgreementStatus
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import (
    COMPATIBLE_PURPOSES,
    OfficerRole,
    OnwardTransfer,
    Purpose,
    RecordField,
    SubjectType,
)
from tests.agreements.samples import (
    DAY,
    EGYPT,
    FACTS,
    IOM,
    NOW,
    STRANGER,
    TICK,
    TUNISIA,
    agreed,
    facts,
    permit,
    refusal,
)


def read(agreement: Agreement | None = None, **changes: Any) -> Decision:  # noqa: ANN401 - any field
    act: dict[str, Any] = {
        "status": ACTIVE,
        "facts": FACTS,
        "sender": EGYPT,
        "reader": TUNISIA,
        "purpose": Purpose.ARREST_SURRENDER,
        "role": OfficerRole.BUREAU,
        "at": NOW,
    }
    return decide_reading(agreed() if agreement is None else agreement, **(act | changes))


def test_an_officer_reads_in_a_role_and_for_a_purpose_that_the_clause_names() -> None:
    decision = read()
    assert (decision.allowed, decision.clause_ids) == (True, ("C1",))
    other_role = read(role=OfficerRole.CASE_WORKER)
    assert (other_role.reason, other_role.clause_ids) == (Reason.ROLE_NOT_GRANTED, ("C1",))


def test_a_record_is_read_for_a_compatible_purpose_only_if_the_clause_names_it_too() -> None:
    assert read(purpose=Purpose.BORDER_CONTROL).allowed
    decision = read(purpose=Purpose.CRIMINAL_INVESTIGATION)
    assert (decision.reason, decision.clause_ids) == (Reason.PURPOSE_NOT_GRANTED, ("C1",))


def test_a_record_is_never_read_for_an_incompatible_purpose() -> None:
    wide = agreed(permit(purposes=frozenset(Purpose)))
    assert read(wide, purpose=Purpose.COUNTER_TERRORISM).reason is Reason.PURPOSE_INCOMPATIBLE
    assert read(wide, purpose=Purpose.PUBLIC_HEALTH).reason is Reason.PURPOSE_NOT_OF_CATEGORY


def test_health_rescue_and_victims_data_serve_nothing_else() -> None:
    for purpose in (
        Purpose.PUBLIC_HEALTH,
        Purpose.SEARCH_AND_RESCUE,
        Purpose.VICTIM_PROTECTION,
    ):
        assert COMPATIBLE_PURPOSES[purpose] == {purpose}
    assert all(purpose in COMPATIBLE_PURPOSES[purpose] for purpose in Purpose)


@pytest.mark.parametrize("role", [OfficerRole.AUDITOR, OfficerRole.ADMINISTRATOR])
def test_auditors_and_administrators_read_and_search_no_records(role: OfficerRole) -> None:
    wide = agreed(permit(roles=frozenset(OfficerRole)))
    assert read(wide, role=role).reason is Reason.ROLE_NOT_GRANTED
    assert search(wide, role=role).reason is Reason.ROLE_NOT_GRANTED


def test_reading_ends_with_the_record_the_agreement_and_the_membership() -> None:
    record = facts(expires_at=NOW)
    assert read(facts=record, at=NOW - TICK).allowed
    assert read(facts=record).reason is Reason.RECORD_EXPIRED
    suspended = AgreementStatus(AgreementState.SUSPENDED)
    assert read(status=suspended).reason is Reason.AGREEMENT_SUSPENDED
    left = AgreementStatus(AgreementState.ACTIVE, left={TUNISIA: NOW})
    assert read(status=left).reason is Reason.RECIPIENT_LEFT


def test_a_record_is_read_for_longer_than_it_could_be_disclosed_anew() -> None:
    # Retention was judged on opening, from the header's creation.
    assert read(agreed(permit(retention_days_max=1))).allowed


def test_a_new_version_that_grants_less_closes_what_was_disclosed_before() -> None:
    narrower = agreed(permit(fields=frozenset({RecordField.ACTION})), version=2)
    assert read(narrower).reason is Reason.FIELD_NOT_GRANTED


def test_an_excluded_reader_does_not_read_and_nobody_reads_without_a_clause() -> None:
    assert read(facts=facts(excluded=frozenset({TUNISIA}))).reason is Reason.RECIPIENT_EXCLUDED
    assert read(reader=IOM).reason is Reason.NO_CLAUSE


def test_the_clause_that_came_nearest_is_named() -> None:
    terms = agreed(
        permit("C1", purposes=frozenset({Purpose.ARREST_SURRENDER})),
        permit("C2", roles=frozenset({OfficerRole.FIRST_LINE})),
        permit("C3", fields=frozenset({RecordField.ACTION})),
    )
    decision = read(terms, purpose=Purpose.BORDER_CONTROL)
    assert (decision.reason, decision.clause_ids) == (Reason.ROLE_NOT_GRANTED, ("C2",))
    both = agreed(permit("C1"), permit("C2"))
    assert read(both).clause_ids == ("C1", "C2")
    assert read(both, role=OfficerRole.CASE_WORKER).clause_ids == ("C1",)


def test_a_refusal_can_close_records_to_a_role_or_for_a_purpose() -> None:
    role = refusal(roles=frozenset({OfficerRole.FIRST_LINE}))
    assert read(agreed(permit(), role), role=OfficerRole.BUREAU).allowed
    decision = read(agreed(permit(), role), role=OfficerRole.FIRST_LINE)
    assert (decision.reason, decision.clause_ids) == (Reason.FORBIDDEN_BY_CLAUSE, ("D1",))
    purpose = refusal(purposes=frozenset({Purpose.BORDER_CONTROL}))
    assert read(agreed(permit(), purpose)).allowed
    assert not read(agreed(permit(), purpose), purpose=Purpose.BORDER_CONTROL).allowed
    both = refusal(
        roles=frozenset({OfficerRole.BUREAU}), purposes=frozenset({Purpose.BORDER_CONTROL})
    )
    assert read(agreed(permit(), both)).allowed
    assert not read(agreed(permit(), both), purpose=Purpose.BORDER_CONTROL).allowed


# --- search -----------------------------------------------------------------------


def search(agreement: Agreement | None = None, **changes: Any) -> Decision:  # noqa: ANN401 - any field
    act: dict[str, Any] = {
        "status": ACTIVE,
        "searcher": TUNISIA,
        "subject_type": SubjectType.PERSON,
        "purpose": Purpose.BORDER_CONTROL,
        "role": OfficerRole.FIRST_LINE,
        "synced_at": NOW,
        "at": NOW,
    }
    return decide_search(agreed() if agreement is None else agreement, **(act | changes))


def test_a_stale_copy_closes_names_and_leaves_documents_to_verify() -> None:
    limit = agreed().staleness_limit
    for kind in (SubjectType.PERSON, SubjectType.ENTITY):
        assert search(subject_type=kind, synced_at=NOW - limit).reason is Reason.ALLOWED
        stale = search(subject_type=kind, synced_at=NOW - limit - TICK)
        assert stale.reason is Reason.STALE_PERSON_SEARCH_CLOSED
    for kind in (SubjectType.TRAVEL_DOCUMENT, SubjectType.VEHICLE):
        assert search(subject_type=kind, synced_at=NOW - limit).reason is Reason.ALLOWED
        stale = search(subject_type=kind, synced_at=NOW - limit - TICK)
        assert stale.allowed
        assert stale.reason is Reason.ALLOWED_VERIFY_WITH_BUREAU


def test_a_search_needs_a_clause_with_the_role_and_the_purpose() -> None:
    assert search().clause_ids == ("C1",)
    assert search(role=OfficerRole.CASE_WORKER).reason is Reason.ROLE_NOT_GRANTED
    assert search(purpose=Purpose.PUBLIC_HEALTH).reason is Reason.ROLE_NOT_GRANTED
    assert search(searcher=EGYPT).reason is Reason.ROLE_NOT_GRANTED
    assert not search(agreed(refusal(), permit(recipients=frozenset({IOM})))).allowed


def test_a_clause_that_refuses_a_role_does_not_let_it_search() -> None:
    refusing = refusal(
        recipients=frozenset({TUNISIA}),
        purposes=frozenset({Purpose.BORDER_CONTROL}),
        roles=frozenset({OfficerRole.CASE_WORKER}),
    )
    decision = search(agreed(permit(), refusing), role=OfficerRole.CASE_WORKER)
    assert decision.reason is Reason.ROLE_NOT_GRANTED


def test_only_a_party_that_stays_searches_and_only_while_the_agreement_is_in_force() -> None:
    assert search(searcher=STRANGER).reason is Reason.RECIPIENT_NOT_PARTY
    left = AgreementStatus(AgreementState.ACTIVE, left={TUNISIA: NOW})
    assert search(status=left).reason is Reason.RECIPIENT_LEFT
    ended = AgreementStatus(AgreementState.ENDED)
    assert search(status=ended).reason is Reason.AGREEMENT_ENDED


# --- onward -----------------------------------------------------------------------


def pass_on(agreement: Agreement, **changes: Any) -> Decision:  # noqa: ANN401 - any field
    act: dict[str, Any] = {
        "status": ACTIVE,
        "facts": FACTS,
        "sender": EGYPT,
        "holder": TUNISIA,
        "recipient": STRANGER,
        "at": NOW,
    }
    return decide_onward(agreement, **(act | changes))


def test_a_record_is_passed_on_only_under_a_clause_that_allows_it_and_with_consent() -> None:
    consent = agreed(permit(onward=OnwardTransfer.CONSENT))
    given = facts(onward_consent=True)
    assert pass_on(consent, facts=given).clause_ids == ("C1",)
    assert pass_on(consent, facts=given).allowed
    assert pass_on(consent).reason is Reason.ONWARD_CONSENT_MISSING
    assert pass_on(agreed(), facts=given).reason is Reason.ONWARD_NOT_GRANTED


def test_a_record_is_not_passed_on_to_whom_it_excludes_nor_without_a_clause() -> None:
    consent = agreed(permit(onward=OnwardTransfer.CONSENT))
    shielded = facts(onward_consent=True, excluded=frozenset({STRANGER}))
    assert pass_on(consent, facts=shielded).reason is Reason.RECIPIENT_EXCLUDED
    assert pass_on(consent, holder=IOM).reason is Reason.NO_CLAUSE


def test_nothing_is_passed_on_once_agreement_or_record_have_ended() -> None:
    consent = agreed(permit(onward=OnwardTransfer.CONSENT))
    given = facts(onward_consent=True, expires_at=NOW + DAY)
    assert pass_on(consent, facts=given, at=NOW + DAY - TICK).allowed
    assert pass_on(consent, facts=given, at=NOW + DAY).reason is Reason.RECORD_EXPIRED
    ended = AgreementStatus(AgreementState.ENDED)
    assert pass_on(consent, facts=given, status=ended).reason is Reason.AGREEMENT_ENDED


# --- quota ------------------------------------------------------------------------


def count(agreement: Agreement, sent_today: int, recipient: str = TUNISIA) -> Decision:
    return decide_quota(
        agreement,
        sender=EGYPT,
        category=Category.ARREST,
        recipient=recipient,
        sent_today=sent_today,
    )


def test_a_quota_lets_through_as_many_as_it_says_and_no_more() -> None:
    agreement = agreed(permit(quota_per_day=2))
    assert count(agreement, 1).allowed
    decision = count(agreement, 2)
    assert (decision.reason, decision.clause_ids) == (Reason.QUOTA_USED_UP, ("C1",))


def test_a_clause_without_a_quota_has_no_limit() -> None:
    assert count(agreed(), 1_000_000).allowed
    assert count(agreed(permit("C1", quota_per_day=2), permit("C2")), 5).clause_ids == ("C2",)
    assert count(agreed(), 0, IOM).reason is Reason.NO_CLAUSE
