"""The root pin, as people carry it: 64 hexadecimal characters."""

from __future__ import annotations

from mithaq.cli.errors import CliError

PIN_SIZE_BYTES = 32


def pin_of(text: str) -> bytes:
    """Return the pin's 32 bytes; raise CliError for anything else."""
    try:
        pin = bytes.fromhex(text)
    except ValueError:
        pin = b""
    if len(pin) != PIN_SIZE_BYTES:
        raise CliError(
            "MQ-REQUEST-PIN",
            "this is not a root pin",
            fix="copy it from `mithaq trust init`, 64 hexadecimal characters",
        )
    return pin
