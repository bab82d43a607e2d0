"""What the hub refuses outright, and says so.

Everything that is only *denied* (by agreement, registry or quota) keeps its place in the
stream and is answered by a signed refusal, not by an error (PROTOCOL 5.2). The errors
here end a batch, a call or an act. ``alarm`` is the name of PROTOCOL 6 that a fault
raises, ``retryable`` tells a peer that the same bytes may be admitted later.
"""

from typing import ClassVar


class HubError(Exception):
    """The hub can't do what was asked; `str()` is for the hub's own log."""

    code: ClassVar[str] = "MQ-HUB"
    grpc_status: ClassVar[str] = "FAILED_PRECONDITION"
    alarm: ClassVar[str | None] = None
    public_message: ClassVar[str] = "The hub can't do this."
    fix: ClassVar[str] = "See the hub's log for the reason."
    retryable: ClassVar[bool] = False


class BatchFormatError(HubError):
    """A batch is not of its form: sizes, counts or widths contradict each other."""

    code = "MQ-HUB-BATCH"
    grpc_status = "INVALID_ARGUMENT"
    public_message = "The batch is not of its form."
    fix = "Send at most 256 entries and 1 MiB, with one body for each entry that has one."


class StreamUnknownError(HubError):
    """No such stream, or none that the caller may know of: both look the same."""

    code = "MQ-HUB-STREAM-UNKNOWN"
    grpc_status = "NOT_FOUND"
    public_message = "No such stream."
    fix = "A stream begins with its OPEN entry."


class StreamTakenError(HubError):
    """A member writes to a stream that another member opened."""

    code = "MQ-HUB-WRITER"
    grpc_status = "NOT_FOUND"
    alarm = "key used elsewhere"
    # The same words as for a stream that isn't there.
    public_message = StreamUnknownError.public_message
    fix = StreamUnknownError.fix


class OpeningRefusedError(HubError):
    """An OPEN entry asks for a stream that its agreement does not allow."""

    code = "MQ-HUB-OPENING"
    grpc_status = "PERMISSION_DENIED"
    public_message = "This stream may not be opened."
    fix = "Open only streams that an agreement in force provides for."


class SequenceError(HubError):
    """A batch begins after the end of what the hub has."""

    code = "MQ-HUB-SEQUENCE"
    grpc_status = "OUT_OF_RANGE"
    alarm = "sequence gap"
    public_message = "The batch does not follow the last one."
    fix = "List your heads at the hub and send from there."


class RootMismatchError(HubError):
    """The entries do not give the root that the sender signed."""

    code = "MQ-HUB-ROOT-MISMATCH"
    grpc_status = "DATA_LOSS"
    alarm = "root mismatch"
    public_message = "The entries do not give the signed root."
    fix = "Send the exact bytes that were signed."


class StreamForkError(HubError):
    """The sender signed two histories of one stream (PROTOCOL 1.6)."""

    code = "MQ-HUB-FORK"
    grpc_status = "DATA_LOSS"
    alarm = "fork"
    public_message = "The stream contradicts what its owner signed before."
    fix = "Stop the node and find out who else holds its keys."


class BodyMismatchError(HubError):
    """A body is not the one that its header names."""

    code = "MQ-HUB-BODY-MISMATCH"
    grpc_status = "DATA_LOSS"
    alarm = "body mismatch"
    public_message = "A body is not the one that its header names."
    fix = "Send the exact bytes that were sealed."


class RegistryBehindError(HubError):
    """An entry was judged by a registry that the hub has not seen yet (PROTOCOL 2.4)."""

    code = "MQ-HUB-REGISTRY-BEHIND"
    grpc_status = "UNAVAILABLE"
    public_message = "The hub has not replayed the registry so far yet."
    fix = "Send it again in a few seconds."
    retryable = True


class OverloadedError(HubError):
    """The hub has taken as much as it may keep waiting."""

    code = "MQ-HUB-OVERLOADED"
    grpc_status = "RESOURCE_EXHAUSTED"
    public_message = "The hub is busy."
    fix = "Wait as long as it says, then go on."
    retryable = True


class ReceiptRefusedError(HubError):
    """A receipt is not of its form, not signed by its reader, or over nothing that is here."""

    code = "MQ-HUB-RECEIPT"
    grpc_status = "INVALID_ARGUMENT"
    public_message = "The receipt can't be taken."
    fix = "Sign the size and root of a checkpoint that the hub delivered."


class ReceiptConflictError(HubError):
    """A reader signed another root than the stream has at that size (PROTOCOL 5.6)."""

    code = "MQ-HUB-RECEIPT-CONFLICT"
    grpc_status = "DATA_LOSS"
    alarm = "receipt conflict"
    public_message = "The receipt contradicts the stream."
    fix = "Compare the root with the sender over another channel: someone shows two histories."


class FreezeListRefusedError(HubError):
    """A freeze list is not its sender's, is dated ahead, or is older than the last."""

    code = "MQ-HUB-FREEZE"
    grpc_status = "INVALID_ARGUMENT"
    public_message = "The freeze list can't be taken."
    fix = "Sign a newer list."


class RegistryOrderError(HubError):
    """The registrar hands over entries that do not continue the registry."""

    code = "MQ-HUB-ORDER"
    grpc_status = "FAILED_PRECONDITION"
    public_message = "The entries do not continue the registry at the hub."
    fix = "Read the registry size from the answer and send from there."


class EnrolmentRefusedError(HubError):
    """A request to be enrolled is not of its form or comes too often."""

    code = "MQ-HUB-ENROLMENT"
    grpc_status = "INVALID_ARGUMENT"
    public_message = "The request to be enrolled can't be taken."
    fix = "Make a new request from the invitation."


class EnrolmentUnknownError(HubError):
    """Nobody asked to be enrolled with this hash, or it was forgotten."""

    code = "MQ-HUB-ENROLMENT-UNKNOWN"
    grpc_status = "NOT_FOUND"
    public_message = "No such request."
    fix = "Ask to be enrolled again."


class CallerRefusedError(HubError):
    """A principal makes a call that isn't for its kind."""

    code = "MQ-HUB-CALLER"
    grpc_status = "PERMISSION_DENIED"
    public_message = "This certificate may not make this call."
    fix = "Use the certificate that the registry has for this part."


class HubFolderError(HubError):
    """The hub's work folder is not as a command needs it."""

    code = "MQ-HUB-FOLDER"
    public_message = "The work folder is not as this command needs it."
    fix = "Run `mithaq hub init` once, then again with `--approval` and `--root-pin`."

    @property
    def why(self) -> str:
        """What is wrong with which folder, for its operator."""
        return str(self)
