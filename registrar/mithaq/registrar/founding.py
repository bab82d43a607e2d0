"""Founding a federation: keys, issuing CA, the first entry, and the registrar's folder.

Two ways. The simple one makes all administrators' keys here, as offline files under one
passphrase, for their owners to carry away. In the ceremony each administrator has made
its key elsewhere and hands in a card; the first entry is drawn up here, carried round to
be signed, and comes back. The registrar needs no administrator's key to run. The first
entry's leaf hash is what every member pins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from mithaq.certs.authority import Authority
from mithaq.certs.cards import KeyCard
from mithaq.certs.entries import (
    EntrySigner,
    Policy,
    RegistrarIdentity,
    SignedEntry,
    sign_entry,
)
from mithaq.certs.errors import TrustFormatError
from mithaq.certs.genesis import create_genesis, found
from mithaq.certs.keys import SigningPair
from mithaq.certs.offline import COST_DEFAULT, OfflineKeystore, Passphrase
from mithaq.certs.tls import IdentityKind, SpiffeId, csr, new_tls_key, tls_key_to_pem
from mithaq.registrar.config import CONFIG_FILE, RegistrarConfig
from mithaq.registrar.local_users import add_user
from mithaq.registrar.places import CA_KEY, OWNER, REGISTRAR_KEY, Places
from mithaq.service.local_api import LocalApi
from mithaq.service.profile import write_private

ADMINISTRATOR_USER: Final = "administrator"


@dataclass(frozen=True, slots=True)
class Founding:
    """What was founded: the root pin to publish, and where things lie."""

    federation: str
    genesis_hash: bytes
    profile: Path
    # Offline keys that were made here; none after a ceremony.
    administrators: tuple[Path, ...]


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
    pairs = {name: SigningPair.generate() for name in sorted(administrators)}
    cards = [KeyCard.administrator(config.federation, name, pair) for name, pair in pairs.items()]
    body = _draw_up(config, cards, threshold=threshold, policy=policy, at=at)
    offline = OfflineKeystore(config.directory / "administrators", passphrase=passphrase, cost=cost)
    for name, pair in pairs.items():
        offline.create(name, pair)
    signers = [EntrySigner.administrator(name, pair) for name, pair in pairs.items()]
    keys = tuple(offline.directory / f"{name}.key" for name in pairs)
    return _complete(config, sign_entry(body, signers), keys, at=at)


def draft_federation(
    config: RegistrarConfig,
    *,
    cards: Sequence[KeyCard],
    threshold: int,
    policy: Policy,
    at: datetime,
) -> Path:
    """Make CA and registrar's keys, and return the file of the first entry, to be signed.

    Raises:
        KeyExistsError: a federation was founded or drafted in this folder before.
        EnrolmentError: a card proves nothing, or is for something else.
        TrustError: the threshold or the policy breaks a rule.

    """
    body = _draw_up(config, cards, threshold=threshold, policy=policy, at=at)
    draft = Places(config.directory).draft
    write_private(draft, SignedEntry(body, ()).to_bytes())
    write_private(config.directory / CONFIG_FILE, _settings(config).encode())
    return draft


def complete_federation(folder: Path, signed: bytes, *, at: datetime) -> Founding:
    """Found the federation that was drafted in a folder, once k administrators have signed.

    Raises:
        TrustFormatError: not the entry that was drafted here.
        AuthorityMissingError and its kin: k of its own administrators did not sign it.

    """
    places, entry = Places(folder), SignedEntry.from_bytes(signed)
    if entry.body != SignedEntry.from_bytes(places.draft.read_bytes()).body:
        raise TrustFormatError("this is not the first entry that was drawn up in this folder")
    founding = _complete(RegistrarConfig.read(folder).value, entry, (), at=at)
    places.draft.unlink()
    return founding


def _draw_up(
    config: RegistrarConfig,
    cards: Sequence[KeyCard],
    *,
    threshold: int,
    policy: Policy,
    at: datetime,
) -> bytes:
    """Return the body of the first entry, with the keys that it names made here."""
    places = Places(config.directory)
    authority = Authority.create(config.federation, at=at)
    places.keys.create(CA_KEY, authority.key)
    write_private(places.ca, authority.certificate.pem)
    return create_genesis(
        config.federation,
        administrators=cards,
        threshold=threshold,
        registrar=_registrar_identity(places, authority, at=at),
        ca_certificate=authority.certificate_der,
        at=at,
        policy=policy,
    )


def _complete(
    config: RegistrarConfig, genesis: SignedEntry, keys: tuple[Path, ...], *, at: datetime
) -> Founding:
    registry = found(genesis)
    places = Places(config.directory)
    write_private(places.genesis, genesis.to_bytes())
    LocalApi.create(places.local, federation=config.federation, owner=OWNER, at=at)
    profile = add_user(config, places.profiles / ADMINISTRATOR_USER, user=ADMINISTRATOR_USER, at=at)
    write_private(config.directory / CONFIG_FILE, _settings(config).encode())
    return Founding(config.federation, registry.genesis_hash, profile, keys)


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
