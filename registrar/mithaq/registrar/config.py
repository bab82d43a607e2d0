"""Settings of a registrar."""

from pathlib import Path
from typing import Self

from pydantic import Field

from mithaq.service.config import Loaded, Section, load

CONFIG_FILE = "registrar.toml"


class RegistrarConfig(Section):
    """What `registrar.toml`, MITHAQ_* and flags may say."""

    federation: str
    directory: Path
    # host:port of the local API; loopback unless administrators sit elsewhere.
    local_listen: str = "127.0.0.1:7446"
    # Port of /metrics, /livez and /readyz on the loopback interface.
    metrics_port: int = 7456
    # Empty: SQLite in the directory.
    database_url: str = ""
    # Seconds between timed checkpoints while nothing happens; at most 60 (PROTOCOL 2.2).
    checkpoint_seconds: float = Field(default=30.0, ge=0.1, le=60.0)

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.directory / 'registrar.db'}"

    @classmethod
    def read(cls, folder: Path) -> Loaded[Self]:
        """Return the settings of a work folder; raise ConfigError."""
        # The folder is where the file lies: a work folder may be moved.
        return load(cls, file=folder / CONFIG_FILE, flags={"directory": str(folder.absolute())})
