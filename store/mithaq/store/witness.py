"""Cosigning other parties' logs: only what continues what was cosigned before.

A witness keeps, for each log, the newest checkpoint that it signed. A new one is
checked against it, kept and cosigned in one transaction (LIMITS), so two requests at
once can't make it sign two histories. The rule: never two roots at one size, and never
a smaller size, under this witness's name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from mithaq.certs.keys import PairPublic
from mithaq.ledger.checkpoint import Checkpoint, open_checkpoint
from mithaq.ledger.cosignature import Cosignature, cosign_ed25519
from mithaq.ledger.errors import ForkError, LedgerError
from mithaq.ledger.keytypes import Signer
from mithaq.ledger.proof import verify_consistency
from mithaq.store.errors import WitnessConflictError
from mithaq.store.statement import Statement
from mithaq.store.tables import LOG_WITNESS

_LAST = Statement(
    sa.select(
        LOG_WITNESS.c.size, LOG_WITNESS.c.root, LOG_WITNESS.c.note, LOG_WITNESS.c.cosignature
    ).where(LOG_WITNESS.c.origin == sa.bindparam("origin"))
)
_CONTINUE = Statement(
    sa.update(LOG_WITNESS)
    .where(
        LOG_WITNESS.c.origin == sa.bindparam("old_origin"),
        LOG_WITNESS.c.size == sa.bindparam("old_size"),
    )
    .values({name: sa.bindparam(name) for name in ("size", "root", "note", "cosignature")})
)


@dataclass(frozen=True, slots=True)
class Witnessed:
    """The newest checkpoint of a log that was cosigned here: its note and our line."""

    checkpoint: Checkpoint
    note: bytes
    cosignature: str


@dataclass(frozen=True, slots=True)
class Continuation:
    """A signed checkpoint, and the proof that it continues the log from `old_size`."""

    note: bytes
    old_size: int
    proof: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class WitnessStore:
    """What one party has cosigned as a log witness; `name` is its key name (PROTOCOL 1.4)."""

    name: str
    signer: Signer

    def last(self, connection: sa.Connection, origin: str) -> Witnessed | None:
        """Return the newest checkpoint of a log that was cosigned here, or None."""
        row = _LAST.run(connection, origin=origin).fetchone()
        if row is None:
            return None
        size, root, note, cosignature = row
        return Witnessed(Checkpoint(origin, size, root), note, cosignature)

    def cosign(
        self,
        connection: sa.Connection,
        offered: Continuation,
        *,
        origin: str,
        owner: PairPublic,
        at: datetime,
    ) -> Cosignature:
        """Check a checkpoint of `origin` against the last one, keep it, and return our cosignature.

        The caller hands the cosignature out after its transaction is durable. The same
        checkpoint again is cosigned again.

        Raises:
            LedgerError: the note is not of its form, or the owner's signatures don't verify.
            WitnessConflictError: `old_size` is not the size last cosigned, or the checkpoint
                is smaller, or its proof doesn't lead there.
            ForkError: another root at the size last cosigned, under the owner's signatures.

        """
        signed = open_checkpoint(
            offered.note,
            origin=origin,
            ed25519_public=owner.ed25519,
            mldsa_public=owner.mldsa44,
        ).checkpoint
        known = self.last(connection, origin)
        check_continues(signed, known, offered)
        cosignature = cosign_ed25519(signed, name=self.name, signer=self.signer, at=at)
        self._keep(connection, Witnessed(signed, offered.note, cosignature.line()), known)
        return cosignature

    def _keep(self, connection: sa.Connection, seen: Witnessed, known: Witnessed | None) -> None:
        values = {
            "size": seen.checkpoint.size,
            "root": seen.checkpoint.root,
            "note": seen.note,
            "cosignature": seen.cosignature,
        }
        if known is None:
            # A second first one collides on the origin: nothing is cosigned twice.
            row = {"origin": seen.checkpoint.origin, **values}
            connection.execute(sa.insert(LOG_WITNESS), row)
            return
        changed = _CONTINUE.run(
            connection,
            old_origin=seen.checkpoint.origin,
            old_size=known.checkpoint.size,
            **values,
        )
        if changed.rowcount != 1:
            raise conflict("another checkpoint was cosigned meanwhile", known)


def check_continues(signed: Checkpoint, known: Witnessed | None, offered: Continuation) -> None:
    """Raise WitnessConflictError or ForkError unless a checkpoint continues the last one seen."""
    if known is None:
        if offered.old_size or offered.proof:
            raise WitnessConflictError(
                "nothing of this log was seen yet", known_size=0, known_note=b""
            )
        return
    last = known.checkpoint
    if signed.size == last.size and signed.root != last.root:
        raise ForkError(f"two roots at size {last.size} of {last.origin}")
    if offered.old_size != last.size or signed.size < last.size:
        raise conflict(f"{last.size} was cosigned, not {offered.old_size}", known)
    if last.size == 0:
        if offered.proof:
            raise conflict("nothing is proven about an empty log", known)
        return
    try:
        verify_consistency(
            old_size=last.size,
            new_size=signed.size,
            old_root=last.root,
            new_root=signed.root,
            proof=offered.proof,
        )
    except LedgerError as fault:
        raise conflict(f"the proof doesn't lead from {last.size}", known) from fault


def conflict(message: str, known: Witnessed) -> WitnessConflictError:
    """Return the error that carries what was cosigned before, as evidence."""
    return WitnessConflictError(message, known_size=known.checkpoint.size, known_note=known.note)
