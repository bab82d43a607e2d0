"""A profile: how a person or a program reaches a local API, and as whom.

A folder with `profile.toml` and PEM files beside it. It holds a private key, so
the folder is its owner's only. The rule: a profile names one API and one user.
"""

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from grpc import StatusCode

from mithaq.service.errors import MithaqError

PROFILE_FILE = "profile.toml"
_SETTINGS = ("address", "server_name", "server_ca", "certificate", "key")


class ProfileError(MithaqError):
    """A profile is missing, unreadable or incomplete."""

    code = "MQ-CONFIG-PROFILE"
    public_message = "There is no usable profile in the folder named."
    fix = "Name the folder that `init`, `node join` or `node officer add` made."
    grpc_status = StatusCode.INVALID_ARGUMENT


@dataclass(frozen=True, slots=True)
class Profile:
    """A local API's address and name, its CA, and the user's certificate and key (PEM)."""

    address: str
    server_name: str
    server_ca: bytes
    certificate: bytes
    key: bytes = field(repr=False)


def read_profile(folder: Path) -> Profile:
    """Return the profile in a folder; raise ProfileError."""
    path = folder / PROFILE_FILE
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
        missing = [name for name in _SETTINGS if name not in settings]
        if missing:
            raise ProfileError(
                public_message=f"{path} lacks {', '.join(missing)}.",
            )
        return Profile(
            address=str(settings["address"]),
            server_name=str(settings["server_name"]),
            server_ca=(folder / str(settings["server_ca"])).read_bytes(),
            certificate=(folder / str(settings["certificate"])).read_bytes(),
            key=(folder / str(settings["key"])).read_bytes(),
        )
    except (OSError, ValueError, RecursionError) as error:
        # No TOML, no text, or a name that no file can have; the library nests without a limit.
        raise ProfileError(
            f"{type(error).__name__} in a profile",
            public_message=f"There is no usable profile in {folder}.",
        ) from None


def write_profile(folder: Path, profile: Profile) -> Path:
    """Write a profile's files, readable by their owner only; return the folder."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    write_private(folder / "server-ca.pem", profile.server_ca)
    write_private(folder / "certificate.pem", profile.certificate)
    write_private(folder / "key.pem", profile.key)
    settings = (
        f'address = "{profile.address}"\n'
        f'server_name = "{profile.server_name}"\n'
        'server_ca = "server-ca.pem"\n'
        'certificate = "certificate.pem"\n'
        'key = "key.pem"\n'
    )
    write_private(folder / PROFILE_FILE, settings.encode())
    return folder


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
