"""One error family across process boundaries, and its form on the wire.

Every room has its own errors; what they share is a stable `code`. This module gives
each the gRPC status and the `google.rpc.Status` that a peer receives, and turns that
back into a RemoteError at the caller. The rule: only `public_message`, `fix` and the
code leave the process; `str(error)` is for our own log.
"""

import asyncio
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn, Protocol

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc import (  # type: ignore[import-untyped]  # it has no stubs
    error_details_pb2,
    status_pb2,
)
from grpc import StatusCode

DOMAIN = "mithaq"
STATUS_DETAILS = "grpc-status-details-bin"
# gRPC carries a status in trailing metadata, which may hold 8 KiB in all.
TEXT_LENGTH_MAX = 512
VIOLATIONS_MAX = 8
# A peer may name a wait, but not put us to sleep.
RETRY_AFTER_MAX = timedelta(minutes=10)
INTERNAL_CODE = "MQ-INTERNAL"
# What an RPC error has to be to say more than its class.
CALLS = (grpc.Call, grpc.aio.AioRpcError)
CODE = re.compile(r"MQ-[A-Z0-9-]{1,60}")
# google.rpc.Code and gRPC number their statuses alike.
STATUS_BY_NUMBER = {each.value[0]: each for each in StatusCode}
DEFAULT_FIX = "See the documentation of this code."
RETRYABLE = frozenset(
    {
        StatusCode.UNAVAILABLE,
        StatusCode.RESOURCE_EXHAUSTED,
        StatusCode.ABORTED,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.CANCELLED,
    }
)
# For rooms whose errors name no gRPC status: by the beginning of the code.
STATUS_BY_PREFIX: tuple[tuple[str, StatusCode], ...] = (
    ("MQ-LEDGER", StatusCode.INVALID_ARGUMENT),
    ("MQ-CONFIG", StatusCode.INVALID_ARGUMENT),
    ("MQ-AGR", StatusCode.FAILED_PRECONDITION),
    ("MQ-TRUST", StatusCode.PERMISSION_DENIED),
    ("MQ-CERT", StatusCode.UNAUTHENTICATED),
    ("MQ-KEY", StatusCode.FAILED_PRECONDITION),
)


class MithaqError(Exception):
    """An error that a peer or an officer may be told about, by code.

    Subclasses set the class attributes; a keyword of the same name says it for one
    error. `str()` is for our own log and may say more than the peer may learn.
    """

    code: str = INTERNAL_CODE
    public_message: str = "The server failed."
    fix: str = "Give the operator the reference."
    grpc_status: StatusCode = StatusCode.INTERNAL
    retry_after: timedelta | None = None

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        public_message: str | None = None,
        fix: str | None = None,
        grpc_status: StatusCode | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message or public_message or self.public_message)
        self.code = code or self.code
        self.public_message = public_message or self.public_message
        self.fix = fix or self.fix
        self.grpc_status = grpc_status or self.grpc_status
        self.retry_after = retry_after or self.retry_after


