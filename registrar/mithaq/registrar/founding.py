"""Founding a federation: keys, issuing CA, the first entry, and the registrar's folder.

Administrators' keys are made offline files under a passphrase, for their owners to
carry away; the registrar needs none of them to run. The first entry's leaf hash is
what every member pins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from mithaq.certs.authority import Authority
from mithaq.certs.cards import KeyCard
from mithaq.certs.entries import EntrySigner, Policy, RegistrarIdentity, sign_entry
from mithaq.certs.genesis import create_genesis, found
from mithaq.certs.keys import SigningPair
from mithaq.certs.keystore import Keystore
from mithaq.certs.offline import COST_DEFAULT, OfflineKeystore, Passphrase
from mithaq.certs.tls import IdentityKind, SpiffeId, csr, new_tls_key, tls_key_to_pem
from mithaq.registrar.config import CONFIG_FILE, RegistrarConfig
from mithaq.service.local_api import LocalApi
from mithaq.service.profile import write_private
from mithaq.service.tls import TlsFiles

CA_KEY: Final = "issuing-ca"
REGISTRAR_KEY: Final = "registrar"
OWNER: Final = "int-registrar"
ADMINISTRATOR_USER: Final = "administrator"


@dataclass(frozen=True, slots=True)
class Founding:
    """What was founded: the root pin to publish, and where things lie."""

    federation: str
    genesis_hash: bytes
    profile: Path
    administrators: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Places:
    """The files below a registrar's folder."""

    folder: Path

    @property
    def genesis(self) -> Path:
        """The first entry's exact bytes."""
        return self.folder / "genesis.entry"

    @property
    def ca(self) -> Path:
        """The issuing CA's certificate, PEM."""
        return self.folder / "issuing-ca.pem"

    @property
    def local(self) -> Path:
        """The local API's authority."""
        return self.folder / "local"

    @property
    def users(self) -> Path:
        """SHA-256 of each certificate that may call the local API, in hex, one a line."""
        return self.folder / "local-users"

    @property
    def keys(self) -> Keystore:
        """The registrar's own keys."""
        return Keystore(self.folder / "keys")

    @property
    def tls(self) -> TlsFiles:
        """What the registrar shows the hub."""
        return TlsFiles(
            private_key=self.folder / "registrar.key.pem",
            chain=self.folder / "registrar.pem",
            roots=self.ca,
        )


def found_federation(
    config: RegistrarConfig,
    *,
    administrators: Sequence[str],
    threshold: int,
    passphrase: Passphrase,
    policy: Policy,
    at: datetime,
    cost: int = COST_DEFAULT,
) -> Founding:
    """Make keys, CA and the first entry in the registrar's folder.

    `cost` is the logarithm of what it costs to try one passphrase.

    Raises:
        KeyExistsError: a federation was founded in this folder before.
        TrustError: a name, the threshold or the policy breaks a rule.

    """
    places = Places(config.directory)
    authority = Authority.create(config.federation, at=at)
    places.keys.create(CA_KEY, authority.key)
    write_private(places.ca, authority.certificate.pem)
    identity = _registrar_identity(places, authority, at=at)
    offline = OfflineKeystore(config.directory / "administrators", passphrase=passphrase, cost=cost)
    pairs = {name: SigningPair.generate() for name in sorted(administrators)}
    for name, pair in pairs.items():
        offline.create(name, pair)
    body = create_genesis(
        config.federation,
        administrators=[
            KeyCard.administrator(config.federation, name, pair) for name, pair in pairs.items()
        ],
        threshold=threshold,
        registrar=identity,
        ca_certificate=authority.certificate_der,
        at=at,
        policy=policy,
    )
    signers = [EntrySigner.administrator(name, pair) for name, pair in pairs.items()]
    genesis = sign_entry(body, signers)
    registry = found(genesis)
    write_private(places.genesis, genesis.to_bytes())
    api = LocalApi.create(places.local, federation=config.federation, owner=OWNER, at=at)
    profile = config.directory / "profiles" / ADMINISTRATOR_USER
    fingerprint = api.new_profile(
        profile, user=ADMINISTRATOR_USER, address=config.local_listen, at=at
    )
    write_private(places.users, f"{fingerprint.hex()}\n".encode())
    write_private(config.directory / CONFIG_FILE, _settings(config).encode())
    return Founding(
        config.federation,
        registry.genesis_hash,
        profile,
        tuple(offline.directory / f"{name}.key" for name in pairs),
    )


def _registrar_identity(places: Places, authority: Authority, *, at: datetime) -> RegistrarIdentity:
    pair = SigningPair.generate()
    places.keys.create(REGISTRAR_KEY, pair)
    key = new_tls_key()
    request = csr(key, SpiffeId(authority.federation, IdentityKind.REGISTRAR))
    issued = authority.issue_registrar(request, at=at)
    write_private(places.tls.private_key, tls_key_to_pem(key))
    write_private(places.tls.chain, issued.pem)
    return RegistrarIdentity(pair.public, issued.fingerprint)


def _settings(config: RegistrarConfig) -> str:
    return (
        f'federation = "{config.federation}"\n'
        f'local_listen = "{config.local_listen}"\n'
        f"metrics_port = {config.metrics_port}\n"
        f"checkpoint_seconds = {config.checkpoint_seconds}\n"
    )
