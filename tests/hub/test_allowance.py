"""Floods of headers without bodies: slowed down, and never refused."""

from pathlib import Path

import pytest

from mithaq.hub.allowance import HeaderAllowance
from mithaq.hub.config import HubLimits
from tests.hub.running import prepare, running, three_members
from tests.hub.test_delivery import publisher, stream

MEMBER, OTHER = "eg-moi", "tn-dgsn"


def test_a_sender_waits_for_as_long_as_it_is_ahead_of_its_allowance() -> None:
    allowance = HeaderAllowance(per_second=10, at_once=100)
    assert allowance.take(MEMBER, 100, now=0.0) == 0.0
    assert allowance.take(MEMBER, 1, now=0.0) == pytest.approx(0.1)
    assert allowance.take(MEMBER, 0, now=0.1) == pytest.approx(0.0)
    assert allowance.take(OTHER, 100, now=0.1) == 0.0, "each member has its own"


def test_an_allowance_grows_back_and_never_beyond_itself() -> None:
    allowance = HeaderAllowance(per_second=10, at_once=100)
    allowance.take(MEMBER, 100, now=0.0)
    assert allowance.take(MEMBER, 100, now=3600.0) == 0.0
    assert allowance.take(MEMBER, 1, now=3600.0) > 0.0


async def test_a_flood_of_headers_is_slowed_down_and_every_one_admitted(tmp_path: Path) -> None:
    federation = three_members()
    limits = HubLimits(bare_headers_at_once=8, bare_headers_per_second=20)
    config = prepare(federation, tmp_path / "hub", limits=limits)
    async with running(federation, config) as hub:
        writer = stream(hub)
        sender = publisher(hub)
        first = writer.put(24)
        assert (await sender.publish(writer)).size == writer.size
        for number in range(20):
            writer.withdraw(first + number)
        assert (await sender.publish(writer)).size == writer.size
        # It was held back when it had been answered, and is read on later.
        for number in (20, 21):
            writer.withdraw(first + number)
            await sender.send(writer.batch())
        kinds = [(await sender.next()).WhichOneof("message") for _ in range(3)]
        assert sorted(set(kinds)) == ["acceptance", "back_pressure_ms"]


async def test_a_new_connection_does_not_begin_with_a_new_allowance(tmp_path: Path) -> None:
    federation = three_members()
    limits = HubLimits(bare_headers_at_once=8, bare_headers_per_second=1)
    config = prepare(federation, tmp_path / "hub", limits=limits)
    async with running(federation, config) as hub:
        writer = stream(hub)
        sender = publisher(hub)
        first = writer.put(24)
        for number in range(20):
            writer.withdraw(first + number)
        await sender.publish(writer)
        # Nor with a batch beyond it: else one connection for each batch would be no slower.
        for number in (20, 21):
            again = publisher(hub)
            writer.withdraw(first + number)
            await again.send(writer.batch())
            assert await again.answer("back_pressure_ms") > 1000
            assert await again.silence(0.1) == []


async def test_records_with_bodies_use_none_of_it(tmp_path: Path) -> None:
    federation = three_members()
    limits = HubLimits(bare_headers_at_once=2, bare_headers_per_second=1)
    config = prepare(federation, tmp_path / "hub", limits=limits)
    async with running(federation, config) as hub:
        writer = stream(hub)
        sender = publisher(hub)
        for _ in range(3):
            writer.put(50)
            await sender.publish(writer)
        assert await sender.silence(0.1) == []
