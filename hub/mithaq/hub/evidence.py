"""What proves the hub's alarms, kept in its database and in a file of the work folder.

An alarm without evidence is gossip, so each keeps the very bytes that contradict one
another, in the transaction that saw them; their form is `store.evidence`'s. The rule: the
same contradiction is kept once, however often it is sent, and of one party's in one stream
the first few: whoever signs one can sign others without end, and they prove no more. What a
member did not sign costs even less to make, so of one member it is kept once a day.
"""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from mithaq.hub.tables import EVIDENCE
from mithaq.hub.unsigned import KEY_USED_ELSEWHERE
from mithaq.store.engine import bulk_insert
from mithaq.store.evidence import Evidence

# Of one alarm that accuses one party: in one stream, and in all.
KEPT_PER_STREAM_MAX = 16
KEPT_MAX = 1024
# Of what came by one member's TLS identity and is not signed by it; it is of no stream.
UNSIGNED_EVERY = timedelta(days=1)


def store_evidence(connection: sa.Connection, found: Sequence[Evidence]) -> list[Evidence]:
    """Keep what isn't kept yet, within the caller's transaction, and return it."""
    by_digest = {each.digest: each for each in found}
    if not by_digest:
        return []
    known = sa.select(EVIDENCE.c.digest).where(EVIDENCE.c.digest.in_(list(by_digest)))
    for digest in connection.scalars(known):
        by_digest.pop(digest, None)
    kept: list[Evidence] = []
    for each in by_digest.values():
        if _has_room(connection, each, kept):
            kept.append(each)
    bulk_insert(connection, EVIDENCE, [_row(each) for each in kept])
    return kept


def _has_room(connection: sa.Connection, one: Evidence, fresh: Sequence[Evidence]) -> bool:
    alike = [each for each in fresh if (each.alarm, each.accused) == (one.alarm, one.accused)]
    in_stream = [each for each in alike if each.stream_id == one.stream_id]
    count = sa.select(sa.func.count()).where(
        EVIDENCE.c.alarm == one.alarm, EVIDENCE.c.accused == one.accused
    )
    if one.alarm == KEY_USED_ELSEWHERE and not one.stream_id:
        since = int((one.at - UNSIGNED_EVERY).timestamp())
        lately = count.where(EVIDENCE.c.stream_id == b"", EVIDENCE.c.at > since)
        if connection.scalar(lately):
            return False
    stored = connection.scalar(count) or 0
    stored_in_stream = connection.scalar(count.where(EVIDENCE.c.stream_id == one.stream_id)) or 0
    return (
        stored + len(alike) < KEPT_MAX and stored_in_stream + len(in_stream) < KEPT_PER_STREAM_MAX
    )


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
