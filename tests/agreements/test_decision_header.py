"""The hub's decisions: by the header alone, and longest for withdrawals."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from mithaq.agreements.categories import Category
from mithaq.agreements.decision import Decision, decide_header
from mithaq.agreements.grant import CLOCK_SKEW_DEFAULT
from mithaq.agreements.reason import Reason
from mithaq.agreements.status import ACTIVE, AgreementState, AgreementStatus
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import (
    ERASURE_RECEIPT,
    RETURN_MESSAGE,
    EntryKind,
    MinorsRule,
    OfficerRole,
    Purpose,
    RecordField,
    StreamRole,
)
from mithaq.certs import acts
from tests.agreements.samples import (
    BEGIN,
    DAY,
    EGYPT,
    END,
    IOM,
    NOW,
    SECOND,
    STRANGER,
    TICK,
    TUNISIA,
    agreed,
    permit,
    refusal,
)

ENDED = AgreementStatus(AgreementState.ENDED, wind_down_until=NOW + DAY)
SUSPENDED = AgreementStatus(AgreementState.SUSPENDED, suspended_by=frozenset({IOM}))
EGYPT_AND_THEN_ALL = AgreementStatus(
    AgreementState.ENDED, wind_down_until=NOW + 30 * DAY, left={EGYPT: NOW + DAY}
)
TUNISIA_LEFT = AgreementStatus(AgreementState.ACTIVE, left={TUNISIA: NOW})
EGYPT_LEFT = AgreementStatus(AgreementState.ACTIVE, left={EGYPT: NOW + DAY})


def admit(agreement: Agreement | None = None, **changes: Any) -> Decision:  # noqa: ANN401 - any field
    header: dict[str, Any] = {
        "status": ACTIVE,
        "category": "ARREST",
        "sender": EGYPT,
        "recipients": (TUNISIA,),
        "purposes": ("ARREST_SURRENDER", "BORDER_CONTROL"),
        "expires_at": NOW + 30 * DAY,
        "at": NOW,
    }
    return decide_header(agreed() if agreement is None else agreement, **(header | changes))


def opening(agreement: Agreement | None = None, **changes: Any) -> Decision:  # noqa: ANN401 - any field
    fields: dict[str, Any] = {"kind": EntryKind.OPEN, "category": "", "expires_at": None}
    return admit(agreement, **(fields | changes))


def answer(agreement: Agreement | None = None, **changes: Any) -> Decision:  # noqa: ANN401 - any field
    fields: dict[str, Any] = {
        "role": StreamRole.RETURN,
        "category": RETURN_MESSAGE,
        "sender": TUNISIA,
        "recipients": (EGYPT,),
    }
    return admit(agreement, **(fields | changes))


# --- PUT --------------------------------------------------------------------------


def test_a_put_is_admitted_by_the_clauses_for_all_its_readers() -> None:
    both = permit("C1", recipients=frozenset({TUNISIA, IOM}))
    decision = admit(agreed(both, permit("C2")), recipients=(IOM, TUNISIA))
    assert (decision.allowed, decision.clause_ids) == (True, ("C1", "C2"))


def test_a_put_is_refused_if_one_reader_has_no_clause() -> None:
    assert admit(recipients=(TUNISIA, IOM)).reason is Reason.NO_CLAUSE


def test_a_put_of_a_category_that_is_no_word_is_refused() -> None:
    assert admit(category="LUNCH").reason is Reason.CATEGORY_UNKNOWN
    assert admit(category="").reason is Reason.CATEGORY_UNKNOWN
    assert admit(category="JUDICIAL").reason is Reason.NO_CLAUSE


def test_a_stranger_or_nobody_is_no_reader() -> None:
    assert admit(recipients=()).reason is Reason.RECIPIENT_NONE
    assert admit(recipients=(TUNISIA, STRANGER)).reason is Reason.RECIPIENT_NOT_PARTY
    assert admit(sender=STRANGER).reason is Reason.SENDER_NOT_PARTY
    assert admit(recipients=(EGYPT,)).reason is Reason.RECIPIENT_IS_SENDER


def test_the_stream_must_have_a_purpose_of_the_clause() -> None:
    assert admit(purposes=("BORDER_CONTROL", "PUBLIC_HEALTH")).allowed
    decision = admit(purposes=("PUBLIC_HEALTH",))
    assert (decision.reason, decision.clause_ids) == (Reason.PURPOSE_NOT_GRANTED, ("C1",))


def test_the_header_s_expiry_is_bounded_by_the_clause() -> None:
    last = (NOW + 101 * DAY).replace(hour=0)
    assert admit(expires_at=last).allowed
    assert admit(expires_at=last + SECOND).reason is Reason.RETENTION_TOO_LONG
    assert admit(expires_at=None).reason is Reason.RETENTION_TOO_LONG
    assert admit(expires_at=last + DAY, at=NOW + DAY).allowed
    assert not admit(expires_at=last + DAY, at=NOW + DAY, created_at=NOW).allowed


def test_the_nearest_clause_is_named_where_several_fail() -> None:
    terms = agreed(
        permit("C1", purposes=frozenset({Purpose.COUNTER_TERRORISM})),
        permit("C2", purposes=frozenset({Purpose.JUDICIAL_COOPERATION})),
        permit("C3", retention_days_max=1),
        permit("C4", retention_days_max=2),
    )
    decision = admit(terms)
    assert (decision.reason, decision.clause_ids) == (Reason.RETENTION_TOO_LONG, ("C3",))
    assert admit(terms, purposes=("PUBLIC_HEALTH",)).clause_ids == ("C1",)


def test_an_expired_or_postdated_put_is_refused() -> None:
    assert admit(expires_at=NOW + TICK).allowed
    assert admit(expires_at=NOW).reason is Reason.RECORD_EXPIRED
    ahead = timedelta(minutes=2)
    assert admit(created_at=NOW + ahead).allowed
    assert admit(created_at=NOW + ahead + TICK).reason is Reason.CREATED_IN_FUTURE


def test_how_far_an_entry_may_be_dated_ahead_is_the_federations_policy() -> None:
    assert acts.Policy().clock_skew_limit == CLOCK_SKEW_DEFAULT
    policy = acts.Policy(clock_skew_limit=timedelta(minutes=5)).clock_skew_limit
    assert admit(created_at=NOW + policy, clock_skew=policy).allowed
    late = admit(created_at=NOW + policy + TICK, clock_skew=policy)
    assert late.reason is Reason.CREATED_IN_FUTURE


def test_a_blob_or_an_unknown_kind_is_refused() -> None:
    for kind in (EntryKind.BLOB, 0, 7):
        assert admit(kind=kind).reason is Reason.KIND_NOT_ADMITTED


@pytest.mark.parametrize(
    "narrowing",
    [
        {},
        {"categories": frozenset({Category.ARREST})},
        {"purposes": frozenset({Purpose.ARREST_SURRENDER, Purpose.BORDER_CONTROL})},
    ],
)
def test_a_refusal_that_meets_every_record_behind_the_header_stops_it(
    narrowing: dict[str, Any],
) -> None:
    decision = admit(agreed(permit(), refusal(**narrowing)))
    assert (decision.reason, decision.clause_ids) == (Reason.FORBIDDEN_BY_CLAUSE, ("D1",))


@pytest.mark.parametrize(
    "narrowing",
    [
        {"recipients": frozenset({IOM})},
        {"purposes": frozenset({Purpose.ARREST_SURRENDER})},
        {"fields": frozenset({RecordField.DNA})},
        {"minors": MinorsRule.CHILDREN_ONLY},
        {"roles": frozenset({OfficerRole.FIRST_LINE})},
    ],
)
def test_a_refusal_that_some_record_could_escape_is_left_to_sender_and_reader(
    narrowing: dict[str, Any],
) -> None:
    assert admit(agreed(permit(), refusal(**narrowing))).allowed


# --- OPEN and EPOCH ---------------------------------------------------------------


def test_a_stream_opens_for_readers_and_purposes_that_clauses_name() -> None:
    for kind in (EntryKind.OPEN, EntryKind.EPOCH):
        assert opening(kind=kind).clause_ids == ("C1",)
        assert opening(kind=kind, recipients=(TUNISIA, IOM)).reason is Reason.NO_CLAUSE
        wide = opening(kind=kind, purposes=("ARREST_SURRENDER", "PUBLIC_HEALTH"))
        assert wide.reason is Reason.PURPOSE_NOT_GRANTED
        assert opening(kind=kind, purposes=()).reason is Reason.PURPOSE_NOT_GRANTED


def test_no_stream_opens_and_no_epoch_begins_once_the_agreement_grants_nothing() -> None:
    for kind in (EntryKind.OPEN, EntryKind.EPOCH, EntryKind.PUT):
        for role in StreamRole:
            decision = admit(
                kind=kind, role=role, category=RETURN_MESSAGE, status=SUSPENDED, at=NOW
            )
            if (kind, role) == (EntryKind.EPOCH, StreamRole.RETURN):
                assert decision.reason is Reason.ALLOWED_IN_WIND_DOWN
            else:
                assert decision.reason is Reason.AGREEMENT_SUSPENDED
    assert opening(at=BEGIN - TICK).reason is Reason.AGREEMENT_NOT_YET_IN_FORCE
    assert opening(at=BEGIN).allowed


def test_an_epoch_lists_nobody_who_has_left() -> None:
    left = AgreementStatus(AgreementState.ACTIVE, left={TUNISIA: NOW + DAY})
    assert opening(kind=EntryKind.EPOCH, status=left).reason is Reason.RECIPIENT_LEFT
    assert opening(kind=EntryKind.EPOCH, status=EGYPT_LEFT).reason is Reason.SENDER_LEFT


# --- WITHDRAW and CLOSE -----------------------------------------------------------


@pytest.mark.parametrize("kind", [EntryKind.WITHDRAW, EntryKind.CLOSE])
@pytest.mark.parametrize(
    ("status", "at", "reason"),
    [
        (ACTIVE, NOW, Reason.ALLOWED),
        (SUSPENDED, NOW, Reason.ALLOWED_IN_WIND_DOWN),
        (ENDED, NOW + DAY - TICK, Reason.ALLOWED_IN_WIND_DOWN),
        (ENDED, NOW + DAY, Reason.WIND_DOWN_OVER),
        (EGYPT_LEFT, NOW + DAY - TICK, Reason.ALLOWED_IN_WIND_DOWN),
        (EGYPT_LEFT, NOW + DAY, Reason.WIND_DOWN_OVER),
        (EGYPT_AND_THEN_ALL, NOW + DAY - TICK, Reason.ALLOWED_IN_WIND_DOWN),
        (EGYPT_AND_THEN_ALL, NOW + DAY, Reason.WIND_DOWN_OVER),
        (TUNISIA_LEFT, NOW + DAY, Reason.ALLOWED),
        (ACTIVE, END, Reason.ALLOWED_IN_WIND_DOWN),
        (ACTIVE, END + 90 * DAY - TICK, Reason.ALLOWED_IN_WIND_DOWN),
        (ACTIVE, END + 90 * DAY, Reason.WIND_DOWN_OVER),
        (AgreementStatus(AgreementState.DRAFT), NOW, Reason.AGREEMENT_DRAFT),
        (ACTIVE, BEGIN - TICK, Reason.AGREEMENT_NOT_YET_IN_FORCE),
    ],
)
def test_withdrawals_go_on_until_the_wind_down_is_over(
    kind: EntryKind, status: AgreementStatus, at: datetime, reason: Reason
) -> None:
    decision = opening(kind=kind, status=status, at=at, recipients=(TUNISIA, IOM))
    assert decision.reason is reason
    assert decision.allowed is reason.startswith("ALLOWED")


def test_who_stays_withdraws_from_who_has_left() -> None:
    left = AgreementStatus(AgreementState.ACTIVE, left={TUNISIA: NOW - DAY})
    assert opening(kind=EntryKind.WITHDRAW, status=left).reason is Reason.ALLOWED


# --- return streams ---------------------------------------------------------------


def test_answers_flow_against_the_clause_that_links_the_pair() -> None:
    assert answer().clause_ids == ("C1",)
    assert answer(sender=EGYPT, recipients=(TUNISIA,)).clause_ids == ("C1",)
    assert answer(recipients=(IOM,)).reason is Reason.NO_CLAUSE


def test_a_return_stream_runs_to_one_peer() -> None:
    decision = answer(recipients=(EGYPT, IOM))
    assert decision.reason is Reason.RETURN_NOT_TO_ONE


def test_a_return_stream_carries_answers_and_no_category() -> None:
    assert answer(category="ARREST").reason is Reason.CATEGORY_UNKNOWN
    assert answer(category=ERASURE_RECEIPT).allowed
    assert answer(kind=EntryKind.OPEN, category="", expires_at=None).allowed


def test_a_return_stream_opens_for_the_purposes_of_the_pair_s_clauses_only() -> None:
    for kind in (EntryKind.OPEN, EntryKind.EPOCH):
        fields: dict[str, Any] = {"kind": kind, "category": "", "expires_at": None}
        assert answer(**fields).clause_ids == ("C1",)
        wide = answer(purposes=("BORDER_CONTROL", "PUBLIC_HEALTH"), **fields)
        assert (wide.reason, wide.clause_ids) == (Reason.PURPOSE_NOT_GRANTED, ("C1",))
        assert answer(purposes=(), **fields).reason is Reason.PURPOSE_NOT_GRANTED


def test_an_answer_is_kept_no_longer_than_what_it_answers() -> None:
    last = (NOW + 101 * DAY).replace(hour=0)
    assert answer(expires_at=last).allowed
    assert answer(expires_at=last + SECOND).reason is Reason.RETENTION_TOO_LONG
    assert answer(expires_at=NOW).reason is Reason.RECORD_EXPIRED


def test_a_wind_down_lets_erasure_receipts_through_and_no_other_answer() -> None:
    for status in (SUSPENDED, ENDED, EGYPT_LEFT):
        receipt = answer(
            status=status, category=ERASURE_RECEIPT, sender=EGYPT, recipients=(TUNISIA,)
        )
        assert receipt.reason is Reason.ALLOWED_IN_WIND_DOWN
        epoch = answer(
            status=status, kind=EntryKind.EPOCH, category="", sender=EGYPT, recipients=(TUNISIA,)
        )
        assert epoch.reason is Reason.ALLOWED_IN_WIND_DOWN
        assert not answer(status=status, sender=EGYPT, recipients=(TUNISIA,)).allowed


def test_erasure_receipts_end_with_the_wind_down() -> None:
    def receipt(status: AgreementStatus, at: datetime) -> Decision:
        return answer(at=at, status=status, category=ERASURE_RECEIPT)

    # An answer of Tunisia's to Egypt: whichever of the two has left.
    tunisia_left = AgreementStatus(AgreementState.ACTIVE, left={TUNISIA: NOW + DAY})
    for status in (ENDED, EGYPT_LEFT, tunisia_left):
        assert receipt(status, NOW + DAY - TICK).reason is Reason.ALLOWED_IN_WIND_DOWN
        assert receipt(status, NOW + DAY).reason is Reason.WIND_DOWN_OVER