class InvalidRequestError(MithaqError):
    """A request breaks the rules of its message; `violations` says field and rule."""

    code = "MQ-REQUEST-INVALID"
    public_message = "The request is not of its form."
    fix = "Correct the fields named and repeat."
    grpc_status = StatusCode.INVALID_ARGUMENT

    def __init__(self, *violations: tuple[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {rule}" for field, rule in violations))
        self.violations = violations[:VIOLATIONS_MAX]


@dataclass(frozen=True, slots=True)
class Fault:
    """An error as a peer may see it."""

    code: str
    public_message: str
    fix: str
    grpc_status: StatusCode
    retry_after: timedelta | None = None
    violations: tuple[tuple[str, str], ...] = ()
    reference: str = ""


class RemoteError(Exception):
    """What the other side answered instead of a result.

    `why` and `fix` may be shown to a person; `retry_after` is set if the other side
    named a time; `reference` finds an internal error in its log.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"{fault.code}: {fault.public_message}")
        self.code = fault.code
        self.why = fault.public_message
        self.public_message = fault.public_message
        self.fix = fault.fix
        self.grpc_status = fault.grpc_status
        self.retry_after = fault.retry_after
        self.violations = fault.violations
        self.reference = fault.reference

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later, unchanged."""
        return self.grpc_status in RETRYABLE


class AbortsCalls(Protocol):
    """What `abort` needs of a `grpc.aio.ServicerContext`."""

    async def abort(
        self,
        code: StatusCode,
        details: str = "",
        trailing_metadata: tuple[tuple[str, bytes], ...] = (),
    ) -> NoReturn:
        """End the call with a status."""
        ...


def fault_of(
    error: BaseException, *, new_reference: Callable[[], str] = lambda: secrets.token_hex(6)
) -> Fault:
    """Return what a peer may learn; an error without a code becomes INTERNAL with a reference."""
    code = getattr(error, "code", None)
    if not isinstance(code, str):
        return unexpected_fault(error, reference=new_reference())
    public_message: str = getattr(error, "public_message", "The request was refused.")
    return Fault(
        code=code,
        public_message=public_message[:TEXT_LENGTH_MAX],
        fix=str(getattr(error, "fix", DEFAULT_FIX))[:TEXT_LENGTH_MAX],
        grpc_status=status_code_of(error, code),
        retry_after=retry_after_of(error),
        violations=tuple(getattr(error, "violations", ())),
        reference=getattr(error, "reference", ""),
    )


def unexpected_fault(error: BaseException, *, reference: str) -> Fault:
    """Return the fault of an error that nobody foresaw: nothing of it leaves but the reference."""
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return Fault("MQ-TIMEOUT", "It took too long.", "Repeat it.", StatusCode.DEADLINE_EXCEEDED)
    return Fault(
        code=INTERNAL_CODE,
        public_message="The server failed on its own account.",
        fix=f"Give the operator the reference {reference}.",
        grpc_status=StatusCode.INTERNAL,
        reference=reference,
    )


def status_code_of(error: BaseException, code: str) -> StatusCode:
    """Return the gRPC status of a coded error: its own, or by the beginning of its code."""
    own = getattr(error, "grpc_status", None)
    if isinstance(own, StatusCode):
        return own
    if isinstance(own, str):
        return StatusCode[own]
    for prefix, status in STATUS_BY_PREFIX:
        if code.startswith(prefix):
            return status
    return StatusCode.FAILED_PRECONDITION


def retry_after_of(error: BaseException) -> timedelta | None:
    """Return how long to wait before a retry, if the error says that one makes sense."""
    named = getattr(error, "retry_after", None)
    if isinstance(named, timedelta):
        return named
    return timedelta(seconds=1) if getattr(error, "retryable", False) is True else None


def to_status(error: BaseException) -> status_pb2.Status:
    """Return the `google.rpc.Status` of an error, with ErrorInfo and what else fits."""
    return fault_to_status(fault_of(error))


def fault_to_status(fault: Fault) -> status_pb2.Status:
    """Return the `google.rpc.Status` of a fault."""
    status = status_pb2.Status(code=fault.grpc_status.value[0], message=fault.public_message)
    metadata = {"fix": fault.fix}
    if fault.reference:
        metadata["reference"] = fault.reference
    status.details.append(
        packed(error_details_pb2.ErrorInfo(domain=DOMAIN, reason=fault.code, metadata=metadata))
    )
    if fault.violations:
        status.details.append(packed(bad_request(fault.violations)))
    elif fault.grpc_status is StatusCode.FAILED_PRECONDITION:
        status.details.append(packed(precondition_failure(fault)))
    if fault.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(fault.retry_after)
        status.details.append(packed(retry))
    return status


def packed(
    detail: error_details_pb2.ErrorInfo
    | error_details_pb2.BadRequest
    | error_details_pb2.PreconditionFailure
    | error_details_pb2.RetryInfo,
) -> AnyMessage:
    """Return a detail in the wrapper that Status carries."""
    wrapper = AnyMessage()
    wrapper.Pack(detail)
    return wrapper


def bad_request(violations: tuple[tuple[str, str], ...]) -> error_details_pb2.BadRequest:
    """Return the detail that names the fields of a request that break a rule."""
    return error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(
                field=field, description=rule[:TEXT_LENGTH_MAX]
            )
            for field, rule in violations[:VIOLATIONS_MAX]
        ]
    )


