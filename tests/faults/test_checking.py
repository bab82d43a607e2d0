"""The checker bites: each thing that must hold is found where it does not."""

from collections import Counter
from datetime import UTC, datetime
from random import Random

import pytest

from mithaq.node.records.synthetic import made_up_alert
from tests.faults.checking import Standing, uncovered, wrong_in_alert
from tests.faults.load import Acknowledged, Place

SENDER, READER, ORGANISATION = "eg-moi", "tn-dgsn", "int-iom"
TO_ALL, TO_STATES = b"all".ljust(32, b"."), b"states".ljust(32, b".")
Copies = dict[str, Standing]


def told(category: str = "MISSING_LOCATE") -> Acknowledged:
    """Return an alert in two versions that were acknowledged to be for all who may have it."""
    chance = Random(1)  # noqa: S311 - a made-up person
    record = made_up_alert(chance, category=category, issuer=SENDER, at=datetime.now(UTC))
    is_for_all = category == "MISSING_LOCATE"
    readers = (ORGANISATION, READER) if is_for_all else (READER,)
    stream = TO_ALL if is_for_all else TO_STATES
    return Acknowledged(record, {1: {(stream, 5): readers}, 2: {(stream, 8): readers}})


def copies_of(alert: Acknowledged) -> Copies:
    """Return what stands where all is well."""
    alert_id = alert.record.alert_id
    places = [next(iter(places)) for places in alert.places.values()]
    rows: Standing = {
        places[0]: (alert_id, 1, "superseded", True, 1),
        places[1]: (alert_id, 2, "live", True, 2),
    }
    readers = {reader for place in alert.places[1].values() for reader in place}
    return {
        name: dict(rows) if name in {SENDER, *readers} else {}
        for name in (SENDER, READER, ORGANISATION)
    }


def found(alert: Acknowledged, copies: Copies) -> list[str]:
    return list(wrong_in_alert(SENDER, alert, copies, Counter()))


def newest(alert: Acknowledged) -> Place:
    return next(iter(alert.places[2]))


@pytest.mark.parametrize("category", ["MISSING_LOCATE", "ARREST"])
def test_nothing_is_found_where_all_is_well(category: str) -> None:
    alert = told(category)
    assert found(alert, copies_of(alert)) == []


def test_a_version_that_never_came_is_found() -> None:
    alert = told()
    copies = copies_of(alert)
    del copies[READER][newest(alert)]
    assert any(READER in each for each in found(alert, copies))


def test_a_version_that_stands_twice_is_found() -> None:
    alert = told()
    copies = copies_of(alert)
    copies[READER][TO_ALL, 9] = copies[READER][newest(alert)]
    assert any(READER in each for each in found(alert, copies))


def test_a_version_that_its_own_node_has_lost_is_found() -> None:
    alert = told()
    copies = copies_of(alert)
    for each in copies.values():
        del each[newest(alert)]
    assert any("has lost" in each for each in found(alert, copies))


def test_a_live_version_without_its_body_is_found() -> None:
    alert = told()
    copies = copies_of(alert)
    item, version, status, _, number = copies[READER][newest(alert)]
    copies[READER][newest(alert)] = (item, version, status, False, number)
    assert any("live in versions" in each for each in found(alert, copies))


def test_a_withdrawn_alert_that_is_still_there_is_found() -> None:
    alert = told()
    alert.is_withdrawn = True
    assert any("was withdrawn" in each for each in found(alert, copies_of(alert)))


def test_a_copy_at_whom_it_is_not_for_is_found() -> None:
    alert = told("ARREST")
    copies = copies_of(alert)
    copies[ORGANISATION] = dict(copies[READER])
    assert any("is not for it" in each for each in found(alert, copies))


def test_a_disclosure_to_fewer_than_may_have_it_is_found() -> None:
    alert = told()
    alert.places[2] = {newest(alert): (READER,)}
    assert any("was disclosed to" in each for each in found(alert, copies_of(alert)))


def test_a_body_is_covered_by_receipts_over_a_larger_size_alone() -> None:
    def seen(own: int, at_hub: int) -> int:
        beyond = uncovered(READER, {TO_ALL: 7}, own={TO_ALL: own}, at_hub={TO_ALL: at_hub})
        return len(list(beyond))

    assert (seen(8, 8), seen(7, 8), seen(8, 7), seen(7, 7)) == (0, 1, 1, 2)
    assert len(list(uncovered(READER, {TO_ALL: 7}, own={}, at_hub={}))) == 2
