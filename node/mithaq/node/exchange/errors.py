"""What can go wrong in the exchange, on either side of the hub.

`alarm` is the name of PROTOCOL 6 that a fault raises. No message holds a record, a key
or anything of a person; streams are named by the beginning of their id.
"""

from collections import Counter
from collections.abc import Iterable
from typing import ClassVar


class ExchangeError(Exception):
    """An act of the exchange did not happen; `str()` is for our own log."""

    code: ClassVar[str] = "MQ-EXCH"
    alarm: ClassVar[str | None] = None
    grpc_status: ClassVar[str] = "FAILED_PRECONDITION"
    public_message: ClassVar[str] = "This could not be exchanged."
    fix: ClassVar[str] = "See the node's log for the reason."
    retryable: ClassVar[bool] = False


# --- what an officer may be told ----------------------------------------------------


class DeniedByAgreementError(ExchangeError):
    """No agreement in force allows the disclosure that was asked for."""

    code = "MQ-AGR-DENIED"
    grpc_status = "PERMISSION_DENIED"
    public_message = "No agreement in force allows this disclosure."
    fix = "Ask `mithaq agreement explain` which clause stands in the way."


class AgreementUnknownError(ExchangeError):
    """The agreement named is not one that this member is party to."""

    code = "MQ-EXCH-AGREEMENT-UNKNOWN"
    grpc_status = "NOT_FOUND"
    public_message = "This agency is party to no such agreement."
    fix = "List the agreements with `mithaq agreement list`."


class NoStreamError(ExchangeError):
    """No stream has exactly the recipients that were asked for (PROTOCOL 3.2)."""

    code = "MQ-EXCH-NO-STREAM"
    public_message = "There is no stream to exactly these recipients."
    fix = "Name recipients that an agreement's clauses name together, or one at a time."


class AlertUnknownError(ExchangeError):
    """No live alert of ours has this id."""

    code = "MQ-EXCH-ALERT-UNKNOWN"
    grpc_status = "NOT_FOUND"
    public_message = "This agency has no such live alert."
    fix = "List own alerts with `mithaq alert list`."


class AlertVersionError(ExchangeError):
    """An update is not the next version, or a new alert is not the first."""

    code = "MQ-EXCH-ALERT-VERSION"
    grpc_status = "ABORTED"
    public_message = "The alert has another version meanwhile."
    fix = "Show the alert, then update its newest version."


class AlertExistsError(ExchangeError):
    """An alert of this id was issued already."""

    code = "MQ-EXCH-ALERT-EXISTS"
    grpc_status = "ALREADY_EXISTS"
    public_message = "An alert with this id exists already."
    fix = "Leave the id out: the node gives a new one."


class NotOurAlertError(ExchangeError):
    """The record names another issuer than this member (PROTOCOL 3.6)."""

    code = "MQ-EXCH-ISSUER"
    grpc_status = "INVALID_ARGUMENT"
    public_message = "The record names another agency as its issuer."
    fix = "Issue alerts in the name of this agency only."


class RegistryStaleError(ExchangeError):
    """The registry's signed time is older than the policy allows (PROTOCOL 2.6)."""

    code = "MQ-EXCH-REGISTRY-STALE"
    grpc_status = "UNAVAILABLE"
    public_message = "The registry is stale: nothing new is published or opened."
    fix = "Check the connection to the hub; what is held can still be searched."
    retryable = True


class SigningHaltedError(ExchangeError):
    """Somebody else may hold this node's log key, so it signs nothing (PROTOCOL 1.5)."""

    code = "MQ-EXCH-SIGNING-HALTED"
    alarm = "key used elsewhere"
    public_message = "This node's log key may be in use elsewhere: it signs nothing."
    fix = "Read the evidence of the alarm, then have the key revoked and enrol anew."


class HeadsUnknownError(ExchangeError):
    """Since its start this node has not asked the hub where its own streams stand (1.5)."""

    code = "MQ-EXCH-HEADS-UNKNOWN"
    grpc_status = "UNAVAILABLE"
    public_message = "The node was restarted and has not reached the hub yet, so it signs nothing."
    fix = "Check the connection to the hub; what is held can be searched meanwhile."
    retryable = True


class OutboxFullError(ExchangeError):
    """More acts wait than the outbox takes."""

    code = "MQ-EXCH-OUTBOX-FULL"
    grpc_status = "RESOURCE_EXHAUSTED"
    public_message = "Too many acts wait."
    fix = "Wait a moment and repeat; nothing of this act was stored."
    retryable = True


# --- what accuses somebody ----------------------------------------------------------


class ProofRefusedError(ExchangeError):
    """What came from the hub does not prove what it should."""

    code = "MQ-EXCH-PROOF"
    grpc_status = "DATA_LOSS"
    public_message = "What came does not prove what it should."
    fix = "Read the evidence file and ask the hub's operator."


