"""One error family on both sides of the wire: code, message and fix cross, nothing else does."""

from datetime import timedelta

import grpc
import grpc.aio
import pytest
from google.rpc import (  # type: ignore[import-untyped]
    code_pb2,
    error_details_pb2,
    status_pb2,
)

from mithaq.certs.errors import TrustError
from mithaq.ledger.errors import LedgerError, RootMismatchError
from mithaq.service.errors import (
    DOMAIN,
    RETRY_AFTER_MAX,
    STATUS_DETAILS,
    TEXT_LENGTH_MAX,
    VIOLATIONS_MAX,
    InvalidRequestError,
    MithaqError,
    RemoteError,
    fault_from_status,
    fault_of,
    from_rpc_error,
    to_status,
)
from mithaq.service.exit_codes import ExitCode, exit_code_of
from mithaq.store.errors import DiskFullError, LogMissingError, StoreDamagedError, StoreError


class NotAllowedError(MithaqError):
    """Example of an error of a room above."""

    code = "MQ-AGREEMENT-DENIED"
    public_message = "No agreement in force allows this."
    fix = "Ask for an agreement."
    grpc_status = grpc.StatusCode.FAILED_PRECONDITION


def rpc_error(
    status: grpc.StatusCode, details: status_pb2.Status | None = None
) -> grpc.aio.AioRpcError:
    """Return the error that a client sees."""
    trailing = grpc.aio.Metadata()
    if details is not None:
        trailing.add(STATUS_DETAILS, details.SerializeToString())
    return grpc.aio.AioRpcError(status, grpc.aio.Metadata(), trailing)


def across(error: BaseException) -> RemoteError:
    """Return an error as the other side sees it."""
    status = to_status(error)
    return from_rpc_error(rpc_error(grpc.StatusCode[code_pb2.Code.Name(status.code)], status))


def test_an_error_crosses_with_code_message_and_fix() -> None:
    remote = across(NotAllowedError("about record 17"))
    assert (remote.code, remote.why, remote.fix, remote.grpc_status) == (
        "MQ-AGREEMENT-DENIED",
        "No agreement in force allows this.",
        "Ask for an agreement.",
        grpc.StatusCode.FAILED_PRECONDITION,
    )
    assert not remote.retryable
    assert "record 17" not in to_status(
        NotAllowedError("about record 17")
    ).SerializeToString().decode(errors="replace")


def test_one_error_may_say_more_than_its_class() -> None:
    error = NotAllowedError(
        "log", code="MQ-X", public_message="p", fix="f", retry_after=timedelta(seconds=3)
    )
    remote = across(error)
    assert (str(error), remote.code, remote.why, remote.fix) == ("log", "MQ-X", "p", "f")
    assert remote.retry_after == timedelta(seconds=3)
    assert str(NotAllowedError()) == NotAllowedError.public_message


def test_what_has_to_change_is_named_as_a_precondition() -> None:
    failure = error_details_pb2.PreconditionFailure()
    assert any(detail.Unpack(failure) for detail in to_status(NotAllowedError()).details)
    assert [(each.type, each.subject) for each in failure.violations] == [
        ("MQ-AGREEMENT-DENIED", DOMAIN)
    ]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DiskFullError(), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (StoreError(), grpc.StatusCode.INTERNAL),
        (RootMismatchError("x"), grpc.StatusCode.INVALID_ARGUMENT),
        (LedgerError("x"), grpc.StatusCode.INVALID_ARGUMENT),
        (TrustError("x"), grpc.StatusCode.INVALID_ARGUMENT),
        (TimeoutError(), grpc.StatusCode.DEADLINE_EXCEEDED),
        (RuntimeError("x"), grpc.StatusCode.INTERNAL),
    ],
)
def test_errors_of_every_room_have_a_status(error: BaseException, status: grpc.StatusCode) -> None:
    assert fault_of(error).grpc_status is status


def test_an_error_of_a_room_that_names_no_status_is_a_precondition() -> None:
    error = type("OddError", (Exception,), {"code": "MQ-ODD"})()
    assert fault_of(error).grpc_status is grpc.StatusCode.FAILED_PRECONDITION


def test_a_retryable_error_names_a_wait() -> None:
    assert across(DiskFullError()).retry_after == timedelta(seconds=1)
    assert across(StoreDamagedError()).retry_after is None


def test_an_unforeseen_error_leaves_only_a_reference() -> None:
    fault = fault_of(ValueError("Canary"), new_reference=lambda: "abc")
    assert (fault.code, fault.reference) == ("MQ-INTERNAL", "abc")
    assert "Canary" not in str(to_status(ValueError("Canary")))


def test_a_bad_request_names_fields_up_to_a_limit() -> None:
    error = InvalidRequestError(*((f"field{n}", "rule") for n in range(VIOLATIONS_MAX + 5)))
    remote = across(error)
    assert len(remote.violations) == VIOLATIONS_MAX
    assert remote.violations[0] == ("field0", "rule")


