"""Terms as people write them: exact both ways, and errors that help."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mithaq.agreements import yaml_form, yaml_tree
from mithaq.agreements.clause import OffenceGate
from mithaq.agreements.draft import draft
from mithaq.agreements.errors import YamlFormError
from mithaq.agreements.lint import lint
from mithaq.agreements.terms import Agreement
from mithaq.agreements.vocabulary import ORIGIN_SYSTEMS_NEVER
from tests.agreements.samples import BEGIN, END, agreed, permit
from tests.agreements.strategies import PATIENT, agreements

EXAMPLE = Path(__file__).parents[2] / "examples" / "agreement-demo.yaml"
MINIMAL = """\
id: small
version: 1
federation: euroarab.example
title: Small
parties:
  - member: tn-dgsn
    display_name: Tunisia
    kind: STATE
    country: TUN
  - member: eg-moi
    display_name: Egypt
    kind: STATE
    country: EGY
clauses:
  - id: C1
    senders: [eg-moi]
    recipients: [tn-dgsn]
    categories: [DOC_INVALID]
    purposes: [DOCUMENT_SECURITY]
    fields: [TRAVEL_DOCUMENT]
    handling: [H0]
    roles: [FIRST_LINE]
    sources: [A]
    information: [1]
    retention_days_max: 10
