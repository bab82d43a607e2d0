"""What is measured beside the product: absent, or too old, it is said and nothing else fails."""

from pathlib import Path

import pytest

from bench import nats
from bench.errors import NotInstalledError
from bench.plan import Found


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


async def test_a_mistake_of_the_bench_itself_is_not_noted_away() -> None:
    with pytest.raises(ZeroDivisionError), Found(lambda _said: None).noting("first"):
        raise ZeroDivisionError
