"""What is measured beside the product: absent, or too old, it is said and nothing else fails."""

import sys
from pathlib import Path

import pytest

from bench import by_as4, nats
from bench.errors import MeasureError, NotInstalledError
from bench.on_postgres import BARE, connected, copy
from bench.plan import Found
from tests.faults.server import running_server


@pytest.fixture
def no_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder in which programs are looked for; it is empty."""
    monkeypatch.setattr(nats, "BENCH_TOOLS", tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


async def test_a_server_that_is_not_installed_is_said_with_how_to_install_it(
    no_tools: Path,
) -> None:
    with pytest.raises(NotInstalledError, match=r"not installed \(make bench-tools\)"):
        async with nats.running_nats(no_tools / "nats"):
            pass


async def test_a_server_too_old_to_sync_each_message_is_not_measured(no_tools: Path) -> None:
    old = no_tools / "nats-server"
    old.write_text("#!/bin/sh\necho unknown field sync_interval >&2\nexit 1\n", encoding="utf-8")
    old.chmod(0o700)
    with pytest.raises(NotInstalledError, match="unknown field sync_interval"):
        async with nats.running_nats(no_tools / "nats"):
            pass


def test_as4_that_is_not_installed_is_said_with_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_as4, "BENCH_TOOLS", tmp_path)
    with pytest.raises(NotInstalledError, match=r"as4 is not installed \(make bench-tools\)"):
        by_as4.interpreter()


def test_an_exchange_that_fails_says_why() -> None:
    # The Python of the tests has no as4.
    with pytest.raises(MeasureError, match="No module named 'as4'"):
        by_as4.exchange(Path(sys.executable), [b"a record"])


def test_a_bare_copy_puts_each_record_into_the_table_once() -> None:
    raws = [b"record %d" % number for number in range(1500)]
    with running_server() as server:
        with connected(server.url) as connection:
            connection.execute(BARE)
            connection.commit()
            assert copy(connection, raws, first=0) > 0
            assert copy(connection, raws, first=len(raws)) > 0
        with connected(server.url) as other:
            found = other.execute("SELECT body FROM bench_bare ORDER BY number").fetchall()
    assert [body for (body,) in found] == raws * 2


async def test_what_is_not_measured_is_noted_and_the_rest_goes_on() -> None:
    said: list[str] = []
    found = Found(said.append)

    async def absent() -> None:
        raise NotInstalledError("it is not here")

    async def there() -> int:
        return 7

    await found.add("first", "first", absent())
    await found.add("second", "second", there())
    assert found.figures == {"second": 7}
    assert found.not_measured == {"first": "NotInstalledError: it is not here"}


async def test_what_was_found_before_a_fault_stays_found() -> None:
    found = Found(lambda _said: None, {"first": 1})
    with found.noting("first", "second"):
        raise NotInstalledError("gone")
    assert found.not_measured == {"second": "NotInstalledError: gone"}


def test_a_run_without_what_is_needed_is_told_from_one_that_was_not_asked_for_it() -> None:
    found = Found(lambda _said: None, {"end_to_end": object(), "catch_up": None})
    assert found.missing({"end_to_end", "fsync"}) == []
    assert found.missing({"end_to_end", "single", "catch_up", "fsync"}) == ["catch_up", "single"]


async def test_a_mistake_of_the_bench_itself_is_not_noted_away() -> None:
    with pytest.raises(ZeroDivisionError), Found(lambda _said: None).noting("first"):
        raise ZeroDivisionError