def precondition_failure(fault: Fault) -> error_details_pb2.PreconditionFailure:
    """Return the detail that names what has to change before a retry."""
    return error_details_pb2.PreconditionFailure(
        violations=[
            error_details_pb2.PreconditionFailure.Violation(
                type=fault.code, subject=DOMAIN, description=fault.fix
            )
        ]
    )


async def abort(context: AbortsCalls, error: BaseException) -> NoReturn:
    """End the call with the error's status; does not return."""
    fault = fault_of(error)
    await abort_with(context, fault)


async def abort_with(context: AbortsCalls, fault: Fault) -> NoReturn:
    """End the call with the fault's status; does not return."""
    details = fault_to_status(fault).SerializeToString()
    await context.abort(fault.grpc_status, fault.public_message, ((STATUS_DETAILS, details),))


def from_rpc_error(error: grpc.RpcError) -> RemoteError:
    """Return the peer's fault; where it sent none of ours, what its status means."""
    rich = rich_status(error)
    if rich is not None:
        fault = fault_from_status(rich)
        if fault is not None:
            return RemoteError(fault)
    status = error.code() if isinstance(error, CALLS) else StatusCode.UNKNOWN
    return RemoteError(PLAIN_FAULTS.get(status) or plain_fault(status))


def rich_status(error: grpc.RpcError) -> status_pb2.Status | None:
    """Return the `google.rpc.Status` that came with an RPC error, if one did."""
    if not isinstance(error, CALLS):
        return None
    for key, value in error.trailing_metadata() or ():
        if key == STATUS_DETAILS and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None


def fault_from_status(status: status_pb2.Status) -> Fault | None:
    """Return the fault that a peer described, or None if it isn't of our domain and form."""
    info = error_details_pb2.ErrorInfo()
    retry, bad = error_details_pb2.RetryInfo(), error_details_pb2.BadRequest()
    try:
        for detail in status.details:
            for known in (info, retry, bad):
                detail.Unpack(known)
        delay = retry.retry_delay.ToTimedelta()
    except (DecodeError, ValueError, OverflowError):
        return None
    grpc_status = STATUS_BY_NUMBER.get(status.code)
    if info.domain != DOMAIN or grpc_status is None or not CODE.fullmatch(info.reason):
        return None
    return Fault(
        code=info.reason,
        public_message=printable(status.message),
        fix=printable(info.metadata.get("fix", DEFAULT_FIX)),
        grpc_status=grpc_status,
        retry_after=min(delay, RETRY_AFTER_MAX) if delay > timedelta() else None,
        violations=tuple(
            (printable(each.field), printable(each.description)) for each in bad.field_violations
        ),
        reference=printable(info.metadata.get("reference", "")),
    )


def printable(text: str) -> str:
    """Return a peer's text as it may stand on a terminal: one line, no control characters."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text[:TEXT_LENGTH_MAX])


def plain_fault(status: StatusCode) -> Fault:
    """Return the fault of a status that says no more than its name."""
    code = f"MQ-REMOTE-{status.name.replace('_', '-')}"
    fix = "Look into the log of the other side; its own errors say more."
    return Fault(code, f"The other side answered {status.name}.", fix, status)


PLAIN_FAULTS = {
    StatusCode.UNIMPLEMENTED: Fault(
        "MQ-REMOTE-UNIMPLEMENTED",
        "The other side does not serve this call.",
        "The profile is of another part, such as a hub or registrar where a node is needed: "
        "name one of the part that the command is about.",
        StatusCode.UNIMPLEMENTED,
    ),
    StatusCode.UNAVAILABLE: Fault(
        "MQ-UNREACHABLE",
        "The other side does not answer, or would not accept our certificate.",
        "Check that it runs, the address and port, and the dates of both certificates.",
        StatusCode.UNAVAILABLE,
    ),
    StatusCode.DEADLINE_EXCEEDED: Fault(
        "MQ-TIMEOUT",
        "The other side did not answer in time.",
        "Repeat it; if it stays so, look at its health and at the network.",
        StatusCode.DEADLINE_EXCEEDED,
    ),
}
