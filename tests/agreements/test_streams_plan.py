"""Which streams an agreement needs, told by its clauses alone."""

import pytest

from mithaq.agreements.categories import Category
from mithaq.agreements.draft import draft
from mithaq.agreements.reason import Reason
from mithaq.agreements.status import ACTIVE
from mithaq.agreements.streams import (
    StreamPlan,
    audience_for,
    streams_from,
)
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import Purpose, RecordField, StreamRole
from mithaq.cli.demo.cast import cast
from tests.agreements.plans import chosen_for, streams_of
from tests.agreements.samples import (
    BEGIN,
    EGYPT,
    END,
    FACTS,
    IOM,
    NOW,
    STRANGER,
    TUNISIA,
    agreed,
    facts,
    permit,
    refusal,
)

TO_BOTH = permit("C2", recipients=frozenset({TUNISIA, IOM}))


def audiences(agreement: Agreement, sender: str, role: StreamRole) -> set[tuple[str, ...]]:
    plans = [plan for plan in streams_of(agreement) if (plan.sender, plan.role) == (sender, role)]
    assert len(plans) == len({plan.audience for plan in plans})
    return {plan.audience for plan in plans}


def test_a_sender_has_a_stream_for_each_set_of_recipients_that_its_clauses_give() -> None:
    elsewhere = permit(
        "C2",
        recipients=frozenset({TUNISIA, IOM}),
        categories=frozenset({Category.JUDICIAL}),
        purposes=frozenset({Purpose.BORDER_CONTROL}),
    )
    agreement = agreed(permit(), elsewhere)
    assert audiences(agreement, EGYPT, StreamRole.DISCLOSURE) == {
        (TUNISIA,),
        (IOM, TUNISIA),
        (IOM,),
    }
    assert audiences(agreement, TUNISIA, StreamRole.DISCLOSURE) == set()


@pytest.mark.parametrize("count", range(2, 33))
def test_all_but_any_one_are_reached_in_few_streams_that_stand_ready(count: int) -> None:
    members = [role.member for role in cast(32) if role.is_state][:count]
    agreement = draft("a.b", members, agreement_id="many", effective_from=BEGIN, expires_at=END)
    recipients = [member for member in members if member != EGYPT]
    for shielded in recipients:
        rest = [member for member in recipients if member != shielded]
        chosen, missing = chosen_for(agreement, sender=EGYPT, recipients=rest)
        assert not missing
        assert sorted(member for plan in chosen for member in plan.audience) == sorted(rest)
        # Half, quarter, eighth, …
        assert len(chosen) <= (len(recipients) - 1).bit_length()


def test_what_32_parties_must_sign_for_stays_far_below_a_stream_for_each_exclusion() -> None:
    members = [role.member for role in cast(32)]
    agreement = draft("a.b", members, agreement_id="many", effective_from=BEGIN, expires_at=END)
    plans = streams_of(agreement)
    # All but one, for each sender and each one, would be 27,000 of these by itself.
    assert sum(len(plan.audience) for plan in plans) < 8_000
    assert len(plans) < 3_000


def test_those_who_are_given_the_same_are_halved_down_to_each_alone() -> None:
    members = ["eg-moi", "fr-pn", "int-a", "int-b", "int-c"]
    agreement = draft("a.b", members, agreement_id="five", effective_from=BEGIN, expires_at=END)
    assert audiences(agreement, "eg-moi", StreamRole.DISCLOSURE) == {
        ("fr-pn", "int-a", "int-b", "int-c"),
        ("int-a", "int-b", "int-c"),
        ("int-a", "int-b"),
        ("fr-pn",),
        ("int-a",),
        ("int-b",),
        ("int-c",),
    }


def test_whom_a_clause_always_refuses_has_no_stream() -> None:
    agreement = agreed(TO_BOTH, refusal(recipients=frozenset({IOM})))
    assert audiences(agreement, EGYPT, StreamRole.DISCLOSURE) == {(TUNISIA,)}


def test_whom_a_clause_refuses_in_part_keeps_its_stream() -> None:
    refusing = refusal(recipients=frozenset({IOM}), fields=frozenset({RecordField.PHOTO}))
    agreement = agreed(TO_BOTH, refusing)
    assert (IOM, TUNISIA) in audiences(agreement, EGYPT, StreamRole.DISCLOSURE)


