"""Asking to be enrolled: every proof, and what happens without it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from mithaq.certs.acts import LocalizedName, MemberEnrolled
from mithaq.certs.cards import KeyCard
from mithaq.certs.enrolment import (
    AHEAD_MAX,
    InvitationRecord,
    NodeKeys,
    check_enrolment_request,
    make_enrolment_request,
    parse_enrolment_request,
)
from mithaq.certs.entries import SignerRole
from mithaq.certs.errors import (
    CertificateCurveError,
    CertificateIdentityError,
    EnrolmentError,
    ImplausibleTimeError,
    InvitationExpiredError,
    InvitationFederationError,
    InvitationUnknownError,
    KeyFormatError,
    TrustError,
    TrustFormatError,
)
from mithaq.certs.invitation import Invitation, mac, new_secret
from mithaq.certs.keys import Ed25519Key, MlDsa44Key, ReceptionKey, SigningPair
from mithaq.certs.tls import IdentityKind, SpiffeId, csr, new_tls_key
from mithaq.ledger.commitment import lp
from mithaq.v1 import enrolment_pb2 as pb
from tests.federation import now

FEDERATION, MEMBER = "euroarab.example", "eg-moi"
AT = now()
PIN = b"\x05" * 32
SECOND = timedelta(seconds=1)
INVITATION = Invitation(
    FEDERATION, MEMBER, "hub.example:7444", PIN, b"\x30" * 400, new_secret(), AT + timedelta(days=7)
)
RECORD = InvitationRecord.of(INVITATION)
KEYS = NodeKeys(
    SigningPair.generate(),
    Ed25519Key.generate(),
    Ed25519Key.generate(),
    MlDsa44Key.generate(),
    ReceptionKey.generate().public,
)
DUTY_KEY = Ed25519Key.generate()
SIGNATORY_KEYS = {"signer-b": SigningPair.generate(), "signer-a": SigningPair.generate()}


DUTY = KeyCard.duty(FEDERATION, MEMBER, DUTY_KEY)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What goes into a request; each test changes one thing."""

    invitation: Invitation = INVITATION
    keys: NodeKeys = KEYS
    duty: KeyCard = DUTY
    signatories: tuple[KeyCard, ...] = tuple(
        KeyCard.signatory(FEDERATION, MEMBER, name, pair) for name, pair in SIGNATORY_KEYS.items()
    )
    csr: bytes = csr(new_tls_key(), SpiffeId(FEDERATION, IdentityKind.NODE, MEMBER))

    def request(self) -> bytes:
        return make_enrolment_request(
            self.invitation,
            keys=self.keys,
            display_name=LocalizedName("Ministry", "Ministère", "وزارة"),
            country="EGY",
            duty=self.duty,
            signatories=self.signatories,
            csr=self.csr,
            at=AT,
        )


REQUEST = Asked().request()


def check(data: bytes, record: InvitationRecord = RECORD, *, at: object = AT) -> None:
    check_enrolment_request(
        parse_enrolment_request(data),
        record,
        federation=FEDERATION,
        genesis_hash=PIN,
        at=at if isinstance(at, type(AT)) else AT,
    )


def forged(
    change: Callable[[pb.EnrolmentBody], object],
    *,
    secret: bytes = INVITATION.secret,
    log: SigningPair = KEYS.log,
) -> bytes:
    """Return a request whose body is changed, signed again by all of its keys."""
    request = pb.EnrolmentRequest.FromString(REQUEST)
    body = pb.EnrolmentBody.FromString(request.body)
    change(body)
    request.body = body.SerializeToString(deterministic=True)
    message = b"mithaq/enrolment/v1" + lp(body.federation.encode()) + request.body
    proof = log.sign(message)
    request.log_ed25519_proof, request.log_mldsa44_proof = proof.ed25519, proof.mldsa44
    request.held_proof = KEYS.held.sign(message)
    request.opened_proof = KEYS.opened.sign(message)
    request.receipt_mldsa44_proof = KEYS.receipt_mldsa.sign(message)
    request.mac = mac(replace(INVITATION, secret=secret).mac_key, message)
    return request.SerializeToString(deterministic=True)


