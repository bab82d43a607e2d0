"""The registry on disk: replayed from its leaves, grown only when durable, never gone back on."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from mithaq.certs.acts import RegistrarIdentity, RegistrarReplaced
from mithaq.certs.errors import (
    GenesisMismatchError,
    RegistryForkError,
    RegistryRolledBackError,
    RegistryWithheldError,
    SignatureInvalidError,
)
from mithaq.certs.keys import SigningPair
from mithaq.ledger.checkpoint import Checkpoint, sign_checkpoint
from mithaq.store.engine import Database
from mithaq.store.errors import LogExistsError, LogMissingError, StoreDamagedError
from mithaq.store.pages import pack_leaves
from mithaq.store.registry_store import RegistryStore
from mithaq.store.tables import LOG_PAGE
from tests.federation import Federation, now

MINUTE = timedelta(minutes=1)


@pytest.fixture
def federation() -> Federation:
    founded = Federation.found()
    founded.enrol_hub()
    return founded


def found(database: Database, federation: Federation) -> RegistryStore:
    return database.write_sync(
        lambda c: RegistryStore.found(
            c, genesis_leaf=federation.leaves[0], genesis_hash=federation.pin
        )
    )


def load(database: Database, federation: Federation) -> RegistryStore:
    return database.read_sync(
        lambda c: RegistryStore.load(c, federation=federation.name, genesis_hash=federation.pin)
    )


def extend(database: Database, store: RegistryStore, leaves: list[bytes], note: bytes) -> None:
    database.write_sync(lambda c: store.extend(c, leaves, note))


def highest_size(database: Database, store: RegistryStore) -> int:
    highest = database.read_sync(store.highest)
    return highest.checkpoint.size if highest else 0


class TestEveryRegistryStore:
    """The contract of RegistryStore."""

    def test_a_registry_comes_back_as_it_was(
        self, database: Database, federation: Federation
    ) -> None:
        store = found(database, federation)
        federation.enrol("eg-moi", "tn-dgsn")
        extend(database, store, federation.leaves[1:], federation.checkpoint())
        federation.suspend("tn-dgsn")
        extend(database, store, federation.leaves[4:], federation.checkpoint())
        loaded = load(database, federation).registry
        assert loaded.size == store.registry.size == 5
        assert loaded.root == federation.registry.root
        assert loaded.time == store.registry.time
        assert [each.id for each in loaded.members()] == ["eg-moi", "tn-dgsn"]

    def test_the_registry_of_readers_is_the_same_object_after_growth(
        self, database: Database, federation: Federation
    ) -> None:
        store = found(database, federation)
        registry = store.registry
        extend(database, store, federation.leaves[1:], federation.checkpoint())
        assert registry.size == 2
        assert registry is store.registry

    def test_a_fresh_time_alone_is_kept(self, database: Database, federation: Federation) -> None:
        store, later = found(database, federation), now() + MINUTE
        extend(database, store, federation.leaves[1:], federation.checkpoint())
        extend(database, store, [], federation.checkpoint(at=later))
        assert load(database, federation).registry.time == later

    def test_a_failed_transaction_grows_neither_disk_nor_memory(
        self, database: Database, federation: Federation
    ) -> None:
        store = found(database, federation)

        def fails_late(connection: sa.Connection) -> None:
            store.extend(connection, federation.leaves[1:], federation.checkpoint())
            raise ValueError("stop")

        with pytest.raises(ValueError, match="stop"):
            database.write_sync(fails_late)
        assert store.registry.size == load(database, federation).registry.size == 1
        extend(database, store, federation.leaves[1:], federation.checkpoint())
        assert store.registry.size == 2

    def test_a_refused_leaf_grows_neither_disk_nor_memory(
        self, database: Database, federation: Federation
    ) -> None:
        store = found(database, federation)
        forged = federation.leaves[1][:-1] + bytes([federation.leaves[1][-1] ^ 1])
        with pytest.raises(SignatureInvalidError):
            extend(database, store, [forged], federation.checkpoint())
        assert store.registry.size == load(database, federation).registry.size == 1

    def test_a_store_holds_a_federation_once(
        self, database: Database, federation: Federation
    ) -> None:
        found(database, federation)
        with pytest.raises(LogExistsError):
            found(database, federation)

    def test_a_store_without_the_registry_says_so(
        self, database: Database, federation: Federation
    ) -> None:
        with pytest.raises(LogMissingError):
            load(database, federation)

    def test_another_genesis_than_the_pinned_one_is_refused_at_load(
        self, database: Database, federation: Federation
    ) -> None:
        found(database, federation)
        with pytest.raises(GenesisMismatchError):
            database.read_sync(
                lambda c: RegistryStore.load(c, federation=federation.name, genesis_hash=bytes(32))
            )

    def test_an_edited_leaf_shows_at_load(self, database: Database, federation: Federation) -> None:
        store = found(database, federation)
        federation.enrol("eg-moi")
        extend(database, store, federation.leaves[1:], federation.checkpoint())
        # A whole leaf of the same federation, properly signed, but never ordered.
        other = federation.entry(federation.enrolment_of(federation.new_agency("it-mi")))
        payload = pack_leaves([federation.leaves[1], other])
        database.write_sync(
            lambda c: c.execute(
                sa.update(LOG_PAGE).where(LOG_PAGE.c.start == 1).values(payload=payload)
            )
        )
        with pytest.raises(StoreDamagedError):
            load(database, federation)


class TestAReplacedRegistrar:
    """Administrators put another registrar in office; stores go on under it."""

    def test_the_note_of_the_new_registrar_is_taken_with_the_entry_that_names_it(
        self, database: Database, federation: Federation
    ) -> None:
        store = found(database, federation)
        extend(database, store, federation.leaves[1:], federation.checkpoint())
        old = federation.registrar
        new = SigningPair.generate()
        federation.enter(RegistrarReplaced(RegistrarIdentity(new.public, b"\x05" * 32)))
        federation.registrar = new
        extend(database, store, federation.leaves[2:], federation.checkpoint())
        assert load(database, federation).registry.size == 3
        assert highest_size(database, store) == 3
        federation.registrar = old
        with pytest.raises(SignatureInvalidError):
            extend(database, store, [], federation.checkpoint(at=now() + MINUTE))

    def test_what_the_old_registrar_never_delivered_binds_nobody(
        self, database: Database, federation: Federation
    ) -> None:
        store = found(database, federation)
        withheld = federation.checkpoint()
        database.write_sync(lambda c: store.remember(c, withheld))
        assert highest_size(database, store) == 2
        new = SigningPair.generate()
        federation.enter(RegistrarReplaced(RegistrarIdentity(new.public, b"\x05" * 32)))
        federation.registrar = new
        extend(database, store, federation.leaves[1:], federation.checkpoint())
        assert highest_size(database, store) == 3


class TestNeverGoingBack:
    """PROTOCOL 2.3: the highest verified size and root."""

    def test_entries_that_are_withheld_are_remembered(
        self, database: Database, federation: Federation
    ) -> None:
        store = found(database, federation)
        federation.enrol("eg-moi")
        ahead = federation.checkpoint()
        with pytest.raises(RegistryWithheldError):
            extend(database, store, federation.leaves[1:2], ahead)
        assert highest_size(database, store) == 0
        database.write_sync(lambda c: store.remember(c, ahead))
        assert highest_size(database, load(database, federation)) == 3

    def test_a_later_time_for_less_than_was_seen_is_a_rollback(
        self, database: Database, federation: Federation
    ) -> None:
        store = found(database, federation)
        federation.enrol("eg-moi")
        ahead = federation.checkpoint()
        database.write_sync(lambda c: store.remember(c, ahead))
        shorter = federation.checkpoint(size=2, at=now() + MINUTE)
        with pytest.raises(RegistryRolledBackError):
            extend(database, store, federation.leaves[1:2], shorter)
        # Signed before it, the shorter one is only on its way there.
        earlier = federation.checkpoint(size=2, at=now() - MINUTE)
        extend(database, store, federation.leaves[1:2], earlier)
        extend(database, store, federation.leaves[2:], ahead)
        assert store.registry.size == 3

    def test_another_root_than_was_seen_is_a_fork(
        self, database: Database, federation: Federation
    ) -> None:
        store = found(database, federation)
        ahead = other_root(federation, size=2)
        database.write_sync(lambda c: store.remember(c, ahead))
        with pytest.raises(RegistryForkError):
            extend(database, store, federation.leaves[1:], federation.checkpoint())
        with pytest.raises(RegistryForkError):
            database.write_sync(lambda c: store.remember(c, federation.checkpoint()))
        assert store.registry.size == 1

    def test_a_smaller_checkpoint_does_not_replace_the_highest(
        self, database: Database, federation: Federation
    ) -> None:
        store = found(database, federation)
        federation.enrol("eg-moi")
        database.write_sync(lambda c: store.remember(c, federation.checkpoint()))
        database.write_sync(lambda c: store.remember(c, federation.checkpoint(size=2)))
        assert highest_size(database, store) == 3

    def test_growing_keeps_what_was_seen_beyond(
        self, database: Database, federation: Federation
    ) -> None:
        store = found(database, federation)
        federation.enrol("eg-moi")
        database.write_sync(lambda c: store.remember(c, federation.checkpoint()))
        extend(
            database,
            store,
            federation.leaves[1:2],
            federation.checkpoint(size=2, at=now() - MINUTE),
        )
        assert highest_size(database, store) == 3


def other_root(federation: Federation, *, size: int) -> bytes:
    """Return a checkpoint that a registrar signs who shows others another registry."""
    return sign_checkpoint(
        Checkpoint(federation.registry.origin, size, bytes(32)),
        ed25519=federation.registrar.ed25519,
        mldsa=federation.registrar.mldsa,
        at=now(),
    )
