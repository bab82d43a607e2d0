"""How an error ends: a code, why, what to do, and an exit code.

An error that carries a stable `code` is shown by it. Any other exception is a
fault of ours: its type is shown and nothing that it says, since that could
hold personal data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_DENIED = 5
EXIT_VERIFICATION = 8
EXIT_INTERRUPTED = 130

# What a person typed for a field of a request.
OPTIONS: Final = {
    "grounds.purpose": "--purpose",
    "grounds.case_reference": "--case",
    "grounds.justification": "--justification",
    "grounds.legal_basis": "--legal-basis",
    "document_number": "--document",
    "issuing_state": "--state",
    "name": "--name",
    "date_of_birth": "--born",
    "operation": "--operation",
    "alert_id": "ALERT_ID",
    "match_id": "MATCH_ID",
    "hit_id": "HIT_ID",
}

# For whoever mends the program: a traceback may hold what an error message may not.
TRACEBACK_VARIABLE = "MITHAQ_DEBUG_TRACEBACK"


@dataclass(frozen=True, slots=True)
class _Shown:
    code: str
    message: str
    why: str
    fix: str
    exit_code: int


class CliError(Exception):
    """Something that the caller can mend."""

    def __init__(self, code: str, message: str, *, why: str = "", fix: str = "") -> None:
        """Say what was wrong, why, and what to do; the code gives the exit code."""
        super().__init__(message)
        self.code = code
        self.why = why
        self.fix = fix


def describe(error: BaseException) -> tuple[str, int]:
    """Return the lines for standard error, and the exit code."""
    shown = _shown(error)
    lines = [f"error[{shown.code}]: {shown.message}"]
    lines += [f"  why: {why}" for why in (shown.why, *_faulty_fields(error)) if why]
    if shown.fix:
        lines.append(f"  fix: {shown.fix}")
    return "\n".join(lines), shown.exit_code


def _faulty_fields(error: BaseException) -> list[str]:
    """Return each field that broke a rule, by the option that gave it (google.rpc BadRequest)."""
    violations: Iterable[tuple[str, str]] = getattr(error, "violations", ())
    return [f"{OPTIONS.get(field, field)}: {rule}" for field, rule in violations]


def _shown(error: BaseException) -> _Shown:
    code = getattr(error, "code", None)
    if not isinstance(code, str):
        return _Shown(
            "MQ-INTERNAL",
            f"an unexpected {type(error).__name__}",
            "this is a fault in the program",
            f"run again with {TRACEBACK_VARIABLE}=1 and report it",
            EXIT_FAILED,
        )
    # Imported here: only an error needs to know gRPC's status codes.
    from mithaq.service.exit_codes import exit_code_of

    message = str(getattr(error, "public_message", "") or error)
    why = str(getattr(error, "why", "") or "")
    return _Shown(
        code,
        message,
        "" if why == message else why,
        str(getattr(error, "fix", "") or ""),
        int(exit_code_of(error)),
    )
