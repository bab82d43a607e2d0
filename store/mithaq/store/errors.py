"""What can go wrong between an act and its durable record.

One family for this boundary. Each error has a stable code, the name of the gRPC
status that carries it to a peer, what the peer may learn and what to do next. A
message of the database is never passed on: it may quote a row.
"""

from typing import ClassVar


class StoreError(Exception):
    """A record could not be written, read or trusted; `str()` is for our own log."""

    code: ClassVar[str] = "MQ-STORE-FAILED"
    grpc_status: ClassVar[str] = "INTERNAL"
    public_message: ClassVar[str] = "The store failed."
    fix: ClassVar[str] = "See this server's log for the reference, then ask its operator."
    retryable: ClassVar[bool] = False
    # The name of PROTOCOL 6 that the fault raises, where it accuses somebody.
    alarm: ClassVar[str | None] = None


class DatabaseUrlError(StoreError):
    """The database address names no database that we can use."""

    code = "MQ-STORE-URL"
    grpc_status = "INVALID_ARGUMENT"
    public_message = "The database address is not usable."
    fix = "Write sqlite:////absolute/path.db or postgresql://user@host/database."


class DiskFullError(StoreError):
    """The disk, the quota or the database's size limit is exhausted; nothing was written."""

    code = "MQ-DISK-FULL"
    grpc_status = "RESOURCE_EXHAUSTED"
    public_message = "The disk is full. Nothing of this act was stored."
    fix = "Free space on the volume of the database, then repeat; nothing is lost."
    retryable = True


class StoreBusyError(StoreError):
    """Another writer held the database for longer than the wait; nothing was written."""

    code = "MQ-STORE-BUSY"
    grpc_status = "UNAVAILABLE"
    public_message = "The store is busy. Nothing of this act was stored."
    fix = "Repeat it. If it stays so, look for a backup or a tool that holds the database."
    retryable = True


class StoreConflictError(StoreError):
    """A row contradicts a stored one, or a rule of its table; nothing was written."""

    code = "MQ-STORE-CONFLICT"
    grpc_status = "ALREADY_EXISTS"
    public_message = "This contradicts what is already stored. Nothing of this act was stored."
    fix = "Look at what is stored; if it is the same thing, it need not be stored again."


class StoreUnreachableError(StoreError):
    """The database server does not answer, or cut the connection."""

    code = "MQ-STORE-UNREACHABLE"
    grpc_status = "UNAVAILABLE"
    public_message = "The database does not answer."
    fix = "Check that the database server runs and that the address and its rights are right."
    retryable = True


class StoreDamagedError(StoreError):
    """The stored bytes contradict each other: a damaged file, or a hand in the database."""

    code = "MQ-STORE-DAMAGED"
    grpc_status = "DATA_LOSS"
    public_message = "Stored records contradict each other."
    fix = "Stop the server, keep the database as evidence, restore the last backup and rejoin."


class StoreInUseError(StoreError):
    """Another process already writes this database."""

    code = "MQ-STORE-IN-USE"
    grpc_status = "FAILED_PRECONDITION"
    public_message = "Another process already uses this work folder."
    fix = "Stop the other process, or give this one a work folder of its own."


class StoreVersionError(StoreError):
    """The database was written by another version of Mithaq than this one can read."""

    code = "MQ-STORE-VERSION"
    grpc_status = "FAILED_PRECONDITION"
    public_message = "The work folder belongs to another version of Mithaq."
    fix = "Run the version that wrote it, or a newer one; it migrates older work folders itself."


class LogMissingError(StoreError):
    """No log with this origin or number is stored here."""

    code = "MQ-LOG-MISSING"
    grpc_status = "NOT_FOUND"
    public_message = "No such log is stored here."
    fix = "Check the log's origin; a stream appears once its OPEN entry is stored."


class LogExistsError(StoreError):
    """A log with this origin is already stored."""

    code = "MQ-LOG-EXISTS"
    grpc_status = "ALREADY_EXISTS"
    public_message = "A log with this origin is already stored."
    fix = "Append to the stored log; a log is created once."


class LogMovedError(StoreError):
    """Someone appended between reading a log's head and writing it; nothing was written."""

    code = "MQ-LOG-MOVED"
    grpc_status = "ABORTED"
    public_message = "The log has grown meanwhile. Nothing of this act was stored."
    fix = "Read the head again and repeat."
    retryable = True


class LogRangeError(StoreError):
    """The range asked for lies outside the log or is too large for one answer."""

    code = "MQ-LOG-RANGE"
    grpc_status = "OUT_OF_RANGE"
    public_message = "The log does not hold the entries asked for."
    fix = "Ask for entries from 0 up to, not including, the log's size."


class AuditFormatError(StoreError):
    """Bytes are not an audit entry in its one spelling, or an entry goes beyond a limit."""

    code = "MQ-AUDIT-FORMAT"
    grpc_status = "INVALID_ARGUMENT"
    public_message = "An audit entry is not of its form."
    fix = "Shorten or correct the field named; entries of another version need that version."


class AuditShortenedError(StoreError):
    """An audit log is shorter than, or another than, what a witness saw of it."""

    code = "MQ-AUDIT-SHORTENED"
    alarm = "audit shorter than witnessed"
    grpc_status = "DATA_LOSS"
    public_message = "The audit log is shorter than what was witnessed."
    fix = "Keep the database as evidence; restore the newer one, or continue under the next origin."


class WitnessConflictError(StoreError):
    """A checkpoint does not continue the last one that was cosigned here.

    `known_size` is the size last cosigned; `known_note` its signed note, which beside
    the refused one shows what is wrong.
    """

    code = "MQ-WITNESS-CONFLICT"
    alarm = "witness conflict"
    grpc_status = "FAILED_PRECONDITION"
    public_message = "The checkpoint does not continue the last one cosigned here."
    fix = "Prove consistency from the size that the witness knows."

    def __init__(self, message: str, *, known_size: int, known_note: bytes) -> None:
        super().__init__(message)
        self.known_size = known_size
        self.known_note = known_note


class EvidenceFormatError(StoreError):
    """A file is no evidence of an alarm, or a message in it lacks what it is read with."""

    code = "MQ-EVIDENCE"
    grpc_status = "INVALID_ARGUMENT"
    public_message = "The file is no evidence of an alarm."
    fix = "Take the file as the hub or the node wrote it."


class BundleInvalidError(StoreError):
    """An audit bundle does not prove what it claims."""

    code = "MQ-AUDIT-BUNDLE"
    grpc_status = "INVALID_ARGUMENT"
    public_message = "The audit bundle does not verify."
    fix = "Ask its owner for a new export, and check which registry the keys were taken from."
