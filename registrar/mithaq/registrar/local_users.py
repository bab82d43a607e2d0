"""Who may call the registrar's local API: profiles, and the list of their certificates.

Each administrator gets a profile for its own machine. What widens needs administrators'
signatures beside it, and their keys are not here. The rule: a certificate counts from
when the list has it, and a list that grew is read without a restart.
"""

from datetime import datetime
from pathlib import Path
from typing import Final

from mithaq.certs.tls import (
    IdentityKind,
    SpiffeId,
    csr,
    fingerprint,
    identity,
    load_certificate,
    tls_key_from_pem,
    to_der,
)
from mithaq.registrar.config import RegistrarConfig
from mithaq.registrar.places import OWNER, Places
from mithaq.service.identity import PeerUnknownError
from mithaq.service.local_api import LocalApi, ends_soon
from mithaq.service.profile import PROFILE_FILE, write_private

_CERTIFICATE: Final = "certificate.pem"
_NEXT: Final = "certificate.next.pem"


class Users:
    """Whose certificates may call the local API."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._known = _listed(places)

    def lookup(self, mark: bytes) -> str:
        """Return who calls; raise PeerUnknownError."""
        if mark not in self._known:
            # A profile may have been made, or renewed, since. Only who holds a certificate
            # of our own authority comes so far, so this is not a stranger's to ask for.
            self._known = _listed(self._places)
        if mark not in self._known:
            raise PeerUnknownError
        return OWNER


def add_user(config: RegistrarConfig, into: Path, *, user: str, at: datetime) -> Path:
    """Make a profile with a key and certificate of its own, and list it; return its folder.

    Raises:
        KeyMissingError: there is no registrar in the folder.
        CertificateIdentityError: no name for a user.

    """
    places = Places(config.directory)
    api = LocalApi(places.local, config.federation, OWNER)
    mark = api.new_profile(into, user=user, address=config.local_listen, at=at)
    _list(places, mark)
    return into


def renew_local(config: RegistrarConfig, *, at: datetime) -> bool:
    """Renew the server's certificate and the profiles in the folder that end soon.

    Returns whether anything was renewed. A profile that was carried away is not reached:
    make another with `mithaq trust profile`.
    """
    places = Places(config.directory)
    api = LocalApi(places.local, config.federation, OWNER)
    renewed = api.renew_server(at=at)
    for file in sorted(places.profiles.glob(f"*/{PROFILE_FILE}")):
        renewed = _renew_profile(places, api, file.parent, at=at) or renewed
    return renewed


def _renew_profile(places: Places, api: LocalApi, folder: Path, *, at: datetime) -> bool:
    current = (folder / _CERTIFICATE).read_bytes()
    if fingerprint(to_der(load_certificate(current))) not in _listed(places):
        return False
    if not ends_soon(current, at=at):
        return False
    user = identity(current).user
    name = SpiffeId(api.federation, IdentityKind.OFFICER, api.owner, user)
    key = tls_key_from_pem((folder / "key.pem").read_bytes())
    issued = api.issue_user(csr(key, name), user, at=at)
    # Listed before it is used; the one before stays listed until it ends by itself.
    _list(places, issued.fingerprint)
    write_private(folder / _NEXT, issued.pem)
    (folder / _NEXT).replace(folder / _CERTIFICATE)
    return True


def _listed(places: Places) -> frozenset[bytes]:
    if not places.users.exists():
        return frozenset()
    lines = places.users.read_text(encoding="ascii").split()
    return frozenset(bytes.fromhex(line) for line in lines)


def _list(places: Places, mark: bytes) -> None:
    lines = sorted(each.hex() for each in _listed(places) | {mark})
    draft = places.users.with_name(".local-users.next")
    write_private(draft, "".join(f"{line}\n" for line in lines).encode("ascii"))
    draft.replace(places.users)
