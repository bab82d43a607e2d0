"""The registry's entries, and what is carried by hand to those who sign them.

A body is signed by everybody whose signature could be wanted, so that the rules behind the
signatures are reached. The oracle of a registry: an entry is applied once or leaves no trace.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import cache

from mithaq.certs import acts
from mithaq.certs.cards import KeyCard
from mithaq.certs.entries import (
    Body,
    EntrySigner,
    SignedEntry,
    encode_body,
    parse_body,
    sign_entry,
)
from mithaq.certs.errors import TrustError
from mithaq.certs.hub_enrolment import HubApproval, check_hub_request, make_hub_request
from mithaq.certs.registry import Registry
from mithaq.certs.tls import (
    IdentityKind,
    SpiffeId,
    csr,
)
from mithaq.ledger.commitment import lp
from mithaq.v1 import enrolment_pb2, registry_pb2
from tests.federation import FEDERATION, Federation
from tests.fuzz.cast import (
    AT,
    CAIRO,
    ROME,
    TUNIS,
    agency,
    authority,
    federation,
    tls_key,
)
from tests.fuzz.target import Exposure, Finding, Target, same

# --- what members and administrators send ---------------------------------------------


def registry_entry(data: bytes) -> None:
    """A leaf as it comes: one spelling, and applied or refused without a trace."""
    try:
        entry = SignedEntry.from_bytes(data)
        body = parse_body(entry.body)
    except TrustError:
        return
    same(entry.to_bytes(), data, "a leaf has two spellings")
    same(encode_body(body), entry.body, "a body has two spellings")
    _applied(data)


def registry_body(data: bytes) -> None:
    """A body that everybody whose signature could be wanted has signed."""
    for signers in _signers():
        try:
            leaf = sign_entry(data, signers).to_bytes()
        except TrustError:
            return
        _applied(leaf)


def _applied(leaf: bytes) -> None:
    registry = federation().registry.copy()
    before, size = _summary(registry), registry.size
    with suppress(TrustError):
        registry.examine(SignedEntry.from_bytes(leaf))
    same(_summary(registry), before, "an examined entry changed the registry")
    try:
        registry.apply(leaf)
    except TrustError:
        same(_summary(registry), before, "a refused entry changed the registry")
        return
    same(registry.size, size + 1, "an entry counts otherwise than once")
    try:
        registry.apply(leaf)
    except TrustError:
        return
    raise Finding("an entry was applied twice")


def _summary(registry: Registry) -> tuple[object, ...]:
    return (
        registry.size,
        registry.root,
        registry.members(),
        registry.agreements(),
        registry.administrators,
        registry.hub,
        registry.registrar,
        registry.ca_certificates,
        [registry.reception_keys(each.id) for each in registry.members()],
    )


def _signers() -> Sequence[Sequence[EntrySigner]]:
    made = federation()
    cairo = made.agencies[CAIRO]
    signatories = [EntrySigner.signatory(CAIRO, *each) for each in cairo.signatories.items()]
    return (
        made.by_administrators(),
        made.by_administrators(1),
        [EntrySigner.log(CAIRO, cairo.log)],
        [EntrySigner.duty(CAIRO, cairo.duty)],
        signatories,
        [*made.by_administrators(), *signatories],
    )


def key_card(data: bytes) -> None:
    try:
        card = KeyCard.from_bytes(data)
    except TrustError:
        return
    same(card.to_bytes(), data, "a card has two spellings")
    try:
        card.check(federation=card.federation, role=card.role, member=card.member)
    except TrustError:
        return
    # ML-DSA signs differently each time, so what is proven is compared.
    if _said(card) not in [_said(KeyCard.from_bytes(each)) for each in _cards()]:
        raise Finding("a card that nobody made proves a key")


def _said(card: KeyCard) -> tuple[object, ...]:
    names = (card.federation, card.role, card.member, card.name)
    return (*names, card.ed25519, card.mldsa44)


def hub_request(data: bytes) -> None:
    proof = federation().hub
    assert proof is not None
    signed = proof.cosigning.sign(b"mithaq/hub-request/v1" + lp(FEDERATION.encode()) + data)
    whole = enrolment_pb2.HubRequest(
        body=data, ed25519_proof=signed.ed25519, mldsa44_proof=signed.mldsa44
    ).SerializeToString(deterministic=True)
    try:
        request = check_hub_request(whole, federation=FEDERATION)
    except TrustError:
        return
    act = request.act(tls_fingerprint=bytes(32))
    try:
        hosts = request.hosts
        authority().issue_hub(request.certificate_request, hosts, at=AT)
    except TrustError:
        return
    same(parse_body(encode_body(Body(FEDERATION, bytes(16), AT, act))).act, act, "another hub")


def hub_approval(data: bytes) -> None:
    try:
        approval = HubApproval.from_bytes(data)
    except TrustError:
        return
    same(approval.to_bytes(), data, "an approval has two spellings")
    hub = federation().hub
    assert hub is not None
    try:
        approval.open(pinned_root_hash=federation().pin, cosigning=hub.cosigning.public)
    except TrustError:
        return


# --- seeds ----------------------------------------------------------------------------


def _acts() -> list[acts.Act]:
    made = federation()
    tunis = made.agencies[TUNIS]
    reason = acts.NarrowingReason.ADMINISTRATIVE
    return [
        acts.MemberSuspended(TUNIS, reason),
        acts.MemberReinstated(TUNIS),
        acts.MemberRevoked(TUNIS, reason),
        acts.KeyRevoked(tunis.reception.key_id, reason),
        acts.TlsRenewed(acts.TlsSubject.NODE, bytes(32), CAIRO),
        acts.TlsRenewed(acts.TlsSubject.HUB, bytes(32), ""),
        acts.ReceptionKeyAnnounced(CAIRO, agency(ROME).reception.public),
        acts.AgreementSuspended("test-agreement", reason, CAIRO),
        acts.AgreementLifted("test-agreement", CAIRO),
        acts.AgreementEnded("test-agreement", reason, ""),
        acts.AdministratorRemoved("admin-c", reason),
        acts.CaAdded(authority().certificate.der),
        acts.RegistrarReplaced(acts.RegistrarIdentity(agency(ROME).log.public, bytes(32))),
        acts.AdministratorAdded(acts.NamedPair("admin-d", agency(ROME).log.public)),
    ]


def _bodies() -> list[bytes]:
    entered = [SignedEntry.from_bytes(each).body for each in federation().leaves]
    drawn = [encode_body(Body(FEDERATION, bytes(16), AT, each)) for each in _acts()]
    return [*drawn, *entered]


def entries() -> list[bytes]:
    made: Federation = federation()
    duty = EntrySigner.duty(CAIRO, made.agencies[CAIRO].duty)
    body = encode_body(Body(FEDERATION, bytes(16), AT, _acts()[7]))
    return [sign_entry(body, [duty]).to_bytes(), *made.leaves[:3]]


@cache
def _cards() -> list[bytes]:
    cairo = agency(CAIRO)
    return [
        KeyCard.duty(FEDERATION, CAIRO, cairo.duty).to_bytes(),
        KeyCard.signatory(FEDERATION, CAIRO, "signer-a", cairo.signatories["signer-a"]).to_bytes(),
        KeyCard.administrator(FEDERATION, "admin-a", cairo.log).to_bytes(),
    ]


def _hub_bodies() -> list[bytes]:
    hub = federation().hub
    assert hub is not None
    request = csr(tls_key("hub tls"), SpiffeId(FEDERATION, IdentityKind.HUB))
    made = [
        make_hub_request(
            FEDERATION,
            cosigning=hub.cosigning,
            exchange_address=exchange,
            enrolment_address=enrolment_address,
            csr=request,
            at=AT,
        )
        for exchange, enrolment_address in (
            ("hub.example.org:7443", "hub.example.org:7444"),
            ("127.0.0.1:1", "[::1]:65535"),
        )
    ]
    return [enrolment_pb2.HubRequest.FromString(each).body for each in made]


def _approvals() -> list[bytes]:
    made = federation()
    hub = made.hub
    assert hub is not None
    return [
        HubApproval(
            hub.certificate.der, tuple(made.leaves[:2]), made.checkpoint(size=2, at=AT)
        ).to_bytes()
    ]


LARGE = 64 * 1024
TARGETS = (
    Target(
        "registry_entry",
        Exposure.MEMBER,
        registry_entry,
        entries,
        message=registry_pb2.SignedEntry,
        size_bytes_max=LARGE,
    ),
    Target(
        "registry_body",
        Exposure.MEMBER,
        registry_body,
        _bodies,
        message=registry_pb2.RegistryBody,
        size_bytes_max=LARGE,
    ),
    Target(
        "key_card",
        Exposure.FILE,
        key_card,
        _cards,
        message=enrolment_pb2.KeyCard,
        size_bytes_max=8192,
    ),
    Target(
        "hub_request",
        Exposure.FILE,
        hub_request,
        _hub_bodies,
        message=enrolment_pb2.HubRequestBody,
        size_bytes_max=8192,
    ),
    Target(
        "hub_approval",
        Exposure.FILE,
        hub_approval,
        _approvals,
        message=enrolment_pb2.HubApproval,
        size_bytes_max=LARGE,
    ),
)
