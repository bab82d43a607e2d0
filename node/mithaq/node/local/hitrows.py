"""The lines of the list of hits: matches that wait, hits that were reported or received.

No line carries personal data. The rule: what is reported is the record; a line only
says that there is one.
"""

from types import MappingProxyType
from typing import Any, Final

from mithaq.v1 import local_pb2, record_pb2

OUTCOMES: Final = MappingProxyType(
    {
        "taken": record_pb2.ACTION_OUTCOME_TAKEN,
        "partly": record_pb2.ACTION_OUTCOME_PARTLY,
        "not_possible": record_pb2.ACTION_OUTCOME_NOT_POSSIBLE,
    }
)
_WORDS: Final = MappingProxyType({number: word for word, number in OUTCOMES.items()})


def hit_row(row: Any) -> local_pb2.HitRow:  # noqa: ANN401 - a row of node_hit
    """Return the line of a hit."""
    return local_pb2.HitRow(
        hit_id=row.hit_id,
        alert_id=row.alert_id,
        alert_version=row.alert_version,
        reporter=row.reporter,
        issuer=row.issuer,
        action_taken=_WORDS.get(row.outcome, ""),
        at_ms=row.at_ms,
        status=row.status,
        match_id=row.match_id,
    )


def match_row(row: Any) -> local_pb2.HitRow:  # noqa: ANN401 - node_match with its record
    """Return the line of a match that nobody has reported."""
    return local_pb2.HitRow(
        alert_id=row.alert_id,
        alert_version=row.version,
        issuer=row.issuer,
        at_ms=row.at_ms,
        status=row.match_status,
        match_id=row.match_id,
    )
