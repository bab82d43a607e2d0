"""What the exchange acts with: who we are, our keys, our store, the registry, the clock.

One of these exists per process. The registry grows in the database's writer thread only,
in the transaction that persists the growth, so whatever acts in that thread acts under
one registry from its first line to its last (PROTOCOL 2.5). Clock and chance come from
outside, and nothing here reads them on its own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from mithaq.certs.keys import SigningPair
from mithaq.certs.registry import Registry
from mithaq.ledger.cosignature import Role
from mithaq.node.exchange.receipts import ReceiptSigners
from mithaq.node.exchange.signed_roots import SignedRoots
from mithaq.node.exchange.stream_states import StreamStates
from mithaq.node.lookup.keys import IndexKey
from mithaq.node.sealing.at_rest import Randomness, StorageKey
from mithaq.store.audit import AuditLog
from mithaq.store.engine import Database
from mithaq.store.registry_store import RegistryStore

Clock = Callable[[], datetime]
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class Actor(NamedTuple):
    """Who acts and why, as the audit log keeps it (DESIGN 8)."""

    user: str
    role: str
    purpose: str = ""
    legal_basis: str = ""
    case_reference: str = ""
    justification: str = ""


# Acts that follow from the protocol by themselves: expiry, receipts, late joiners.
SYSTEM: Final = Actor(user="node", role="system")


@dataclass(slots=True)
class Home:
    """One node's own side of the exchange."""

    federation: str
    member: str
    database: Database
    trust: RegistryStore
    audit: AuditLog
    log: SigningPair = field(repr=False)
    receipts: ReceiptSigners = field(repr=False)
    storage: StorageKey = field(repr=False)
    index_key: IndexKey = field(repr=False)
    evidence: Path
    clock: Clock
    random: Randomness = field(repr=False)
    # When we last signed with ML-DSA-44, by stream and role; what the rows say, remembered.
    signed_daily: dict[tuple[int, Role], datetime] = field(
        default_factory=dict[tuple[int, Role], datetime]
    )
    # Own streams of which a reader named refusals of the hub that it has not answered for (5.5);
    # None until the rows were looked at.
    refusals_unanswered: set[int] | None = None
    # States of own streams by their exact bytes: reading one back costs as much as ten rows.
    states: StreamStates = field(default_factory=StreamStates)
    signed_roots: SignedRoots = field(default_factory=SignedRoots)

    @property
    def registry(self) -> Registry:
        """The registry as it is durable here."""
        return self.trust.registry


def milliseconds(at: datetime) -> int:
    """Return an instant as rows keep it."""
    return (at - EPOCH) // _MILLISECOND


def instant(at_ms: int) -> datetime:
    """Return the instant of a row."""
    return EPOCH + at_ms * _MILLISECOND


def seconds(at: datetime) -> int:
    """Return the whole seconds since 1970 at or before an instant."""
    return int(at.timestamp() // 1)
