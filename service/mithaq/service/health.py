"""A page for probes and Prometheus on the loopback: /livez, /readyz, /metrics.

Not for peers: it binds 127.0.0.1 only and speaks just enough HTTP for a probe. The
rule: it shows names of checks and counters, never a member's or a person's.
"""

import asyncio
import errno
from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from mithaq.service.server import AddressUnusableError, PortInUseError

LOOPBACK: Final = "127.0.0.1"
REQUEST_SIZE_BYTES_MAX: Final = 8 * 1024
REQUEST_SECONDS_MAX: Final = 5.0
TEXT: Final = "text/plain; charset=utf-8"
Checks = Callable[[], Mapping[str, bool]]


class HealthServer:
    """The page of one process; `checks` says by name what is ready and what is not."""

    def __init__(self, *, metrics: CollectorRegistry, checks: Checks) -> None:
        self._metrics = metrics
        self._checks = checks
        self._server: asyncio.Server | None = None

    async def start(self, port: int) -> int:
        """Listen on the loopback and return the port; raise PortInUseError."""
        try:
            self._server = await asyncio.start_server(
                self._answer, LOOPBACK, port, limit=REQUEST_SIZE_BYTES_MAX, reuse_port=False
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUseError(f"{LOOPBACK}:{port}") from None
            raise AddressUnusableError(f"{LOOPBACK}:{port}: {error.strerror}") from None
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._response(request))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # A probe that went away or talks something else: nothing to tell it.
            writer.transport.abort()
        else:
            writer.close()

    def _response(self, request: bytes) -> bytes:
        method, _, rest = request.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in {b"GET", b"HEAD"}:
            return response("405 Method Not Allowed", b"only GET\n")
        if path == b"/livez":
            return response("200 OK", b"alive\n")
        if path == b"/readyz":
            return self._readiness()
        if path == b"/metrics":
            return response("200 OK", generate_latest(self._metrics), CONTENT_TYPE_LATEST)
        return response("404 Not Found", b"/livez /readyz /metrics\n")

    def _readiness(self) -> bytes:
        checks = self._checks()
        lines = [f"{'ok' if ready else 'not ready'} {name}\n" for name, ready in checks.items()]
        status = "200 OK" if all(checks.values()) else "503 Service Unavailable"
        return response(status, "".join(lines).encode())


def response(status: str, body: bytes, content_type: str = TEXT) -> bytes:
    """Return a whole HTTP/1.1 answer that closes its connection."""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
