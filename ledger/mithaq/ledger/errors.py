"""What can be wrong with a log, a note, a receipt or an entry.

One family for the whole room. ``code`` is stable and may be told to anyone;
``alarm`` is the name of PROTOCOL 6 that the fault raises, where it accuses
somebody. No message holds a key, a plaintext or a record.
"""

from typing import ClassVar


class LedgerError(Exception):
    """Something in a log does not follow the rules."""

    code: ClassVar[str] = "MQ-LEDGER"
    alarm: ClassVar[str | None] = None
    public_message: ClassVar[str] = "The log data does not follow the protocol."


class NameFormatError(LedgerError):
    """A federation, member, party or key name is not of its form."""

    code = "MQ-LEDGER-NAME"
    public_message = "A name in the log data is not of its form."


class TreeFormatError(LedgerError):
    """A frontier, tile or hash is not of its form."""

    code = "MQ-LEDGER-TREE"
    public_message = "The tree hashes are not of their form."


class ProofError(LedgerError):
    """A proof has the wrong shape for the sizes that it claims."""

    code = "MQ-LEDGER-PROOF"
    public_message = "The proof does not fit the sizes that it claims."


class RootMismatchError(LedgerError):
    """The recomputed root is not the root that was signed."""

    code = "MQ-LEDGER-ROOT"
    alarm = "root mismatch"
    public_message = "The entries do not give the signed root."


class NoteFormatError(LedgerError):
    """A note, checkpoint, key or signature line is not of its form."""

    code = "MQ-LEDGER-NOTE"
    public_message = "The signed note is not of its form."


class TimestampError(LedgerError):
    """An instant is not aware, or lies outside what can be signed."""

    code = "MQ-LEDGER-TIME"
    public_message = "The time in the signed data is not of its form."


class PublicKeyError(LedgerError):
    """A public key has not the size of its type, or is one under which anything verifies."""

    code = "MQ-LEDGER-KEY"
    public_message = "A public key is not of its form or proves nothing."


class SignatureMissingError(LedgerError):
    """A signature that the rules demand is not there."""

    code = "MQ-LEDGER-SIGNATURE-MISSING"
    public_message = "A required signature is missing."


class SignatureInvalidError(LedgerError):
    """A signature does not verify under the key that it names."""

    code = "MQ-LEDGER-SIGNATURE-INVALID"
    public_message = "A signature does not verify."


class ForkError(LedgerError):
    """Two histories of one log (PROTOCOL 1.6): two leaves at a sequence, or two roots at a size.

    ``sequence`` is set where two leaves are known, so that evidence can be gathered there.
    """

    code = "MQ-LEDGER-FORK"
    alarm = "fork"
    public_message = "The log contradicts what it said before."

    def __init__(self, message: str, *, sequence: int | None = None) -> None:
        super().__init__(message)
        self.sequence = sequence


class SequenceGapError(LedgerError):
    """An entry does not follow the last one."""

    code = "MQ-LEDGER-SEQUENCE"
    alarm = "sequence gap"
    public_message = "An entry does not follow the last one."


class EntryFormatError(LedgerError):
    """The bytes of an entry are not of their form."""

    code = "MQ-LEDGER-ENTRY"
    public_message = "An entry is not of its form."


class StreamRuleError(LedgerError):
    """An entry may not stand where it stands (PROTOCOL 3)."""

    code = "MQ-LEDGER-STREAM"
    public_message = "An entry may not stand where it stands in its stream."


class CommitmentMismatchError(LedgerError):
    """What was opened is not what the log committed to."""

    code = "MQ-LEDGER-COMMITMENT"
    alarm = "commitment mismatch"
    public_message = "The content is not what the log committed to."


class PaddingError(LedgerError):
    """A plaintext is not padded as PROTOCOL 4.3 says."""

    code = "MQ-LEDGER-PADDING"
    public_message = "The content is not padded as the protocol says."
