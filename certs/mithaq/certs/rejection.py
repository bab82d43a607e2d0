"""Turning down what waits: one administrator's signature over exactly that.

To turn down is to narrow, so one administrator is enough (PROTOCOL 2.1); but it is an
administrator's act and not that of whoever may call the registrar. The signature is over
the waiting body's SHA-256, which has a nonce in it: it can't be used again.
"""

from dataclasses import dataclass, field
from typing import Final

from mithaq.certs.errors import SignerUnknownError
from mithaq.certs.keys import PairSignature, SigningPair, verify_pair
from mithaq.certs.registry import Registry
from mithaq.ledger.commitment import lp

_LABEL: Final = b"mithaq/rejection/v1"


@dataclass(frozen=True, slots=True)
class Rejection:
    """Who turns down, and both signatures."""

    administrator: str
    signature: PairSignature = field(repr=False)


def sign_rejection(
    body_hash: bytes, *, federation: str, administrator: str, pair: SigningPair
) -> Rejection:
    """Return an administrator's rejection of the body with this SHA-256."""
    return Rejection(administrator, pair.sign(_message(federation, body_hash)))


def check_rejection(rejection: Rejection, body_hash: bytes, registry: Registry) -> None:
    """Check that an administrator turned down this body.

    Raises:
        SignerUnknownError: there is no such administrator.
        SignatureInvalidError: one of the two signatures doesn't verify.

    """
    key = registry.administrators.get(rejection.administrator)
    if key is None:
        raise SignerUnknownError(f"there is no administrator {rejection.administrator}")
    verify_pair(key, _message(registry.federation, body_hash), rejection.signature)


def _message(federation: str, body_hash: bytes) -> bytes:
    return _LABEL + lp(federation.encode()) + lp(body_hash)
