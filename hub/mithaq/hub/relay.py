"""The registry at the hub: applied as the registrar orders it, relayed, never vouched for.

Entries carry their own authority and the registrar's checkpoint their order and time, so
the hub adds nothing but its cosignature: that it has them. The rules: an entry that does not
verify is refused whoever brings it; and what narrows is felt at once, because everyone who
waits is woken and live calls are looked at again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from mithaq.certs.errors import RegistryForkError
from mithaq.certs.keys import SigningPair
from mithaq.certs.registry import Applied, Registry
from mithaq.hub.errors import RegistryOrderError
from mithaq.hub.news import News
from mithaq.ledger.cosignature import Role, cosign_ed25519, cosigner_name
from mithaq.ledger.names import HUB, registry_origin
from mithaq.store.engine import Database
from mithaq.store.log_store import log_no, read_leaves
from mithaq.store.registry_store import RegistryStore

LEAVES_PER_PIECE_MAX = 256
PIECE_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class RegistryPiece:
    """Leaves from an index; the last piece carries the registrar's note and our cosignature."""

    first_index: int
    leaves: tuple[bytes, ...]
    checkpoint: bytes = b""
    cosignature: str = ""

    @property
    def end(self) -> int:
        """The registry's size after these leaves."""
        return self.first_index + len(self.leaves)


class RegistryRelay:
    """Holds the hub's registry, extends it and hands it on."""

    def __init__(
        self,
        database: Database,
        store: RegistryStore,
        *,
        keys: SigningPair,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._store = store
        self._keys = keys
        self._clock = clock
        self._cosignature = ""
        # Rung for every new entry and every new checkpoint.
        self.news = News()
        self._cosign()

    @property
    def registry(self) -> Registry:
        """The registry as it is committed."""
        return self._store.registry

    @property
    def cosignature(self) -> str:
        """Our cosignature over the newest checkpoint; empty before the first."""
        return self._cosignature

    async def extend(
        self, first_index: int, leaves: Sequence[bytes], checkpoint: bytes
    ) -> list[Applied]:
        """Apply what the registrar hands over, durably, and wake everybody.

        Raises:
            RegistryOrderError: the leaves begin after the registry's end.
            RegistryForkError: a leaf differs from the one at its index.
            TrustError: a leaf or the checkpoint does not verify; nothing is applied.

        """
        applied = await self._database.write(
            lambda each: self._extend(each, first_index, leaves, checkpoint)
        )
        self._cosign()
        self.news.ring()
        return applied

    async def adopt(self, leaves: Sequence[bytes], checkpoint: bytes) -> None:
        """Take over what another replica has stored, and wake everybody.

        Verified anew; raise TrustError, with nothing applied, if it doesn't hold.
        """
        # In the writer's thread, where the registry grows and nowhere else.
        await self._database.write(lambda _: self.registry.extend(leaves, checkpoint))
        self._cosign()
        self.news.ring()

    async def piece(self, first_index: int) -> RegistryPiece:
        """Return what follows an index, as much as fits one message."""
        size, checkpoint = self.registry.size, self.registry.checkpoint
        end = min(first_index + LEAVES_PER_PIECE_MAX, size)
        leaves: Sequence[bytes] = ()
        if first_index < end:
            origin = registry_origin(self.registry.federation)
            leaves = await self._database.read(
                lambda each: read_leaves(each, log_no(each, origin), first_index, end)
            )
        fitting = _fitting(leaves)
        if first_index + len(fitting) < size or checkpoint is None:
            return RegistryPiece(first_index, fitting)
        if checkpoint.checkpoint.size != size:
            # The registry grew in the writer's thread while we looked; news follows.
            return RegistryPiece(first_index, fitting)
        return RegistryPiece(first_index, fitting, checkpoint.note_bytes, self._cosignature)

    def _extend(
        self, connection: sa.Connection, first: int, leaves: Sequence[bytes], checkpoint: bytes
    ) -> list[Applied]:
        size = self.registry.size
        if first > size:
            raise RegistryOrderError(f"leaves begin at {first}, the registry has {size}")
        known = min(size - first, len(leaves))
        if known:
            log = log_no(connection, self.registry.origin)
            if read_leaves(connection, log, first, first + known) != list(leaves[:known]):
                raise RegistryForkError("the registrar hands over another leaf than before")
        return self._store.extend(connection, leaves[known:], checkpoint)

    def _cosign(self) -> None:
        signed = self.registry.checkpoint
        if signed is not None:
            name = cosigner_name(self.registry.federation, Role.HUB, HUB)
            self._cosignature = cosign_ed25519(
                signed.checkpoint, name=name, signer=self._keys.ed25519, at=self._clock()
            ).line()


def _fitting(leaves: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the first leaves that fit one message; always at least one, if there is any."""
    weight = 0
    for count, leaf in enumerate(leaves):
        weight += len(leaf)
        if weight > PIECE_BYTES_MAX and count:
            return tuple(leaves[:count])
    return tuple(leaves)
