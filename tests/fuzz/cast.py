"""The federation that the corpus is about: the same keys, leaves and hour in every process.

Private keys are made of their names, so that inputs signed here can be signed anew when
they were changed; the registry's leaves are kept in a file, for ML-DSA signs differently
each time. Nothing of it is secret, and nobody else's is like it.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from mithaq.certs.acts import RegistrarIdentity
from mithaq.certs.authority import Authority, IssuedCertificate
from mithaq.certs.cards import KeyCard
from mithaq.certs.entries import EntrySigner, sign_entry
from mithaq.certs.genesis import create_genesis, found
from mithaq.certs.invitation import Invitation
from mithaq.certs.keys import Ed25519Key, MlDsa44Key, ReceptionKey, SigningPair
from mithaq.certs.registry import Registry
from mithaq.certs.tls import IdentityKind, SpiffeId, TlsKey, csr
from mithaq.ledger.tree import leaf_hash
from mithaq.store.pages import pack_leaves, unpack_leaves
from tests.federation import FEDERATION, HOSTS, Agency, Federation, HubParty, agreement

LEAVES = Path(__file__).parent / "registry.leaves"
FOUNDED = datetime(2026, 11, 1, tzinfo=UTC)
AT = datetime(2026, 11, 2, 12, tzinfo=UTC)
CAIRO, TUNIS, GENEVA = "eg-moi", "tn-dgsn", "int-iom"
MEMBERS = (CAIRO, TUNIS, GENEVA)
# Invited, and not yet a member.
ROME = "it-int"
ADMINISTRATORS = ("admin-a", "admin-b", "admin-c")


def material(name: str, size: int) -> bytes:
    """Return the bytes that a key of this name is made of."""
    return hashlib.shake_256(f"mithaq fuzzing {name}".encode()).digest(size)


def pair(name: str) -> SigningPair:
    return SigningPair.from_bytes(material(name, 64))


def single(name: str) -> Ed25519Key:
    return Ed25519Key.from_bytes(material(name, 32))


def tls_key(name: str) -> TlsKey:
    return ec.derive_private_key(int.from_bytes(material(name, 31), "big"), ec.SECP256R1())


@cache
def authority() -> Authority:
    """Return an issuing CA; not the one whose certificate the registry holds."""
    return Authority.create(FEDERATION, at=FOUNDED)


def agency(member: str) -> Agency:
    key = tls_key(f"{member} tls")
    request = csr(key, SpiffeId(FEDERATION, IdentityKind.NODE, member))
    return Agency(
        member=member,
        log=pair(f"{member} log"),
        held=single(f"{member} held"),
        opened=single(f"{member} opened"),
        receipt_mldsa=MlDsa44Key.from_bytes(material(f"{member} receipt", 32)),
        reception=ReceptionKey.from_bytes(material(f"{member} reception", 96)),
        duty=single(f"{member} duty"),
        signatories={name: pair(f"{member} {name}") for name in ("signer-a", "signer-b")},
        tls_key=key,
        certificate=authority().issue_node(request, member, at=FOUNDED),
    )


def invitation() -> Invitation:
    """Return the one that Rome holds; what stands for the certificate is none."""
    return Invitation(
        FEDERATION,
        ROME,
        "127.0.0.1:7444",
        federation().pin,
        b"certificate",
        material("invitation", 32),
        AT + timedelta(days=7),
    )


@cache
def federation() -> Federation:
    """Return the federation as the kept leaves have it."""
    leaves = unpack_leaves(LEAVES.read_bytes())
    registry = Registry.start(leaves[0], leaf_hash(leaves[0]))
    for leaf in leaves[1:]:
        registry.apply(leaf)
    made = _parties(registry, leaves)
    registry.observe_checkpoint(made.checkpoint(at=AT))
    made.agencies.update({each: agency(each) for each in MEMBERS})
    made.hub = _hub()
    return made


def found_anew() -> None:
    """Write the leaves of a federation of these keys; all kept inputs are of the old one then."""
    pairs = {each: pair(each) for each in ADMINISTRATORS}
    body = create_genesis(
        FEDERATION,
        administrators=[KeyCard.administrator(FEDERATION, *each) for each in pairs.items()],
        threshold=2,
        registrar=RegistrarIdentity(pair("registrar").public, _registrar_certificate().fingerprint),
        ca_certificate=authority().certificate.der,
        at=FOUNDED,
    )
    signers = [EntrySigner.administrator(*each) for each in pairs.items()][:2]
    genesis = sign_entry(body, signers)
    made = _parties(found(genesis), [genesis.to_bytes()])
    made.enrol_hub(cosigning=_hub().cosigning, at=FOUNDED)
    for member in MEMBERS:
        made.agencies[member] = agency(member)
        made.enter(made.enrolment_of(made.agencies[member]), at=FOUNDED)
    terms = agreement(*MEMBERS, effective_from=FOUNDED)
    made.agree(terms, at=FOUNDED)
    LEAVES.write_bytes(pack_leaves(made.leaves))


def _parties(registry: Registry, leaves: list[bytes]) -> Federation:
    return Federation(
        name=FEDERATION,
        administrators={each: pair(each) for each in ADMINISTRATORS},
        threshold=2,
        registrar=pair("registrar"),
        registrar_tls=tls_key("registrar tls"),
        registrar_certificate=_registrar_certificate(),
        authority=authority(),
        registry=registry,
        leaves=leaves,
    )


@cache
def _registrar_certificate() -> IssuedCertificate:
    request = csr(tls_key("registrar tls"), SpiffeId(FEDERATION, IdentityKind.REGISTRAR))
    return authority().issue_registrar(request, HOSTS, at=FOUNDED)


@cache
def _hub() -> HubParty:
    key = tls_key("hub tls")
    request = csr(key, SpiffeId(FEDERATION, IdentityKind.HUB))
    return HubParty(pair("hub"), key, authority().issue_hub(request, HOSTS, at=FOUNDED))
