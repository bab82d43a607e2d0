"""What can be wrong with terms, facts or a draft.

One family for the whole room. ``code`` is stable, ``fix`` says what to do next, and
``public_message`` is all that a peer may learn. A refusal is no error: it is a
Decision (DESIGN 7).
"""

from typing import ClassVar


class AgreementError(Exception):
    """Terms or facts can't be used as they are."""

    code: ClassVar[str] = "MQ-AGREEMENT"
    public_message: ClassVar[str] = "The agreement's data are not of their form."

    def __init__(self, why: str, *, fix: str) -> None:
        super().__init__(f"{why}; {fix}")
        self.why = why
        self.fix = fix


class TermsInvalidError(AgreementError):
    """Terms that contradict themselves or leave their limits."""

    code = "MQ-AGREEMENT-TERMS"

    def __init__(self, why: str, *, fix: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(why, fix=fix)
        # Where in the terms, such as ("clauses", 2, "id").
        self.path = path


class TermsBytesError(AgreementError):
    """Bytes that are not the one canonical form of any terms."""

    code = "MQ-AGREEMENT-BYTES"


class YamlFormError(AgreementError):
    """A draft that says something which terms can't say; `line` counts from 1."""

    code = "MQ-AGREEMENT-YAML"

    def __init__(self, why: str, *, fix: str, line: int) -> None:
        super().__init__(f"line {line}: {why}", fix=fix)
        self.line = line


class FactsInvalidError(AgreementError):
    """Facts outside the vocabulary, or outside their limits."""

    code = "MQ-AGREEMENT-FACTS"
    public_message = "The facts of the record are not of their form."
