"""Who is calling: the certificate of the connection, asked of the registry each time.

A certificate that the CA signed opens a connection and nothing more; whether its
owner is a member now, only the lookup says. The rule: nobody is remembered. Each call
looks up anew, and calls that last are cut when the answer changes (LIMITS: there is
no revocation list in Python's TLS).
"""

import asyncio
import base64
import hashlib
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import Protocol, TypeVar

import grpc

from mithaq.service.errors import MithaqError

P = TypeVar("P")
CERTIFICATE = "x509_pem_cert"
KEY_EXCHANGE_GROUP = "ssl_negotiated_key_exchange_group"
CUT_GRACE_S = 2.0
CERTIFICATES_CACHED_MAX = 4096


class PeerUnknownError(MithaqError):
    """The peer's certificate belongs to nobody who may call here now."""

    code = "MQ-IDENTITY-UNKNOWN"
    public_message = "This certificate belongs to nobody whom the registry lists as active."
    fix = "Enrol, renew the certificate, or ask the trust administrators whether it was revoked."
    grpc_status = grpc.StatusCode.UNAUTHENTICATED


class PeerRevokedError(PeerUnknownError):
    """The peer was cut off while its call was running."""

    code = "MQ-IDENTITY-REVOKED"
    public_message = "This certificate was revoked or suspended."
    fix = "Ask the trust administrators of the federation."


class PeerCertificateMissingError(MithaqError):
    """The connection carries no client certificate."""

    code = "MQ-IDENTITY-MISSING"
    public_message = "A client certificate is required here."
    fix = "Call with the certificate that enrolment issued."
    grpc_status = grpc.StatusCode.UNAUTHENTICATED


class HasPeer(Protocol):
    """What is needed of a `grpc.aio.ServicerContext` to know the peer."""

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        """Return what TLS knows of the connection."""
        ...


def peer_fingerprint(context: HasPeer) -> bytes:
    """Return the SHA-256 of the peer's certificate; raise PeerCertificateMissingError."""
    certificates = context.auth_context().get(CERTIFICATE)
    if not certificates:
        raise PeerCertificateMissingError
    return fingerprint_of_pem(certificates[0])


@lru_cache(maxsize=CERTIFICATES_CACHED_MAX)
def fingerprint_of_pem(pem: bytes) -> bytes:
    """Return the SHA-256 of the DER bytes within a PEM certificate as TLS hands it out."""
    # TLS has verified the certificate; only its exact bytes matter here.
    lines = pem.strip().splitlines()[1:-1]
    return hashlib.sha256(base64.b64decode(b"".join(lines))).digest()


def peer_principal(context: HasPeer, lookup: Callable[[bytes], P]) -> P:
    """Return who is calling, from `lookup` of the certificate's fingerprint, on every call.

    Raises:
        PeerCertificateMissingError: the connection has no client certificate.
        Exception: what `lookup` raises for a fingerprint that it doesn't know.

    """
    return lookup(peer_fingerprint(context))


@dataclass(frozen=True, slots=True)
class Draining:
    """The server is about to stop: say so in band, then return."""

    retry_after: timedelta


@dataclass(eq=False, slots=True)
class LiveCall:
    """A streaming call that is running.

    Its servicer waits for `ending` beside its own work. With an error it sends Reject
    and returns within CUT_GRACE_S; with Draining it sends Drain and returns.
    """

    fingerprint: bytes
    task: "asyncio.Task[object] | None"
    ending: "asyncio.Future[MithaqError | Draining]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def why_cut(self) -> MithaqError | None:
        """The error that this call was told to end with, if it was."""
        if not self.ending.done():
            return None
        why = self.ending.result()
        return why if isinstance(why, MithaqError) else None

    def end(self, why: MithaqError | Draining) -> None:
        """Ask the call to end; the first reason stands."""
        if not self.ending.done():
            self.ending.set_result(why)


_CURRENT: ContextVar[LiveCall | None] = ContextVar("mithaq_live_call", default=None)


def current_call() -> LiveCall:
    """Return the running call of this task; raise RuntimeError outside a streaming call."""
    call = _CURRENT.get()
    if call is None:
        raise RuntimeError("only a streaming call behind our interceptor is a live call")
    return call


class LiveCalls:
    """The streaming calls that are running, so that they can be cut or drained."""

    def __init__(self) -> None:
        self._calls: set[LiveCall] = set()

    def __len__(self) -> int:
        return len(self._calls)

    @contextmanager
    def entered(self, fingerprint: bytes) -> Generator[LiveCall]:
        """Register the call of the running task while the block lasts."""
        call = LiveCall(fingerprint, asyncio.current_task())
        self._calls.add(call)
        _CURRENT.set(call)
        try:
            yield call
        finally:
            self._calls.discard(call)

    def recheck(self, lookup: Callable[[bytes], object]) -> int:
        """Cut every call whose certificate `lookup` no longer knows; return how many.

        To be called after each registry entry that narrows. An in-band reject comes
        first: aborting while the peer writes reaches it as INTERNAL (LIMITS).
        """
        return sum(self._cut_if_unknown(call, lookup) for call in tuple(self._calls))

    def drain(self, retry_after: timedelta) -> None:
        """Ask every call to say Drain in band and to end."""
        for call in tuple(self._calls):
            call.end(Draining(retry_after))

    def _cut_if_unknown(self, call: LiveCall, lookup: Callable[[bytes], object]) -> bool:
        try:
            lookup(call.fingerprint)
        except Exception:  # noqa: BLE001 - whatever keeps us from knowing the peer cuts it
            call.end(PeerRevokedError())
            if call.task is not None:
                asyncio.get_running_loop().call_later(CUT_GRACE_S, call.task.cancel)
            return True
        return False
