"""From a refused piece of work to the evidence that accuses somebody, where there is any.

Not every fault accuses: bytes that nobody signed prove nothing, and are only refused. What
a member did sign is kept together with what it contradicts, so that anybody can check it
with public formats alone: notes, entries, and the tree hashes before them. The rule: nobody
is said to have signed, or done, what no signature of theirs that verifies is under. Where
one is missing altogether, though its form is whole, ``unsigned`` says that and no more.
"""

from dataclasses import dataclass, replace

import sqlalchemy as sa

from mithaq.certs.errors import TrustError
from mithaq.hub.batch import PublishedBatch, run_message, to_message
from mithaq.hub.bench import RegistryBench
from mithaq.hub.directory import HeldStream
from mithaq.hub.errors import RootMismatchError, StreamForkError, StreamTakenError
from mithaq.hub.tables import BATCH
from mithaq.hub.unsigned import KEY_USED_ELSEWHERE
from mithaq.ledger.errors import LedgerError
from mithaq.ledger.tiles import frontier_at
from mithaq.store.evidence import Evidence
from mithaq.store.log_store import StoredTiles, head, read_runs
from mithaq.v1 import exchange_pb2

FORK = "Two histories of one stream: `checkpoint` is signed over `frontier` and `entries`, \
`known_checkpoint` over `frontier` and `known_entries`, both by the owner's log keys."
ROOT_MISMATCH = "`checkpoint` is signed by the owner, but `frontier` and `entries`, which came \
with it, give another root."
SENT_BY_ANOTHER = "`checkpoint` is signed by the stream's owner, but another member sent it."


def evidence_of(
    error: Exception,
    batch: PublishedBatch,
    *,
    connection: sa.Connection,
    stream: HeldStream | None,
    bench: RegistryBench,
) -> Evidence | None:
    """Return what a refused batch proves against its sender, or None."""
    if stream is None:
        return None
    if isinstance(error, StreamForkError):
        return _FORK.proved(batch, stream, _both(connection, batch, stream), bench=bench)
    if isinstance(error, RootMismatchError):
        sent = _sent(connection, batch, stream)
        return _ROOT_MISMATCH.proved(batch, stream, sent, bench=bench)
    if isinstance(error, StreamTakenError):
        owner = replace(batch, sender=stream.sender)
        if _is_delivered(connection, owner, stream, bench=bench):
            return None
        sent = {"checkpoint": batch.checkpoint}
        return _KEY_USED_ELSEWHERE.proved(owner, stream, sent, bench=bench)
    return None


@dataclass(frozen=True, slots=True)
class _Accusation:
    """An alarm, and the words that say what its messages show."""

    alarm: str
    explanation: str

    def proved(
        self,
        batch: PublishedBatch,
        stream: HeldStream,
        messages: dict[str, bytes],
        *,
        bench: RegistryBench,
    ) -> Evidence | None:
        """Return the evidence, if the batch's note is signed by its sender; None otherwise."""
        try:
            bench.open_note(batch, origin=stream.state.origin)
        except (LedgerError, TrustError):
            return None
        return Evidence(
            alarm=self.alarm,
            accused=batch.sender,
            at=bench.at,
            explanation=self.explanation,
            messages=messages,
            stream_id=stream.state.stream_id,
            facts={"sender": stream.sender},
            registry_size=bench.registry.size,
        )


_FORK = _Accusation("fork", FORK)
_ROOT_MISMATCH = _Accusation("root mismatch", ROOT_MISMATCH)
_KEY_USED_ELSEWHERE = _Accusation(KEY_USED_ELSEWHERE, SENT_BY_ANOTHER)


def _is_delivered(
    connection: sa.Connection, batch: PublishedBatch, stream: HeldStream, *, bench: RegistryBench
) -> bool:
    """Tell whether the note is one that the owner sent itself: every reader has those."""
    try:
        signed = bench.open_note(batch, origin=stream.state.origin)
    except (LedgerError, TrustError):
        return False
    sent = connection.scalar(
        sa.select(BATCH.c.checkpoint).where(
            BATCH.c.log_no == stream.log_no, BATCH.c.size == signed.checkpoint.size
        )
    )
    return sent == batch.checkpoint


def _sent(connection: sa.Connection, batch: PublishedBatch, stream: HeldStream) -> dict[str, bytes]:
    headers = to_message(replace(batch, bodies=()))
    start = min(batch.first_sequence, stream.state.size)
    return {
        "checkpoint": batch.checkpoint,
        "entries": headers.SerializeToString(deterministic=True),
        "frontier": frontier_at(StoredTiles(connection, stream.log_no), start).to_bytes(),
    }


def _both(connection: sa.Connection, batch: PublishedBatch, stream: HeldStream) -> dict[str, bytes]:
    messages = _sent(connection, batch, stream)
    known = exchange_pb2.Batch(
        stream_id=batch.stream_id,
        first_sequence=batch.first_sequence,
        runs=[
            run_message(run)
            for _, run in read_runs(
                connection, stream.log_no, batch.first_sequence, stream.state.size
            )
        ],
    )
    messages["known_entries"] = known.SerializeToString(deterministic=True)
    messages["known_checkpoint"] = head(connection, stream.log_no).checkpoint or b""
    return messages