effective_from: 2026-01-01T00:00:00Z
expires_at: 2027-01-01T00:00:00Z
"""


def fails(text: str, *, line: int, why: str, fix: str = "") -> None:
    with pytest.raises(YamlFormError) as caught:
        yaml_form.load(text)
    assert caught.value.line == line
    assert why in caught.value.why
    assert fix in caught.value.fix
    assert str(caught.value).startswith(f"line {line}: ")


def changed(old: str, new: str) -> str:
    assert MINIMAL.count(old) >= 1
    return MINIMAL.replace(old, new, 1)


def line_with(text: str, part: str) -> int:
    return next(place for place, line in enumerate(text.splitlines(), 1) if part in line)


@settings(PATIENT, max_examples=30)
@given(agreements())
def test_yaml_and_terms_are_the_same_thing(agreement: Agreement) -> None:
    text = yaml_form.dump(agreement)
    again = yaml_form.load(text)
    assert again.to_bytes() == agreement.to_bytes()
    assert yaml_form.dump(again) == text


def test_the_example_is_read_has_no_finding_and_is_written_back() -> None:
    agreement = yaml_form.load(EXAMPLE.read_text(encoding="utf-8"))
    assert [party.member for party in agreement.parties] == ["eg-moi", "int-iom", "tn-dgsn"]
    assert lint(agreement) == []
    assert yaml_form.load(yaml_form.dump(agreement)) == agreement


def test_a_template_is_the_yaml_of_a_draft() -> None:
    when: dict[str, Any] = {"effective_from": BEGIN, "expires_at": END}
    text = yaml_form.template("a.b", ["eg-moi", "int-iom"], agreement_id="abc", **when)
    assert yaml_form.load(text) == draft("a.b", ["int-iom", "eg-moi"], agreement_id="abc", **when)


def test_what_is_left_out_takes_its_default_and_is_written_out() -> None:
    agreement = yaml_form.load(MINIMAL)
    assert agreement.excluded_origin_systems == ORIGIN_SYSTEMS_NEVER
    text = yaml_form.dump(agreement)
    for line in ("staleness_limit: 2d", "wind_down: 90d", "effect: PERMIT", "onward: NONE"):
        assert line in text
    assert "quota_per_day" not in text


def test_an_emptied_set_of_excluded_systems_is_not_taken_for_the_default() -> None:
    agreement = agreed(excluded_origin_systems=frozenset())
    assert yaml_form.load(yaml_form.dump(agreement)) == agreement


def test_a_gate_that_asks_for_nothing_but_an_assessment_is_written() -> None:
    agreement = agreed(permit(offence_gate=OffenceGate()))
    assert yaml_form.load(yaml_form.dump(agreement)) == agreement


def test_flags_are_written_as_true_and_false() -> None:
    agreement = agreed(permit(offence_gate=OffenceGate(dual_criminality=True)))
    text = yaml_form.dump(agreement)
    assert "dual_criminality: true" in text
    assert "assurances: false" in text
    assert yaml_form.load(text) == agreement


def test_parties_may_stand_in_any_order() -> None:
    assert [party.member for party in yaml_form.load(MINIMAL).parties] == ["eg-moi", "tn-dgsn"]


# --- errors -----------------------------------------------------------------------


def test_an_unknown_key_names_its_line_and_the_nearest_one() -> None:
    text = changed("    categories:", "    catgories:")
    fails(
        text,
        line=line_with(text, "catgories"),
        why="no key `catgories`",
        fix="did you mean `categories`?",
    )
    fails(changed("title: Small", "xyz: Small"), line=4, why="xyz", fix="use one of id, version")


def test_an_unknown_word_names_its_line_and_the_nearest_one() -> None:
    text = changed("[DOC_INVALID]", "[DOC_INVALD]")
    fails(
        text,
        line=line_with(text, "DOC_INVALD"),
        why="`DOC_INVALD` is no Category",
        fix="did you mean `DOC_INVALID`?",
    )
    fails(
        changed("[FIRST_LINE]", "[first_line]"),
        line=line_with(MINIMAL, "FIRST_LINE"),
        why="OfficerRole",
        fix="`FIRST_LINE`",
    )
    fails(changed("[H0]", "[XYZ]"), line=line_with(MINIMAL, "[H0]"), why="XYZ", fix="H0, H1")


def test_a_key_or_a_word_that_stands_twice_is_named() -> None:
    fails(MINIMAL + "title: Again\n", line=28, why="`title` stands twice", fix="keep one")
    fails(
        changed("[eg-moi]", "[eg-moi, eg-moi]"),
        line=line_with(MINIMAL, "senders"),
        why="`eg-moi` stands twice",
    )


def test_a_missing_key_names_the_line_of_what_lacks_it() -> None:
    fails(changed("title: Small\n", ""), line=1, why="has no `title`", fix="add `title:`")
    text = changed("    display_name: Tunisia\n", "")
    fails(text, line=6, why="a party has no `display_name`")
    text = changed("    retention_days_max: 10\n", "")
    fails(text, line=15, why="names no retention_days_max")


@pytest.mark.parametrize(
    ("old", "new", "part", "why"),
    [
        ("version: 1", "version: one", "version", "no whole number"),
        ("version: 1", "version: 01", "version", "no whole number"),
        ("version: 1", "version: 1.0", "version", "no whole number"),
        ("version: 1", "version: -1", "version", "no whole number"),
        ("version: 1", "version:", "version", "single value"),
        ("version: 1", "version: [1]", "version", "single value"),
        ("[eg-moi]", "eg-moi", "senders", "a list is expected"),
        ("2027-01-01T00:00:00Z", "2027-01-01", "expires_at", "no instant"),
        ("2027-01-01T00:00:00Z", "2027-01-01T00:00:00+02:00", "expires_at", "no instant"),
        ("2027-01-01T00:00:00Z", "2027-13-01T00:00:00Z", "expires_at", "no instant"),
        ("version: 1", "version: 1\nwind_down: 90", "wind_down", "no duration"),
        ("version: 1", "version: 1\nwind_down: 9y", "wind_down", "no duration"),
        ("version: 1", "version: 1\nwind_down: 999999999d", "wind_down", "too long"),
        ("clauses:", "clauses:\n  - just text", "just text", "no table of keys"),
        ("id: small", "? [a]\n: b\nid: small", "[a]", "single value"),
        ("  - id: C1", "  - offence_gate: {assurances: yes}\n    id: C1", "yes", "true nor false"),
    ],
)
def test_a_value_of_another_form_names_its_line(old: str, new: str, part: str, why: str) -> None:
    text = changed(old, new)
    with pytest.raises(YamlFormError, match=why) as caught:
        yaml_form.load(text)
    # The library sees the fault of a broken list on the line after it.
    assert caught.value.line - line_with(text, part) in {0, 1}


def test_a_limit_names_the_line_of_the_value_that_leaves_it() -> None:
    fails(changed("version: 1", "version: 0"), line=2, why="version")
    fails(changed("TUN", "TU"), line=9, why="parties.1.country")
    fails(changed("EGY", "EG"), line=13, why="parties.0.country")
    fails(changed("_max: 10", "_max: 99999"), line=25, why="clauses.0.retention_days_max")
    text = changed("[eg-moi]", "[fr-pn]")
    fails(text, line=1, why="fr-pn, no party")


def test_a_contradiction_in_a_party_or_clause_names_its_line() -> None:
    fails(changed("    country: EGY\n", ""), line=10, why="party eg-moi")
    fails(changed("kind: STATE", "kind: ORGANISATION"), line=6, why="party tn-dgsn")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("# nothing\n", 1),
        ("just text", 1),
        ("[a, b]", 1),
        ("id: [a\n", 2),
        ("id: a\n\tversion: 1\n", 2),
        ("a: 1\n---\nb: 2\n", 2),
        ("id: &x a\n", 1),
        ("id: !!python/object:os.system a\n", 1),
        ("id: !foo a\n", 1),
        ("a: \x00", 1),
        ("id: *x\n", 1),
        ("id: !!str a\n", 1),
        ("id: a\n<<: b\n", 2),
        # No such character, and half of one.
        ('id: a\n"\\UFFFFFFFF": 1\n', 1),
        ('id: a\ntitle: "\\uD83D"\n', 2),
    ],
)
def test_what_is_no_plain_yaml_table_is_refused_with_a_line(text: str, line: int) -> None:
    with pytest.raises(YamlFormError) as caught:
        yaml_form.load(text)
    assert caught.value.line == line


def test_a_text_beyond_the_limit_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_tree, "TEXT_SIZE_CHARS_MAX", len(MINIMAL))
    assert yaml_form.load(MINIMAL).id == "small"
    with pytest.raises(YamlFormError, match="longer"):
        yaml_form.load(MINIMAL + "\n")


@PATIENT
@given(st.text(max_size=200))
def test_hostile_text_raises_one_kind_of_error(text: str) -> None:
    with pytest.raises(YamlFormError):
        yaml_form.load(text)


@settings(PATIENT, max_examples=50)
@given(st.data())
def test_a_damaged_text_is_read_or_refused_with_a_line(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(MINIMAL)))
    end = data.draw(st.integers(start, min(len(MINIMAL), start + 30)))
    text = MINIMAL[:start] + data.draw(st.text(max_size=5)) + MINIMAL[end:]
    try:
        agreement = yaml_form.load(text)
    except YamlFormError as error:
        assert 1 <= error.line <= text.count("\n") + 2  # noqa: PT017 - either outcome is right
    else:
        assert yaml_form.load(yaml_form.dump(agreement)) == agreement


def test_clauses_keep_their_order() -> None:
    agreement = agreed(permit("C2"), permit("C1"))
    again = yaml_form.load(yaml_form.dump(agreement))
    assert [clause.id for clause in again.clauses] == ["C2", "C1"]
    assert again != replace(agreement, clauses=agreement.clauses[::-1])
