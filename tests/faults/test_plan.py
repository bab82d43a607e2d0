"""The plan: a seed gives it again, and it has every kind of fault."""

import pytest

from tests.faults.plan import HUB, MEMBERS, PARTS, REGISTRAR, Kind, plan, rules


def test_a_seed_gives_its_plan_again_and_another_seed_another() -> None:
    first = list(plan(seed=7, faults=50, postgresql=False))
    assert list(plan(seed=7, faults=50, postgresql=False)) == first
    assert list(plan(seed=8, faults=50, postgresql=False)) != first


def test_a_longer_plan_begins_as_the_shorter_one() -> None:
    longer = list(plan(seed=7, faults=50, postgresql=False))
    assert list(plan(seed=7, faults=20, postgresql=False)) == longer[:20]


@pytest.mark.parametrize("postgresql", [False, True])
def test_a_plan_of_a_few_faults_has_every_kind_that_can_come(postgresql: bool) -> None:  # noqa: FBT001 - a parameter of pytest's
    known = rules(postgresql=postgresql)
    faults = plan(seed=1, faults=len(known), postgresql=postgresql)
    assert {fault.kind for fault in faults} == set(known)


@pytest.mark.parametrize("postgresql", [False, True])
def test_a_fault_meets_whom_it_can_for_as_long_as_its_kind_lasts(postgresql: bool) -> None:  # noqa: FBT001 - a parameter of pytest's
    known = rules(postgresql=postgresql)
    for fault in plan(seed=3, faults=300, postgresql=postgresql):
        rule = known[fault.kind]
        assert fault.target in rule.targets
        assert rule.shortest_s <= fault.lasts_s <= rule.longest_s


def test_every_part_is_met_by_some_kill() -> None:
    faults = list(plan(seed=3, faults=300, postgresql=False))
    assert {each.target for each in faults if each.kind is Kind.KILLED} == set(PARTS)


def test_a_database_server_is_taken_away_from_the_hub_alone() -> None:
    assert rules(postgresql=True)[Kind.AWAY].targets == (HUB,)
    assert Kind.AWAY not in rules(postgresql=False)
    assert set(rules(postgresql=True)[Kind.LOCKED].targets) == {REGISTRAR, *MEMBERS}
    assert HUB in rules(postgresql=False)[Kind.LOCKED].targets
