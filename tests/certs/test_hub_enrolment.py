"""How the relay comes in, and what it gets back."""

from dataclasses import replace

import pytest

from mithaq.certs.entries import HubEnrolled
from mithaq.certs.errors import (
    CertificateIdentityError,
    CertificatePathError,
    EnrolmentError,
    GenesisMismatchError,
    TrustFormatError,
    WrongFederationError,
)
from mithaq.certs.hub_enrolment import HubApproval, check_hub_request, make_hub_request
from mithaq.certs.keys import SigningPair
from mithaq.certs.tls import IdentityKind, SpiffeId, csr, new_tls_key
from mithaq.v1 import enrolment_pb2 as pb
from tests.federation import FEDERATION, Federation, now

AT = now()
PAIR = SigningPair.generate()


def request(
    exchange: str = "hub.example:7443", enrolment: str = "hub.example:7444", kind: str = "hub"
) -> bytes:
    identity = SpiffeId(FEDERATION, IdentityKind(kind))
    return make_hub_request(
        FEDERATION,
        cosigning=PAIR,
        exchange_address=exchange,
        enrolment_address=enrolment,
        csr=csr(new_tls_key(), identity),
        at=AT,
    )


def test_a_hubs_request_says_all_that_an_entry_needs() -> None:
    checked = check_hub_request(request(), federation=FEDERATION)
    assert checked.act(tls_fingerprint=b"\x01" * 32) == HubEnrolled(
        PAIR.public, b"\x01" * 32, "hub.example:7443", "hub.example:7444"
    )
    assert checked.made_at == AT
    assert len(checked.hash) == 32


@pytest.mark.parametrize(
    ("exchange", "enrolment", "hosts"),
    [
        ("hub.example:7443", "hub.example:7444", ("hub.example",)),
        ("hub.example:7443", "192.0.2.1:7444", ("hub.example", "192.0.2.1")),
        ("[2001:db8::1]:7443", "hub.example:7444", ("2001:db8::1", "hub.example")),
    ],
)
def test_a_hubs_certificate_has_to_be_good_for_both_addresses(
    exchange: str, enrolment: str, hosts: tuple[str, ...]
) -> None:
    checked = check_hub_request(request(exchange, enrolment), federation=FEDERATION)
    assert checked.hosts == hosts


@pytest.mark.parametrize(
    "address", ["hub.example", "hub.example:0", "hub.example:123456", ":1", "a b:1", "[::1]", ""]
)
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    with pytest.raises(TrustFormatError, match="address"):
        request(exchange=address)


def test_a_hubs_request_is_for_this_federation() -> None:
    with pytest.raises(WrongFederationError):
        check_hub_request(request(), federation="other.example")


@pytest.mark.parametrize("proof", ["ed25519_proof", "mldsa44_proof"])
def test_a_hub_holds_both_halves_of_its_cosigning_key(proof: str) -> None:
    message = pb.HubRequest.FromString(request())
    value = getattr(message, proof)
    setattr(message, proof, value[:-1] + bytes((value[-1] ^ 1,)))
    with pytest.raises(EnrolmentError):
        check_hub_request(message.SerializeToString(), federation=FEDERATION)


def test_a_hub_asks_for_a_hubs_certificate() -> None:
    with pytest.raises(CertificateIdentityError):
        check_hub_request(request(kind="registrar"), federation=FEDERATION)


@pytest.mark.parametrize("data", [b"", b"\xff" * 50, request() + b"\xfa\x3f\x01x"])
def test_a_hubs_request_has_one_spelling(data: bytes) -> None:
    with pytest.raises(TrustFormatError):
        check_hub_request(data, federation=FEDERATION)


# --- the approval ---------------------------------------------------------------------


@pytest.fixture
def approved() -> tuple[Federation, HubApproval]:
    federation = Federation.found()
    hub = federation.enrol_hub(cosigning=PAIR)
    approval = HubApproval(
        hub.certificate.der, tuple(federation.leaves), federation.checkpoint(at=AT)
    )
    return federation, approval


def test_an_approval_opens_to_the_registry_so_far(
    approved: tuple[Federation, HubApproval],
) -> None:
    federation, approval = approved
    read = HubApproval.from_bytes(approval.to_bytes())
    assert read == approval
    registry = read.open(pinned_root_hash=federation.pin, cosigning=PAIR.public)
    assert (registry.root, registry.time) == (federation.registry.root, AT)
    assert len(repr(approval)) < 100


def test_an_approval_by_another_federation_is_refused(
    approved: tuple[Federation, HubApproval],
) -> None:
    with pytest.raises(GenesisMismatchError):
        approved[1].open(pinned_root_hash=b"\x01" * 32, cosigning=PAIR.public)


def test_an_approval_for_other_keys_is_refused(approved: tuple[Federation, HubApproval]) -> None:
    federation, approval = approved
    with pytest.raises(CertificatePathError):
        approval.open(pinned_root_hash=federation.pin, cosigning=SigningPair.generate().public)
    other = replace(approval, certificate=federation.registrar_certificate.der)
    with pytest.raises(CertificatePathError):
        other.open(pinned_root_hash=federation.pin, cosigning=PAIR.public)
