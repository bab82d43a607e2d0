"""What a refusal has to be: the right error, and no trace of the entry."""

import pytest

from mithaq.certs.errors import TrustError
from mithaq.certs.registry import Registry
from mithaq.certs.state import RegistryState
from tests.federation import Federation


def state_of(registry: Registry) -> RegistryState:
    return registry._state  # pyright: ignore[reportPrivateUsage]


def refused(federation: Federation, leaf: bytes, error: type[TrustError], match: str = ".") -> None:
    """Check that a leaf is refused, and that it left no trace."""
    before = federation.registry.copy()
    with pytest.raises(error, match=match):
        federation.registry.apply(leaf)
    assert state_of(federation.registry) == state_of(before)
