"""What is asked of a record's content, step by step: `python -m bench.content`.

Prints µs of CPU per record, the least of several repeats over batches of 256 as they are
issued and opened. Nothing is stored and nothing sealed; on a busy machine compare the steps
with one another and with protovalidate, which is asked the same of the same records.
"""

import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import protovalidate

from bench.records import Records
from mithaq.agreements.status import ACTIVE
from mithaq.node.exchange.deliberation import Deliberation
from mithaq.node.lookup.keys import IndexKey, entries_of
from mithaq.node.records.facts import facts_of
from mithaq.node.records.minimum import check_minimum
from mithaq.node.records.model import ParsedRecord, parse_record
from mithaq.node.records.outline import outline_of
from mithaq.node.records.structure import check_structure
from mithaq.v1 import record_values
from tests.federation import agreement

BATCH_RECORDS: Final = 256
BATCHES: Final = 4
REPEATS: Final = 15
MICROSECONDS: Final = 1e6
ISSUER: Final = "eg-moi"
READER: Final = "tn-dgsn"
Batch = Sequence[ParsedRecord]


def steps() -> dict[str, Callable[[Batch], object]]:
    """Return what is measured, each over a batch."""
    at, terms, key = datetime.now(UTC), agreement(ISSUER, READER), IndexKey(bytes(32))

    def structure(batch: Batch) -> None:
        for each in batch:
            check_structure(each.values)

    def decide(batch: Batch) -> object:
        one = Deliberation(terms, ACTIVE, ISSUER, at, at)
        return [one.recipient(each, READER) for each in batch]

    return {
        "message and protovalidate": lambda batch: [
            protovalidate.collect_violations(each.message) for each in batch
        ],
        "parse_record": lambda batch: [parse_record(each.raw) for each in batch],
        "  message": lambda batch: [each.message for each in batch],
        "  message and values": lambda batch: [record_values.read(each.message) for each in batch],
        "  structure": structure,
        "  outline": lambda batch: [outline_of(each.values) for each in batch],
        "  minimum": lambda batch: [check_minimum(each.outline, lasts_days=360) for each in batch],
        "facts": lambda batch: [facts_of(each, agreement=terms, sender=ISSUER) for each in batch],
        "decision": decide,
        "index entries": lambda batch: entries_of(enumerate(batch), key),
    }


def main() -> None:
    """Print the table."""
    records = Records.of(ISSUER)
    batches = [records.make(BATCH_RECORDS) for _ in range(BATCHES)]
    for name, step in steps().items():
        best = min(_seconds(step, batches) for _ in range(REPEATS))
        per_record = best / (BATCHES * BATCH_RECORDS) * MICROSECONDS
        sys.stdout.write(f"{name:26} {per_record:6.2f}\n")


def _seconds(step: Callable[[Batch], object], batches: Sequence[Batch]) -> float:
    began = time.process_time()
    for batch in batches:
        step(batch)
    return time.process_time() - began


if __name__ == "__main__":
    main()
