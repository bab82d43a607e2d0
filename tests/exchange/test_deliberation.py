"""Like cases are decided once, and every decision is the one that the evaluator gives."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithaq.agreements.clause import Clause, OffenceGate
from mithaq.agreements.decision import decide_audience, decide_disclosure
from mithaq.agreements.reason import Reason
from mithaq.agreements.status import ACTIVE, AgreementStatus
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import (
    ClauseEffect,
    MinorsRule,
    OriginStateRule,
    RecordField,
    SourceGrade,
)
from mithaq.node.exchange.deliberation import Deliberation
from mithaq.node.records.facts import facts_of
from mithaq.node.records.model import ParsedRecord, parse_record
from mithaq.v1 import record_pb2 as wire
from tests.agreements.samples import EGYPT, IOM, PARTIES, TUNISIA
from tests.agreements.strategies import PATIENT, WIDE_OPEN, statuses
from tests.node_records.alerts import AT, alert, changed

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
MIDNIGHT = datetime(2026, 3, 4, tzinfo=UTC)
LENGTHS = [0, 20, 41, 100]
RETENTIONS = [1, 30, 360, 1826]


@st.composite
def agreements(draw: st.DrawFn) -> Agreement:
    """Draw terms whose clauses differ in what a length or an expiry is compared with."""

    def permit(place: int) -> Clause:
        return replace(
            WIDE_OPEN,
            id=f"C{place}",
            necessity_min_length=draw(st.sampled_from(LENGTHS)),
            retention_days_max=draw(st.sampled_from(RETENTIONS)),
            minors=draw(st.sampled_from(MinorsRule)),
            sources=draw(st.sampled_from([frozenset(SourceGrade), frozenset({SourceGrade.A})])),
            offence_gate=draw(st.sampled_from([None, OffenceGate(max_sentence_months_min=24)])),
        )

    refusal = Clause(
        id="D0",
        effect=ClauseEffect.DENY,
        fields=frozenset({RecordField.MARKERS}),
        recipients=frozenset({IOM}),
    )
    return Agreement(
        id="drawn",
        version=1,
        federation="euroarab.example",
        title="Drawn",
        parties=PARTIES,
        clauses=(
            *(permit(place) for place in range(draw(st.integers(1, 3)))),
            *([refusal] if draw(st.booleans()) else []),
        ),
        effective_from=AT - DAY,
        expires_at=AT + 3650 * DAY,
        origin_state_rule=draw(st.sampled_from(OriginStateRule)),
    )


@st.composite
def alerts(draw: st.DrawFn) -> ParsedRecord:
    """Draw alerts that lie at, just before and just after every bound."""
    length = draw(st.sampled_from(LENGTHS[1:])) + draw(st.integers(-1, 1))
    end = draw(st.sampled_from([AT, *(MIDNIGHT + (days + 1) * DAY for days in RETENTIONS)])) + draw(
        st.sampled_from([-SECOND, timedelta(), SECOND])
    )

    def change(target: wire.Alert) -> None:
        target.necessity = "n" * length
        target.valid_from = target.created_at = int((AT - 40 * DAY).timestamp())
        target.expires_at = min(int(end.timestamp()), target.valid_from + 1826 * 86_400)
        target.review_by = target.valid_from
        target.source_grade = draw(st.sampled_from([wire.SOURCE_GRADE_A, wire.SOURCE_GRADE_C]))
        target.arrest.maximum_sentence_months = draw(st.sampled_from([23, 24, 180]))
        del target.markers[:]
        if draw(st.booleans()):
            target.markers.append(wire.MARKER_ARMED)
        target.restrictions.no_origin_state = draw(st.booleans())
        target.restrictions.exclude_states.extend(draw(st.sampled_from([[], ["TUN"]])))
        if draw(st.booleans()):
            target.person.nationalities[0].code = "TUN"

    return parse_record(changed(change))


@PATIENT
@given(agreements(), statuses, st.lists(alerts(), min_size=2, max_size=6))
def test_every_decision_is_the_evaluator_s(
    agreement: Agreement, status: AgreementStatus, drawn: list[ParsedRecord]
) -> None:
    one = Deliberation(agreement, status, EGYPT, AT, AT)
    for each in drawn:
        facts = facts_of(each, agreement=agreement, sender=EGYPT)
        assert one.audience(each) == decide_audience(
            agreement, status=status, facts=facts, sender=EGYPT, at=AT
        )
        for member in (TUNISIA, IOM, EGYPT, "fr-pn"):
            assert one.recipient(each, member) == decide_disclosure(
                agreement, status=status, facts=facts, sender=EGYPT, recipient=member, at=AT
            )


@PATIENT
@given(
    agreements(),
    st.lists(alerts(), min_size=2, max_size=6),
    st.sampled_from([-400 * DAY, -DAY, timedelta(), 2 * 60 * SECOND, 2 * 60 * SECOND + SECOND]),
)
def test_a_reader_decides_by_the_header_s_creation(
    agreement: Agreement, drawn: list[ParsedRecord], age: timedelta
) -> None:
    created_at = AT + age
    one = Deliberation(agreement, ACTIVE, EGYPT, AT, created_at)
    for each in drawn:
        assert one.recipient(each, TUNISIA) == decide_disclosure(
            agreement,
            status=ACTIVE,
            facts=facts_of(each, agreement=agreement, sender=EGYPT),
            sender=EGYPT,
            recipient=TUNISIA,
            at=AT,
            created_at=created_at,
        )


def permitting(necessity_min_length: int = 0, retention_days_max: int = 1826) -> Agreement:
    return Agreement(
        id="made",
        version=1,
        federation="euroarab.example",
        title="Made",
        parties=PARTIES,
        clauses=(
            replace(
                WIDE_OPEN,
                necessity_min_length=necessity_min_length,
                retention_days_max=retention_days_max,
            ),
        ),
        effective_from=AT - DAY,
        expires_at=AT + 3650 * DAY,
    )


def test_alerts_of_one_outline_share_a_case_between_the_same_bounds() -> None:
    one = Deliberation(permitting(necessity_min_length=41), ACTIVE, EGYPT, AT, AT)

    def case(length: int) -> object:
        return one.case_of(parse_record(changed(lambda a: setattr(a, "necessity", "n" * length))))

    assert case(41) == case(400)
    assert case(10) == case(40) != case(41)


def expiring(at: datetime) -> ParsedRecord:
    def change(target: wire.Alert) -> None:
        target.valid_from = target.created_at = int((AT - 40 * DAY).timestamp())
        target.expires_at = int(at.timestamp())
        target.review_by = target.valid_from

    return parse_record(changed(change))


@pytest.mark.parametrize(
    ("bound", "before", "after"),
    [
        (AT, Reason.RECORD_EXPIRED, Reason.ALLOWED),
        (MIDNIGHT + 31 * DAY, Reason.ALLOWED, Reason.RETENTION_TOO_LONG),
    ],
)
def test_an_expiry_is_told_from_one_a_second_later(
    bound: datetime, before: Reason, after: Reason
) -> None:
    one = Deliberation(permitting(retention_days_max=30), ACTIVE, EGYPT, AT, AT)
    met, passed = expiring(bound), expiring(bound + SECOND)
    assert met.outline == passed.outline
    assert one.recipient(met, TUNISIA).reason is before
    assert one.recipient(passed, TUNISIA).reason is after
    assert one.audience(passed)[TUNISIA].reason is after
    assert one.audience(met)[TUNISIA].reason is before


def test_a_header_dated_to_the_end_of_the_calendar_is_refused() -> None:
    last = datetime(9999, 12, 31, tzinfo=UTC)
    decision = Deliberation(permitting(), ACTIVE, EGYPT, AT, last).recipient(alert(), TUNISIA)
    assert decision.reason is Reason.CREATED_IN_FUTURE


@pytest.mark.parametrize(("months", "taken"), [(24, True), (23, False)])
def test_what_is_no_bound_of_length_or_time_is_part_of_the_case(
    months: int, *, taken: bool
) -> None:
    gated = replace(WIDE_OPEN, offence_gate=OffenceGate(max_sentence_months_min=24))
    agreement = replace(permitting(), clauses=(gated,))
    one = Deliberation(agreement, ACTIVE, EGYPT, AT, AT)
    assert one.recipient(alert(), TUNISIA).allowed
    other = changed(lambda a: setattr(a.arrest, "maximum_sentence_months", months))
    assert one.recipient(parse_record(other), TUNISIA).allowed is taken
