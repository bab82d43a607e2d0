"""Founding a federation: the body of its first entry, and its root pin.

The administrators' cards come from where their keys are kept; k of them sign the body
with ``entries.sign_entry``. The leaf's hash is what everyone else pins.
"""

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter

from mithaq.certs.acts import Genesis, Policy, RegistrarIdentity
from mithaq.certs.cards import KeyCard
from mithaq.certs.entries import SignedEntry, SignerRole, draw_up
from mithaq.certs.errors import EnrolmentError
from mithaq.certs.registry import Registry
from mithaq.ledger.tree import leaf_hash


def create_genesis(
    federation: str,
    *,
    administrators: Sequence[KeyCard],
    threshold: int,
    registrar: RegistrarIdentity,
    ca_certificate: bytes,
    at: datetime,
    policy: Policy | None = None,
) -> bytes:
    """Return the exact bytes of a genesis body, ready to be signed by k administrators.

    Raises:
        EnrolmentError: a card proves nothing, or two administrators have one name.
        TrustFormatError: a limit is broken, such as k above the number of administrators.

    """
    for card in administrators:
        card.check(federation=federation, role=SignerRole.ADMINISTRATOR)
    if len({card.name for card in administrators}) != len(administrators):
        raise EnrolmentError("two administrators have the same name")
    act = Genesis(
        policy=policy or Policy(),
        threshold=threshold,
        administrators=tuple(
            each.named_pair for each in sorted(administrators, key=attrgetter("name"))
        ),
        registrar=registrar,
        ca_certificate=ca_certificate,
    )
    return draw_up(act, federation=federation, at=at)


def found(entry: SignedEntry) -> Registry:
    """Return the registry that a signed genesis entry starts, for whoever founds it.

    Only the founder may take the pin from the entry itself; everyone else has it from an
    invitation. Raises what ``Registry.start`` raises.
    """
    leaf = entry.to_bytes()
    return Registry.start(leaf, leaf_hash(leaf))
