"""Certificates from the federation's CA and from a node's own."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from mithaq.certs.authority import (
    BACKDATED,
    CA_LIFE,
    HOSTS_MAX,
    TLS_LIFE,
    Authority,
    IssuedCertificate,
    LocalAuthority,
    check_authority_certificate,
    check_path,
)
from mithaq.certs.errors import (
    CertificateError,
    CertificateIdentityError,
    CertificatePathError,
)
from mithaq.certs.tls import IdentityKind, SpiffeId, csr, identity, new_tls_key, tls_key_to_pem

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
FEDERATION = "euroarab.example"
CA = Authority.create(FEDERATION, at=AT)
LOCAL = LocalAuthority.create(FEDERATION, "eg-moi", at=AT)
KEY = new_tls_key()


def asked(kind: IdentityKind, *parts: str) -> bytes:
    return csr(KEY, SpiffeId(FEDERATION, kind, *parts))


def node() -> IssuedCertificate:
    return CA.issue_node(asked(IdentityKind.NODE, "eg-moi"), "eg-moi", at=AT)


def uses(certificate: IssuedCertificate) -> set[x509.ObjectIdentifier]:
    parsed = x509.load_der_x509_certificate(certificate.der)
    return set(parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


@pytest.mark.parametrize(
    ("certificate", "name", "expected"),
    [
        (node(), "spiffe://euroarab.example/node/eg-moi", {CLIENT}),
        (
            CA.issue_hub(asked(IdentityKind.HUB), ["hub.example", "::1"], at=AT),
            "spiffe://euroarab.example/hub",
            {CLIENT, SERVER},
        ),
        (
            CA.issue_registrar(asked(IdentityKind.REGISTRAR), at=AT),
            "spiffe://euroarab.example/registrar",
            {CLIENT},
        ),
        (
            CA.issue_registrar(asked(IdentityKind.REGISTRAR), ["localhost"], at=AT),
            "spiffe://euroarab.example/registrar",
            {CLIENT, SERVER},
        ),
        (
            LOCAL.issue_officer(asked(IdentityKind.OFFICER, "eg-moi", "a.b"), "a.b", at=AT),
            "spiffe://euroarab.example/officer/eg-moi/a.b",
            {CLIENT},
        ),
        (
            LOCAL.issue_server(asked(IdentityKind.LOCAL, "eg-moi"), ["localhost"], at=AT),
            "spiffe://euroarab.example/local/eg-moi",
            {SERVER},
        ),
    ],
)
def test_a_certificate_is_for_one_identity_and_its_uses(
    certificate: IssuedCertificate, name: str, expected: set[x509.ObjectIdentifier]
) -> None:
    assert str(identity(certificate.der)) == str(identity(certificate.pem)) == name
    assert uses(certificate) == expected
    assert certificate.expires_at == AT + TLS_LIFE
    parsed = x509.load_der_x509_certificate(certificate.der)
    assert isinstance(parsed.public_key(), ec.EllipticCurvePublicKey)
    assert not parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_servers_certificate_names_its_hosts() -> None:
    issued = CA.issue_hub(asked(IdentityKind.HUB), ["hub.example", "127.0.0.1", "::1"], at=AT)
    names = x509.load_der_x509_certificate(issued.der).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["hub.example"]
    found = names.value.get_values_for_type(x509.IPAddress)
    assert [str(each) for each in found] == ["127.0.0.1", "::1"]


def test_hosts_are_names_or_addresses_and_not_too_many() -> None:
    request = asked(IdentityKind.HUB)
    with pytest.raises(CertificateError, match="DNS name"):
        CA.issue_hub(request, ["مثال.example"], at=AT)
    hosts = [f"h{each}.example" for each in range(HOSTS_MAX + 1)]
    CA.issue_hub(request, hosts[:-1], at=AT)
    with pytest.raises(CertificateError, match="at most 16"):
        CA.issue_hub(request, hosts, at=AT)


def test_no_certificate_is_issued_for_another_identity_than_asked() -> None:
    with pytest.raises(CertificateIdentityError):
        CA.issue_node(asked(IdentityKind.NODE, "eg-moi"), "tn-dgsn", at=AT)
    with pytest.raises(CertificateIdentityError):
        CA.issue_node(asked(IdentityKind.HUB), "eg-moi", at=AT)
    with pytest.raises(CertificateIdentityError):
        CA.issue_hub(asked(IdentityKind.NODE, "eg-moi"), [], at=AT)
    with pytest.raises(CertificateIdentityError):
        LOCAL.issue_officer(asked(IdentityKind.OFFICER, "tn-dgsn", "a"), "a", at=AT)


def test_a_ca_is_for_a_federation_that_can_be_named() -> None:
    with pytest.raises(CertificateIdentityError):
        Authority.create("Not A Name", at=AT)
    with pytest.raises(CertificateIdentityError):
        LocalAuthority.create(FEDERATION, "Not A Member", at=AT)


# --- paths ----------------------------------------------------------------------------


def test_a_certificate_is_good_from_just_before_its_issue_until_its_end() -> None:
    der, roots = node().der, [CA.certificate_der]
    for at in (AT - BACKDATED, AT, AT + TLS_LIFE):
        check_path(der, authorities=roots, at=at)
    for at in (AT - BACKDATED - SECOND, AT + TLS_LIFE + SECOND):
        with pytest.raises(CertificatePathError):
            check_path(der, authorities=roots, at=at)


def test_a_certificate_of_another_ca_of_the_same_name_is_refused() -> None:
    twin = Authority.create(FEDERATION, at=AT)
    with pytest.raises(CertificatePathError):
        check_path(node().der, authorities=[twin.certificate_der], at=AT)
    check_path(node().pem, authorities=[twin.certificate_der, CA.certificate_der], at=AT)
    with pytest.raises(CertificatePathError):
        check_path(node().der, authorities=[], at=AT)


def test_a_nodes_certificate_issues_no_certificates() -> None:
    impostor = Authority(FEDERATION, KEY, node().der)
    forged = impostor.issue_node(asked(IdentityKind.NODE, "tn-dgsn"), "tn-dgsn", at=AT)
    with pytest.raises(CertificatePathError):
        check_path(forged.der, authorities=[CA.certificate_der], at=AT)


def test_a_nodes_own_ca_makes_no_federation_certificate() -> None:
    officer = LOCAL.issue_officer(asked(IdentityKind.OFFICER, "eg-moi", "a"), "a", at=AT)
    check_path(officer.der, authorities=[LOCAL.certificate_der], at=AT)
    with pytest.raises(CertificatePathError):
        check_path(officer.der, authorities=[CA.certificate_der], at=AT)


def test_a_ca_says_that_it_is_one_and_signs_itself() -> None:
    for ca in (CA, LOCAL):
        check_authority_certificate(ca.certificate_der)
        assert ca.certificate.expires_at == AT + CA_LIFE
    damaged = CA.certificate_der[:-1] + bytes((CA.certificate_der[-1] ^ 1,))
    for der in (node().der, CA.certificate.pem, damaged, b""):
        with pytest.raises(CertificateError):
            check_authority_certificate(der)


def test_a_leaf_that_signs_itself_is_no_ca() -> None:
    name = x509.Name([])
    made = (
        x509.CertificateBuilder(name, name, KEY.public_key(), 1)
        .not_valid_before(AT)
        .not_valid_after(AT + CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    der = made.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    with pytest.raises(CertificateError, match="says that it is one"):
        check_authority_certificate(der)


def test_a_ca_never_shows_its_key() -> None:
    for ca in (CA, LOCAL):
        shown = repr(ca) + str(ca)
        assert "PRIVATE" not in shown
        assert len(shown) < 80
        assert tls_key_to_pem(ca.key).decode()[30:60] not in shown
