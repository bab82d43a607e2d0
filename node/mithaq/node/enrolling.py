"""What a joining agency makes before it asks: keys, cards and the request itself.

No network and no clock here. Everything is made once and found again: a request that was
sent is sent again byte for byte, so that its fate can be asked for after a crash. The
rule: keys of people are written only under a passphrase, and the invitation's secret is
gone when the join is done.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from grpc import StatusCode

from mithaq.certs.acts import LocalizedName
from mithaq.certs.cards import KeyCard
from mithaq.certs.enrolment import make_enrolment_request
from mithaq.certs.invitation import Invitation
from mithaq.certs.keys import Ed25519Key, SigningPair
from mithaq.certs.offline import COST_DEFAULT, OfflineKeystore, Passphrase
from mithaq.certs.tls import (
    IdentityKind,
    SpiffeId,
    csr,
    new_tls_key,
    tls_key_from_pem,
    tls_key_to_pem,
)
from mithaq.node.folder import NodeFolder
from mithaq.node.keyring import enrolment_keys, make_missing
from mithaq.service.errors import MithaqError
from mithaq.service.profile import write_private

DUTY_KEY: Final = "duty"
_INVITATION: Final = "invitation"
_REQUEST: Final = "request"


class JoinConflictError(MithaqError):
    """The folder belongs to another join."""

    code = "MQ-CONFLICT-JOIN"
    public_message = "This folder was begun with another invitation."
    fix = "Use an empty folder, or the invitation that this one was begun with."
    grpc_status = StatusCode.FAILED_PRECONDITION


@dataclass(frozen=True, slots=True)
class Asking:
    """What is asked with: the invitation, and the exact bytes of the request."""

    invitation: Invitation
    request: bytes = field(repr=False)

    @property
    def request_hash(self) -> bytes:
        """By which the request's fate is asked for, and compared with the administrators."""
        return hashlib.sha256(self.request).digest()


@dataclass(frozen=True, slots=True)
class Agency:
    """How an agency presents itself."""

    display_name: str
    country: str
    signatories: Sequence[str]
    # What scrypt takes to open the keys of its people, as a power of two.
    key_cost: int = COST_DEFAULT


def prepare(
    folder: NodeFolder, text: str, agency: Agency, *, passphrase: Passphrase, at: datetime
) -> Asking:
    """Make what is missing of keys and request, and return what to ask with.

    Raises:
        InvitationMistypedError, InvitationExpiredError: the invitation can't be used.
        JoinConflictError: the folder was begun with another one.
        PassphraseError: it does not open the keys of people that are there.

    """
    invitation = Invitation.parse(text)
    folder.prepare()
    folder.joining.mkdir(mode=0o700, exist_ok=True)
    _keep_invitation(folder.joining / _INVITATION, invitation)
    kept = folder.joining / _REQUEST
    if not kept.exists():
        invitation.check(at=at)
        make_missing(folder.keys)
        _make_tls_key(folder.tls.private_key)
        request = _request(folder, invitation, agency, passphrase=passphrase, at=at)
        write_private(kept, request)
    return Asking(invitation, kept.read_bytes())


def _keep_invitation(path: Path, invitation: Invitation) -> None:
    if path.exists():
        if path.read_text(encoding="ascii") != str(invitation):
            raise JoinConflictError
    else:
        write_private(path, str(invitation).encode("ascii"))


def _make_tls_key(path: Path) -> None:
    if not path.exists():
        write_private(path, tls_key_to_pem(new_tls_key()))


def _request(
    folder: NodeFolder,
    invitation: Invitation,
    agency: Agency,
    *,
    passphrase: Passphrase,
    at: datetime,
) -> bytes:
    federation, member = invitation.federation, invitation.member
    people = OfflineKeystore(folder.offline, passphrase=passphrase, cost=agency.key_cost)
    tls_key = tls_key_from_pem(folder.tls.private_key.read_bytes())
    return make_enrolment_request(
        invitation,
        keys=enrolment_keys(folder.keys),
        display_name=LocalizedName(agency.display_name),
        country=agency.country,
        duty=_duty_card(people, federation, member),
        signatories=[
            _signatory_card(people, federation, member, name) for name in agency.signatories
        ],
        csr=csr(tls_key, SpiffeId(federation, IdentityKind.NODE, member)),
        at=at,
    )


def _duty_card(people: OfflineKeystore, federation: str, member: str) -> KeyCard:
    if people.exists(DUTY_KEY):
        return KeyCard.duty(federation, member, people.load_ed25519(DUTY_KEY))
    key = Ed25519Key.generate()
    people.create(DUTY_KEY, key)
    return KeyCard.duty(federation, member, key)


def _signatory_card(people: OfflineKeystore, federation: str, member: str, name: str) -> KeyCard:
    if people.exists(name):
        return KeyCard.signatory(federation, member, name, people.load_pair(name))
    pair = SigningPair.generate()
    people.create(name, pair)
    return KeyCard.signatory(federation, member, name, pair)
