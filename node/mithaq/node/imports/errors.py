"""What can be wrong with a list that is read.

`ListError` ends the reading: the file is no list, or not whole. What is wrong with
one entry is an `EntryError`; it becomes a `Fault` of the report and the next entry
is read. No message holds a value of an entry.
"""

from typing import ClassVar


class ListError(Exception):
    """A list cannot be read to its end."""

    code: ClassVar[str] = "MQ-IMPORT"
    public_message: ClassVar[str] = "The list cannot be read."

    def __init__(self, expected: str, *, line: int) -> None:
        """Say what was expected, and at which line of the file."""
        self.line = line
        super().__init__(f"line {line}: {expected}")


class ListMalformedError(ListError):
    """The file is not well-formed, is cut short, or is no list of this kind."""

    code = "MQ-IMPORT-MALFORMED"


class ListForbiddenError(ListError):
    """The file holds a document type, an entity or an instruction."""

    code = "MQ-IMPORT-FORBIDDEN"


class ListTooLargeError(ListError):
    """The file or a part of it exceeds what is read."""

    code = "MQ-IMPORT-TOO-LARGE"


class EntryError(Exception):
    """One entry cannot be taken; `path` is the element, such as `INDIVIDUAL/DATAID`."""

    code: ClassVar[str] = "MQ-IMPORT-ENTRY"

    def __init__(self, expected: str, *, path: str, line: int) -> None:
        """Say what was expected of which element."""
        self.expected = expected
        self.path = path
        self.line = line
        super().__init__(f"{path}: {expected}")