def test_a_request_says_all_that_an_entry_needs() -> None:
    request = parse_enrolment_request(REQUEST)
    check(REQUEST)
    assert request.act(tls_fingerprint=b"\x01" * 32) == MemberEnrolled(
        member=MEMBER,
        display_name=LocalizedName("Ministry", "Ministère", "وزارة"),
        country="EGY",
        log=KEYS.log.public,
        receipt=request.receipt,
        reception=KEYS.reception,
        duty=DUTY_KEY.public,
        signatories=tuple(
            KeyCard.signatory(FEDERATION, MEMBER, name, SIGNATORY_KEYS[name]).named_pair
            for name in ("signer-a", "signer-b")
        ),
        tls_fingerprint=b"\x01" * 32,
    )
    held, opened, mldsa = KEYS.held.public, KEYS.opened.public, KEYS.receipt_mldsa.public
    assert (request.receipt.held, request.receipt.opened, request.receipt.mldsa44) == (
        held,
        opened,
        mldsa,
    )


def test_a_request_signed_again_in_full_is_good() -> None:
    check(forged(lambda _: None))


def test_only_who_knows_the_secret_is_believed() -> None:
    with pytest.raises(InvitationUnknownError) as caught:
        check(forged(lambda _: None, secret=new_secret()))
    assert caught.value.code == "MQ-INVITE-UNKNOWN"


def test_the_hub_cannot_put_keys_of_its_own_into_a_request() -> None:
    """It carries the request and knows everything but the secret."""
    stranger = SigningPair.generate()

    def change(body: pb.EnrolmentBody) -> None:
        body.log.ed25519, body.log.mldsa44 = stranger.ed25519.public, stranger.mldsa.public

    with pytest.raises(InvitationUnknownError):
        check(forged(change, secret=new_secret(), log=stranger))


def test_an_invitation_enrols_only_the_member_that_it_names() -> None:
    with pytest.raises(InvitationUnknownError, match="another member"):
        check(REQUEST, replace(RECORD, member="tn-dgsn"))
    with pytest.raises(InvitationUnknownError, match="another member"):
        check(REQUEST, replace(RECORD, id=b"\x01" * 32))


def test_a_request_made_for_another_federation_is_refused() -> None:
    with pytest.raises(InvitationFederationError):
        check(forged(lambda body: setattr(body, "federation", "other.example")))
    with pytest.raises(InvitationFederationError):
        check(forged(lambda body: setattr(body, "genesis_hash", b"\x06" * 32)))


def test_a_request_comes_before_the_invitation_expires() -> None:
    check(REQUEST, at=RECORD.expires_at - SECOND)
    with pytest.raises(InvitationExpiredError):
        check(REQUEST, at=RECORD.expires_at)
    with pytest.raises(InvitationExpiredError):
        Asked(invitation=replace(INVITATION, expires_at=AT)).request()


def test_a_request_is_not_made_in_the_future() -> None:
    check(REQUEST, at=AT - AHEAD_MAX)
    with pytest.raises(ImplausibleTimeError):
        check(REQUEST, at=AT - AHEAD_MAX - SECOND)


@pytest.mark.parametrize(
    "proof",
    [
        "log_ed25519_proof",
        "log_mldsa44_proof",
        "held_proof",
        "opened_proof",
        "receipt_mldsa44_proof",
    ],
)
def test_every_key_of_the_node_proves_itself(proof: str) -> None:
    request = pb.EnrolmentRequest.FromString(REQUEST)
    value = getattr(request, proof)
    setattr(request, proof, value[:-1] + bytes((value[-1] ^ 1,)))
    with pytest.raises(EnrolmentError):
        check(request.SerializeToString(deterministic=True))


def test_a_proof_for_one_key_does_not_serve_another() -> None:
    request = pb.EnrolmentRequest.FromString(REQUEST)
    request.held_proof, request.opened_proof = request.opened_proof, request.held_proof
    with pytest.raises(EnrolmentError):
        check(request.SerializeToString(deterministic=True))


# --- cards --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "card",
    [
        KeyCard.duty("other.example", MEMBER, DUTY_KEY),
        KeyCard.duty(FEDERATION, "tn-dgsn", DUTY_KEY),
        KeyCard.signatory(FEDERATION, MEMBER, "signer-a", SIGNATORY_KEYS["signer-a"]),
        replace(KeyCard.duty(FEDERATION, "tn-dgsn", DUTY_KEY), member=MEMBER),
        replace(DUTY, ed25519=Ed25519Key.generate().public),
    ],
)
def test_a_duty_card_is_this_members_and_its_holders(card: KeyCard) -> None:
    with pytest.raises(EnrolmentError):
        Asked(duty=card).request()
    with pytest.raises(TrustError):
        check(forged(lambda body: body.duty.CopyFrom(card.to_pb())))


