"""How a command reaches a local API: address, certificate, key, and whom to trust.

A profile is a folder with `profile.toml` and PEM files beside it, made by
`mithaq node join`, `mithaq node officer add`, `mithaq trust init` or `mithaq
hub init`. It holds a private key: the folder is for its owner only.
"""

from __future__ import annotations

import os
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import grpc

from mithaq.cli.errors import CliError
from mithaq.service.errors import from_rpc_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_F = TypeVar("_F", bound="Callable[..., Any]")

PROFILE_FILE = "profile.toml"
DEADLINE_SECONDS = 60.0
_KEYS = frozenset({"address", "server_name", "server_ca", "certificate", "key"})


@dataclass(frozen=True, slots=True)
class Profile:
    """A local API and the credentials for it."""

    address: str
    server_name: str
    server_ca: bytes
    certificate: bytes
    key: bytes


def profile_option(function: _F) -> _F:
    """Add `--profile`, the folder of credentials (or MITHAQ_PROFILE)."""
    return click.option(
        "--profile",
        "profile",
        envvar="MITHAQ_PROFILE",
        type=click.Path(path_type=Path),
        required=True,
        help="Folder with profile.toml: which node, and as whom (MITHAQ_PROFILE).",
    )(function)


def load_profile(folder: Path) -> Profile:
    """Read a profile.

    Raises:
        CliError: the folder is no profile, or a file that it names is missing.

    """
    path = folder / PROFILE_FILE
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
        missing = sorted(_KEYS - settings.keys())
        if missing:
            raise CliError(
                "MQ-CONFIG-PROFILE",
                f"{path} lacks {', '.join(missing)}",
                fix="make the profile again with `mithaq node officer add`",
            )
        return Profile(
            address=str(settings["address"]),
            server_name=str(settings["server_name"]),
            server_ca=(folder / str(settings["server_ca"])).read_bytes(),
            certificate=(folder / str(settings["certificate"])).read_bytes(),
            key=(folder / str(settings["key"])).read_bytes(),
        )
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise CliError(
            "MQ-CONFIG-PROFILE",
            f"no readable profile in {folder}",
            why=type(error).__name__,
            fix="name the folder that `mithaq node join` or `mithaq node officer add` made",
        ) from error


def write_profile(folder: Path, profile: Profile) -> Path:
    """Write a profile's files, readable by their owner only; return the folder."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    _write_private(folder / "server-ca.pem", profile.server_ca)
    _write_private(folder / "certificate.pem", profile.certificate)
    _write_private(folder / "key.pem", profile.key)
    settings = (
        f'address = "{profile.address}"\n'
        f'server_name = "{profile.server_name}"\n'
        'server_ca = "server-ca.pem"\n'
        'certificate = "certificate.pem"\n'
        'key = "key.pem"\n'
    )
    _write_private(folder / PROFILE_FILE, settings.encode())
    return folder


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


@contextmanager
def connected(folder: Path) -> Iterator[grpc.Channel]:
    """Yield a channel to the profile's local API; errors leave it with code, why and fix."""
    profile = load_profile(folder)
    credentials = grpc.ssl_channel_credentials(profile.server_ca, profile.key, profile.certificate)
    options = [
        ("grpc.ssl_target_name_override", profile.server_name),
        ("grpc.enable_http_proxy", 0),
    ]
    with grpc.secure_channel(profile.address, credentials, options=options) as channel:
        try:
            yield channel
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
