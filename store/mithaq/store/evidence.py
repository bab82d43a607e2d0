"""Evidence files: what proves an alarm, in one form at hub and node (PROTOCOL 6).

JSON with each signed message in base64, so that anybody can check it without this program;
`store.evidence_check` is how this one does. The one rule: what is written there was signed
by somebody, or is a number or a name; never a record, a key or anything of a person.
"""

import base64
import binascii
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from mithaq.ledger.names import HUB
from mithaq.store.errors import EvidenceFormatError

VERSION: Final = 2
FILE_SIZE_BYTES_MAX: Final = 16 * 1024 * 1024
Fact = str | int


@dataclass(frozen=True, slots=True)
class Evidence:
    """An alarm, whom it accuses if anybody, and the bytes that prove it by their name.

    `subject` is what it is about, `kept_by` the party that saw it and `registry_size` how
    much of the registry it had then. `facts` are numbers and names that the messages need
    to be read: of a stream its sender, of entries where they begin.
    """

    alarm: str
    accused: str
    at: datetime
    explanation: str
    messages: Mapping[str, bytes]
    stream_id: bytes = b""
    facts: Mapping[str, Fact] = field(default_factory=dict[str, Fact])
    subject: str = ""
    kept_by: str = HUB
    registry_size: int = 0

    def to_json(self) -> bytes:
        """Return the file."""
        return json.dumps(
            {
                "version": VERSION,
                "alarm": self.alarm,
                "accused": self.accused,
                "at": self.at.isoformat(),
                "explanation": self.explanation,
                "facts": dict(self.facts),
                "kept_by": self.kept_by,
                "messages": {
                    name: base64.b64encode(message).decode()
                    for name, message in sorted(self.messages.items())
                },
                "registry_size": self.registry_size,
                "stream_id": self.stream_id.hex(),
                "subject": self.subject,
            },
            indent=1,
            sort_keys=True,
        ).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Evidence":
        """Read a file strictly; nothing in it is believed yet. Raises EvidenceFormatError."""
        if len(data) > FILE_SIZE_BYTES_MAX:
            raise EvidenceFormatError(f"evidence has at most {FILE_SIZE_BYTES_MAX} bytes")
        try:
            content = json.loads(data)
            return cls._of(content)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
            raise EvidenceFormatError(f"not an evidence file: {type(fault).__name__}") from fault

    @classmethod
    def _of(cls, content: Any) -> "Evidence":  # noqa: ANN401 - whatever the file holds
        if content["version"] != VERSION:
            raise EvidenceFormatError(f"evidence of version {VERSION} is expected")
        at = datetime.fromisoformat(_text(content["at"]))
        if at.tzinfo is None:
            raise EvidenceFormatError("an instant without its zone")
        return cls(
            alarm=_text(content["alarm"]),
            accused=_text(content["accused"]),
            at=at,
            explanation=_text(content["explanation"]),
            messages={_text(name): _bytes(each) for name, each in content["messages"].items()},
            stream_id=bytes.fromhex(content["stream_id"]),
            facts={_text(name): _fact(each) for name, each in content["facts"].items()},
            subject=_text(content["subject"]),
            kept_by=_text(content["kept_by"]),
            registry_size=_number(content["registry_size"]),
        )

    @property
    def digest(self) -> bytes:
        """The SHA-256 of what is proved, without the time at which it was seen."""
        state = hashlib.sha256(f"{self.alarm}\n{self.accused}\n{self.subject}\n".encode())
        for name, message in sorted(self.messages.items()):
            state.update(f"{name} {len(message)}\n".encode() + message)
        return state.digest()

    @property
    def file_name(self) -> str:
        """The name of its file in the evidence folder."""
        return f"{re.sub(r'[^a-z]+', '-', self.alarm)}-{self.digest.hex()[:16]}.json"

    def write(self, folder: Path) -> str:
        """Write the file durably, unless it is there, and return its name."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / self.file_name
        if not path.exists():
            partial = path.with_suffix(".partial")
            _write_durably(partial, self.to_json())
            partial.rename(path)
        return self.file_name


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise EvidenceFormatError("a text is expected")
    # JSON can name half a character, which can be neither hashed nor shown.
    value.encode()
    return value


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise EvidenceFormatError("a whole number is expected")
    return value


def _fact(value: object) -> Fact:
    return _text(value) if isinstance(value, str) else _number(value)


def _bytes(value: object) -> bytes:
    try:
        return base64.b64decode(_text(value), validate=True)
    except binascii.Error as fault:
        raise EvidenceFormatError("a message is base64") from fault
