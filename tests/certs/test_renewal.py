"""The next TLS certificate: asked for by its holder's own signing pair, and by nobody else."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from mithaq.certs import acts
from mithaq.certs.acts import NarrowingReason, TlsSubject
from mithaq.certs.enrolment import AHEAD_MAX
from mithaq.certs.entries import EntrySigner, sign_entry
from mithaq.certs.errors import (
    CertificateCurveError,
    CertificateIdentityError,
    CertificatePathError,
    EnrolmentError,
    ImplausibleTimeError,
    KeyReusedError,
    MemberInactiveError,
    RenewalOutdatedError,
    TrustError,
    TrustFormatError,
    UnknownMemberError,
    WrongFederationError,
)
from mithaq.certs.keys import SigningPair
from mithaq.certs.own_certificate import OwnCertificate, is_due
from mithaq.certs.participants import PrincipalKind
from mithaq.certs.registrar import RegistrarLog
from mithaq.certs.registrar_state import PendingItem, PendingKind, RegistrarState, Step
from mithaq.certs.renewal import (
    REQUEST_AGE_MAX,
    RenewalRequest,
    TlsHolder,
    check_renewal_request,
    hash_of,
    is_renewal,
    make_renewal_request,
    parse_holder_request,
    parse_renewal_request,
)
from mithaq.certs.renewal_folder import RenewalFolder
from mithaq.certs.tls import TlsKey, csr, fingerprint, load_certificate, new_tls_key, tls_key_to_pem
from mithaq.v1 import enrolment_pb2 as pb
from tests.federation import Federation, now

AT = now()
SECOND = timedelta(seconds=1)
EGYPT, TUNISIA = TlsHolder(TlsSubject.NODE, "eg-moi"), TlsHolder(TlsSubject.NODE, "tn-dgsn")
HUB, REGISTRAR = TlsHolder(TlsSubject.HUB), TlsHolder(TlsSubject.REGISTRAR)
REASON = NarrowingReason.KEY_COMPROMISED


@pytest.fixture
def log(federation: Federation) -> RegistrarLog:
    return RegistrarLog(
        federation.registry,
        RegistrarState(),
        key=federation.registrar,
        authority=federation.authority,
        own_certificate=federation.registrar_certificate.der,
    )


def pair_of(federation: Federation, holder: TlsHolder) -> SigningPair:
    if holder.member:
        return federation.agencies[holder.member].log
    assert federation.hub is not None
    return federation.hub.cosigning if holder == HUB else federation.registrar


def request(
    federation: Federation,
    holder: TlsHolder = EGYPT,
    *,
    keys: SigningPair | None = None,
    key: TlsKey | None = None,
    at: datetime = AT,
) -> bytes:
    asked = csr(key or new_tls_key(), holder.identity(federation.name))
    keys = keys or pair_of(federation, holder)
    return make_renewal_request(holder, federation.registry, keys=keys, csr=asked, at=at)


def only_item(log: RegistrarLog) -> PendingItem:
    (item,) = log.state.pending.values()
    return item


def approve(federation: Federation, log: RegistrarLog, item: PendingItem) -> None:
    for signer in federation.by_administrators():
        signed = sign_entry(item.entry.body, [signer]).to_bytes()
        log.commit(log.approve(item.id, signed, at=AT))


def renewed(federation: Federation, log: RegistrarLog, data: bytes) -> bytes:
    """Return the certificate (DER) that answers a request once k administrators approved."""
    log.commit(log.take_renewal(data, at=AT))
    approve(federation, log, only_item(log))
    return log.state.decisions[hash_of(data)].certificate


@pytest.mark.parametrize("holder", [EGYPT, HUB, REGISTRAR], ids=lambda each: each.name)
def test_a_holder_renews_by_its_own_pair_and_k_administrators(
    federation: Federation, log: RegistrarLog, holder: TlsHolder
) -> None:
    before = holder.certificates(federation.registry)
    log.commit(log.take_renewal(request(federation, holder), at=AT))
    item = only_item(log)
    assert (item.kind, item.subject) == (PendingKind.RENEWAL, holder.name)
    one = sign_entry(item.entry.body, federation.by_administrators(1)).to_bytes()
    log.commit(log.approve(item.id, one, at=AT))
    assert holder.certificates(federation.registry) == before
    approve(federation, log, only_item(log))
    certificate = log.state.decisions[item.request_hash].certificate
    after = holder.certificates(federation.registry)
    assert after == (*before, fingerprint(certificate))
    kind = PrincipalKind(holder.subject.name.lower())
    assert {federation.registry.by_tls_fingerprint(each).kind for each in after} == {kind}


def test_the_old_certificate_counts_until_the_next_renewal_or_until_it_is_revoked(
    federation: Federation, log: RegistrarLog
) -> None:
    first = federation.agencies["eg-moi"].certificate.fingerprint
    second = fingerprint(renewed(federation, log, request(federation)))
    for each in (first, second):
        assert federation.registry.by_tls_fingerprint(each).member == "eg-moi"
    federation.enter(acts.KeyRevoked(first, REASON), federation.by_administrators(1))
    with pytest.raises(UnknownMemberError):
        federation.registry.by_tls_fingerprint(first)
    third = fingerprint(renewed(federation, log, request(federation)))
    fourth = fingerprint(renewed(federation, log, request(federation)))
    assert EGYPT.certificates(federation.registry) == (third, fourth)
    with pytest.raises(UnknownMemberError):
        federation.registry.by_tls_fingerprint(second)


# --- attacks --------------------------------------------------------------------------


def test_a_stolen_tls_key_alone_gets_no_certificate(
    federation: Federation, log: RegistrarLog
) -> None:
    # The thief can ask by the stolen key, but has no signing pair of the member's.
    stolen = federation.agencies["eg-moi"].tls_key
    forged = request(federation, keys=SigningPair.generate(), key=stolen)
    with pytest.raises(EnrolmentError, match="did not sign this itself"):
        log.take_renewal(forged, at=AT)
    assert log.state.pending == {}


def test_a_renewal_that_was_answered_cannot_be_used_again(
    federation: Federation, log: RegistrarLog
) -> None:
    data = request(federation)
    renewed(federation, log, data)
    assert log.take_renewal(data, at=AT) == Step()
    # Nor when the answer has been forgotten.
    log.state.decisions.clear()
    with pytest.raises(RenewalOutdatedError):
        log.take_renewal(data, at=AT)


def test_a_renewal_that_waits_is_not_taken_twice(federation: Federation, log: RegistrarLog) -> None:
    data = request(federation)
    log.commit(log.take_renewal(data, at=AT))
    assert log.take_renewal(data, at=AT) == Step()


def test_a_member_renews_for_no_other(federation: Federation, log: RegistrarLog) -> None:
    own = federation.agencies["eg-moi"].log
    for holder in (TUNISIA, HUB, REGISTRAR):
        with pytest.raises(EnrolmentError, match=f"{holder.name} did not sign"):
            log.take_renewal(request(federation, holder, keys=own), at=AT)
    # Its own request, but for a certificate in somebody else's name.
    asked = csr(new_tls_key(), TUNISIA.identity(federation.name))
    data = make_renewal_request(EGYPT, federation.registry, keys=own, csr=asked, at=AT)
    with pytest.raises(CertificateIdentityError):
        log.take_renewal(data, at=AT)


def test_a_key_on_another_curve_is_refused_in_plain_words(
    federation: Federation, log: RegistrarLog
) -> None:
    uri = x509.UniformResourceIdentifier(str(EGYPT.identity(federation.name)))
    asked = (
        x509.CertificateSigningRequestBuilder(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName([uri]), critical=True)
        .sign(ec.generate_private_key(ec.SECP384R1()), hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )
    keys = federation.agencies["eg-moi"].log
    data = make_renewal_request(EGYPT, federation.registry, keys=keys, csr=asked, at=AT)
    with pytest.raises(CertificateCurveError, match="P-256"):
        log.take_renewal(data, at=AT)


def test_a_renewal_brings_a_new_key(federation: Federation, log: RegistrarLog) -> None:
    key = new_tls_key()
    renewed(federation, log, request(federation, key=key))
    with pytest.raises(KeyReusedError):
        log.take_renewal(request(federation, key=key), at=AT)
    key = federation.registrar_tls
    with pytest.raises(KeyReusedError):
        log.take_renewal(request(federation, REGISTRAR, key=key), at=AT)


@pytest.mark.parametrize("half", ["ed25519_proof", "mldsa44_proof"])
def test_both_halves_of_the_proof_have_to_verify(
    federation: Federation, log: RegistrarLog, half: str
) -> None:
    message = pb.RenewalRequest.FromString(request(federation))
    proof: bytes = getattr(message, half)
    setattr(message, half, bytes((proof[0] ^ 1,)) + proof[1:])
    with pytest.raises(EnrolmentError):
        log.take_renewal(message.SerializeToString(deterministic=True), at=AT)


def test_a_request_for_another_federation_is_refused(log: RegistrarLog) -> None:
    other = Federation.found("other.example")
    other.enrol("eg-moi")
    with pytest.raises(WrongFederationError):
        log.take_renewal(request(other), at=AT)


@pytest.mark.parametrize("cut", ["suspend", "revoke"])
def test_a_member_that_was_cut_renews_nothing(
    federation: Federation, log: RegistrarLog, cut: str
) -> None:
    data = request(federation)
    getattr(federation, cut)("eg-moi")
    with pytest.raises(MemberInactiveError):
        log.take_renewal(data, at=AT)
    with pytest.raises(UnknownMemberError):
        request(federation, TlsHolder(TlsSubject.NODE, "it-mi"), keys=SigningPair.generate())


def test_a_member_cut_while_its_renewal_waits_gets_no_certificate(
    federation: Federation, log: RegistrarLog
) -> None:
    log.commit(log.take_renewal(request(federation), at=AT))
    federation.revoke("eg-moi")
    with pytest.raises(TrustError):
        approve(federation, log, only_item(log))


def test_a_request_is_of_our_time(federation: Federation) -> None:
    parsed = parse_renewal_request(request(federation))
    for at in (AT + REQUEST_AGE_MAX, AT - AHEAD_MAX):
        check_renewal_request(parsed, federation.registry, at=at)
    for at in (AT + REQUEST_AGE_MAX + SECOND, AT - AHEAD_MAX - SECOND):
        with pytest.raises(ImplausibleTimeError):
            check_renewal_request(parsed, federation.registry, at=at)


# --- what follows ---------------------------------------------------------------------


def test_a_newer_request_takes_the_place_of_the_one_that_waits(
    federation: Federation, log: RegistrarLog
) -> None:
    first, second = request(federation), request(federation)
    log.commit(log.take_renewal(first, at=AT))
    log.commit(log.take_renewal(request(federation, TUNISIA), at=AT))
    log.commit(log.take_renewal(second, at=AT))
    assert {each.subject for each in log.state.pending.values()} == {"eg-moi", "tn-dgsn"}
    assert log.state.decisions[hash_of(first)].reason == "MQ-TRUST-SUPERSEDED"
    assert hash_of(second) in {each.request_hash for each in log.state.pending.values()}


def test_a_member_whose_certificates_were_all_revoked_comes_back_by_its_log_key(
    federation: Federation, log: RegistrarLog
) -> None:
    gone = federation.agencies["eg-moi"].certificate.fingerprint
    stale = request(federation)
    federation.enter(acts.KeyRevoked(gone, REASON), federation.by_administrators(1))
    with pytest.raises(RenewalOutdatedError):
        log.take_renewal(stale, at=AT)
    new = fingerprint(renewed(federation, log, request(federation)))
    assert EGYPT.certificates(federation.registry) == (new,)


def test_the_registrar_takes_both_kinds_of_requests_apart(
    federation: Federation, log: RegistrarLog
) -> None:
    log.commit(log.take_request(request(federation), at=AT))
    assert only_item(log).kind is PendingKind.RENEWAL
    assert not is_renewal(b"")
    with pytest.raises(TrustFormatError, match="EnrolmentRequest"):
        log.take_request(b"\x0a\x00", at=AT)


@given(st.binary(max_size=200), st.booleans())
def test_hostile_bytes_are_no_request(data: bytes, marked: bool) -> None:  # noqa: FBT001 - drawn
    with pytest.raises(TrustError):
        parse_holder_request(b"\xaa\x01" + data if marked else data)


def test_a_request_is_read_as_it_was_written(federation: Federation) -> None:
    data = request(federation)
    parsed = parse_holder_request(data)
    assert isinstance(parsed, RenewalRequest)
    assert parsed.hash == hash_of(data)
    assert (parsed.holder, parsed.made_at) == (EGYPT, AT)
    message = pb.RenewalRequest.FromString(data)
    body = pb.RenewalBody.FromString(message.body)
    body.member = ""
    message.body = body.SerializeToString(deterministic=True)
    with pytest.raises(TrustFormatError, match="names a member"):
        parse_renewal_request(message.SerializeToString(deterministic=True))


# --- one's own certificate ------------------------------------------------------------


@pytest.fixture
def own(federation: Federation, tmp_path: Path) -> OwnCertificate:
    agency = federation.agencies["eg-moi"]
    own = OwnCertificate(
        EGYPT,
        agency.log,
        private_key=tmp_path / "node.key.pem",
        chain=tmp_path / "node.pem",
        renewing=RenewalFolder(tmp_path / "renewing"),
    )
    own.private_key.write_bytes(tls_key_to_pem(agency.tls_key))
    own.chain.write_bytes(agency.certificate.pem)
    return own


def third_left(own: OwnCertificate) -> datetime:
    """Return the instant at which exactly a third of the present certificate's life is left."""
    parsed = load_certificate(own.chain.read_bytes())
    life = parsed.not_valid_after_utc - parsed.not_valid_before_utc
    return parsed.not_valid_after_utc - life / 3


