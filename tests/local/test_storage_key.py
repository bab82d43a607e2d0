"""The storage key, where no file of the machine holds it."""

from pathlib import Path

import pytest

from mithaq.certs.errors import KeyMissingError, KeystoreModeError
from mithaq.certs.keystore import Keystore
from mithaq.node.folder import NodeFolder
from mithaq.node.keyring import STORAGE, Keyring, make_missing


@pytest.fixture
def folder(tmp_path: Path) -> NodeFolder:
    folder = NodeFolder(tmp_path / "node")
    folder.prepare()
    make_missing(folder.keys)
    return folder


def handed_over(folder: NodeFolder, into: Path) -> Path:
    """Move the storage key to where systemd would hand it over from: read-only."""
    Keystore(into).create(STORAGE, folder.keys.load_secret(STORAGE))
    folder.keys.destroy(STORAGE)
    (into / f"{STORAGE}.key").chmod(0o400)
    into.chmod(0o500)
    return into


def test_the_storage_key_may_be_a_systemd_credential(
    folder: NodeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Keyring.load(folder.keys, folder.credentials)
    given = handed_over(folder, tmp_path / "credentials")
    with pytest.raises(KeyMissingError):
        Keyring.load(folder.keys, folder.credentials)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(given))
    after = Keyring.load(folder.keys, folder.credentials)
    name = b"a synthetic record".ljust(32)
    kept = before.storage.seal(b"text", name=name, random=bytes)
    assert after.storage.open(wrapped_key=kept.wrapped_key, body=kept.body, name=name) == b"text"


def test_a_key_file_counts_before_a_credential(
    folder: NodeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "nothing"))
    Keyring.load(folder.keys, folder.credentials)


def test_a_credential_that_others_can_read_is_refused(
    folder: NodeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = handed_over(folder, tmp_path / "credentials")
    given.chmod(0o755)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(given))
    with pytest.raises(KeystoreModeError):
        Keyring.load(folder.keys, folder.credentials)
