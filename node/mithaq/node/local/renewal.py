"""Certificates of the node's own making, renewed before they end.

The local API's server certificate, and those of profiles that this node made and still
holds, such as its first administrator's: without them a node would lock its people out
after 90 days. Users who hold their own key are given a new certificate by an
administrator. The rule: a certificate counts from the commit of its row, and a node
killed in between finds its way back.
"""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from mithaq.certs.tls import (
    IdentityKind,
    SpiffeId,
    csr,
    fingerprint,
    load_certificate,
    tls_key_from_pem,
    to_der,
)
from mithaq.node.exchange.home import SYSTEM
from mithaq.node.folder import NodeFolder
from mithaq.node.local import officers
from mithaq.node.local.access import Caller
from mithaq.node.local.acting import Outcome
from mithaq.node.local.desk import Desk, entry_of
from mithaq.service.identity import PeerUnknownError
from mithaq.service.local_api import ends_soon
from mithaq.service.profile import PROFILE_FILE, write_private
from mithaq.store.audit_entry import Operation

RENEWAL_INTERVAL_S: Final = 12 * 3600.0
_CERTIFICATE: Final = "certificate.pem"
_NEXT: Final = "certificate.next.pem"


async def renew_due(desk: Desk) -> None:
    """Renew what ends soon; raise OSError, StoreError or TrustError where that can't be done."""
    await asyncio.to_thread(desk.authority.renew_server, at=desk.now())
    for folder in await asyncio.to_thread(_profiles, desk):
        await _renew(desk, folder, at=desk.now())


def _profiles(desk: Desk) -> list[Path]:
    profiles = NodeFolder(desk.config.directory).profiles
    return sorted(path.parent for path in profiles.glob(f"*/{PROFILE_FILE}"))


async def _renew(desk: Desk, folder: Path, *, at: datetime) -> None:
    await asyncio.to_thread(settle_next, desk, folder)
    current = await asyncio.to_thread((folder / _CERTIFICATE).read_bytes)
    caller = _caller(desk, current)
    if caller is None or not ends_soon(current, at=at):
        return
    pem, mark = await asyncio.to_thread(_issue, desk, folder, caller, at)
    await asyncio.to_thread(write_private, folder / _NEXT, pem)
    entry = entry_of(
        SYSTEM,
        Operation.ADMINISTER,
        at=at,
        subject=f"certificate of {caller.role} {caller.user} renewed",
    )

    def renew(connection: sa.Connection) -> tuple[Outcome, None]:
        officers.renew(connection, user=caller.user, role=caller.role, tls_fingerprint=mark)
        return Outcome(entry), None

    await desk.act(renew)
    await desk.home.database.read(desk.officers.load)
    await asyncio.to_thread(settle_next, desk, folder)


def _issue(desk: Desk, folder: Path, caller: Caller, at: datetime) -> tuple[bytes, bytes]:
    key = tls_key_from_pem((folder / "key.pem").read_bytes())
    home = desk.home
    identity = SpiffeId(home.federation, IdentityKind.OFFICER, home.member, caller.user)
    issued = desk.authority.issue_user(csr(key, identity), caller.user, at=at)
    return issued.pem, issued.fingerprint


def settle_next(desk: Desk, folder: Path) -> None:
    """Take up the next certificate if its row was committed, and drop it if it was not."""
    path = folder / _NEXT
    if not path.exists():
        return
    if _caller(desk, path.read_bytes()) is not None:
        path.replace(folder / _CERTIFICATE)
    else:
        path.unlink()


def _caller(desk: Desk, pem: bytes) -> Caller | None:
    try:
        return desk.officers.lookup(fingerprint(to_der(load_certificate(pem))))
    except PeerUnknownError:
        return None
