"""What can go wrong between a sealed body and its record.

No message tells which key was tried or what came out: for a peer, a body that does not
open is a body that does not open.
"""

from typing import ClassVar


class SealingError(Exception):
    """Something could not be sealed or opened."""

    code: ClassVar[str] = "MQ-SEAL"
    alarm: ClassVar[str | None] = None
    grpc_status: ClassVar[str] = "DATA_LOSS"
    public_message: ClassVar[str] = "A body could not be sealed or opened."
    fix: ClassVar[str] = "See the node's log for the reference."


class BodyMismatchError(SealingError):
    """A body is not the one that its header names, or not of its form."""

    code = "MQ-SEAL-BODY"
    alarm = "body mismatch"
    public_message = "A body is not the one that its header names."
    fix = "Ask the sender to compare the evidence file with its own log."


class BodyUnopenableError(SealingError):
    """A body does not open under its epoch's content key."""

    code = "MQ-SEAL-UNOPENABLE"
    alarm = "body mismatch"
    public_message = "A body does not open under its epoch's key."
    fix = "Ask the sender to compare the evidence file with its own log."


class EpochMismatchError(SealingError):
    """An EPOCH body is not of its form, or its secret is not the one committed to."""

    code = "MQ-SEAL-EPOCH"
    alarm = "commitment mismatch"
    public_message = "An epoch's secret is not the one that its header commits to."
    fix = "Ask the sender to begin a new epoch and to compare the evidence file."


class NotAReaderError(SealingError):
    """An EPOCH holds no wrap for this reader's key."""

    code = "MQ-SEAL-NOT-A-READER"
    grpc_status = "PERMISSION_DENIED"
    public_message = "This epoch is not sealed to this reader."
    fix = "Announce a reception key; what is still valid is disclosed anew."


class AtRestError(SealingError):
    """A stored record does not open: damaged, moved to another row, or another storage key."""

    code = "MQ-SEAL-AT-REST"
    public_message = "A stored record does not open."
    fix = "Check that the storage key is the one that this work folder was made with."


class ErasedError(SealingError):
    """The key of a stored record was destroyed: nobody can open it any more."""

    code = "MQ-SEAL-ERASED"
    grpc_status = "NOT_FOUND"
    public_message = "The record was erased."
    fix = "Nothing: an erasure can't be undone."
