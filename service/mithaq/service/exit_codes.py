"""What a command returns to the shell: one number for each kind of outcome.

Scripts branch on these, so a number never changes its meaning.
"""

from enum import IntEnum

from grpc import StatusCode

from mithaq.service.errors import fault_of


class ExitCode(IntEnum):
    """The kinds of outcome."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CONFIGURATION = 3
    IDENTITY = 4
    DENIED = 5
    NOT_FOUND = 6
    UNREACHABLE = 7
    VERIFICATION_FAILED = 8
    CONFLICT = 9


# The beginning of a code says more than its gRPC status, so it is looked at first.
BY_PREFIX: tuple[tuple[str, ExitCode], ...] = (
    ("MQ-CONFIG", ExitCode.CONFIGURATION),
    ("MQ-STORE-URL", ExitCode.CONFIGURATION),
    ("MQ-STORE-VERSION", ExitCode.CONFIGURATION),
    ("MQ-PORT", ExitCode.CONFIGURATION),
    ("MQ-REQUEST", ExitCode.USAGE),
    ("MQ-IDENTITY", ExitCode.IDENTITY),
    ("MQ-CERT", ExitCode.IDENTITY),
    ("MQ-KEY-EXISTS", ExitCode.CONFLICT),
    ("MQ-KEY", ExitCode.IDENTITY),
    ("MQ-TRUST-GENESIS", ExitCode.VERIFICATION_FAILED),
    ("MQ-TRUST-NO-MEMBER", ExitCode.NOT_FOUND),
    ("MQ-TRUST-NOT-PENDING", ExitCode.NOT_FOUND),
    ("MQ-LEDGER", ExitCode.VERIFICATION_FAILED),
    ("MQ-AUDIT", ExitCode.VERIFICATION_FAILED),
)
BY_STATUS = {
    StatusCode.INVALID_ARGUMENT: ExitCode.USAGE,
    StatusCode.OUT_OF_RANGE: ExitCode.USAGE,
    StatusCode.UNAUTHENTICATED: ExitCode.IDENTITY,
    StatusCode.PERMISSION_DENIED: ExitCode.DENIED,
    StatusCode.NOT_FOUND: ExitCode.NOT_FOUND,
    StatusCode.UNAVAILABLE: ExitCode.UNREACHABLE,
    StatusCode.DEADLINE_EXCEEDED: ExitCode.UNREACHABLE,
    StatusCode.RESOURCE_EXHAUSTED: ExitCode.UNREACHABLE,
    StatusCode.DATA_LOSS: ExitCode.VERIFICATION_FAILED,
    StatusCode.ALREADY_EXISTS: ExitCode.CONFLICT,
    StatusCode.ABORTED: ExitCode.CONFLICT,
    StatusCode.FAILED_PRECONDITION: ExitCode.CONFLICT,
}


def exit_code_of(error: BaseException) -> ExitCode:
    """Return the exit code of an error, ours or a peer's."""
    fault = fault_of(error)
    for prefix, code in BY_PREFIX:
        if fault.code.startswith(prefix):
            return code
    return BY_STATUS.get(fault.grpc_status, ExitCode.FAILED)
