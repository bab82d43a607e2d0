"""How rows become lines: nothing too wide, no id broken, nothing of others at a beginning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mithaq.cli.screen import LEFT_TO_RIGHT, PROSE, WORDS, Column, folded, sheet, table

WIDTHS = (80, 140)
ALERT = "eg-moi-01M7ZXWM8YCJ1JR5455VZ56396"
LONGEST_ID = f"{'x' * 34}-{'0' * 26}"
COLUMNS = (
    Column("alert", "alert id"),
    Column("status", head=True),
    Column("reason", fold=PROSE),
    Column("members", fold=WORDS),
    Column("spare", spare=True),
)


def row(**changes: object) -> dict[str, object]:
    """Return a row with an id, a sentence, a list and a number."""
    return {
        "alert": ALERT,
        "status": "live",
        "reason": "Missing adult; whereabouts are told to the family only with consent",
        "members": ["eg-moi", "tn-dgsn", "int-iom"],
        "spare": "left out where there is no room",
        **changes,
    }


def texts(rows: list[dict[str, object]], width: int) -> list[str]:
    return [line.text for line in table(rows, COLUMNS, width=width)]


@pytest.mark.parametrize("width", [40, 60, *WIDTHS])
@pytest.mark.parametrize("alert", [ALERT, LONGEST_ID])
def test_no_line_is_wider_than_the_terminal_and_no_id_is_broken(width: int, alert: str) -> None:
    lines = texts([row(alert=alert), row(alert=ALERT)], width)
    assert all(cell_len(line) <= max(width, len(alert)) for line in lines)
    assert sum(alert in line for line in lines) >= 1
    assert sum(ALERT in line for line in lines) >= 1


def test_rows_are_a_grid_where_it_fits_and_blocks_where_it_does_not() -> None:
    wide, narrow = texts([row()], 140), texts([row()], 60)
    assert wide[0].split()[:2] == ["alert", "id"]
    assert set(wide[1]) == {"─", " "}
    assert narrow[0] == f"{ALERT}  live"
    assert narrow[1].startswith("  reason ")


def test_what_a_grid_can_spare_is_left_out_before_it_is_given_up() -> None:
    columns = (Column("alert"), Column("spare", spare=True))
    rows = [row()]
    assert "spare" in next(iter(table(rows, columns, width=80))).text
    head = next(iter(table(rows, columns, width=60))).text
    assert head.strip() == "alert"


def test_a_column_in_which_nothing_stands_is_left_out() -> None:
    assert "members" not in texts([row(members=[])], 140)[0]


def test_numbers_stand_right_and_words_left() -> None:
    rows = [{"name": "a", "count": 7}, {"name": "bb", "count": 1200}]
    assert [line.text for line in table(rows, ["name", "count"], width=80)][2:] == [
        "a         7",
        "bb     1200",
    ]


def test_arabic_keeps_the_columns_where_they_are() -> None:
    rows = [
        {"name": "سيفجون بارجون الوانحاببار", "born": "1986-03-02"},
        {"name": "مُحَمَّد", "born": "1990"},
        {"name": "AL-WANHABBAR", "born": "1986"},
    ]
    lines = [line.text for line in table(rows, ["name", "born"], width=80)]
    starts = {cell_len(line[: line.index("19")]) for line in lines[2:]}
    assert len(starts) == 1
    # A mark before the digits: a terminal that turns Arabic letters would turn them too.
    assert all(LEFT_TO_RIGHT in line for line in lines[2:4])
    assert LEFT_TO_RIGHT not in lines[4]


def test_a_value_that_has_no_room_beside_its_label_stands_whole_below_it() -> None:
    root = "5f" * 32
    lines = [line.text for line in sheet([("witnessed size", "7"), ("root", root)], width=80)]
    assert lines == ["  witnessed size  7", "  root", f"    {root}"]


def test_nothing_said_is_a_dash() -> None:
    assert [line.text for line in sheet([("findings", "")], width=80)] == ["  findings  –"]


@given(st.text(max_size=400), st.sampled_from([40, 80, 140]))
def test_what_others_wrote_never_begins_a_line(text: str, width: int) -> None:
    lines = [line.text for line in sheet([("reason", text), ("action", "none")], width=width)]
    assert all(line.startswith("  ") and cell_len(line) <= width for line in lines)
    assert sum(line.startswith("  action") for line in lines) == 1
    assert not any(ord(char) < 32 for line in lines for char in line)


def test_a_long_line_is_folded_at_words_and_goes_on_further_in() -> None:
    text = f"  why: {ALERT} was withdrawn by its issuer"
    assert list(folded(text, width=43)) == [
        f"  why: {ALERT}",
        "    was withdrawn by its issuer",
    ]
