"""Where the hub's files lie, and its database brought to this version's tables.

```
hub.toml         settings                     root.pin    the federation's root pin, in hex
keys/            cosigning pair, TLS key      hub.pem     TLS certificate
hub.db           everything else (SQLite)     ca.pem      the federation's CA certificates
local/ operator/ the operator's own API       evidence/   one file for each alarm
```
"""

import ssl
from collections.abc import Iterable
from pathlib import Path

from mithaq.hub.config import CONFIG_FILE, HubConfig
from mithaq.hub.errors import HubFolderError
from mithaq.service.config import Loaded, load
from mithaq.service.local_api import LocalApi
from mithaq.service.profile import write_private
from mithaq.service.tls import TlsFiles
from mithaq.store import migrations
from mithaq.store.engine import Database, open_database

MIGRATIONS = Path(__file__).parent / "migrations"
COSIGNING_KEY = "cosigning"
TLS_KEY = "tls"
# The hub's local authority is named like a member's (see ``service.local_api``).
LOCAL_OWNER = "int-hub"
OPERATOR = "operator"
# The hub appends, erases, and looks at little twice: a larger cache only fills as records come.
WRITER_CACHE_KIB = 8 * 1024


def load_config(folder: Path) -> Loaded[HubConfig]:
    """Return the settings of a hub's folder; raise HubFolderError or ConfigError."""
    file = folder / CONFIG_FILE
    if not file.exists():
        raise HubFolderError(f"{folder} holds no hub")
    return load(HubConfig, file=file, flags={"directory": folder})


def open_hub_database(config: HubConfig) -> Database:
    """Open the hub's database and migrate it; raise StoreError."""
    # Replicas share a PostgreSQL database; otherwise a second hub is a mistake.
    database = open_database(
        config.database_url, exclusive=not config.replicas, writer_cache_kib=WRITER_CACHE_KIB
    )
    try:
        migrations.upgrade(database, MIGRATIONS)
    except BaseException:
        database.close()
        raise
    return database


def hub_tls_files(config: HubConfig) -> TlsFiles:
    """Return where the TLS material of the exchange lies."""
    return TlsFiles(
        private_key=config.keys / f"{TLS_KEY}.key",
        chain=config.directory / "hub.pem",
        roots=config.directory / "ca.pem",
    )


def local_api(folder: Path, federation: str) -> LocalApi:
    """Return the operator's own API."""
    return LocalApi(folder / "local", federation, LOCAL_OWNER)


def pin_file(folder: Path) -> Path:
    """Return the file of the root pin, which is there once the hub is complete."""
    return folder / "root.pin"


def read_pin(folder: Path) -> bytes:
    """Return the root pin; raise HubFolderError where the hub is not complete."""
    try:
        return bytes.fromhex(pin_file(folder).read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        raise HubFolderError(f"{folder} has no root pin: it is not complete") from None


def pem_chain(certificates: Iterable[bytes]) -> bytes:
    """Return certificates in DER as one PEM file."""
    return "".join(ssl.DER_cert_to_PEM_cert(each) for each in certificates).encode()


def keep_roots(config: HubConfig, certificates: Iterable[bytes]) -> None:
    """Bring the file of CA certificates to what the registry says."""
    chain, path = pem_chain(certificates), hub_tls_files(config).roots
    if not path.exists() or path.read_bytes() != chain:
        write_private(path, chain)
