"""What proves the hub's alarms, kept in its database and in a file of the work folder.

An alarm without evidence is gossip, so each keeps the very bytes that contradict one
another, in the transaction that saw them; their form is `store.evidence`'s. The rule: the
same contradiction is kept once, however often it is sent.
"""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from mithaq.hub.tables import EVIDENCE
from mithaq.store.engine import bulk_insert
from mithaq.store.evidence import Evidence


def store_evidence(connection: sa.Connection, found: Sequence[Evidence]) -> list[Evidence]:
    """Keep what isn't kept yet, within the caller's transaction, and return it."""
    by_digest = {each.digest: each for each in found}
    if not by_digest:
        return []
    known = sa.select(EVIDENCE.c.digest).where(EVIDENCE.c.digest.in_(list(by_digest)))
    for digest in connection.scalars(known):
        by_digest.pop(digest, None)
    bulk_insert(connection, EVIDENCE, [_row(each) for each in by_digest.values()])
    return list(by_digest.values())


def write_evidence(folder: Path, found: Sequence[Evidence]) -> None:
    """Write the files; the rows are durable already."""
    for each in found:
        each.write(folder)


def _row(evidence: Evidence) -> dict[str, object]:
    return {
        "digest": evidence.digest,
        "alarm": evidence.alarm,
        "accused": evidence.accused,
        "stream_id": evidence.stream_id,
        "at": int(evidence.at.timestamp()),
        "file": evidence.file_name,
        "evidence": evidence.to_json(),
    }
