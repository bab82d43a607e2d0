"""Records in rows: what stands sealed at rest, and how a row is named and numbered.

A row's content is `seed(32) ‖ record`: for own records the seed from which the salts of
their disclosures follow, for received ones the salt itself. So nothing that a commitment
could be proved with outlives the row's key (DESIGN 5). The one rule: content is only ever
written sealed, and erasing is the removal of key, body and index keys in one step.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from mithaq.node.exchange.home import Home, milliseconds, seconds
from mithaq.node.records.model import ParsedRecord, RecordKind
from mithaq.node.sealing.at_rest import Randomness, StorageKey
from mithaq.node.tables import RecordRow, RecordStatus
from mithaq.store.parts import in_parts
from mithaq.store.statement import Statement
from mithaq.store.tables import table_of

RECORD: Final = table_of(RecordRow)
SEED_SIZE_BYTES: Final = 32
ALERT: Final = "alert"
HIT: Final = "hit"
FORM: Final = "form"
# An own receipt of erasure, until it has arrived.
ERASURE_RECEIPT: Final = "erasure"
_KINDS: Final = {
    RecordKind.ALERT: ALERT,
    RecordKind.HIT_REPORT: HIT,
    RecordKind.FORM: FORM,
    RecordKind.ERASURE_RECEIPT: ERASURE_RECEIPT,
}
_LAST_NUMBER: Final = Statement(sa.select(sa.func.max(RECORD.c.record_no)))


class Content(NamedTuple):
    """What a row's sealed content holds."""

    seed: bytes
    record: bytes


def kind_of(record: ParsedRecord) -> str:
    """Return the kind of a record's row."""
    return _KINDS[record.kind]


def item_id(record: ParsedRecord) -> str:
    """Return the record's own id: the alert's, the hit's, the form's, or what is answered."""
    if record.kind is RecordKind.HIT_REPORT:
        return record.message.hit_report.hit_id
    if record.kind is RecordKind.FORM:
        return record.message.form.form_id
    if record.kind is RecordKind.ERASURE_RECEIPT:
        place = record.message.erasure_receipt.disclosure
        return f"{place.stream_id.hex()}/{place.sequence}"
    return record.alert_id


def row_name(item: str, version: int, *, own: bool) -> bytes:
    """Return the name that a row's content is bound to."""
    return f"record\x00{item}\x00{version}\x00{int(own)}".encode()


def next_record_no(connection: sa.Connection) -> int:
    """Return the number of the next row; there is one writer."""
    last = _LAST_NUMBER.run(connection).fetchone()
    return (last[0] or 0) + 1 if last else 1


def new_row(
    record: ParsedRecord,
    *,
    record_no: int,
    seed: bytes,
    own: bool,
    agreement_id: str,
    place: tuple[int, int] | None,
    registry_size: int,
    expires_at: int,
    status: RecordStatus,
    home: Home,
    at: datetime,
) -> dict[str, Any]:
    """Return the row of a record, its content sealed; `place` is (log number, sequence)."""
    item = item_id(record)
    version = record.version if record.kind is RecordKind.ALERT else 1
    kept = home.storage.seal(
        seed + record.raw, name=row_name(item, version, own=own), random=home.random
    )
    log_no, sequence = place or (None, None)
    return {
        "record_no": record_no,
        "kind": kind_of(record),
        "item_id": item,
        "alert_id": record.alert_id,
        "version": version,
        "own": own,
        "issuer": record.issuer,
        "agreement_id": agreement_id,
        "category": record.category,
        "subject_type": record.subject_type,
        "status": str(status),
        "log_no": log_no,
        "sequence": sequence,
        "registry_size": registry_size,
        "created_at": seconds(record.created_at),
        "expires_at": expires_at,
        "stored_at_ms": milliseconds(at),
        "retain_ground": None,
        "retain_until": None,
        "wrapped_key": kept.wrapped_key,
        "body": kept.body,
    }


def open_row(row: Any, storage: StorageKey) -> Content:  # noqa: ANN401 - a row of RECORD
    """Return the content of a row.

    Raises:
        ErasedError: it was erased.
        AtRestError: damaged, moved, or under another storage key.

    """
    name = row_name(row.item_id, row.version, own=row.own)
    content = storage.open(wrapped_key=row.wrapped_key, body=row.body, name=name)
    return Content(content[:SEED_SIZE_BYTES], content[SEED_SIZE_BYTES:])


def erase_rows(connection: sa.Connection, numbers: Sequence[int], *, status: RecordStatus) -> None:
    """Destroy key and body of rows; the caller removes what the index holds of them."""
    for part in in_parts(numbers):
        connection.execute(
            sa.update(RECORD)
            .where(RECORD.c.record_no.in_(part))
            .values(wrapped_key=None, body=None, status=str(status))
        )


def set_status(connection: sa.Connection, numbers: Iterable[int], *, status: RecordStatus) -> None:
    """Set what has become of records."""
    for part in in_parts(numbers):
        connection.execute(
            sa.update(RECORD).where(RECORD.c.record_no.in_(part)).values(status=str(status))
        )


def new_seed(random: Randomness) -> bytes:
    """Return the 32 random bytes that a record's salts follow from."""
    return random(SEED_SIZE_BYTES)
