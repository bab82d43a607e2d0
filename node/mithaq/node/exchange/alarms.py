"""Alarms: each once, with a file of the signed messages that prove it (PROTOCOL 6).

The file is JSON with bytes in base64, so that a third party can check it without this
program. The one rule: what is written there was signed by somebody, or is a number; never
a record, a key or anything of a person.
"""

import base64
import json
import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from mithaq.node.exchange.home import Home, milliseconds
from mithaq.node.tables import AlarmRow
from mithaq.service.logging import declare, logger
from mithaq.store.audit_entry import AuditEntry, Operation
from mithaq.store.tables import table_of

ALARM: Final = table_of(AlarmRow)
RAISED: Final = declare("alarm raised", "name", "subject", "evidence")
SUBJECT_LENGTH_MAX: Final = 100
FORK: Final = "fork"
KEY_ELSEWHERE: Final = "key used elsewhere"
REGISTRY_WITHHELD: Final = "registry withheld"
BODY_WITHHELD: Final = "body withheld"
STALE: Final = "stale: sender or hub"
RECEIPT_OVERDUE: Final = "receipt overdue"
RECEIPT_CONFLICT: Final = "receipt conflict"
ERASURE_OVERDUE: Final = "erasure overdue"
CLOCK_SKEW: Final = "clock skew"
WITNESS_CONFLICT: Final = "witness conflict"
AUDIT_SHORTER: Final = "audit shorter than witnessed"

Evidence = Mapping[str, bytes | str | int]


def raise_alarm(
    connection: sa.Connection, home: Home, name: str, *, subject: str, evidence: Evidence
) -> bool:
    """Raise an alarm unless this one was raised before; return whether it is new.

    The file is written before the row: a row always has its file.
    """
    subject = subject[:SUBJECT_LENGTH_MAX]
    seen = connection.execute(
        sa.select(ALARM.c.alarm_no).where(ALARM.c.name == name, ALARM.c.subject == subject)
    ).scalar()
    if seen is not None:
        return False
    at = home.clock()
    file_name = write_evidence(home, name, subject=subject, evidence=evidence, at=at)
    connection.execute(
        sa.insert(ALARM),
        {"name": name, "subject": subject, "at_ms": milliseconds(at), "evidence": file_name},
    )
    entry = AuditEntry(at, "node", "system", Operation.ALARM, outcome=_token(name), subject=subject)
    home.audit.append(connection, [entry])
    logger().warning(RAISED, name=_token(name), subject=subject, evidence=file_name)
    return True


def write_evidence(home: Home, name: str, *, subject: str, evidence: Evidence, at: datetime) -> str:
    """Write the file of an alarm and return its name within the folder of evidence."""
    home.evidence.mkdir(parents=True, exist_ok=True, mode=0o700)
    file_name = f"{milliseconds(at)}-{_token(name)}-{home.random(4).hex()}.json"
    content = {
        "alarm": name,
        "subject": subject,
        "at": at.isoformat(),
        "member": home.member,
        "registry_size": home.registry.size,
        "evidence": {key: _plain(value) for key, value in evidence.items()},
    }
    path = home.evidence / file_name
    partial = path.with_suffix(".partial")
    _write_durably(partial, json.dumps(content, indent=1).encode())
    partial.rename(path)
    return file_name


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _plain(value: bytes | str | int) -> str | int:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _token(name: str) -> str:
    return re.sub(r"[^a-z]+", "-", name)
