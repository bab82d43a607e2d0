"""The first draft: what it grants, and what it does not."""

from datetime import UTC, datetime

import pytest

from mithaq.agreements.countries import ALPHA3, ALPHA3_OF, country_of
from mithaq.agreements.draft import draft
from mithaq.agreements.errors import TermsInvalidError
from mithaq.agreements.lint import lint
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import StreamRole
from tests.agreements.plans import streams_of

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


def test_a_member_id_tells_its_country_by_either_code() -> None:
    assert country_of("eg-moi") == "EGY"
    assert country_of("egy-moi") == "EGY"
    assert country_of("int-iom") == ""
    assert country_of("zz-police") is None
    assert country_of("zzz-police") is None


def test_the_table_of_countries_is_one_to_one() -> None:
    assert len(ALPHA3_OF) == len(ALPHA3) == 249
    assert all(len(two) == 2 and len(three) == 3 for two, three in ALPHA3_OF.items())


def test_organisations_among_themselves_share_without_states() -> None:
    agreement = drafted("int-a", "int-b")
    assert [clause.id for clause in agreement.clauses] == ["C8", "C9", "D1"]


def test_a_draft_lacks_only_what_the_parties_themselves_must_say() -> None:
    for members in (("eg-moi", "tn-dgsn", "int-iom"), ("eg-moi", "int-iom"), ("eg-a", "eg-b")):
        codes = {finding.code for finding in lint(drafted(*members))}
        assert codes == {"SUPERVISOR_MISSING", "LAW_NOT_NAMED"}


def test_a_draft_for_thirty_two_members_stays_small() -> None:
    members = [f"eg-m{number}" for number in range(16)]
    members += [f"int-m{number}" for number in range(16)]
    agreement = drafted(*members)
    assert len(agreement.to_bytes()) < 16 * 1024