@pytest.mark.parametrize(
    "card",
    [
        KeyCard.signatory("other.example", MEMBER, "signer-a", SIGNATORY_KEYS["signer-a"]),
        KeyCard.signatory(FEDERATION, "tn-dgsn", "signer-a", SIGNATORY_KEYS["signer-a"]),
        KeyCard.administrator(FEDERATION, "signer-a", SIGNATORY_KEYS["signer-a"]),
        replace(
            KeyCard.signatory(FEDERATION, MEMBER, "signer-x", SIGNATORY_KEYS["signer-a"]),
            name="signer-a",
        ),
        replace(
            KeyCard.signatory(FEDERATION, MEMBER, "signer-a", SIGNATORY_KEYS["signer-a"]),
            mldsa44_proof=KeyCard.signatory(
                FEDERATION, MEMBER, "signer-b", SIGNATORY_KEYS["signer-b"]
            ).mldsa44_proof,
        ),
    ],
)
def test_a_signatorys_card_is_this_members_and_its_holders(card: KeyCard) -> None:
    other = KeyCard.signatory(FEDERATION, MEMBER, "signer-b", SIGNATORY_KEYS["signer-b"])
    with pytest.raises(EnrolmentError):
        Asked(signatories=(card, other)).request()


@pytest.mark.parametrize(
    "card",
    [
        KeyCard.administrator(FEDERATION, "admin-a", SIGNATORY_KEYS["signer-a"]),
        KeyCard.signatory(FEDERATION, MEMBER, "signer-a", SIGNATORY_KEYS["signer-a"]),
        KeyCard.duty(FEDERATION, MEMBER, DUTY_KEY),
    ],
)
def test_a_card_reads_back_as_it_was_written(card: KeyCard) -> None:
    read = KeyCard.from_bytes(card.to_bytes())
    assert read == card
    read.check(federation=FEDERATION, role=card.role, member=card.member)
    assert len(repr(card)) < 200


@pytest.mark.parametrize(
    "card",
    [
        replace(DUTY, name="someone"),
        replace(DUTY, mldsa44=b"\x01" * 1312),
        replace(DUTY, mldsa44_proof=b"\x01" * 2420),
        replace(DUTY, role=SignerRole.LOG),
        replace(
            KeyCard.administrator(FEDERATION, "admin-a", SIGNATORY_KEYS["signer-a"]), member=MEMBER
        ),
        replace(
            KeyCard.administrator(FEDERATION, "admin-a", SIGNATORY_KEYS["signer-a"]), mldsa44=b""
        ),
    ],
)
def test_a_card_has_the_parts_of_its_role_and_no_others(card: KeyCard) -> None:
    with pytest.raises(EnrolmentError, match="parts of its role"):
        KeyCard.from_bytes(card.to_bytes())


# --- parts and bytes ------------------------------------------------------------------


def test_the_certificate_request_is_for_this_member_on_p256() -> None:
    other = csr(new_tls_key(), SpiffeId(FEDERATION, IdentityKind.NODE, "tn-dgsn"))
    with pytest.raises(CertificateIdentityError):
        Asked(csr=other).request()
    with pytest.raises(CertificateIdentityError):
        check(forged(lambda body: setattr(body, "certificate_request", other)))
    assert CertificateCurveError.code == "MQ-CERT-CURVE"


def test_the_reception_key_can_be_sealed_to() -> None:
    unusable = KEYS.reception[:1184] + bytes(32)
    with pytest.raises(KeyFormatError):
        Asked(keys=replace(KEYS, reception=unusable)).request()


def test_signatories_stand_in_order_each_once() -> None:
    with pytest.raises(TrustFormatError, match="sorted"):
        check(forged(lambda body: body.signatories.reverse()))
    twice = Asked().signatories[:1] * 2
    with pytest.raises(TrustFormatError, match="sorted"):
        Asked(signatories=twice).request()
    with pytest.raises(TrustFormatError, match="signatories"):
        Asked(signatories=twice[:1]).request()


@pytest.mark.parametrize("data", [b"", b"\xff" * 50, REQUEST + b"\xfa\x3f\x01x", REQUEST[:-1]])
def test_a_request_has_one_spelling(data: bytes) -> None:
    with pytest.raises(TrustFormatError):
        parse_enrolment_request(data)


def test_a_request_is_called_by_the_sha_256_of_all_its_bytes() -> None:
    assert parse_enrolment_request(REQUEST).hash == hashlib.sha256(REQUEST).digest()


def test_a_request_and_a_record_show_no_secret() -> None:
    shown = repr(parse_enrolment_request(REQUEST)) + repr(RECORD) + repr(KEYS)
    for secret in (INVITATION.secret, RECORD.mac_key, KEYS.log.to_bytes(), KEYS.held.to_bytes()):
        assert secret.hex() not in shown
        assert repr(secret)[2:-1] not in shown