def test_a_certificate_is_renewed_when_less_than_a_third_of_its_life_is_left(
    federation: Federation, own: OwnCertificate
) -> None:
    at, certificate = third_left(own), own.chain.read_bytes()
    assert not is_due(certificate, at=at)
    assert own.wanted(federation.registry, at=at) is None
    assert is_due(certificate, at=at + timedelta(microseconds=1))
    data = own.wanted(federation.registry, at=at + SECOND)
    assert data is not None
    assert own.wanted(federation.registry, at=at + SECOND) == data


def test_a_certificate_that_the_registry_does_not_have_is_renewed_at_once(
    federation: Federation, own: OwnCertificate
) -> None:
    gone = federation.agencies["eg-moi"].certificate.fingerprint
    federation.enter(acts.KeyRevoked(gone, REASON), federation.by_administrators(1))
    assert own.wanted(federation.registry, at=AT) is not None


def test_the_new_certificate_and_its_key_take_the_place_of_the_old(
    federation: Federation, log: RegistrarLog, own: OwnCertificate
) -> None:
    data = own.wanted(federation.registry, at=third_left(own) + SECOND)
    assert data is not None
    before = own.private_key.read_bytes()
    log.commit(log.take_renewal(data, at=third_left(own) + SECOND))
    with pytest.raises(UnknownMemberError, match="yet"):
        own.receive(only_item(log).certificate, federation.registry, at=third_left(own) + SECOND)
    assert own.private_key.read_bytes() == before
    item = only_item(log)
    for signer in federation.by_administrators():
        signed = sign_entry(item.entry.body, [signer]).to_bytes()
        log.commit(log.approve(item.id, signed, at=third_left(own) + SECOND))
    own.receive(item.certificate, federation.registry, at=third_left(own) + SECOND)
    assert own.private_key.read_bytes() != before
    assert own.private_key.stat().st_mode & 0o077 == 0
    assert load_certificate(own.chain.read_bytes()) == load_certificate(item.certificate)
    assert own.renewing.request() is None