class BodyWithheldError(ProofRefusedError):
    """A body was left out without what PROTOCOL 5.4 demands."""

    code = "MQ-EXCH-BODY-WITHHELD"
    alarm = "body withheld"


class BodyOrderError(ProofRefusedError):
    """Bodies came out of order, twice, or for entries that have none."""

    code = "MQ-EXCH-BODY-ORDER"
    alarm = "body mismatch"


class AcceptanceMissingError(ProofRefusedError):
    """Headers came without the hub's cosignature over them (PROTOCOL 5.3, 6).

    The hub's receipt is over something else than its sender signed, or is nobody's.
    """

    code = "MQ-EXCH-ACCEPTANCE"
    alarm = "receipt conflict"


class HeadersUnsignedError(ProofRefusedError):
    """Headers came whose root the stream's sender has not signed (PROTOCOL 1.3, 6)."""

    code = "MQ-EXCH-UNSIGNED"
    alarm = "root mismatch"


class NotInAudienceError(ProofRefusedError):
    """A stream was delivered that does not name this member."""

    code = "MQ-EXCH-AUDIENCE"
    alarm = "outside agreement"


class SenderUnknownError(ProofRefusedError):
    """A stream's sender or a receipt's signer is not in the registry."""

    code = "MQ-EXCH-SENDER"
    alarm = "unknown member"


class StreamUnknownError(ProofRefusedError):
    """Something names a stream that this node does not have."""

    code = "MQ-EXCH-STREAM"


class ReceiptConflictError(ProofRefusedError):
    """A reader signed another root than the stream has at that size (PROTOCOL 5.6)."""

    code = "MQ-EXCH-RECEIPT-CONFLICT"
    alarm = "receipt conflict"


class RefusalWithheldError(ProofRefusedError):
    """A reader's receipt names refusals that the hub has not handed on (PROTOCOL 5.5)."""

    code = "MQ-EXCH-REFUSAL-WITHHELD"
    alarm = "refusal withheld"


class RefusalsTooManyError(ProofRefusedError):
    """Somebody signs more lists of refusals than a stream has entries to refuse."""

    code = "MQ-EXCH-REFUSALS"


class RegistryBehindError(ExchangeError):
    """Entries were judged by a registry that this node has not replayed yet (PROTOCOL 2.4)."""

    code = "MQ-EXCH-REGISTRY-BEHIND"
    grpc_status = "UNAVAILABLE"
    public_message = "The registry has not been replayed so far yet."
    fix = "Nothing: it is repeated when the registry has come."
    retryable = True


class HeadersBehindError(ExchangeError):
    """Bodies refer to headers that are still on their way."""

    code = "MQ-EXCH-HEADERS-BEHIND"
    grpc_status = "UNAVAILABLE"
    public_message = "The headers have not come so far yet."
    fix = "Nothing: it is repeated when they have come."
    retryable = True


class ReceptionKeyLostError(ExchangeError):
    """The newest reception key that this member announced is not in its store (PROTOCOL 4.7)."""

    code = "MQ-EXCH-RECEPTION-KEY-LOST"
    grpc_status = "UNAVAILABLE"
    public_message = "This node's newest reception key is lost: it opens nothing new."
    fix = "Nothing: another key is announced, and what was missed is disclosed anew."
    retryable = True


class OutOfStepError(ExchangeError):
    """The hub is at another place of a stream than this node thought."""

    code = "MQ-EXCH-OUT-OF-STEP"
    grpc_status = "ABORTED"
    public_message = "The hub is at another place of a stream."
    fix = "Nothing: the connection is made anew and the heads are compared."
    retryable = True


class DrainedError(ExchangeError):
    """The hub is about to stop and asks to come back later."""

    code = "MQ-EXCH-DRAINED"
    grpc_status = "UNAVAILABLE"
    public_message = "The hub is about to stop."
    fix = "Nothing: the node comes back by itself."
    retryable = True

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__(f"come back in {retry_after_ms} ms")
        self.retry_after_s = retry_after_ms / 1000


class StreamsFailedError(ExchangeError):
    """Streams were given up on this connection; the next one asks for them again."""

    code = "MQ-EXCH-STREAMS-FAILED"
    grpc_status = "DATA_LOSS"
    public_message = "Some streams could not be received."
    fix = "Read the evidence of the alarms; the node asks the hub again by itself."
    retryable = True


def counted(faults: Iterable[Exception]) -> list[tuple[str, int]]:
    """Return how often each code is among faults: a peer makes as many of them as it likes."""
    return sorted(Counter(str(getattr(fault, "code", "")) for fault in faults).items())
