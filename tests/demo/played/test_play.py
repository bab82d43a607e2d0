"""The story as a whole: played once to its end, every figure of it checked."""

import pytest

from tests.demo.played.conftest import RECORDS, Performance

pytestmark = pytest.mark.timeout(400)

# What programs may count on (issue 2).
KEYS = {
    "ok": bool,
    "issued": int,
    "opened": dict,
    "held": int,
    "roots_equal": bool,
    "denied": int,
    "hits_confirmed": int,
    "withdrawn": int,
    "erased": dict,
    "audit_verified": bool,
    "reconciled": bool,
    "killed_at": int,
    "plaintext_found_at_hub": int,
    "seconds": float,
}


def test_the_story_is_played_to_its_end(performance: Performance) -> None:
    assert performance.printed["failed"] == performance.printed["alarm"] == ""
    assert performance.exit_code == 0


def test_the_object_has_the_keys_that_programs_count_on(performance: Performance) -> None:
    printed = performance.printed
    assert printed["schema"] == "mithaq.demo/1"
    assert {name: type(printed.get(name)) for name in KEYS} == KEYS


def test_every_figure_is_what_the_story_makes_it(performance: Performance) -> None:
    printed = performance.printed
    assert printed["issued"] == RECORDS
    # An ARREST to the organisation, and one alert of each after the suspension.
    assert printed["denied"] == 2
    assert (printed["hits_confirmed"], printed["withdrawn"]) == (1, 1)
    assert printed["erased"] == {"at-border": 1, "int-iom": 1, "tn-dgsn": 1}
    assert printed["roots_equal"]
    assert printed["audit_verified"]
    assert printed["reconciled"]
    assert printed["plaintext_found_at_hub"] == 0
    assert 0 < printed["killed_at"] < RECORDS
    assert printed["seconds"] > 0


def test_what_was_opened_follows_from_who_may_read_what(performance: Performance) -> None:
    # Ten each. States read all of each other and of the organisation; it reads missing
    # persons and children at risk: three of the states' five categories.
    opened = performance.printed["opened"]
    assert opened == {"eg-moi": 30, "tn-dgsn": 30, "at-border": 30, "int-iom": 18}
    # A receipt covers OPEN and EPOCH, too.
    assert performance.printed["held"] > sum(opened.values())
