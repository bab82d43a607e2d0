"""A list file on its way in: streamed to the node's folder, bounded, and removed again.

The rule: what a caller sends is never held in memory as a whole and never outlives
the import, whatever ends it.
"""

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from grpc import StatusCode

from mithaq.service.errors import InvalidRequestError, MithaqError
from mithaq.service.interceptor import check_request
from mithaq.v1 import local_pb2

FORMATS: Final = frozenset({"unsc"})
READ_SIZE_BYTES: Final = 256 * 1024
DRAIN_SECONDS_MAX: Final = 10.0


class ListFileTooLargeError(MithaqError):
    """The file is larger than this node imports."""

    code = "MQ-LIMIT-IMPORT-SIZE"
    public_message = "The list file is larger than this node imports."
    fix = "Raise limits.import_size_bytes_max in node.toml, or import it in parts."
    grpc_status = StatusCode.RESOURCE_EXHAUSTED


async def drain(requests: AsyncIterator[local_pb2.ImportListRequest]) -> None:
    """Take what a caller still sends and forget it, for a bounded time."""
    with suppress(TimeoutError, grpc.RpcError):
        async with asyncio.timeout(DRAIN_SECONDS_MAX):
            async for _ in requests:
                pass


@dataclass(frozen=True, slots=True)
class ListFile:
    """A file that has come in whole, and what its sender wants done with it."""

    path: Path
    format: str
    agreement_id: str
    recipients: tuple[str, ...]
    sha256: bytes

    def chunks(self) -> Iterator[bytes]:
        """Yield the file's bytes in order."""
        with self.path.open("rb") as file:
            while chunk := file.read(READ_SIZE_BYTES):
                yield chunk


@asynccontextmanager
async def received(
    requests: AsyncIterator[local_pb2.ImportListRequest], folder: Path, *, size_bytes_max: int
) -> AsyncGenerator[ListFile]:
    """Yield the file that a stream of requests carries; the first request names it.

    Raises:
        InvalidRequestError: no request, an unknown format, or a request out of form.
        ListFileTooLargeError: more than `size_bytes_max`.

    """
    path = folder / f"{secrets.token_hex(8)}.list"
    try:
        first = await anext(requests, None)
        if first is None or first.format not in FORMATS:
            raise InvalidRequestError(("format", f"is one of {', '.join(sorted(FORMATS))}"))
        check_request(first)
        digest = await _written(first, requests, path, size_bytes_max)
        yield ListFile(path, first.format, first.agreement_id, tuple(first.recipients), digest)
    finally:
        path.unlink(missing_ok=True)


async def _written(
    first: local_pb2.ImportListRequest,
    requests: AsyncIterator[local_pb2.ImportListRequest],
    path: Path,
    size_bytes_max: int,
) -> bytes:
    size, digest = len(first.chunk), hashlib.sha256(first.chunk)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(first.chunk)
        async for request in requests:
            check_request(request)
            size += len(request.chunk)
            if size > size_bytes_max:
                raise ListFileTooLargeError(f"more than {size_bytes_max} bytes")
            digest.update(request.chunk)
            await asyncio.to_thread(file.write, request.chunk)
    return digest.digest()