@pytest.mark.parametrize("wrong", ["key", "name", "authority"])
def test_a_certificate_that_is_not_ours_is_not_taken_up(
    federation: Federation, own: OwnCertificate, wrong: str
) -> None:
    own.wanted(federation.registry, at=third_left(own) + SECOND)
    key = own.renewing.key()
    member = "tn-dgsn" if wrong == "name" else "eg-moi"
    if wrong == "key":
        key = new_tls_key()
    elsewhere = Federation.found(federation.name).authority
    authority = elsewhere if wrong == "authority" else federation.authority
    asked = csr(key, TlsHolder(TlsSubject.NODE, member).identity(federation.name))
    issued = authority.issue_node(asked, member, at=AT)
    federation.enter(acts.TlsRenewed(TlsSubject.NODE, issued.fingerprint, "eg-moi"))
    error = CertificatePathError if wrong == "authority" else CertificateIdentityError
    before = own.chain.read_bytes()
    with pytest.raises(error):
        own.receive(issued.der, federation.registry, at=AT)
    assert own.chain.read_bytes() == before


def test_a_switch_that_was_killed_halfway_is_made_whole_at_the_next_start(
    federation: Federation, own: OwnCertificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.wanted(federation.registry, at=third_left(own) + SECOND)
    asked = csr(own.renewing.key(), EGYPT.identity(federation.name))
    issued = federation.authority.issue_node(asked, "eg-moi", at=AT)
    federation.enter(acts.TlsRenewed(TlsSubject.NODE, issued.fingerprint, "eg-moi"))
    expected = tls_key_to_pem(own.renewing.key())
    for step in range(1, 4):
        with monkeypatch.context() as patch:
            _kill_at_write(patch, step)
            with pytest.raises(KeyboardInterrupt):
                own.receive(issued.der, federation.registry, at=AT)
        if own.take_up():
            break
    assert own.take_up() is False
    assert own.private_key.read_bytes() == expected
    assert own.chain.read_bytes() == issued.pem


def _kill_at_write(patch: pytest.MonkeyPatch, number: int) -> None:
    from mithaq.certs import renewal_folder  # noqa: PLC0415 - what is patched

    real: Callable[[Path, bytes], None] = renewal_folder.write_whole
    left = [number]

    def write(path: Path, content: bytes) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        real(path, content)

    patch.setattr(renewal_folder, "write_whole", write)


def test_administrators_cannot_give_a_members_own_signature(
    federation: Federation, log: RegistrarLog
) -> None:
    """An entry without a request is k administrators' alone; a request is the member's."""
    administrator = federation.administrators["admin-a"]
    with pytest.raises(EnrolmentError):
        log.take_renewal(request(federation, keys=administrator), at=AT)
    extra = [EntrySigner.log("eg-moi", federation.agencies["eg-moi"].log)]
    act = acts.TlsRenewed(TlsSubject.NODE, b"\x05" * 32, "eg-moi")
    with pytest.raises(TrustError):
        federation.registry.apply(federation.entry(act, extra))
