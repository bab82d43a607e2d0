"""Where an agreement stands, as the registry says at some size of its own.

Terms don't change when a party suspends them; the status does. Whoever decides takes
it from the registry that it has itself replayed (PROTOCOL 2.5).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class AgreementState(StrEnum):
    """Stage of an agreement's life."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    ENDED = "ENDED"


@dataclass(frozen=True, slots=True)
class AgreementStatus:
    """The state, who suspended it, who has left, and when winding down is over.

    `wind_down_until` is the first instant that is outside. Where it is None, the end of
    the agreement and its own wind-down period give it. `left` has the same instant for
    each party that has left (ADR 0021).
    """

    state: AgreementState
    suspended_by: frozenset[str] = frozenset()
    wind_down_until: datetime | None = None
    left: Mapping[str, datetime] = field(default_factory=dict[str, datetime], hash=False)


ACTIVE = AgreementStatus(AgreementState.ACTIVE)
