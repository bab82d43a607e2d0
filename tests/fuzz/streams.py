"""Streams of the cast, at its hour, and how what was changed in one is signed anew.

A sender that lies still has its keys: a batch that was changed is made whole again, with
hashes of the bodies that are there and both signatures over the root that its entries
give. So the rules behind the signatures are reached, and not only the signatures.
"""

import hashlib
from collections.abc import Iterator
from datetime import timedelta

from mithaq.hub.batch import run_message
from mithaq.ledger.checkpoint import Checkpoint, sign_checkpoint
from mithaq.ledger.entry import has_body
from mithaq.ledger.errors import LedgerError
from mithaq.ledger.instants import day_from
from mithaq.ledger.kinds import StreamRole
from mithaq.ledger.run import Run
from mithaq.ledger.stream import StreamState
from mithaq.ledger.tree import Frontier
from mithaq.v1 import exchange_pb2
from tests.fuzz.cast import AT, CAIRO, GENEVA, TUNIS, federation, pair
from tests.streams import StreamWriter, open_terms

EXPIRES = day_from(AT + timedelta(days=30))
HASH = 32


def writer() -> StreamWriter:
    """Return Cairo's writer of a stream with one epoch, three records and one taken back."""
    return begun(new())


def new(*audience: str, role: StreamRole = StreamRole.DISCLOSURE, ordinal: int = 0) -> StreamWriter:
    """Return the writer of a stream that has its OPEN entry alone."""
    members = audience or (GENEVA, TUNIS)
    made = open_terms(federation(), CAIRO, members, role=role, ordinal=ordinal, at=AT)
    return StreamWriter(federation(), made)


def begun(made: StreamWriter) -> StreamWriter:
    made.epoch(created_at=AT)
    made.put(3, size_bytes=64, created_at=AT, expires_at=EXPIRES)
    made.withdraw(2, created_at=AT)
    return made


def batch(made: StreamWriter) -> exchange_pb2.Batch:
    return made.batch(checkpoint=made.note(at=AT))


def next_batches() -> list[exchange_pb2.Batch]:
    """Return batches that may follow in the stream of ``writer()``."""

    def following(change: str) -> exchange_pb2.Batch:
        made = writer()
        batch(made)
        if change == "put":
            made.put(2, size_bytes=64, created_at=AT, expires_at=EXPIRES)
        elif change == "version":
            made.put(1, size_bytes=64, target=3, created_at=AT, expires_at=EXPIRES)
        elif change == "epoch":
            made.epoch(TUNIS, created_at=AT)
            made.put(1, size_bytes=64, created_at=AT, expires_at=EXPIRES)
        elif change == "withdraw":
            made.withdraw(3, 4, created_at=AT)
        else:
            made.close()
        message = batch(made)
        # A third of each would be signatures, which are made anew.
        message.checkpoint = b""
        return message

    return [following(each) for each in ("put", "version", "epoch", "withdraw", "close")]


def runs_of(message: exchange_pb2.Batch | exchange_pb2.Headers) -> list[Run]:
    """Return the runs of a message; raises LedgerError."""
    return [Run(each.terms, each.own_size, each.own) for each in message.runs]


def mend(message: exchange_pb2.Batch, state: StreamState | None) -> None:
    """Give the entries the hashes of their bodies, and the batch a note over what it says."""
    try:
        runs, bodies = runs_of(message), iter(message.bodies)
        mended = [_with_bodies(each, bodies) for each in runs]
    except LedgerError:
        return
    del message.runs[:]
    message.runs.extend(run_message(each) for each in mended)
    message.checkpoint = note_over(mended, state) or message.checkpoint


def note_over(runs: list[Run], state: StreamState | None) -> bytes | None:
    """Return Cairo's note over a stream that these runs continue, or that they begin."""
    before = Frontier.empty() if state is None else state.frontier
    try:
        after = before.extend([each for run in runs for each in run.leaf_hashes()])
        origin = state.origin if state else StreamState.open(runs[0].leaves()[0]).origin
        checkpoint = Checkpoint(origin, after.size, after.root())
    except (LedgerError, IndexError):
        return None
    key = pair(f"{CAIRO} log")
    return sign_checkpoint(checkpoint, ed25519=key.ed25519, mldsa=key.mldsa, at=AT)


def _with_bodies(run: Run, bodies: Iterator[bytes]) -> Run:
    if not has_body(run.own_size):
        return run
    pieces: list[bytes] = []
    for place in range(len(run)):
        body = next(bodies, b"")
        own = run.own_bytes[place * run.own_size : (place + 1) * run.own_size]
        size, digest = len(body).to_bytes(4, "big"), hashlib.sha256(body).digest()
        pieces.append(own[: -4 - 2 * HASH] + size + digest + own[-HASH:])
    return Run(run.terms_bytes, run.own_size, b"".join(pieces))
