"""The page for probes: on the loopback, three paths, and nobody's name on it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry, Counter

from mithaq.service.health import REQUEST_SIZE_BYTES_MAX, HealthServer
from mithaq.service.server import AddressUnusableError, PortInUseError


@dataclass
class Page:
    """A running page and what it shows."""

    port: int
    checks: dict[str, bool]

    async def send(self, request: bytes) -> bytes:
        """Return all that comes back for some bytes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        try:
            return await asyncio.wait_for(reader.read(), 5)
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async def get(self, path: str) -> tuple[int, str]:
        """Return status and body of a path."""
        answer = await self.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head, _, body = answer.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        return int(head.split()[1]), body.decode()


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    metrics = CollectorRegistry()
    Counter("mithaq_example", "An example.", registry=metrics).inc()
    checks = {"database": True, "hub": True}
    server = HealthServer(metrics=metrics, checks=lambda: checks)
    yield Page(await server.start(0), checks)
    await server.stop()


async def test_a_live_process_says_so(page: Page) -> None:
    assert await page.get("/livez") == (200, "alive\n")


async def test_readiness_names_what_is_not_ready(page: Page) -> None:
    assert await page.get("/readyz") == (200, "ok database\nok hub\n")
    page.checks["hub"] = False
    assert await page.get("/readyz?verbose") == (503, "ok database\nnot ready hub\n")


async def test_metrics_are_in_the_text_format(page: Page) -> None:
    status, body = await page.get("/metrics")
    assert status == 200
    assert "mithaq_example_total 1.0" in body


async def test_other_paths_and_methods_are_refused(page: Page) -> None:
    assert (await page.get("/"))[0] == 404
    assert (await page.send(b"POST /livez HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 405")


@pytest.mark.parametrize(
    "request_bytes",
    [b"x" * (REQUEST_SIZE_BYTES_MAX * 3), b"x" * REQUEST_SIZE_BYTES_MAX + b"\r\n\r\n"],
)
async def test_what_is_no_request_is_cut_off(page: Page, request_bytes: bytes) -> None:
    assert not (await page.send(request_bytes)).startswith(b"HTTP/1.1 200")
    assert (await page.get("/livez"))[0] == 200


async def test_a_client_that_says_nothing_is_cut_off(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mithaq.service.health.REQUEST_SECONDS_MAX", 0.05)
    assert await page.send(b"GET") == b""


async def test_a_client_that_goes_away_does_no_harm(page: Page) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", page.port)
    writer.write(b"GET /liv")
    writer.transport.abort()
    assert (await page.get("/livez"))[0] == 200


async def test_a_taken_port_is_a_coded_error(page: Page) -> None:
    second = HealthServer(metrics=CollectorRegistry(), checks=dict)
    with pytest.raises(PortInUseError):
        await second.start(page.port)
    await second.stop()


async def test_an_address_that_is_not_ours_is_a_coded_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mithaq.service.health.LOOPBACK", "192.0.2.1")
    with pytest.raises(AddressUnusableError):
        await HealthServer(metrics=CollectorRegistry(), checks=dict).start(0)
