"""What is asked of a record's content: reading it and indexing it, without any protocol.

No key, no log, no database: what both ends of an exchange have to do whatever else is made
free, so it bounds what any tuning of the rest can reach. `python -m bench.content` prints
it step by step, in µs of CPU per record, the least of several repeats over batches of 256,
beside protovalidate, which is asked the same of the same records.
"""

import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import protovalidate

from bench.records import Records
from bench.result import Content
from bench.statistics import spread
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
READING: Final = "parse_record"
INDEXING: Final = "index entries"
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
        READING: lambda batch: [parse_record(each.raw) for each in batch],
        "  message": lambda batch: [each.message for each in batch],
        "  message and values": lambda batch: [record_values.read(each.message) for each in batch],
        "  structure": structure,
        "  outline": lambda batch: [outline_of(each.values) for each in batch],
        "  minimum": lambda batch: [check_minimum(each.outline, lasts_days=360) for each in batch],
        "facts": lambda batch: [facts_of(each, agreement=terms, sender=ISSUER) for each in batch],
        "decision": decide,
        INDEXING: lambda batch: entries_of(enumerate(batch), key),
    }


def content_cost() -> Content:
    """Return what reading and indexing take, over all repeats."""
    batches, all_steps = _batches(), steps()
    reading, indexing = (
        spread([_us(all_steps[name], batches) for _ in range(REPEATS)])
        for name in (READING, INDEXING)
    )
    return Content(reading_us=reading, indexing_us=indexing)


def main() -> None:
    """Print the table."""
    batches = _batches()
    for name, step in steps().items():
        best = min(_us(step, batches) for _ in range(REPEATS))
        sys.stdout.write(f"{name:26} {best:6.2f}\n")


def _batches() -> list[list[ParsedRecord]]:
    records = Records.of(ISSUER)
    return [records.make(BATCH_RECORDS) for _ in range(BATCHES)]


def _us(step: Callable[[Batch], object], batches: Sequence[Batch]) -> float:
    """Return the CPU that a step takes, in µs per record."""
    began = time.process_time()
    for batch in batches:
        step(batch)
    return (time.process_time() - began) / (BATCHES * BATCH_RECORDS) * MICROSECONDS


if __name__ == "__main__":
    main()
