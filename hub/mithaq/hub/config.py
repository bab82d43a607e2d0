"""The hub's settings: where it listens, what it keeps where, and its limits.

Everything has a default but who it is. What all participants must agree on (batch sizes,
freshness, catch-up) isn't set here: it stands in the registry's policy.
"""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from mithaq.hub.window import WINDOW_BYTES_DEFAULT, WINDOW_BYTES_MAX, WINDOW_BYTES_MIN
from mithaq.service.config import Section

CONFIG_FILE = "hub.toml"
DATABASE_FILE = "hub.db"
KEYS_FOLDER = "keys"
EVIDENCE_FOLDER = "evidence"


class HubLimits(Section):
    """What one hub takes on; each is a bound on memory, disk or work."""

    # A reader's unacknowledged bytes, if it asks for more.
    window_bytes_max: int = Field(
        default=WINDOW_BYTES_DEFAULT, ge=WINDOW_BYTES_MIN, le=WINDOW_BYTES_MAX
    )
    # Batches of one connection that wait for their commit.
    batches_in_flight_max: int = Field(default=8, ge=1, le=256)
    # Bodies of one member that wait for readers, and the age of the oldest (PROTOCOL 5.3a).
    backlog_bytes_max: int = Field(default=16 * 1024**3, ge=1024**2)
    backlog_age_days_max: int = Field(default=30, ge=1, le=365)
    # Headers of one member without a stored body (withdrawals, refused entries): so many at
    # once and so many a second; beyond, the sender is asked to wait (PROTOCOL 5.2).
    bare_headers_at_once: int = Field(default=16_384, ge=1, le=1_000_000)
    bare_headers_per_second: int = Field(default=512, ge=1, le=100_000)
    streams_per_member_max: int = Field(default=4096, ge=1, le=65_536)
    submissions_max: int = Field(default=256, ge=1, le=4096)
    submissions_per_member_max: int = Field(default=16, ge=1, le=256)
    enrolments_max: int = Field(default=64, ge=1, le=1024)
    # Requests to be enrolled from all addresses together.
    enrolments_per_minute_max: int = Field(default=12, ge=1, le=600)
    # Requests for a member's next certificate, from all addresses together; one member
    # asks once a minute at most.
    renewals_per_minute_max: int = Field(default=60, ge=1, le=600)
    registry_reads_per_minute_max: int = Field(default=600, ge=1, le=60_000)


class HubIntervals(Section):
    """How often the hub does what it does by itself, in seconds."""

    # PROTOCOL 5.5: receipts go back to the sender at most this often.
    receipts_s: float = Field(default=0.25, ge=0.01, le=10)
    # PROTOCOL 5.6: receipts of the whole audience.
    views_s: float = Field(default=60, ge=0.05, le=600)
    # Deleting what every reader has opened, or what has expired.
    sweep_s: float = Field(default=5, ge=0.05, le=3600)
    # Clearing what was erased from the write-ahead log (SQLite) or the table (PostgreSQL).
    clear_s: float = Field(default=60, ge=0.05, le=3600)
    # Looking for old backlogs, forgetting old decisions.
    prune_s: float = Field(default=60, ge=0.05, le=3600)
    # Signing the hub's own audit log.
    audit_checkpoint_s: float = Field(default=1, ge=0.05, le=60)
    # Looking for what another replica has committed (PostgreSQL only).
    poll_s: float = Field(default=0.5, ge=0.05, le=60)
    # How long a batch waits for the registry that it was judged by (PROTOCOL 2.4).
    registry_wait_s: float = Field(default=5, ge=0, le=60)
    # Looking whether a certificate ends soon, or was approved.
    renewal_s: float = Field(default=300, ge=0.05, le=86_400)
    # How long running calls may take to end when the hub stops.
    stop_grace_s: float = Field(default=5, ge=0, le=60)


class HubConfig(Section):
    """Settings of a hub."""

    federation: str = Field(min_length=3, max_length=100)
    directory: Path
    # Mutual TLS: everything but enrolment.
    listen: str = "0.0.0.0:7443"
    # TLS of the server alone: enrolment and nothing else.
    enrolment_listen: str = "0.0.0.0:7444"
    local_listen: str = "127.0.0.1:7447"
    metrics_port: int = Field(default=7457, ge=0, le=65_535)
    # Empty: SQLite in the work folder.
    database: str = ""
    # More than one hub process on one PostgreSQL database.
    replicas: bool = False
    # With replicas: true in one folder only; its certificate is copied to the others.
    renews_certificate: bool = True
    limits: HubLimits = HubLimits()
    intervals: HubIntervals = HubIntervals()

    @model_validator(mode="after")
    def _check_replicas(self) -> Self:
        if self.replicas and not self.database.startswith("postgresql"):
            raise ValueError("replicas share a PostgreSQL database: set `database`")
        return self

    @property
    def database_url(self) -> str:
        """Where the hub keeps its state."""
        return self.database or f"sqlite:///{(self.directory / DATABASE_FILE).absolute()}"

    @property
    def keys(self) -> Path:
        """The folder of private keys."""
        return self.directory / KEYS_FOLDER

    @property
    def evidence(self) -> Path:
        """The folder of evidence files."""
        return self.directory / EVIDENCE_FOLDER
