"""Keys of people open with a passphrase, and with nothing else."""

from pathlib import Path

import pytest

from mithaq.certs.errors import KeyFormatError, KeystoreModeError, PassphraseError
from mithaq.certs.keys import Ed25519Key, SigningPair
from mithaq.certs.keystore import Keystore
from mithaq.certs.offline import (
    COST_DEFAULT,
    COST_MAX,
    COST_MIN,
    PASSPHRASE_SIZE_BYTES_MAX,
    OfflineKeystore,
    Passphrase,
    lock,
    unlock,
)

RIGHT = Passphrase("a long enough passphrase")
WRONG = Passphrase("a long enough passphrasf")


def test_a_pair_opens_with_its_passphrase_alone(tmp_path: Path) -> None:
    pair = SigningPair.generate()
    store = OfflineKeystore(tmp_path / "keys", passphrase=RIGHT, cost=COST_MIN)
    store.create("admin-a", pair)
    assert store.load_pair("admin-a").public == pair.public
    with pytest.raises(PassphraseError):
        OfflineKeystore(tmp_path / "keys", passphrase=WRONG).load_pair("admin-a")
    with pytest.raises(KeyFormatError):
        Keystore(tmp_path / "keys").load_pair("admin-a")


def test_nothing_of_the_key_stands_in_the_file(tmp_path: Path) -> None:
    key = Ed25519Key.generate()
    store = OfflineKeystore(tmp_path / "keys", passphrase=RIGHT, cost=COST_MIN)
    store.create("duty", key)
    content = (tmp_path / "keys" / "duty.key").read_bytes()
    assert key.to_bytes() not in content
    assert b"ED25519" not in content
    assert (tmp_path / "keys" / "duty.key").stat().st_mode & 0o777 == 0o600


def test_a_key_that_is_in_the_clear_does_not_open_as_an_offline_one(tmp_path: Path) -> None:
    Keystore(tmp_path / "keys").create("log", SigningPair.generate())
    with pytest.raises(KeyFormatError, match="not a key under a passphrase"):
        OfflineKeystore(tmp_path / "keys", passphrase=RIGHT).load_pair("log")


def test_the_default_cost_opens_again() -> None:
    assert unlock(lock(b"key", RIGHT), RIGHT) == b"key"
    assert lock(b"key", RIGHT, cost=COST_MIN)[21] == COST_MIN
    assert COST_DEFAULT == 17


@pytest.mark.parametrize("cost", [COST_MIN - 1, COST_MAX + 1, 0, 255])
def test_a_file_cannot_ask_for_a_cost_out_of_bounds(cost: int) -> None:
    locked = lock(b"key", RIGHT, cost=COST_MIN)
    with pytest.raises(KeyFormatError, match="cost"):
        unlock(locked[:21] + bytes((cost,)) + locked[22:], RIGHT)
    with pytest.raises(KeyFormatError, match="cost"):
        lock(b"key", RIGHT, cost=min(cost, 255))


def test_a_file_that_was_altered_does_not_open() -> None:
    locked = lock(b"key", RIGHT, cost=COST_MIN)
    for at in (*range(22, len(locked), 7), len(locked) - 1):
        changed = locked[:at] + bytes((locked[at] ^ 1,)) + locked[at + 1 :]
        with pytest.raises(PassphraseError):
            unlock(changed, RIGHT)


@pytest.mark.parametrize("content", [b"", b"mithaq-offline-key-1\n", b"x" * 100])
def test_other_files_are_no_locked_keys(content: bytes) -> None:
    with pytest.raises(KeyFormatError):
        unlock(content, RIGHT)


def test_two_lockings_of_one_key_share_nothing() -> None:
    first, second = (lock(b"key", RIGHT, cost=COST_MIN)[22:] for _ in range(2))
    assert first[:16] != second[:16]
    assert first[28:] != second[28:]


# --- passphrases ----------------------------------------------------------------------------------


def test_a_passphrase_has_twelve_characters() -> None:
    assert Passphrase("x" * 12).text
    with pytest.raises(PassphraseError, match="at least 12"):
        Passphrase("x" * 11)
    assert Passphrase("x" * PASSPHRASE_SIZE_BYTES_MAX).text
    with pytest.raises(PassphraseError, match="at most"):
        Passphrase("x" * (PASSPHRASE_SIZE_BYTES_MAX + 1))


def test_a_passphrase_is_never_shown() -> None:
    assert "long" not in repr(RIGHT) + str(RIGHT)
    assert "long" not in repr(OfflineKeystore(Path("keys"), passphrase=RIGHT))


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\nsecond line"])
def test_a_passphrase_is_the_first_line_of_its_file(tmp_path: Path, end: str) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes((RIGHT.text + end).encode())
    path.chmod(0o600)
    assert Passphrase.read(path) == RIGHT


def test_a_passphrase_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    path.write_text(RIGHT.text)
    path.chmod(0o640)
    with pytest.raises(KeystoreModeError, match="read by others"):
        Passphrase.read(path)
    with pytest.raises(KeystoreModeError, match="cannot be read"):
        Passphrase.read(tmp_path / "missing")


def test_a_passphrase_file_is_text(tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(b"\xff" * 20)
    path.chmod(0o600)
    with pytest.raises(PassphraseError, match="not text"):
        Passphrase.read(path)
