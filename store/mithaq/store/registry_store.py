"""The registry on disk: its leaves, its newest checkpoint, and the highest that was ever seen.

Leaves are stored before they are applied, and applied in memory only once they are
durable, so a crash or a failed transaction never leaves the two apart. At start the
registry is replayed from its leaves; nothing derived is trusted. The rule: a size and
root that were verified once are never gone back on (PROTOCOL 2.3), whoever offers less.
"""

from collections.abc import Sequence
from contextlib import suppress

import sqlalchemy as sa

from mithaq.certs.errors import RegistryForkError, RegistryRolledBackError, TrustError
from mithaq.certs.registry import Applied, Registry
from mithaq.ledger.checkpoint import SignedCheckpoint
from mithaq.ledger.names import registry_origin
from mithaq.ledger.tree import Frontier, leaf_hash
from mithaq.store import log_store
from mithaq.store.engine import after_commit
from mithaq.store.errors import StoreDamagedError


class RegistryStore:
    """One federation's registry, persisted. Its `registry` stays the same object for ever.

    Grows in the database's writer thread only; whoever reads `registry` elsewhere sees
    it before or after a whole batch, never within one.
    """

    __slots__ = ("_log", "registry")

    def __init__(self, registry: Registry, log: int) -> None:
        self.registry = registry
        self._log = log

    @classmethod
    def found(
        cls, connection: sa.Connection, *, genesis_leaf: bytes, genesis_hash: bytes
    ) -> "RegistryStore":
        """Store the genesis entry of a federation and return its registry.

        Raises:
            LogExistsError: this store holds the federation's registry already.
            GenesisMismatchError and its kin: the leaf is not what `Registry.start` takes.

        """
        registry = Registry.start(genesis_leaf, genesis_hash)
        log = log_store.create_log(connection, registry.origin)
        log_store.append(
            connection, log, [genesis_leaf], [leaf_hash(genesis_leaf)], Frontier.empty()
        )
        return cls(registry, log)

    @classmethod
    def load(
        cls, connection: sa.Connection, *, federation: str, genesis_hash: bytes
    ) -> "RegistryStore":
        """Replay the stored registry, every signature anew.

        Raises:
            LogMissingError: this store holds no registry of the federation.
            StoreDamagedError: the leaves don't give the stored root.
            TrustError: a leaf or the stored checkpoint doesn't verify.

        """
        log = log_store.log_no(connection, registry_origin(federation))
        registry: Registry | None = None
        for leaves in log_store.pages_from(connection, log):
            for leaf in leaves:
                if registry is None:
                    registry = Registry.start(leaf, genesis_hash)
                else:
                    registry.apply(leaf)
        stored = log_store.head(connection, log)
        if registry is None or registry.frontier != stored.frontier:
            raise StoreDamagedError(f"{stored.origin}: the entries don't give the stored root")
        if stored.checkpoint is not None:
            registry.observe_checkpoint(stored.checkpoint)
        return cls(registry, log)

    def extend(
        self, connection: sa.Connection, leaves: Sequence[bytes], checkpoint: bytes
    ) -> list[Applied]:
        """Store leaves with the checkpoint that covers exactly them; leaves may be none.

        `registry` grows when the caller's transaction is durable, not before.

        Raises:
            TrustError: what `Registry.extend` refuses; nothing is stored then.
            RegistryForkError: another root than once seen at a size that this reaches.
            RegistryRolledBackError: signed later than the highest seen, for a smaller size.

        """
        grown = self.registry.copy()
        applied = grown.extend(leaves, checkpoint)
        # Under the registrar that these leaves leave in office: they may replace it.
        self._check_highest(connection, grown, grown.verified(checkpoint))
        if leaves:
            hashes = [leaf_hash(leaf) for leaf in leaves]
            state = log_store.head(connection, self._log).state
            before = self.registry.frontier
            log_store.append(connection, self._log, leaves, hashes, before, state=state)
        if grown.checkpoint is not None:
            log_store.set_checkpoint(connection, self._log, grown.checkpoint.note_bytes)

        def adopt() -> None:
            self.registry.extend(leaves, checkpoint)

        after_commit(connection, adopt)
        return applied

    def remember(self, connection: sa.Connection, checkpoint: bytes) -> SignedCheckpoint:
        """Keep a registrar's checkpoint that reaches beyond the leaves that were delivered.

        To be called when `extend` raised RegistryWithheldError: from then on nobody can
        pass off a shorter or another registry (PROTOCOL 2.3, 2.4).

        Raises:
            TrustFormatError, SignatureInvalidError: not this registrar's checkpoint.
            RegistryForkError: another root than once seen at its size.

        """
        signed = self.registry.verified(checkpoint)
        highest = self.highest(connection)
        if highest is not None and highest.checkpoint.size == signed.checkpoint.size:
            check_same_root(highest, signed.checkpoint.root)
        if highest is None or signed.checkpoint.size > highest.checkpoint.size:
            log_store.set_state(connection, self._log, checkpoint)
        return signed

    def highest(self, connection: sa.Connection) -> SignedCheckpoint | None:
        """Return the largest checkpoint of the registrar ever verified, delivered or not."""
        stored = log_store.head(connection, self._log)
        candidates = [self.registry.verified(stored.checkpoint)] if stored.checkpoint else []
        if stored.state:
            # A registrar that was replaced binds nobody to what it never delivered.
            with suppress(TrustError):
                candidates.append(self.registry.verified(stored.state))
        return max(candidates, key=lambda each: each.checkpoint.size, default=None)

    def _check_highest(
        self, connection: sa.Connection, grown: Registry, offered: SignedCheckpoint
    ) -> None:
        highest = self.highest(connection)
        if highest is None:
            return
        size = highest.checkpoint.size
        if grown.size >= size:
            check_same_root(highest, grown.root_at(size))
        elif offered.at > highest.at:
            raise RegistryRolledBackError(
                f"size {offered.checkpoint.size} was signed after size {size}"
            )


def check_same_root(highest: SignedCheckpoint, root: bytes | None) -> None:
    """Raise RegistryForkError unless the registry has the root that was seen at this size."""
    if root != highest.checkpoint.root:
        raise RegistryForkError(
            f"the registrar once signed another root at size {highest.checkpoint.size}"
        )
