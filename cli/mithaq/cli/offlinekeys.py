"""Keys that are not on any node: whose file, and the passphrase that opens it.

A key file is named by its path; its passphrase comes from a file that only its
owner can read, or from a prompt. Never from an argument or the environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mithaq.certs.offline import OfflineKeystore, Passphrase

if TYPE_CHECKING:
    from collections.abc import Callable

    from mithaq.certs.keys import Ed25519Key, SigningPair

_F = TypeVar("_F", bound="Callable[..., Any]")


def passphrase_option(function: _F) -> _F:
    """Add `--passphrase-file`; without it the passphrase is asked for."""
    return click.option(
        "--passphrase-file",
        type=click.Path(path_type=Path),
        default=None,
        help="File with the key's passphrase, mode 0600; asked for if absent.",
    )(function)


def key_option(function: _F) -> _F:
    """Add `--key`, the offline key file."""
    return click.option(
        "--key",
        "key_file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        required=True,
        help="Offline key file (NAME.key).",
    )(passphrase_option(function))


def read_passphrase(file: Path | None, *, new: bool = False) -> Passphrase:
    """Return the passphrase from its file, or ask for it (twice for a new key)."""
    if file is not None:
        return Passphrase.read(file)
    text = click.prompt("Passphrase", hide_input=True, confirmation_prompt=new, err=True)
    return Passphrase(str(text))


def load_pair(key_file: Path, passphrase_file: Path | None) -> SigningPair:
    """Return a signing pair: an administrator's or a signatory's."""
    return _store(key_file, passphrase_file).load_pair(key_file.stem)


def load_duty(key_file: Path, passphrase_file: Path | None) -> Ed25519Key:
    """Return a duty key."""
    return _store(key_file, passphrase_file).load_ed25519(key_file.stem)


def _store(key_file: Path, passphrase_file: Path | None) -> OfflineKeystore:
    return OfflineKeystore(key_file.parent, passphrase=read_passphrase(passphrase_file))
