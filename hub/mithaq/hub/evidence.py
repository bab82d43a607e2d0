"""Alarms and what proves them: signed messages that a third party can check.

An alarm without evidence is gossip, so each keeps the very bytes that contradict one
another, in the transaction that saw them and in a file of the work folder. The same
contradiction is kept once, however often it is sent. The rule: only signed messages,
names and hashes go in; no body and nothing from inside one ever does.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from mithaq.hub.tables import EVIDENCE
from mithaq.store.engine import bulk_insert

EVIDENCE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Evidence:
    """An alarm of PROTOCOL 6, whom it accuses, and the bytes that prove it by their name."""

    alarm: str
    accused: str
    at: datetime
    explanation: str
    messages: Mapping[str, bytes]
    stream_id: bytes = b""

    def to_json(self) -> bytes:
        """Return the file: what it shows, and each message in base64."""
        return json.dumps(
            {
                "version": EVIDENCE_VERSION,
                "alarm": self.alarm,
                "accused": self.accused,
                "at": self.at.isoformat(),
                "stream_id": self.stream_id.hex(),
                "explanation": self.explanation,
                "messages": {
                    name: base64.b64encode(message).decode()
                    for name, message in sorted(self.messages.items())
                },
            },
            indent=1,
            sort_keys=True,
        ).encode()

    @property
    def digest(self) -> bytes:
        """The SHA-256 of what is proved, without the time at which it was seen."""
        state = hashlib.sha256(f"{self.alarm}\n{self.accused}\n".encode())
        for name, message in sorted(self.messages.items()):
            state.update(f"{name} {len(message)}\n".encode() + message)
        return state.digest()

    @property
    def file_name(self) -> str:
        """The name of its file in the evidence folder."""
        return f"{self.alarm.replace(' ', '-').replace(':', '')}-{self.digest.hex()[:16]}.json"


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
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / each.file_name
        if not path.exists():
            path.write_bytes(each.to_json())


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
