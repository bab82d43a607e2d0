"""What can be wrong with a record.

One family for the room. `code` is stable; `path` names the field, such as
`alert.person.names[0].mrz`. No message holds a value: a value may be a name.
"""

from typing import ClassVar


class RecordError(Exception):
    """A record does not follow the rules."""

    code: ClassVar[str] = "MQ-RECORD"
    public_message: ClassVar[str] = "The record does not follow the rules."

    def __init__(self, expected: str, *, path: str = "") -> None:
        """Say what was expected, and of which field."""
        self.path = path
        self.expected = expected
        super().__init__(f"{path}: {expected}" if path else expected)


class RecordMalformedError(RecordError):
    """The bytes are not a record as this version writes it."""

    code = "MQ-RECORD-MALFORMED"
    public_message = "The record cannot be read."


class RecordUnknownFieldError(RecordError):
    """The bytes carry a field that this version does not know."""

    code = "MQ-RECORD-UNKNOWN-FIELD"
    public_message = "The record carries a field that is not known here."


class RecordTooLargeError(RecordError):
    """The record is larger than one may be."""

    code = "MQ-RECORD-TOO-LARGE"
    public_message = "The record is too large."


class RecordFieldError(RecordError):
    """A field breaks its own rule."""

    code = "MQ-RECORD-FIELD"
    public_message = "A field of the record is not of its form."


class RecordIdentityError(RecordFieldError):
    """The id of an alert begins with another member than its issuer."""

    code = "MQ-RECORD-IDENTITY"
    public_message = "The id of the record is not one of its issuer's."


class RecordIncompleteError(RecordError):
    """What the category demands at the least is not there (DOMAIN 3.2)."""

    code = "MQ-RECORD-INCOMPLETE"
    public_message = "The record lacks what its category demands."


class RecordCategoryError(RecordError):
    """Subject, action or validity do not belong to the category (DOMAIN 3.1)."""

    code = "MQ-RECORD-CATEGORY"
    public_message = "The record does not fit its category."


class OriginExcludedError(RecordError):
    """The record comes from a system whose data may not leave its own circle."""

    code = "MQ-RECORD-ORIGIN-EXCLUDED"
    public_message = "Records of this origin may not be exchanged here."


class HeaderMismatchError(RecordError):
    """The record is not what its header announced (PROTOCOL 4.5)."""

    code = "MQ-RECORD-HEADER-MISMATCH"
    public_message = "The record is not what its header announced."


class FormError(RecordError):
    """A record as people write it cannot be read."""

    code = "MQ-RECORD-FORM"
    grpc_status: ClassVar[str] = "INVALID_ARGUMENT"
    public_message = "The written form of the record cannot be read."
    fix: ClassVar[str] = "Correct the line named; `examples` has alerts that are of the form."

    @property
    def why(self) -> str:
        """Which field and line, for whoever wrote them; no value."""
        return str(self)


class NameFormError(RecordError):
    """A name cannot be written in the machine-readable form."""

    code = "MQ-RECORD-NAME-FORM"
    public_message = "The name cannot be written in the machine-readable form."