def test_long_texts_are_cut_so_that_a_status_fits_in_its_metadata() -> None:
    error = MithaqError("m", public_message="p" * 5000, fix="f" * 5000)
    status = to_status(error)
    assert len(status.message) == TEXT_LENGTH_MAX
    many = InvalidRequestError(*((f"field{n}", "r" * 5000) for n in range(VIOLATIONS_MAX)))
    assert len(to_status(many).SerializeToString()) < 8000


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (grpc.StatusCode.UNAVAILABLE, "MQ-UNREACHABLE"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "MQ-TIMEOUT"),
        (grpc.StatusCode.UNIMPLEMENTED, "MQ-REMOTE-UNIMPLEMENTED"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "MQ-REMOTE-RESOURCE-EXHAUSTED"),
    ],
)
def test_a_status_without_details_is_still_told(status: grpc.StatusCode, code: str) -> None:
    remote = from_rpc_error(rpc_error(status))
    assert (remote.code, remote.grpc_status) == (code, status)


def test_details_of_another_domain_are_not_taken_for_ours() -> None:
    foreign = status_pb2.Status(code=code_pb2.PERMISSION_DENIED, message="no")
    detail = foreign.details.add()
    detail.Pack(error_details_pb2.ErrorInfo(domain="elsewhere", reason="MQ-FAKE"))
    assert fault_from_status(foreign) is None
    remote = from_rpc_error(rpc_error(grpc.StatusCode.PERMISSION_DENIED, foreign))
    assert remote.code == "MQ-REMOTE-PERMISSION-DENIED"


@pytest.mark.parametrize("details", [b"\xff\xff", b"", b"\x08\x63"])
def test_hostile_details_are_a_plain_status(details: bytes) -> None:
    trailing = grpc.aio.Metadata((STATUS_DETAILS, details))
    error = grpc.aio.AioRpcError(grpc.StatusCode.ABORTED, grpc.aio.Metadata(), trailing)
    assert from_rpc_error(error).code == "MQ-REMOTE-ABORTED"


def test_a_status_of_an_unknown_number_is_a_plain_status() -> None:
    odd = to_status(NotAllowedError())
    odd.code = 99
    assert from_rpc_error(rpc_error(grpc.StatusCode.UNKNOWN, odd)).code == "MQ-REMOTE-UNKNOWN"


def test_a_hostile_peers_text_can_not_steer_a_terminal() -> None:
    remote = across(NotAllowedError(public_message="no\x1b[2J\nyes", fix="\x07" + "f" * 5000))
    assert remote.why == "no\ufffd[2J\ufffdyes"
    assert len(remote.fix) == TEXT_LENGTH_MAX
    assert remote.fix.startswith("\ufffdf")


@pytest.mark.parametrize("code", ["", "mq-x", "MQ-", "MQ-\n", "MQ-" + "X" * 61])
def test_a_code_that_is_none_of_ours_is_not_repeated(code: str) -> None:
    status = to_status(NotAllowedError())
    info = error_details_pb2.ErrorInfo(domain=DOMAIN, reason=code)
    status.details[0].Pack(info)
    assert fault_from_status(status) is None


def test_details_that_do_not_parse_are_a_plain_status() -> None:
    status = to_status(NotAllowedError())
    status.details[0].value = b"\xff"
    assert fault_from_status(status) is None


@pytest.mark.parametrize(
    ("seconds", "wait"),
    [(-1, None), (0, None), (3, timedelta(seconds=3)), (10**11, RETRY_AFTER_MAX)],
)
def test_a_peer_can_not_name_any_wait(seconds: int, wait: timedelta | None) -> None:
    status = to_status(NotAllowedError())
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.seconds = seconds
    status.details.add().Pack(retry)
    fault = fault_from_status(status)
    assert fault is not None
    assert fault.retry_after == wait


def test_an_rpc_error_without_a_status_is_unknown() -> None:
    assert from_rpc_error(grpc.RpcError()).code == "MQ-REMOTE-UNKNOWN"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidRequestError(), ExitCode.USAGE),
        (MithaqError(code="MQ-CONFIG-INVALID"), ExitCode.CONFIGURATION),
        (MithaqError(code="MQ-IDENTITY-UNKNOWN"), ExitCode.IDENTITY),
        (
            MithaqError(code="MQ-ANY", grpc_status=grpc.StatusCode.PERMISSION_DENIED),
            ExitCode.DENIED,
        ),
        (LogMissingError(), ExitCode.NOT_FOUND),
        (from_rpc_error(rpc_error(grpc.StatusCode.UNAVAILABLE)), ExitCode.UNREACHABLE),
        (RootMismatchError("x"), ExitCode.VERIFICATION_FAILED),
        (StoreDamagedError(), ExitCode.VERIFICATION_FAILED),
        (MithaqError(code="MQ-X", grpc_status=grpc.StatusCode.ABORTED), ExitCode.CONFLICT),
        (RuntimeError(), ExitCode.FAILED),
    ],
)
def test_each_kind_of_outcome_has_its_exit_code(error: BaseException, code: ExitCode) -> None:
    assert exit_code_of(error) is code


def test_exit_codes_never_change_their_number() -> None:
    assert [each.value for each in ExitCode] == list(range(10))
