"""What must hold of every agreement and every record, drawn by Hypothesis."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import assume, given
from hypothesis import strategies as st

from mithaq.agreements.act import Admission, Disclosure, Reading, Search, act_of, replay
from mithaq.agreements.clause import Clause
from mithaq.agreements.decision import decide_audience, decide_header, decide_reading
from mithaq.agreements.facts import Facts
from mithaq.agreements.header import Header
from mithaq.agreements.reason import Reason
from mithaq.agreements.status import ACTIVE, AgreementStatus
from mithaq.agreements.streams import audience_for
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import EntryKind, OfficerRole, Purpose, StreamRole, SubjectType
from tests.agreements.plans import chosen_for, streams_of
from tests.agreements.samples import DAY, NOW, disclose
from tests.agreements.strategies import (
    MEMBERS,
    PATIENT,
    agreements,
    permits,
    records,
    refusals,
    statuses,
)

pairs = st.tuples(st.sampled_from(MEMBERS), st.sampled_from(MEMBERS)).filter(
    lambda pair: pair[0] != pair[1]
)
Pair = tuple[str, str]


@PATIENT
@given(agreements(), records(), pairs)
def test_what_is_allowed_is_permitted_by_a_clause_that_names_all_of_it(
    agreement: Agreement, record: Facts, pair: Pair
) -> None:
    sender, recipient = pair
    decision = disclose(agreement, record, sender=sender, recipient=recipient)
    clauses = {clause.id: clause for clause in agreement.clauses}
    if not decision.allowed:
        assert decision.reason is not Reason.ALLOWED
        return
    assert decision.clause_ids
    for clause in map(clauses.__getitem__, decision.clause_ids):
        assert clause.permits
        assert sender in clause.senders
        assert recipient in clause.recipients
        assert record.category in clause.categories
        assert record.purposes <= clause.purposes
        assert record.fields <= clause.fields


@PATIENT
@given(agreements(), permits(), records(), pairs)
def test_one_more_clause_that_permits_never_closes_what_was_open(
    agreement: Agreement, more: Clause, record: Facts, pair: Pair
) -> None:
    wider = replace(agreement, clauses=(*agreement.clauses, more))
    before = disclose(agreement, record, sender=pair[0], recipient=pair[1])
    after = disclose(wider, record, sender=pair[0], recipient=pair[1])
    if before.allowed:
        assert after.allowed
        assert set(before.clause_ids) <= set(after.clause_ids)


@PATIENT
@given(agreements(), refusals(), records(), pairs)
def test_one_more_clause_that_refuses_never_opens_what_was_closed(
    agreement: Agreement, more: Clause, record: Facts, pair: Pair
) -> None:
    narrower = replace(agreement, clauses=(*agreement.clauses, more))
    before = disclose(agreement, record, sender=pair[0], recipient=pair[1])
    after = disclose(narrower, record, sender=pair[0], recipient=pair[1])
    if not before.allowed:
        assert not after.allowed
    elif not after.allowed:
        assert (after.reason, after.clause_ids) == (Reason.FORBIDDEN_BY_CLAUSE, ("X1",))


@PATIENT
@given(agreements(), records(), pairs)
def test_the_order_of_the_clauses_never_decides(
    agreement: Agreement, record: Facts, pair: Pair
) -> None:
    turned = replace(agreement, clauses=agreement.clauses[::-1])
    before = disclose(agreement, record, sender=pair[0], recipient=pair[1])
    after = disclose(turned, record, sender=pair[0], recipient=pair[1])
    assert (before.allowed, before.reason) == (after.allowed, after.reason)
    if before.allowed:
        assert set(before.clause_ids) == set(after.clause_ids)


@PATIENT
@given(agreements(), records(), statuses, st.sampled_from([*MEMBERS, "fr-pn"]))
def test_an_audience_is_decided_as_each_of_its_members_would_be(
    agreement: Agreement, record: Facts, status: AgreementStatus, sender: str
) -> None:
    together = decide_audience(agreement, status=status, facts=record, sender=sender, at=NOW)
    alone = {
        member: disclose(agreement, record, status=status, sender=sender, recipient=member)
        for member in MEMBERS
        if member != sender
    }
    assert together == alone


@PATIENT
@given(agreements(), records(), st.sampled_from(MEMBERS), st.integers(0, 10))
def test_the_hub_never_refuses_what_the_sender_may_send(
    agreement: Agreement, record: Facts, sender: str, seconds: int
) -> None:
    allowed, _ = audience_for(agreement, status=ACTIVE, sender=sender, facts=record, at=NOW)
    assume(allowed)
    midnight = (record.expires_at + DAY).replace(hour=0)
    chosen, _ = chosen_for(agreement, sender=sender, recipients=allowed)
    for plan in chosen:
        decision = decide_header(
            agreement,
            status=ACTIVE,
            category=record.category,
            sender=sender,
            recipients=plan.audience,
            purposes=plan.purposes,
            expires_at=midnight,
            at=NOW + timedelta(seconds=seconds),
            created_at=NOW,
        )
        assert decision.allowed
        assert record.purposes <= set(plan.purposes)


@PATIENT
@given(agreements())
def test_every_planned_stream_is_one_that_the_hub_opens(agreement: Agreement) -> None:
    for plan in streams_of(agreement):
        decision = decide_header(
            agreement,
            status=ACTIVE,
            category="",
            sender=plan.sender,
            recipients=plan.audience,
            purposes=plan.purposes,
            expires_at=None,
            at=NOW,
            kind=EntryKind.OPEN,
            role=plan.role,
        )
        assert decision.allowed


@PATIENT
@given(agreements(), records(), st.sampled_from(MEMBERS))
def test_streams_reach_exactly_the_recipients_that_are_allowed(
    agreement: Agreement, record: Facts, sender: str
) -> None:
    allowed, decisions = audience_for(agreement, status=ACTIVE, sender=sender, facts=record, at=NOW)
    assert set(allowed) == {member for member, each in decisions.items() if each.allowed}
    assert set(decisions) == set(MEMBERS) - {sender}
    chosen, missing = chosen_for(agreement, sender=sender, recipients=allowed)
    assert not missing
    reached = [member for plan in chosen for member in plan.audience]
    assert sorted(reached) == list(allowed)


@PATIENT
@given(agreements(), records(), pairs, st.sampled_from(Purpose), st.sampled_from(OfficerRole))
def test_nobody_reads_what_could_not_be_disclosed(
    agreement: Agreement, record: Facts, pair: Pair, purpose: Purpose, role: OfficerRole
) -> None:
    decision = decide_reading(
        agreement,
        status=ACTIVE,
        facts=record,
        sender=pair[0],
        reader=pair[1],
        purpose=purpose,
        role=role,
        at=NOW,
    )
    if decision.allowed:
        # Retention apart, which runs from the disclosure and not from the reading.
        fresh = replace(record, expires_at=NOW + DAY)
        assert disclose(agreement, fresh, sender=pair[0], recipient=pair[1]).allowed


@PATIENT
@given(agreements(), records(), statuses, pairs)
def test_a_disclosure_is_decided_again_from_bytes_and_json(
    agreement: Agreement, record: Facts, status: AgreementStatus, pair: Pair
) -> None:
    act = Disclosure(
        status=status, facts=record, sender=pair[0], recipient=pair[1], at=NOW, created_at=NOW
    )
    assert act_of(act.to_json()) == act
    assert replay(agreement.to_bytes(), act.to_json()) == act.decide(agreement)
    assert act.decide(agreement) == disclose(
        agreement, record, status=status, sender=pair[0], recipient=pair[1]
    )


looks = st.tuples(st.sampled_from(Purpose), st.sampled_from(OfficerRole))
Look = tuple[Purpose, OfficerRole]


@PATIENT
@given(agreements(), records(), statuses, pairs, looks)
def test_readings_and_searches_are_decided_again_from_bytes_and_json(
    agreement: Agreement, record: Facts, status: AgreementStatus, pair: Pair, look: Look
) -> None:
    purpose, role = look
    reading = Reading(
        status=status,
        facts=record,
        sender=pair[0],
        reader=pair[1],
        purpose=purpose,
        role=role,
        at=NOW,
    )
    search = Search(
        status=status,
        searcher=pair[0],
        subject_type=SubjectType.PERSON,
        purpose=purpose,
        role=role,
        synced_at=NOW - DAY,
        at=NOW,
    )
    for act in (reading, search):
        assert act_of(act.to_json()) == act
        assert replay(agreement.to_bytes(), act.to_json()) == act.decide(agreement)


headers = st.builds(
    Header,
    kind=st.sampled_from(EntryKind).map(int),
    role=st.sampled_from(StreamRole).map(int),
    category=st.sampled_from(["ARREST", "LUNCH", "", "RETURN_MESSAGE", "ERASURE_RECEIPT"]),
    sender=st.sampled_from(MEMBERS),
    recipients=st.frozensets(st.sampled_from([*MEMBERS, "fr-pn"])).map(
        lambda members: tuple(sorted(members))
    ),
    purposes=st.just(frozenset({"BORDER_CONTROL"})),
    expires_at=st.none() | st.integers(-5, 2000).map(lambda days: NOW + days * DAY),
    created_at=st.just(NOW),
)


@PATIENT
@given(agreements(), statuses, headers)
def test_an_admission_is_decided_again_from_bytes_and_json(
    agreement: Agreement, status: AgreementStatus, header: Header
) -> None:
    act = Admission(status=status, header=header, at=NOW)
    assert act_of(act.to_json()) == act
    assert replay(agreement.to_bytes(), act.to_json()) == act.decide(agreement)
