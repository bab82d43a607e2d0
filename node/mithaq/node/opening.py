"""Opening a work folder for one process: database, registry, audit log, keys.

The rule: one process at a time, and only on a folder and a database of this version.
"""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from mithaq.node.config import NodeConfig
from mithaq.node.exchange.home import Home
from mithaq.node.folder import NodeFolder
from mithaq.node.keyring import Keyring
from mithaq.node.sealing.randomness import BlockRandomness
from mithaq.store.audit import AuditLog
from mithaq.store.engine import Database, open_database
from mithaq.store.migrations import upgrade
from mithaq.store.registry_store import RegistryStore

MIGRATIONS: Final = Path(__file__).parent / "migrations"
# Alembic keeps its context in globals of its module; several nodes may join from one process.
_ONE_AT_A_TIME: Final = threading.Lock()


def utc_now() -> datetime:
    """Return the instant by this machine's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clockwork:
    """Clock and chance, from outside, so that tests can bring their own."""

    now: Callable[[], datetime] = utc_now
    random: Callable[[int], bytes] = field(
        default_factory=lambda: BlockRandomness(secrets.token_bytes)
    )


def open_node_database(config: NodeConfig) -> Database:
    """Open the node's database, keep others out of it, and migrate it.

    Raises:
        StoreInUseError: another process runs on it.
        StoreVersionError: a newer version wrote it; nothing was changed.

    """
    database = open_database(config.database_url, exclusive=True)
    try:
        with _ONE_AT_A_TIME:
            upgrade(database, MIGRATIONS)
    except BaseException:
        database.close()
        raise
    return database


def open_home(config: NodeConfig, database: Database, clockwork: Clockwork) -> Home:
    """Replay the registry and load the keys.

    Raises:
        LogMissingError: the folder was not joined to the end.
        TrustError: the stored registry does not verify.
        KeyMissingError, KeystoreModeError: a key can't be used.

    """
    folder = NodeFolder(config.directory)
    keyring = Keyring.load(folder.keys, folder.credentials)
    pin = bytes.fromhex(folder.genesis.read_text(encoding="ascii").strip())

    def load(connection: sa.Connection) -> tuple[RegistryStore, AuditLog]:
        trust = RegistryStore.load(connection, federation=config.federation, genesis_hash=pin)
        audit = AuditLog.open(connection, federation=config.federation, party=config.member)
        return trust, audit

    trust, audit = database.write_sync(load)
    return Home(
        federation=config.federation,
        member=config.member,
        database=database,
        trust=trust,
        audit=audit,
        log=keyring.log,
        receipts=keyring.receipts,
        storage=keyring.storage,
        index_key=keyring.index,
        evidence=folder.evidence,
        clock=clockwork.now,
        random=clockwork.random,
    )
