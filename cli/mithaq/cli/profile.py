"""How a command reaches a local API: the option, and a channel whose errors are ours."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import grpc

from mithaq.service.errors import from_rpc_error
from mithaq.service.profile import read_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_F = TypeVar("_F", bound="Callable[..., Any]")

DEADLINE_SECONDS = 60.0


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


@contextmanager
def connected(folder: Path) -> Generator[grpc.Channel]:
    """Yield a channel to the profile's local API; errors leave it with code, why and fix."""
    profile = read_profile(folder)
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
