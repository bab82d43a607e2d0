"""Who has access to this node: rows, and a view of them that every call asks.

A certificate of the node's own authority names a user; the role is this node's
to give and take. Taking it away holds from the next call on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import grpc
import sqlalchemy as sa

from mithaq.node.local.access import Caller, Role
from mithaq.node.tables import OfficerRow
from mithaq.service.errors import MithaqError
from mithaq.service.identity import PeerUnknownError
from mithaq.store.tables import table_of

if TYPE_CHECKING:
    from datetime import datetime

_OFFICERS: Final = table_of(OfficerRow)


class OfficerExistsError(MithaqError):
    """A user of this name has access already."""

    code = "MQ-CONFLICT-OFFICER"
    public_message = "A user of this name exists already."
    fix = "Choose another name: a name stands for one person for ever, also after its end."
    grpc_status = grpc.StatusCode.ALREADY_EXISTS


class OfficerMissingError(MithaqError):
    """No active user of this name."""

    code = "MQ-OFFICER-MISSING"
    public_message = "No active user has this name."
    fix = "List the users with `mithaq node officer list`."
    grpc_status = grpc.StatusCode.NOT_FOUND


class OfficerBook:
    """The officers of a node, by their certificates."""

    def __init__(self) -> None:
        self._callers: dict[bytes, Caller] = {}

    def load(self, connection: sa.Connection) -> None:
        """Read the active rows; to be called at start and after each change."""
        rows = connection.execute(sa.select(_OFFICERS).where(_OFFICERS.c.active.is_(True)))
        self._callers = {
            row.tls_fingerprint: Caller(row.user, Role(row.role), row.tls_fingerprint)
            for row in rows
        }

    def lookup(self, fingerprint: bytes) -> Caller:
        """Return who has this certificate; raise PeerUnknownError."""
        caller = self._callers.get(fingerprint)
        if caller is None:
            raise PeerUnknownError
        return caller


def add(
    connection: sa.Connection, *, user: str, role: Role, tls_fingerprint: bytes, at: datetime
) -> None:
    """Give access.

    Raises:
        OfficerExistsError: the name was given before; names are never used twice,
            so that an audit entry names one person for ever.

    """
    known = connection.execute(sa.select(_OFFICERS.c.user).where(_OFFICERS.c.user == user)).first()
    if known is not None:
        raise OfficerExistsError(f"user {user} exists")
    connection.execute(
        _OFFICERS.insert().values(
            user=user,
            role=role.value,
            tls_fingerprint=tls_fingerprint,
            active=True,
            added_at_ms=int(at.timestamp() * 1000),
        )
    )


def renew(connection: sa.Connection, *, user: str, role: Role, tls_fingerprint: bytes) -> bool:
    """Give an active user a new certificate for the same role; return whether there is one."""
    changed = connection.execute(
        _OFFICERS.update()
        .where(
            _OFFICERS.c.user == user,
            _OFFICERS.c.role == role.value,
            _OFFICERS.c.active.is_(True),
        )
        .values(tls_fingerprint=tls_fingerprint)
    )
    return changed.rowcount == 1


def remove(connection: sa.Connection, *, user: str) -> None:
    """Take access away; raise OfficerMissingError."""
    changed = connection.execute(
        _OFFICERS.update()
        .where(_OFFICERS.c.user == user, _OFFICERS.c.active.is_(True))
        .values(active=False)
    )
    if changed.rowcount == 0:
        raise OfficerMissingError(f"no active user {user}")


def listed(connection: sa.Connection) -> list[sa.Row[tuple[object, ...]]]:
    """Return all rows, by name."""
    return list(connection.execute(sa.select(_OFFICERS).order_by(_OFFICERS.c.user)))
