"""What lands on a registrar's desk: requests, entries and rejections, made and signed here."""

from datetime import timedelta

from mithaq.certs import acts
from mithaq.certs.acts import LocalizedName, NarrowingReason
from mithaq.certs.cards import KeyCard
from mithaq.certs.enrolment import NodeKeys, make_enrolment_request
from mithaq.certs.entries import (
    EntrySigner,
    SignedEntry,
    body_hash,
    draw_up,
    sign_agreement,
    sign_entry,
)
from mithaq.certs.invitation import Invitation
from mithaq.certs.keys import Ed25519Key, MlDsa44Key, ReceptionKey, SigningPair
from mithaq.certs.registrar import (
    RegistrarLog,
)
from mithaq.certs.registrar_state import (
    PendingItem,
)
from mithaq.certs.rejection import Rejection, sign_rejection
from mithaq.certs.tls import IdentityKind, SpiffeId, csr, new_tls_key
from tests.federation import Federation, agreement, now

AT = now()
SECOND = timedelta(seconds=1)
WEEK = timedelta(days=7)
REASON = NarrowingReason.ADMINISTRATIVE


# By public key: the log knows no private ones.
ADMINISTRATORS: dict[bytes, SigningPair] = {}


def invited(log: RegistrarLog, member: str = "it-mi") -> Invitation:
    invitation, step = log.invite(member, valid_for=WEEK, at=AT)
    log.commit(step)
    return invitation


def request(invitation: Invitation) -> bytes:
    federation, member = invitation.federation, invitation.member
    return make_enrolment_request(
        invitation,
        keys=NodeKeys(
            SigningPair.generate(),
            Ed25519Key.generate(),
            Ed25519Key.generate(),
            MlDsa44Key.generate(),
            ReceptionKey.generate().public,
        ),
        display_name=LocalizedName("A ministry"),
        country="ITA",
        duty=KeyCard.duty(federation, member, Ed25519Key.generate()),
        signatories=[
            KeyCard.signatory(federation, member, name, SigningPair.generate())
            for name in ("signer-a", "signer-b")
        ],
        csr=csr(new_tls_key(), SpiffeId(federation, IdentityKind.NODE, member)),
        at=AT,
    )


def only_item(log: RegistrarLog) -> PendingItem:
    (item,) = log.state.pending.values()
    return item


def rejected_by(log: RegistrarLog, item: PendingItem, name: str) -> Rejection:
    registry, digest = log.registry, body_hash(item.entry.body)
    pair = ADMINISTRATORS[registry.administrators[name].ed25519]
    return sign_rejection(digest, federation=registry.federation, administrator=name, pair=pair)


def suspended(federation: Federation, member: str) -> str:
    federation.suspend(member)
    return member


def by_administrators(federation: Federation, body: bytes, *names: str) -> bytes:
    signers = [EntrySigner.administrator(name, federation.administrators[name]) for name in names]
    return sign_entry(body, signers).to_bytes()


def agreed(federation: Federation, *, version: int = 2, agreement_id: str = "eg-tn") -> bytes:
    """Return an entry that both parties have signed and no administrator yet."""
    terms = agreement("eg-moi", "tn-dgsn", agreement_id=agreement_id, version=version).to_bytes()
    signatures = tuple(
        sign_agreement(terms, federation=federation.name, member=member, name=name, pair=pair)
        for member in ("eg-moi", "tn-dgsn")
        for name, pair in sorted(federation.agencies[member].signatories.items())
    )
    body = draw_up(acts.AgreementAdmitted(terms, signatures), federation=federation.name, at=AT)
    return SignedEntry(body, ()).to_bytes()


def signed_agreement(federation: Federation, agreement_id: str, *members: str) -> bytes:
    terms = agreement(*members, agreement_id=agreement_id).to_bytes()
    signatures = tuple(
        sign_agreement(terms, federation=federation.name, member=member, name=name, pair=pair)
        for member in sorted(members)
        for name, pair in sorted(federation.agencies[member].signatories.items())
    )
    return federation.entry(acts.AgreementAdmitted(terms, signatures), [], at=AT)