def test_return_streams_join_the_pairs_that_a_clause_links_each_way() -> None:
    agreement = agreed()
    assert audiences(agreement, EGYPT, StreamRole.RETURN) == {(TUNISIA,)}
    assert audiences(agreement, TUNISIA, StreamRole.RETURN) == {(EGYPT,)}
    # No clause, no flow, back or forth.
    assert audiences(agreement, IOM, StreamRole.RETURN) == set()


def test_a_stream_carries_the_purposes_of_what_all_its_readers_can_be_given() -> None:
    rescue = permit(
        "C2",
        recipients=frozenset({IOM}),
        categories=frozenset({Category.SAR_EVENT}),
        purposes=frozenset({Purpose.SEARCH_AND_RESCUE}),
    )
    both = permit(
        "C3",
        recipients=frozenset({IOM, TUNISIA}),
        categories=frozenset({Category.MISSING_LOCATE}),
        purposes=frozenset({Purpose.MISSING_PERSONS}),
    )
    purposes = {
        plan.audience: plan.purposes
        for plan in streams_of(agreed(permit(), rescue, both))
        if (plan.sender, plan.role) == (EGYPT, StreamRole.DISCLOSURE)
    }
    assert purposes == {
        (IOM,): ("MISSING_PERSONS", "SEARCH_AND_RESCUE"),
        (IOM, TUNISIA): ("MISSING_PERSONS",),
        (TUNISIA,): ("ARREST_SURRENDER", "BORDER_CONTROL", "MISSING_PERSONS"),
    }


def test_an_audience_is_those_allowed_and_every_other_party_has_its_reason() -> None:
    record = facts(excluded=frozenset({TUNISIA}))
    allowed, decisions = audience_for(
        agreed(TO_BOTH), status=ACTIVE, sender=EGYPT, facts=record, at=NOW
    )
    assert allowed == (IOM,)
    assert decisions[TUNISIA].reason is Reason.RECIPIENT_EXCLUDED
    assert decisions[IOM].clause_ids == ("C2",)


def test_one_stream_is_chosen_where_one_reaches_exactly_the_recipients() -> None:
    chosen, _ = chosen_for(agreed(TO_BOTH), sender=EGYPT, recipients=[IOM, TUNISIA])
    assert [plan.audience for plan in chosen] == [(IOM, TUNISIA)]


def test_several_streams_are_chosen_where_none_reaches_exactly_the_recipients() -> None:
    members = ["eg-moi", "tn-dgsn", "fr-pn", "de-bka", "it-ps", "es-pn"]
    agreement = draft("a.b", members, agreement_id="six", effective_from=BEGIN, expires_at=END)
    wanted = ["de-bka", "fr-pn", "it-ps"]
    chosen, _ = chosen_for(agreement, sender="eg-moi", recipients=wanted)
    assert sorted(member for plan in chosen for member in plan.audience) == wanted


@pytest.mark.parametrize("member", [IOM, STRANGER])
def test_whom_no_clause_reaches_has_no_stream_to_choose(member: str) -> None:
    chosen, missing = chosen_for(agreed(), sender=EGYPT, recipients=[TUNISIA, member])
    assert [plan.audience for plan in chosen] == [(TUNISIA,)]
    assert missing == {member}
    assert chosen_for(agreed(), sender=EGYPT, recipients=[]) == ([], frozenset())


def test_plans_are_the_same_rows_whenever_they_are_asked_for() -> None:
    agreement, same = agreed(TO_BOTH), agreed(TO_BOTH)
    for sender in (EGYPT, TUNISIA):
        again = streams_from(same, sender=sender)
        assert streams_from(agreement, sender=sender) is again
    first = streams_of(agreement)
    assert list(first) == sorted(first, key=_by_sender_and_role)
    assert FACTS.purposes <= set(first[0].purposes)


def _by_sender_and_role(plan: StreamPlan) -> tuple[str, StreamRole, tuple[str, ...]]:
    return plan.sender, plan.role, plan.audience
