"""Names that stand in signed bytes: federations, members, roles, origins.

A name that is signed must have one spelling, so each is checked against its form
before it is put into bytes or believed from them. Whether a name belongs to
anybody is the registry's knowledge, never this module's.
"""

import re
from typing import Final

from mithaq.ledger.errors import NameFormatError
from mithaq.ledger.tree import HASH_SIZE_BYTES

FEDERATION_LENGTH_MIN: Final = 3
FEDERATION_LENGTH_MAX: Final = 100
CODE_LENGTH_MAX: Final = 64
CONTINUATION_MAX: Final = 1_000_000
HUB: Final = "hub"

_LABEL: Final = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_FEDERATION: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_MEMBER: Final = re.compile(r"[a-z]{2,3}-[a-z0-9][a-z0-9-]{0,29}")
_CODE: Final = re.compile(r"[!-~]+")


def check_federation(federation: str) -> None:
    """Raise NameFormatError unless this is like a lower-case DNS name of 3 to 100 letters."""
    fits = FEDERATION_LENGTH_MIN <= len(federation) <= FEDERATION_LENGTH_MAX
    if not fits or not _FEDERATION.fullmatch(federation):
        raise NameFormatError(
            "a federation is named like a DNS name, in lower case, 3 to 100 letters"
        )


def check_member(member: str) -> None:
    """Raise NameFormatError unless this is a member id such as ``eg-moi``."""
    if not _MEMBER.fullmatch(member):
        raise NameFormatError(
            "a member id is a country or organisation code, a hyphen and a short name"
        )


def check_party(party: str) -> None:
    """Raise NameFormatError unless this is a member id or ``hub``."""
    if party != HUB:
        check_member(party)


def check_code(code: str, *, length_max: int = CODE_LENGTH_MAX) -> None:
    """Raise NameFormatError unless this is printable ASCII without spaces, and not too long."""
    if len(code) > length_max or not _CODE.fullmatch(code):
        raise NameFormatError(f"a code is 1 to {length_max} printable ASCII letters without spaces")


def stream_origin(federation: str, stream_id: bytes) -> str:
    """Return the origin of a stream (PROTOCOL 1.2); the id has 32 bytes."""
    check_federation(federation)
    if len(stream_id) != HASH_SIZE_BYTES:
        raise NameFormatError("a stream id has 32 bytes")
    return f"{federation}/stream/{stream_id.hex()}"


def registry_origin(federation: str) -> str:
    """Return the origin of the registry (PROTOCOL 1.2)."""
    check_federation(federation)
    return f"{federation}/registry"


def audit_origin(federation: str, party: str, continuation: int = 1) -> str:
    """Return the origin of a party's audit log; from the second on it is numbered.

    PROTOCOL 1.2 and 1.5; the party is a member id or ``hub``.
    """
    check_federation(federation)
    check_party(party)
    if not 1 <= continuation <= CONTINUATION_MAX:
        raise NameFormatError(
            f"an audit log continues 1 to {CONTINUATION_MAX} times, not {continuation}"
        )
    return f"{federation}/audit/{party}" + (f"/{continuation}" if continuation > 1 else "")
