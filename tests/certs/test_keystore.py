"""Key files: nobody but their owner reads them, and none is ever overwritten."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from mithaq.certs.errors import (
    CertificateCurveError,
    KeyExistsError,
    KeyFormatError,
    KeyMissingError,
    KeyNameError,
    KeystoreModeError,
)
from mithaq.certs.keys import Ed25519Key, MlDsa44Key, ReceptionKey, SecretKey, SigningPair
from mithaq.certs.keystore import KEY_FILE_SIZE_BYTES_MAX, Keystore, SeedKey
from mithaq.certs.tls import new_tls_key, tls_key_to_pem


@pytest.fixture
def store(tmp_path: Path) -> Keystore:
    return Keystore(tmp_path / "keys")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.mark.parametrize(
    ("key", "load"),
    [
        (Ed25519Key.generate(), Keystore.load_ed25519),
        (MlDsa44Key.generate(), Keystore.load_mldsa44),
        (SigningPair.generate(), Keystore.load_pair),
        (ReceptionKey.generate(), Keystore.load_reception),
        (SecretKey.generate(), Keystore.load_secret),
    ],
)
def test_a_key_comes_back_and_only_as_what_it_is(
    store: Keystore, key: SeedKey, load: Callable[[Keystore, str], SeedKey]
) -> None:
    store.create("name", key)
    assert load(store, "name").to_bytes() == key.to_bytes()
    for other in (
        Keystore.load_ed25519,
        Keystore.load_mldsa44,
        Keystore.load_pair,
        Keystore.load_reception,
        Keystore.load_secret,
        Keystore.load_tls,
    ):
        if other is not load:
            with pytest.raises(KeyFormatError):
                other(store, "name")


def test_a_tls_key_is_stored_as_grpc_reads_it(store: Keystore) -> None:
    key = new_tls_key()
    store.create("tls", key)
    assert tls_key_to_pem(store.load_tls("tls")) == tls_key_to_pem(key)
    assert (store.directory / "tls.key").read_bytes() == tls_key_to_pem(key)


def test_a_tls_key_on_another_curve_is_refused_in_plain_words(store: Keystore) -> None:
    store.create("other", SecretKey.generate())
    for key in (ec.generate_private_key(ec.SECP521R1()), ed25519.Ed25519PrivateKey.generate()):
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (store.directory / "other.key").write_bytes(pem)
        with pytest.raises(CertificateCurveError, match=r"P-256|elliptic"):
            store.load_tls("other")


def test_folder_and_file_are_their_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = Keystore(tmp_path / "deep" / "keys")
        store.create("log", SigningPair.generate())
    finally:
        os.umask(before)
    assert mode(store.directory) == 0o700
    assert mode(store.directory / "log.key") == 0o600


@pytest.mark.parametrize("loose", [0o640, 0o604, 0o620, 0o610, 0o601])
def test_a_key_that_others_can_get_at_is_refused(store: Keystore, loose: int) -> None:
    store.create("log", SigningPair.generate())
    (store.directory / "log.key").chmod(loose)
    with pytest.raises(KeystoreModeError, match=f"{loose:04o}"):
        store.load_pair("log")


@pytest.mark.parametrize("strict", [0o600, 0o400])
def test_a_key_that_only_its_owner_reads_is_taken(store: Keystore, strict: int) -> None:
    store.create("log", SigningPair.generate())
    (store.directory / "log.key").chmod(strict)
    store.load_pair("log")


@pytest.mark.parametrize("loose", [0o750, 0o705, 0o710, 0o770])
def test_a_folder_that_others_can_enter_is_refused(store: Keystore, loose: int) -> None:
    store.create("log", SigningPair.generate())
    store.directory.chmod(loose)
    with pytest.raises(KeystoreModeError, match="folder has mode"):
        store.load_pair("log")
    with pytest.raises(KeystoreModeError, match="folder has mode"):
        store.create("other", SigningPair.generate())
    assert store.names() == ["log"]


def test_a_key_is_never_overwritten(store: Keystore) -> None:
    first = SigningPair.generate()
    store.create("log", first)
    with pytest.raises(KeyExistsError, match="log"):
        store.create("log", SigningPair.generate())
    assert store.load_pair("log").public == first.public
    assert [each.name for each in store.directory.iterdir()] == ["log.key"]


def test_a_key_does_not_go_through_a_link(store: Keystore, tmp_path: Path) -> None:
    store.create("log", SigningPair.generate())
    (store.directory / "link.key").symlink_to(store.directory / "log.key")
    with pytest.raises(KeystoreModeError, match="plain"):
        store.load_pair("link")
    (store.directory / "dangling.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyExistsError):
        store.create("dangling", SigningPair.generate())
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_is_no_link_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(KeystoreModeError, match="plain"):
        Keystore(tmp_path / "link").load_pair("log")


def test_what_is_no_file_is_no_key(store: Keystore) -> None:
    store.create("log", SigningPair.generate())
    (store.directory / "folder.key").mkdir(mode=0o700)
    os.mkfifo(store.directory / "pipe.key", 0o600)
    for name in ("folder", "pipe"):
        with pytest.raises(KeystoreModeError, match="plain file"):
            store.load_pair(name)


def test_a_missing_key_and_a_missing_folder_are_said_to_be_missing(store: Keystore) -> None:
    with pytest.raises(KeyMissingError, match="folder"):
        store.load_pair("log")
    assert (store.names(), store.exists("log")) == ([], False)
    store.create("log", SigningPair.generate())
    with pytest.raises(KeyMissingError, match="other"):
        store.load_pair("other")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../log", "Log", "log.key", "a" * 65, "é"])
def test_a_name_reaches_nothing_outside_the_folder(store: Keystore, name: str) -> None:
    for act in (store.load_pair, store.exists, store.destroy):
        with pytest.raises(KeyNameError):
            act(name)
    with pytest.raises(KeyNameError):
        store.create(name, SecretKey.generate())
    assert not store.directory.exists()


def test_the_longest_name_is_taken(store: Keystore) -> None:
    store.create("a" * 64, SecretKey.generate())
    assert store.names() == ["a" * 64]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"-----BEGIN MITHAQ SECRET KEY-----\n-----END MITHAQ SECRET KEY-----\n",
        b"-----BEGIN MITHAQ SECRET KEY-----\n!!!\n-----END MITHAQ SECRET KEY-----\n",
        b"-----BEGIN MITHAQ SECRET KEY-----\nAAAA\n-----END MITHAQ SECRET KEY-----\n",
        b"\xff" * 100,
        b"a" * (KEY_FILE_SIZE_BYTES_MAX + 1),
    ],
)
def test_a_damaged_file_is_refused_without_quoting_it(store: Keystore, content: bytes) -> None:
    store.create("storage", SecretKey.generate())
    (store.directory / "storage.key").write_bytes(content)
    with pytest.raises(KeyFormatError) as caught:
        store.load_secret("storage")
    assert "AAAA" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_destroyed_key_is_gone(store: Keystore) -> None:
    store.create("reception-1", ReceptionKey.generate())
    store.destroy("reception-1")
    assert not store.exists("reception-1")
    with pytest.raises(KeyMissingError):
        store.destroy("reception-1")


def test_names_are_sorted_and_hold_nothing_but_keys(store: Keystore) -> None:
    for name in ("b", "a"):
        store.create(name, SecretKey.generate())
    (store.directory / "notes.txt").write_text("x")
    (store.directory / "Upper.key").write_text("x")
    assert store.names() == ["a", "b"]


def test_credentials_of_systemd_may_be_readable_by_the_units_group(store: Keystore) -> None:
    key = SecretKey.generate()
    store.create("storage", key)
    (store.directory / "storage.key").chmod(0o440)
    store.directory.chmod(0o550)
    with pytest.raises(KeystoreModeError):
        store.load_secret("storage")
    given = Keystore(store.directory, credentials=True)
    assert given.load_secret("storage").to_bytes() == key.to_bytes()
    (store.directory / "storage.key").chmod(0o444)
    with pytest.raises(KeystoreModeError):
        given.load_secret("storage")
    store.directory.chmod(0o700)


def test_the_key_of_another_user_is_refused(
    store: Keystore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create("log", SigningPair.generate())
    me = os.geteuid()
    # Who we are is the system's to say; here it says someone else.
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(KeystoreModeError, match="another user"):
        store.load_pair("log")


def test_a_store_shows_its_folder_and_no_key(store: Keystore) -> None:
    key = SecretKey.generate()
    store.create("storage", key)
    assert key.to_bytes().hex() not in repr(store)
    assert repr(store.load_secret("storage")) == "<SecretKey>"
