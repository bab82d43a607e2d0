"""Who plays: members that the registry and the agreement can take."""

import pytest

from mithaq.agreements.countries import country_of
from mithaq.cli.demo.cast import NODES_MAX, NODES_MIN, cast


@pytest.mark.parametrize("nodes", [NODES_MIN, 17, NODES_MAX])
def test_a_cast_has_as_many_members_as_were_asked_for(nodes: int) -> None:
    roles = cast(nodes)
    assert len({role.member for role in roles}) == len(roles) == nodes
    assert [role.member for role in roles[:3]] == ["eg-moi", "tn-dgsn", "int-iom"]


def test_all_but_the_organisation_are_states_with_a_country_of_their_own() -> None:
    roles = cast(NODES_MAX)
    assert [role.member for role in roles if not role.is_state] == ["int-iom"]
    assert len({role.country for role in roles}) == NODES_MAX
    for role in roles:
        if role.is_state:
            assert country_of(role.member), role.member


def test_nobody_real_is_played() -> None:
    assert all("(synthetic)" in role.display_name for role in cast(NODES_MAX))
