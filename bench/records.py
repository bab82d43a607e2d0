"""The records that are measured with: made-up alerts of about a kilobyte."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Final

from mithaq.node.records.model import ParsedRecord
from mithaq.node.records.synthetic import made_up_alert
from mithaq.v1 import local_pb2

SEED: Final = 20261122
REQUEST_RECORDS: Final = 256


@dataclass(slots=True)
class Records:
    """Gives records that nobody has seen before, about persons who do not exist."""

    issuer: str
    chance: Random

    @classmethod
    def of(cls, issuer: str) -> "Records":
        """Return the records of an issuer; every run makes the same persons."""
        return cls(issuer, Random(SEED))  # noqa: S311 (which made-up person, no secret)

    def make(self, count: int, *, category: str = "ARREST") -> list[ParsedRecord]:
        """Return so many alerts."""
        at = datetime.now(UTC)
        return [
            made_up_alert(self.chance, category=category, issuer=self.issuer, at=at)
            for _ in range(count)
        ]


def bulk_requests(records: Sequence[ParsedRecord]) -> list[bytes]:
    """Return IssueMany requests, ready to be sent: making them is nobody's cost."""
    return [
        local_pb2.IssueManyRequest(
            items=[
                local_pb2.IssueRequest(record=record.raw)
                for record in records[start : start + REQUEST_RECORDS]
            ]
        ).SerializeToString()
        for start in range(0, len(records), REQUEST_RECORDS)
    ]
