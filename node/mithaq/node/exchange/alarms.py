"""Alarms: each once, with a file of the signed messages that prove it (PROTOCOL 6).

The file has the form of `store.evidence`, so that a third party can check it. The one
rule: what is written there was signed by somebody, or is a number; never a record, a key
or anything of a person.
"""

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from mithaq.ledger.names import stream_origin
from mithaq.ledger.tree import HASH_SIZE_BYTES
from mithaq.node.exchange.home import Home, milliseconds
from mithaq.node.tables import AlarmRow
from mithaq.service.logging import declare, logger
from mithaq.store.audit_entry import AuditEntry, Operation
from mithaq.store.evidence import Evidence as EvidenceFile
from mithaq.store.parts import in_parts
from mithaq.store.tables import table_of

ALARM: Final = table_of(AlarmRow)
RAISED: Final = declare("alarm raised", "name", "subject", "evidence")
SUBJECT_LENGTH_MAX: Final = 100
FORK: Final = "fork"
KEY_ELSEWHERE: Final = "key used elsewhere"
REGISTRY_WITHHELD: Final = "registry withheld"
BODY_WITHHELD: Final = "body withheld"
COMMITMENT_MISMATCH: Final = "commitment mismatch"
STALE: Final = "stale: sender or hub"
RECEIPT_OVERDUE: Final = "receipt overdue"
RECEIPT_CONFLICT: Final = "receipt conflict"
REFUSAL_WITHHELD: Final = "refusal withheld"
ERASURE_OVERDUE: Final = "erasure overdue"
CLOCK_SKEW: Final = "clock skew"
WITNESS_CONFLICT: Final = "witness conflict"
AUDIT_SHORTER: Final = "audit shorter than witnessed"

# Bytes are messages, all else facts that they are read by.
Evidence = Mapping[str, bytes | str | int]


def raise_alarm(
    connection: sa.Connection,
    home: Home,
    name: str,
    *,
    subject: str,
    evidence: Evidence,
    stream_id: bytes = b"",
    accused: str = "",
    explanation: str = "",
) -> bool:
    """Raise an alarm unless it stands already; return whether it is new.

    The file is written before the row: a row always has its file.
    """
    subject = subject[:SUBJECT_LENGTH_MAX]
    seen = connection.execute(
        sa.select(ALARM).where(ALARM.c.name == name, ALARM.c.subject == subject)
    ).one_or_none()
    if seen is not None and seen.lifted_at_ms is None:
        return False
    at = home.clock()
    messages = {key: each for key, each in evidence.items() if isinstance(each, bytes) and each}
    facts = {key: each for key, each in evidence.items() if not isinstance(each, bytes)}
    if len(stream_id) != HASH_SIZE_BYTES:
        # A hub may speak of what is no stream: the subject alone says which.
        stream_id = b""
    if stream_id:
        facts["origin"] = stream_origin(home.federation, stream_id)
    file_name = EvidenceFile(
        alarm=name,
        accused=accused,
        at=at,
        explanation=explanation,
        messages=messages,
        stream_id=stream_id,
        facts=facts,
        subject=subject,
        kept_by=home.member,
        registry_size=home.registry.size,
    ).write(home.evidence)
    row = {"at_ms": milliseconds(at), "evidence": file_name, "lifted_at_ms": None}
    if seen is None:
        connection.execute(sa.insert(ALARM), {"name": name, "subject": subject, **row})
    else:
        connection.execute(sa.update(ALARM).where(ALARM.c.alarm_no == seen.alarm_no).values(row))
    entry = AuditEntry(at, "node", "system", Operation.ALARM, outcome=_token(name), subject=subject)
    home.audit.append(connection, [entry])
    logger().warning(RAISED, name=_token(name), subject=subject, evidence=file_name)
    return True


def lift_settled(
    connection: sa.Connection, name: str, *, standing: Collection[str], at: datetime
) -> None:
    """Lift the alarms of a name that stand for what is settled: all but those of `standing`.

    Its row and its file stay; should it come again, it is raised again.
    """
    raised = connection.execute(
        sa.select(ALARM.c.alarm_no, ALARM.c.subject).where(
            ALARM.c.name == name, ALARM.c.lifted_at_ms.is_(None)
        )
    ).all()
    settled = [row.alarm_no for row in raised if row.subject not in standing]
    for part in in_parts(settled):
        connection.execute(
            sa.update(ALARM).where(ALARM.c.alarm_no.in_(part)).values(lifted_at_ms=milliseconds(at))
        )


def _token(name: str) -> str:
    return re.sub(r"[^a-z]+", "-", name)
