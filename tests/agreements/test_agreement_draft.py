"""The first draft: what it grants, and what it does not."""

from datetime import UTC, datetime

import pytest

from mithaq.agreements.draft import draft
from mithaq.agreements.errors import TermsInvalidError
from mithaq.agreements.streams import streams_of
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import StreamRole

FROM = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = datetime(2031, 1, 1, tzinfo=UTC)


def drafted(*members: str) -> Agreement:
    return draft(
        "euroarab.example",
        members,
        agreement_id="draft-2026",
        effective_from=FROM,
        expires_at=UNTIL,
    )


def test_states_share_policing_among_themselves_and_not_with_organisations() -> None:
    agreement = drafted("eg-moi", "tn-dgsn", "int-iom")
    rows = agreement.rows("eg-moi", "ARREST")
    assert set(rows.permits) == {"tn-dgsn"}
    assert agreement.rows("int-iom", "ARREST").permits == {}


def test_organisations_take_part_in_missing_persons_and_child_protection() -> None:
    agreement = drafted("eg-moi", "tn-dgsn", "int-iom")
    for category in ("MISSING_LOCATE", "CHILD_ABDUCTION_RISK"):
        assert set(agreement.rows("int-iom", category).permits) == {"eg-moi", "tn-dgsn"}
        assert "int-iom" in agreement.rows("tn-dgsn", category).permits


def test_every_linked_pair_gets_a_return_stream_each_way() -> None:
    plans = streams_of(drafted("eg-moi", "tn-dgsn", "int-iom"))
    pairs = {(p.sender, p.audience[0]) for p in plans if p.role is StreamRole.RETURN}
    assert len(pairs) == 6


def test_a_draft_needs_two_members() -> None:
    with pytest.raises(TermsInvalidError, match="two parties"):
        drafted("eg-moi", "eg-moi")


def test_a_state_s_member_id_begins_with_its_country_code() -> None:
    with pytest.raises(TermsInvalidError, match="zz-police"):
        drafted("eg-moi", "zz-police")
