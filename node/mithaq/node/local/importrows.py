"""What was taken from the last edition of a list, and which alerts stand for it.

The row of an entry names its alert before the alert exists; whether it exists, in which
version and until when, only the record's own row says. The rule: what the two rows
disagree about is done again, never assumed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import sqlalchemy as sa

from mithaq.node.exchange.stored import ALERT, RECORD
from mithaq.node.tables import ImportEntryRow, RecordStatus
from mithaq.store.engine import bulk_insert
from mithaq.store.parts import in_parts
from mithaq.store.tables import table_of

IMPORT_ENTRY: Final = table_of(ImportEntryRow)
_NOTHING: Final = b""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the last edition; `stored_version` is 0 where its alert was never issued."""

    reference: str
    content_hash: bytes
    alert_id: str
    version: int
    stored_version: int
    status: str
    expires_at: datetime

    @property
    def is_live(self) -> bool:
        """Whether its alert is live."""
        return self.status == RecordStatus.LIVE.value

    def is_usable(self, *, at: datetime) -> bool:
        """Whether a next version can follow, or a first one that was never issued."""
        return not self.stored_version or (self.is_live and self.expires_at > at)

    def is_settled(self, *, at: datetime, extended_before: timedelta) -> bool:
        """Whether nothing is to be done as long as the entry says the same."""
        if self.stored_version != self.version or not self.version:
            return False
        # What an officer took back by hand is not put back by the same edition.
        return self.expires_at - at > (extended_before if self.is_live else timedelta(0))


Edition = dict[str, Entry]


def load(connection: sa.Connection, list_format: str) -> Edition:
    """Return the entries of the last edition by reference, with their alerts' newest versions."""
    alerts = sa.and_(
        RECORD.c.item_id == IMPORT_ENTRY.c.alert_id,
        RECORD.c.own.is_(True),
        RECORD.c.kind == ALERT,
    )
    rows = connection.execute(
        sa.select(
            IMPORT_ENTRY,
            RECORD.c.version.label("stored_version"),
            RECORD.c.status,
            RECORD.c.expires_at,
        )
        .select_from(IMPORT_ENTRY.outerjoin(RECORD, alerts))
        .where(IMPORT_ENTRY.c.format == list_format)
        # The newest version comes last and stands.
        .order_by(RECORD.c.version)
    )
    return {
        row.reference: Entry(
            reference=row.reference,
            content_hash=row.content_hash,
            alert_id=row.alert_id,
            version=row.version,
            stored_version=row.stored_version or 0,
            status=row.status or "",
            expires_at=datetime.fromtimestamp(row.expires_at or 0, UTC),
        )
        for row in rows
    }


def plan(connection: sa.Connection, list_format: str, alert_ids: Mapping[str, str]) -> None:
    """Note which alert will stand for each entry, before any of them is issued."""
    known = {
        row.reference: row.alert_id
        for part in in_parts(alert_ids)
        for row in connection.execute(
            sa.select(IMPORT_ENTRY.c.reference, IMPORT_ENTRY.c.alert_id).where(
                IMPORT_ENTRY.c.format == list_format,
                IMPORT_ENTRY.c.reference.in_(part),
            )
        )
    }
    fresh = {name: new for name, new in alert_ids.items() if known.get(name) != new}
    forget(connection, list_format=list_format, references=fresh)
    bulk_insert(
        connection,
        IMPORT_ENTRY,
        [
            {
                "format": list_format,
                "reference": name,
                "content_hash": _NOTHING,
                "alert_id": alert_id,
                "version": 0,
            }
            for name, alert_id in fresh.items()
        ],
    )


def settle(
    connection: sa.Connection, list_format: str, taken: Mapping[str, tuple[bytes, int]]
) -> None:
    """Note what was issued: content hash and version by reference."""
    for reference, (content_hash, version) in taken.items():
        connection.execute(
            sa.update(IMPORT_ENTRY)
            .where(IMPORT_ENTRY.c.format == list_format, IMPORT_ENTRY.c.reference == reference)
            .values(content_hash=content_hash, version=version)
        )


def forget(connection: sa.Connection, *, list_format: str, references: Iterable[str]) -> None:
    """Drop the entries of these references."""
    for part in in_parts(references):
        connection.execute(
            sa.delete(IMPORT_ENTRY).where(
                IMPORT_ENTRY.c.format == list_format, IMPORT_ENTRY.c.reference.in_(part)
            )
        )
