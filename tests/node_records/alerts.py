"""Made-up alerts to change and break, one of each category that `synthetic` knows."""

from collections.abc import Callable
from datetime import UTC, datetime
from random import Random

from mithaq.node.records.errors import RecordError
from mithaq.node.records.model import ParsedRecord, parse_record, serialise
from mithaq.node.records.synthetic import made_up_alert
from mithaq.v1 import record_pb2 as wire

AT = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)


def chance(seed: int = 1) -> Random:
    """Return chance that repeats from run to run."""
    return Random(seed)  # noqa: S311  nothing secret is made with it


def alert(category: str = "ARREST", *, issuer: str = "eg-moi", seed: int = 1) -> ParsedRecord:
    """Return a valid alert."""
    return made_up_alert(chance(seed), category=category, issuer=issuer, at=AT)


def changed(change: Callable[[wire.Alert], object], category: str = "ARREST") -> bytes:
    """Return the bytes of an alert after a change."""
    record = wire.Record()
    record.CopyFrom(alert(category).message)
    change(record.alert)
    return serialise(record)


def refusal(change: Callable[[wire.Alert], object], category: str = "ARREST") -> RecordError:
    """Return the error for an alert after a change, which must be refused."""
    try:
        parse_record(changed(change, category))
    except RecordError as error:
        return error
    raise AssertionError("the alert was not refused")
