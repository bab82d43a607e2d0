"""The node's settings: who it is, where it listens and keeps things, and its limits.

What all participants must agree on (batch sizes, freshness, catch-up) is not set
here: it stands in the registry's policy. Deadlines between agencies stand in their
agreements.
"""

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field

from mithaq.service.config import ConfigError, Loaded, Section, load

CONFIG_FILE = "node.toml"


class NodeLimits(Section):
    """What one node takes on; each is a bound on memory, disk, work or curiosity."""

    # Reads of one user an hour; beyond, the look is refused and an alarm is raised.
    searches_per_user_per_hour: int = Field(default=600, ge=1, le=100_000)
    shows_per_user_per_hour: int = Field(default=200, ge=1, le=100_000)
    # A system at a border checks every traveller.
    searches_per_system_per_hour: int = Field(default=20_000, ge=1, le=1_000_000)
    shows_per_system_per_hour: int = Field(default=2_000, ge=1, le=1_000_000)
    matches_per_search_max: int = Field(default=20, ge=1, le=100)
    # A list file to import, on disk while it is read.
    import_size_bytes_max: int = Field(default=64 * 1024**2, ge=1024, le=1024**3)
    imports_running_max: int = Field(default=1, ge=1, le=8)
    # DESIGN 7: a registry not heard from for longer closes name searches on foreign
    # persons, where the agreement itself gives no shorter limit.
    staleness_s: float = Field(default=48 * 3600, ge=1, le=30 * 86_400)

    @property
    def staleness(self) -> timedelta:
        """After how long without the registry this node's copy is stale."""
        return timedelta(seconds=self.staleness_s)


class NodeIntervals(Section):
    """How often the node does what it does by itself, in seconds."""

    # Looking for what is overdue or has expired (PROTOCOL 5.5, 5.8, 5.9).
    upkeep_s: float = Field(default=60, ge=0.05, le=60)
    # Signing freeze lists: readers call them overdue after 180 s (PROTOCOL 5.7).
    freeze_s: float = Field(default=60, ge=0.05, le=60)
    # Showing the audit log, if it has grown: at most a second after it did (PROTOCOL 9).
    witness_s: float = Field(default=1, ge=0.05, le=1)
    # Looking whether a reception key is due or spent (PROTOCOL 4.7).
    keys_s: float = Field(default=60, ge=0.05, le=3600)
    # Merging the runs of the lookup index.
    index_merge_s: float = Field(default=2, ge=0.05, le=600)
    # How long running calls may take to end when the node stops.
    stop_grace_s: float = Field(default=5, ge=0, le=60)


class CaseFiles(Section):
    """Whether this bureau keeps what it acted on, where its law lets it (PROTOCOL 5.9)."""

    # Provision of law; empty: nothing is kept once its issuer withdraws it.
    legal_ground: str = Field(default="", max_length=300)
    days: int = Field(default=365, ge=1, le=3650)


class NodeConfig(Section):
    """Settings of a node."""

    federation: str = Field(min_length=3, max_length=100)
    member: str = Field(min_length=4, max_length=34)
    directory: Path
    # host:port of the hub's exchange.
    hub_address: str = Field(min_length=3, max_length=260)
    # host:port of the local API; loopback unless officers sit elsewhere.
    local_listen: str = "127.0.0.1:7450"
    # Port of /metrics, /livez and /readyz on the loopback interface.
    metrics_port: int = Field(default=7451, ge=0, le=65_535)
    # Empty: SQLite in the directory.
    database: str = ""
    # Units of the agency that this node's users belong to; a record may name some.
    units: tuple[str, ...] = ()
    limits: NodeLimits = NodeLimits()
    intervals: NodeIntervals = NodeIntervals()
    case_files: CaseFiles = CaseFiles()

    @property
    def database_url(self) -> str:
        """Where the node keeps its state."""
        return self.database or f"sqlite:///{(self.directory / 'node.db').absolute()}"

    def to_toml(self) -> str:
        """Return the settings that a joining node is given, as node.toml holds them."""
        return (
            f'federation = "{self.federation}"\n'
            f'member = "{self.member}"\n'
            f'hub_address = "{self.hub_address}"\n'
            f'local_listen = "{self.local_listen}"\n'
            f"metrics_port = {self.metrics_port}\n"
        ) + (f'database = "{self.database}"\n' if self.database else "")

    @classmethod
    def read(cls, folder: Path, flags: dict[str, object] | None = None) -> Loaded[Self]:
        """Return the settings of a work folder; raise ConfigError."""
        if not (folder / CONFIG_FILE).exists():
            raise ConfigError(
                f"{folder} has no {CONFIG_FILE}",
                public_message=f"The node in {folder} has not joined yet.",
                fix="Have it approved, then run the same `mithaq node join` again.",
            )
        # The folder is where the file lies: a work folder may be moved.
        given = {"directory": str(folder), **(flags or {})}
        return load(cls, file=folder / CONFIG_FILE, flags=given)
