"""The lies of an evil hub, one small function each.

A lie about a stream takes a message to one reader and returns what is sent in its place;
`about` aims it. What it spoils is a copy: the honest hub behind goes on as it was.
"""

from collections.abc import Callable, Iterable
from typing import Any

from mithaq.v1 import exchange_pb2
from tests.attacks.evil_hub import Lie

Response = exchange_pb2.SubscribeResponse
Bend = Callable[[Any], Iterable[Any]]
# An unknown field, number 200: a varint 1.
UNKNOWN_FIELD = b"\xc0\x0c\x01"


def kind_of(message: Any) -> str:  # noqa: ANN401 - messages of every service
    if isinstance(message, exchange_pb2.FollowResponse):
        return "registry"
    return str(message.WhichOneof("message"))


def about(stream_id: bytes, kind: str, bend: Bend, *, reader: str = "tn-dgsn") -> Lie:
    """Aim a lie at messages of one kind, about one stream, to one reader."""

    def say(member: str, message: Any) -> Iterable[Any]:  # noqa: ANN401 - as above
        if member != reader or kind_of(message) != kind:
            return [message]
        if _stream_of(message, kind) != stream_id:
            return [message]
        copy = type(message)()
        copy.CopyFrom(message)
        return bend(copy)

    return say


def _stream_of(message: Any, kind: str) -> bytes:  # noqa: ANN401 - as above
    told = getattr(message, kind)
    # The honest hub tells of one stream at a time.
    about: Any = told.receipts[0] if kind == "receipts" else told
    return bytes(about.stream_id)


def of_kind(kinds: str, bend: Bend, *, reader: str = "tn-dgsn") -> Lie:
    """Aim a lie at all messages of these kinds to one reader."""

    def say(member: str, message: Any) -> Iterable[Any]:  # noqa: ANN401 - as above
        if member != reader or kind_of(message) not in kinds.split():
            return [message]
        return bend(message)

    return say


def both(first: Lie, second: Lie) -> Lie:
    """Tell one lie, and of what is left of the message another."""

    def say(member: str, message: Any) -> Iterable[Any]:  # noqa: ANN401 - as above
        return [told for each in first(member, message) for told in second(member, each)]

    return say


def once(bend: Bend) -> Bend:
    """Lie the first time only."""
    told = False

    def tell(message: Response) -> Iterable[Response]:
        nonlocal told
        told, before = True, told
        return [message] if before else bend(message)

    return tell


# --- any message ------------------------------------------------------------------------


def drop(_: Response) -> list[Response]:
    return []


def repeat(message: Response) -> list[Response]:
    return [message, message]


def listen(heard: list[Any]) -> Bend:
    """Keep what is said, and say it."""

    def tell(message: Response) -> list[Response]:
        heard.append(message)
        return [message]

    return tell


def out_of_order() -> Bend:
    """Keep the first message until the second has gone."""
    kept: list[Response] = []

    def tell(message: Response) -> list[Response]:
        if not kept:
            kept.append(message)
            return []
        return [message, kept[0]]

    return tell


# --- headers ----------------------------------------------------------------------------


def alter(message: Response) -> list[Response]:
    """Change the last byte of the last entry: of its commitment or its body's hash."""
    run = message.headers.runs[-1]
    run.own = run.own[:-1] + bytes([run.own[-1] ^ 1])
    return [message]


def grow(message: Response) -> list[Response]:
    """Hide something in a field that no reader knows."""
    message.headers.runs[-1].terms += UNKNOWN_FIELD
    return [message]


def truncate(message: Response) -> list[Response]:
    """Leave the last entry out under the note over all of them."""
    run = message.headers.runs[-1]
    run.own = run.own[: -run.own_size]
    return [message]


def without_line(number: int) -> Bend:
    """Strip one signature of the sender's two from its note."""

    def tell(message: Response) -> list[Response]:
        lines = message.headers.checkpoint.decode().splitlines(keepends=True)
        kept = "".join(line for at, line in enumerate(lines) if at != number)
        message.headers.checkpoint = kept.encode()
        return [message]

    return tell


def also_as(stream_id: bytes) -> Bend:
    """Say the truth, and then pass the same entries off as those of another stream."""

    def tell(message: Response) -> list[Response]:
        copy = Response()
        copy.CopyFrom(message)
        copy.headers.stream_id = stream_id
        return [message, copy]

    return tell


# --- bodies -----------------------------------------------------------------------------


def swap(message: Response) -> list[Response]:
    """Exchange the last two bodies."""
    bodies = message.bodies.bodies
    bodies[-1], bodies[-2] = bodies[-2], bodies[-1]
    return [message]


def keep_last(message: Response) -> list[Response]:
    """Leave the last body out without a word."""
    del message.bodies.bodies[-1]
    del message.bodies.sequences[-1]
    return [message]


def name_more(message: Response) -> list[Response]:
    """Name one body more than is there."""
    del message.bodies.bodies[-1]
    return [message]


def say_opened(message: Response) -> list[Response]:
    """Leave all bodies out and say that the reader has opened them already."""
    omissions = [
        exchange_pb2.Omission(sequence=each, reason=exchange_pb2.OMISSION_REASON_OPENED)
        for each in message.bodies.sequences
    ]
    del message.bodies.bodies[:]
    del message.bodies.sequences[:]
    message.bodies.omissions.extend(omissions)
    return [message]
