"""Making a hub: its keys and request first, then its certificate and the registry so far.

Between the two steps the trust administrators approve the request. Each step may be run
once; a key is never overwritten. The rule: the hub believes an approval only because of the
root pin, which its operator was told over another channel.
"""

from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from mithaq.certs.hub_enrolment import HubApproval, make_hub_request
from mithaq.certs.keys import SigningPair
from mithaq.certs.keystore import Keystore
from mithaq.certs.tls import IdentityKind, SpiffeId, csr, new_tls_key
from mithaq.hub.config import CONFIG_FILE, HubConfig
from mithaq.hub.errors import HubFolderError
from mithaq.hub.work_folder import (
    COSIGNING_KEY,
    LOCAL_OWNER,
    OPERATOR,
    TLS_KEY,
    hub_tls_files,
    load_config,
    local_api,
    open_hub_database,
    pem_chain,
    pin_file,
)
from mithaq.service.profile import write_private
from mithaq.store.registry_store import RegistryStore

REQUEST_FILE = "hub-request"


def init(
    folder: Path,
    *,
    federation: str,
    exchange_address: str,
    enrolment_address: str,
    local_listen: str = "127.0.0.1:7447",
    metrics_port: int = 7457,
    database_url: str = "",
    listen: str = "",
    enrolment_listen: str = "",
    at: datetime,
) -> Path:
    """Make a hub's keys, settings and operator's profile in a new folder; return its request.

    It listens where others are told to reach it unless `listen` says otherwise.

    Raises:
        HubFolderError: the folder holds a hub already.
        TrustError: the federation's name or an address is not of its form.

    """
    if (folder / CONFIG_FILE).exists():
        raise HubFolderError(f"{folder} holds a hub already")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    cosigning, tls_key = SigningPair.generate(), new_tls_key()
    request = make_hub_request(
        federation,
        cosigning=cosigning,
        exchange_address=exchange_address,
        enrolment_address=enrolment_address,
        csr=csr(tls_key, SpiffeId(federation, IdentityKind.HUB)),
        at=at,
    )
    keys = Keystore(folder / "keys")
    keys.create(COSIGNING_KEY, cosigning)
    keys.create(TLS_KEY, tls_key)
    api = local_api(folder, federation).create(
        folder / "local", federation=federation, owner=LOCAL_OWNER, at=at
    )
    api.new_profile(folder / OPERATOR, user=OPERATOR, address=local_listen, at=at)
    settings: dict[str, str | int] = {
        "federation": federation,
        "listen": listen or exchange_address,
        "enrolment_listen": enrolment_listen or enrolment_address,
        "local_listen": local_listen,
        "metrics_port": metrics_port,
        "database": database_url,
    }
    write_private(folder / CONFIG_FILE, _toml(settings))
    write_private(folder / REQUEST_FILE, request)
    return folder / REQUEST_FILE


def complete(folder: Path, approval: bytes, *, root_pin: bytes) -> HubConfig:
    """Take the approval in: certificate, registry and pin; the hub can run then.

    Raises:
        HubFolderError: `init` has not made this folder, or it is complete already.
        TrustError: the approval isn't for this hub, or not of the pinned federation.

    """
    config = load_config(folder).value
    if pin_file(folder).exists():
        raise HubFolderError(f"{folder} is complete already")
    opened = HubApproval.from_bytes(approval)
    cosigning = Keystore(config.keys).load_pair(COSIGNING_KEY)
    registry = opened.open(pinned_root_hash=root_pin, cosigning=cosigning.public)
    if registry.federation != config.federation:
        raise HubFolderError(f"the approval is of {registry.federation}")
    files = hub_tls_files(config)
    write_private(files.chain, pem_chain([opened.certificate]))
    write_private(files.roots, pem_chain(registry.ca_certificates))

    def found(connection: sa.Connection) -> None:
        genesis, *rest = opened.entries
        store = RegistryStore.found(connection, genesis_leaf=genesis, genesis_hash=root_pin)
        store.extend(connection, rest, opened.checkpoint)

    database = open_hub_database(config)
    try:
        database.write_sync(found)
    finally:
        database.close()
    # Last: it marks the folder as complete.
    write_private(pin_file(folder), root_pin.hex().encode() + b"\n")
    return config


def _toml(settings: dict[str, str | int]) -> bytes:
    lines = [
        f"{name} = {value}" if isinstance(value, int) else f'{name} = "{value}"'
        for name, value in settings.items()
        if value != ""
    ]
    return ("\n".join(lines) + "\n").encode()
