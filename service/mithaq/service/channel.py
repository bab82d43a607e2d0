"""Channels to a peer: mutual TLS, kept alive, with limits and deadlines of ours.

gRPC reconnects a channel's transport by itself; what a stream had in flight is lost
and is resumed by cursor, which `reconnect` paces. Only unary calls that are
idempotent are retried, and only those named. The rule: no call without a deadline,
but for streams, which keepalive watches.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import grpc

from mithaq.service.server import (
    KEEPALIVE_TIME_MS,
    KEEPALIVE_TIMEOUT_MS,
    MESSAGE_SIZE_BYTES_MAX,
    METADATA_SIZE_BYTES_MAX,
)

UNARY_DEADLINE = timedelta(seconds=10)
CONNECT_DEADLINE = timedelta(seconds=10)
RECONNECT_BACKOFF_MS = (200, 30_000)
RETRIES_MAX = 4


@dataclass(frozen=True, slots=True)
class IdempotentMethod:
    """A unary method that may be repeated: `mithaq.v1.PublishService`, `ListHeads`."""

    service: str
    method: str


def open_channel(
    target: str,
    credentials: grpc.ChannelCredentials,
    *,
    server_name: str | None = None,
    idempotent: Sequence[IdempotentMethod] = (),
) -> grpc.aio.Channel:
    """Open a channel to `host:port`; connects at the first call.

    `server_name` is the DNS name that the peer's certificate must carry, where it is
    not the host of `target`.
    """
    options: list[tuple[str, int | str]] = list(channel_options(idempotent))
    if server_name is not None:
        options.append(("grpc.ssl_target_name_override", server_name))
    return grpc.aio.secure_channel(target, credentials, options=options)


def channel_options(idempotent: Sequence[IdempotentMethod]) -> tuple[tuple[str, int | str], ...]:
    """Return the channel arguments of every channel of ours, as LIMITS gives them."""
    initial_ms, maximum_ms = RECONNECT_BACKOFF_MS
    return (
        ("grpc.max_send_message_length", MESSAGE_SIZE_BYTES_MAX),
        ("grpc.max_receive_message_length", MESSAGE_SIZE_BYTES_MAX),
        ("grpc.max_metadata_size", METADATA_SIZE_BYTES_MAX),
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.initial_reconnect_backoff_ms", initial_ms),
        ("grpc.min_reconnect_backoff_ms", initial_ms),
        ("grpc.max_reconnect_backoff_ms", maximum_ms),
        ("grpc.enable_retries", 1),
        ("grpc.service_config", service_config(idempotent)),
        # Connections are shared within a process by default: a renewed certificate
        # would go on using the old one's connection.
        ("grpc.use_local_subchannel_pool", 1),
    )


def service_config(idempotent: Sequence[IdempotentMethod]) -> str:
    """Return the service config that retries these methods while the peer is unavailable."""
    retry = {
        "maxAttempts": RETRIES_MAX,
        "initialBackoff": "0.1s",
        "maxBackoff": "2s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    if not idempotent:
        return "{}"
    names = [{"service": each.service, "method": each.method} for each in idempotent]
    return json.dumps({"methodConfig": [{"name": names, "retryPolicy": retry}]})
