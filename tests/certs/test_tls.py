"""TLS identities: one URI, one curve, and nothing else in a request."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from mithaq.certs.errors import (
    CertificateCurveError,
    CertificateError,
    CertificateIdentityError,
    KeyFormatError,
    TrustError,
)
from mithaq.certs.tls import (
    CERTIFICATE_SIZE_BYTES_MAX,
    IdentityKind,
    SpiffeId,
    csr,
    fingerprint,
    identity,
    load_certificate,
    new_tls_key,
    open_csr,
    tls_key_from_pem,
    tls_key_to_pem,
)

NODE = SpiffeId("euroarab.example", IdentityKind.NODE, "eg-moi")
AT = datetime(2026, 11, 21, tzinfo=UTC)
KEY = new_tls_key()
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
OTHER_KEYS: list[PrivateKey] = [
    ec.generate_private_key(ec.SECP384R1()),
    ec.generate_private_key(ec.SECP521R1()),
    ed25519.Ed25519PrivateKey.generate(),
    rsa.generate_private_key(65537, 2048),
]


def algorithm(key: PrivateKey) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def request(names: list[x509.GeneralName] | None, key: PrivateKey = KEY) -> bytes:
    builder = x509.CertificateSigningRequestBuilder(NAME)
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, algorithm(key)).public_bytes(serialization.Encoding.DER)


def certificate(names: list[x509.GeneralName] | None, key: PrivateKey = KEY) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder(NAME, NAME, key.public_key(), 1)
        .not_valid_before(AT)
        .not_valid_after(AT + timedelta(days=1))
    )
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, algorithm(key))


def uri(text: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(text)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (NODE, "spiffe://euroarab.example/node/eg-moi"),
        (SpiffeId("euroarab.example", IdentityKind.HUB), "spiffe://euroarab.example/hub"),
        (
            SpiffeId("euroarab.example", IdentityKind.REGISTRAR),
            "spiffe://euroarab.example/registrar",
        ),
        (
            SpiffeId("euroarab.example", IdentityKind.LOCAL, "eg-moi"),
            "spiffe://euroarab.example/local/eg-moi",
        ),
        (
            SpiffeId("euroarab.example", IdentityKind.OFFICER, "eg-moi", "a.user_1"),
            "spiffe://euroarab.example/officer/eg-moi/a.user_1",
        ),
    ],
)
def test_an_identity_has_one_spelling(given: SpiffeId, text: str) -> None:
    assert str(given) == text
    assert SpiffeId.parse(text) == given


@pytest.mark.parametrize(
    "text",
    [
        "",
        "spiffe://",
        "spiffe://euroarab.example",
        "https://euroarab.example/hub",
        "spiffe://euroarab.example/hub/",
        "spiffe://euroarab.example/hub/eg-moi",
        "spiffe://euroarab.example/node",
        "spiffe://euroarab.example/node/eg-moi/user",
        "spiffe://euroarab.example/officer/eg-moi",
        "spiffe://euroarab.example/officer//user",
        "spiffe://euroarab.example/officer/eg-moi/User",
        "spiffe://euroarab.example/officer/eg-moi/user/more",
        "spiffe://euroarab.example/judge/eg-moi",
        "spiffe://euroarab.example/node/EG-MOI",
        "spiffe://Euroarab.example/node/eg-moi",
        "spiffe://euroarab.example//eg-moi",
        "spiffe://euroarab.example/node/eg-moi?x",
        "SPIFFE://euroarab.example/hub",
    ],
)
def test_what_is_no_identity_of_ours_is_refused(text: str) -> None:
    with pytest.raises(CertificateIdentityError):
        SpiffeId.parse(text)


@given(st.text(max_size=60))
def test_no_text_breaks_the_reading_of_identities(text: str) -> None:
    for each in (text, f"spiffe://{text}", f"spiffe://euroarab.example/node/{text}"):
        try:
            assert str(SpiffeId.parse(each)) == each
        except CertificateIdentityError:
            continue


# --- keys -----------------------------------------------------------------------------


def test_a_tls_key_is_p256_and_reads_back() -> None:
    assert isinstance(KEY.curve, ec.SECP256R1)
    assert tls_key_to_pem(tls_key_from_pem(tls_key_to_pem(KEY))) == tls_key_to_pem(KEY)


def test_an_encrypted_or_damaged_tls_key_is_refused() -> None:
    encrypted = KEY.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"passphrase"),
    )
    for pem in (encrypted, b"", b"-----BEGIN PRIVATE KEY-----\n"):
        with pytest.raises(KeyFormatError):
            tls_key_from_pem(pem)


# --- requests -------------------------------------------------------------------------


def test_a_request_asks_for_one_identity_and_proves_its_key() -> None:
    asked = csr(KEY, NODE)
    assert csr(KEY, str(NODE))
    assert open_csr(asked, expected=NODE) == KEY.public_key()


def test_a_request_for_someone_else_is_refused() -> None:
    asked = csr(KEY, SpiffeId("euroarab.example", IdentityKind.NODE, "tn-dgsn"))
    with pytest.raises(CertificateIdentityError):
        open_csr(asked, expected=NODE)


@pytest.mark.parametrize(
    "names",
    [
        None,
        [],
        [uri(str(NODE)), uri(str(NODE))],
        [uri(str(NODE)), x509.DNSName("hub.example")],
        [x509.DNSName("hub.example")],
        [uri(str(NODE)), uri("spiffe://euroarab.example/hub")],
        [uri(str(NODE)), x509.RFC822Name("a@b.example")],
    ],
)
def test_a_request_asks_for_nothing_besides(names: list[x509.GeneralName] | None) -> None:
    with pytest.raises(CertificateIdentityError):
        open_csr(request(names), expected=NODE)


@pytest.mark.parametrize("key", OTHER_KEYS)
def test_a_request_on_another_curve_is_refused_in_plain_words(key: PrivateKey) -> None:
    with pytest.raises(CertificateCurveError, match=r"P-256|elliptic"):
        open_csr(request([uri(str(NODE))], key), expected=NODE)


def test_a_request_that_its_own_key_did_not_sign_is_refused() -> None:
    asked = csr(KEY, NODE)
    stranger = (
        new_tls_key()
        .public_key()
        .public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    )
    own = KEY.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    with pytest.raises(CertificateError, match="own key"):
        open_csr(asked.replace(own, stranger), expected=NODE)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_request_changed_anywhere_is_refused(at: int, mask: int) -> None:
    asked = bytearray(REQUEST)
    asked[at % len(asked)] ^= mask
    with pytest.raises(TrustError):
        open_csr(bytes(asked), expected=NODE)


REQUEST = csr(KEY, NODE)


@given(st.binary(max_size=100))
def test_foreign_bytes_are_neither_request_nor_certificate(data: bytes) -> None:
    with pytest.raises(CertificateError):
        open_csr(data, expected=NODE)
    with pytest.raises(CertificateError):
        identity(data)


# --- certificates ---------------------------------------------------------------------


def test_a_certificate_names_its_holder_in_pem_and_der() -> None:
    made = certificate([uri(str(NODE))])
    for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER):
        assert identity(made.public_bytes(encoding)) == NODE


def test_a_certificate_is_known_by_the_sha_256_of_its_der() -> None:
    made = certificate([uri(str(NODE))])
    der = made.public_bytes(serialization.Encoding.DER)
    assert fingerprint(der) == made.fingerprint(hashes.SHA256())


@pytest.mark.parametrize(
    "names", [None, [x509.DNSName("a.example")], [uri(str(NODE)), uri(str(NODE))], [uri("a:b")]]
)
def test_a_certificate_without_exactly_one_identity_names_nobody(
    names: list[x509.GeneralName] | None,
) -> None:
    made = certificate(names).public_bytes(serialization.Encoding.DER)
    with pytest.raises(CertificateIdentityError):
        identity(made)


@pytest.mark.parametrize("key", OTHER_KEYS)
def test_a_certificate_on_another_curve_is_refused_in_plain_words(key: PrivateKey) -> None:
    made = certificate([uri(str(NODE))], key).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(CertificateCurveError, match=r"P-256|elliptic"):
        identity(made)


def test_a_certificate_has_a_size_limit() -> None:
    with pytest.raises(CertificateError, match="at most"):
        load_certificate(b"\x30" * (CERTIFICATE_SIZE_BYTES_MAX + 1))


def test_a_damaged_alternative_name_is_refused() -> None:
    der = certificate([uri(str(NODE))]).public_bytes(serialization.Encoding.DER)
    with pytest.raises(CertificateError):
        identity(der.replace(b"spiffe", b"spiff\xff"))
