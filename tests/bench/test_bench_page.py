from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import page
from bench.__main__ import main
from bench.plots import plots
from tests.bench.results import bare, whole


def test_figures_are_written_between_the_marks_and_nothing_else_is_touched() -> None:
    before = f"Words.\n\n{page.BEGIN}\nold\n{page.END}\n\nMore words.\n"
    after = page.rewritten(before, whole())
    assert after.startswith(f"Words.\n\n{page.BEGIN}\n")
    assert after.endswith(f"{page.END}\n\nMore words.\n")
    assert "\nold\n" not in after
    assert "| end to end, × the probe | 0.50 (0.40–0.67) | ≥ 0.50 | 0.65 | yes |" in after


def test_writing_the_same_figures_twice_changes_nothing() -> None:
    once = page.rewritten(f"{page.BEGIN}{page.END}", whole())
    assert page.rewritten(once, whole()) == once


@pytest.mark.parametrize("text", ["", page.BEGIN, page.END])
def test_a_page_without_its_marks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="begin"):
        page.rewritten(text, whole())


def test_the_page_shows_the_pictures_that_are_drawn_and_no_older_ones(tmp_path: Path) -> None:
    pictures = tmp_path / page.PICTURES
    pictures.mkdir()
    (pictures / "of-another-run.png").touch()
    result, into = tmp_path / "bench.json", tmp_path / "performance.md"
    result.write_text(whole().to_json(), encoding="utf-8")
    into.write_text(f"{page.BEGIN}{page.END}", encoding="utf-8")
    done = CliRunner().invoke(main, ["report", str(result), "--into", str(into)])
    assert done.exit_code == 0, done.output
    drawn = {each.name for each in pictures.iterdir()}
    assert drawn == {"beside-the-probe.png", "callers.png", "readers.png", "stored.png"}
    text = into.read_text(encoding="utf-8")
    assert all(f"({page.PICTURES}/{name})" in text for name in drawn)


def test_equal_figures_give_equal_pictures(tmp_path: Path) -> None:
    for plot in plots(whole()):
        plot.draw(tmp_path)
        before = (tmp_path / f"{plot.name}.png").read_bytes()
        plot.draw(tmp_path)
        assert (tmp_path / f"{plot.name}.png").read_bytes() == before


def test_what_was_not_measured_is_not_drawn() -> None:
    assert list(plots(bare())) == []
