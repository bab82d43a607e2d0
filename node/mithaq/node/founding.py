"""The work folder of a node that was approved: certificate, database, first administrator.

Each step is done once however often it is run; `node.toml` comes last, so a folder that
has one is whole. The rule: the registry goes into the database from its pinned genesis
entry, every signature checked again.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from mithaq.certs.authority import IssuedCertificate
from mithaq.ledger.names import registry_origin
from mithaq.node.config import CONFIG_FILE, NodeConfig
from mithaq.node.exchange.home import SYSTEM, Home
from mithaq.node.exchange.reception import keep_key
from mithaq.node.folder import NodeFolder
from mithaq.node.keyring import FIRST_RECEPTION
from mithaq.node.local import officers
from mithaq.node.local.access import Role
from mithaq.node.local.desk import entry_of
from mithaq.node.opening import Clockwork, open_home, open_node_database
from mithaq.service.local_api import LocalApi
from mithaq.service.profile import write_private
from mithaq.service.tls import files_exist
from mithaq.store import log_store
from mithaq.store.audit_entry import Operation
from mithaq.store.registry_store import RegistryStore


@dataclass(frozen=True, slots=True)
class Approval:
    """What came back: the certificate, and the registry that holds the member."""

    certificate_pem: bytes
    ca_certificates: tuple[bytes, ...]
    leaves: Sequence[bytes]
    checkpoint: bytes
    genesis_hash: bytes


def found_node(
    config: NodeConfig, approval: Approval, *, administrator: str, clockwork: Clockwork
) -> Path:
    """Make the work folder whole and return the first administrator's profile."""
    folder = NodeFolder(config.directory)
    _write_certificates(folder, approval)
    api = _local_api(folder, config, at=clockwork.now())
    database = open_node_database(config)
    try:
        database.write_sync(lambda each: _store_registry(each, config, approval))
        home = open_home(config, database, clockwork)
        _keep_reception_key(home, folder)
        profile = _first_administrator(home, config, api, folder, administrator)
    finally:
        database.close()
    write_private(config.directory / CONFIG_FILE, config.to_toml().encode())
    # With it goes the invitation's secret.
    shutil.rmtree(folder.joining, ignore_errors=True)
    return profile


def _write_certificates(folder: NodeFolder, approval: Approval) -> None:
    roots = b"".join(IssuedCertificate(each).pem for each in approval.ca_certificates)
    write_private(folder.tls.chain, approval.certificate_pem)
    write_private(folder.tls.roots, roots)
    write_private(folder.genesis, approval.genesis_hash.hex().encode("ascii"))


def _local_api(folder: NodeFolder, config: NodeConfig, *, at: datetime) -> LocalApi:
    """Return the local API's authority, made anew where it was not made to the end."""
    api = LocalApi(folder.local, config.federation, config.member)
    if not files_exist(api.tls_files()):
        # Nobody holds a certificate of it before the first administrator's row is there.
        shutil.rmtree(folder.local, ignore_errors=True)
        LocalApi.create(folder.local, federation=config.federation, owner=config.member, at=at)
    return api


def _store_registry(connection: sa.Connection, config: NodeConfig, approval: Approval) -> None:
    genesis, *others = approval.leaves
    if log_store.find_log(connection, registry_origin(config.federation)) is not None:
        return
    trust = RegistryStore.found(
        connection, genesis_leaf=genesis, genesis_hash=approval.genesis_hash
    )
    trust.extend(connection, others, approval.checkpoint)


def _keep_reception_key(home: Home, folder: NodeFolder) -> None:
    if not folder.keys.exists(FIRST_RECEPTION):
        return
    key = folder.keys.load_reception(FIRST_RECEPTION)
    home.database.write_sync(lambda each: keep_key(each, home, key, at=home.clock()))
    # Wrapped in the database from here on, so that it can be destroyed with its life.
    folder.keys.destroy(FIRST_RECEPTION)


def _first_administrator(
    home: Home, config: NodeConfig, api: LocalApi, folder: NodeFolder, user: str
) -> Path:
    profile = folder.profiles / user
    if home.database.read_sync(officers.listed):
        return profile
    at = home.clock()
    mark = api.new_profile(profile, user=user, address=config.local_listen, at=at)

    def add(connection: sa.Connection) -> None:
        officers.add(connection, user=user, role=Role.ADMINISTRATOR, tls_fingerprint=mark, at=at)
        subject = f"joined {config.federation}; officer {user} added as {Role.ADMINISTRATOR}"
        entry = entry_of(SYSTEM, Operation.ADMINISTER, at=at, subject=subject)
        home.audit.append(connection, [entry])

    home.database.write_sync(add)
    return profile
