"""Two nodes and what goes between them, without a network: for rules apart from I/O.

`carry` does what an honest hub would; a test changes what it returns to be an evil one.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mithaq.ledger.cosignature import Role, cosign_ed25519, cosigner_name
from mithaq.ledger.entry import EntryKind
from mithaq.ledger.names import HUB
from mithaq.node.exchange.accepting import Answers, keep_answers
from mithaq.node.exchange.acts import Act, ActResult
from mithaq.node.exchange.bodies import ArrivedBodies
from mithaq.node.exchange.in_stream import terms_of
from mithaq.node.exchange.inbox import ArrivedHeaders, Held, hold_headers
from mithaq.node.exchange.judge import HeaderPiece
from mithaq.node.exchange.out_stream import Batch
from mithaq.node.exchange.outbox import Outbox
from mithaq.node.exchange.reception import load_keys, note_announced
from mithaq.node.exchange.reconcile import reconcile
from mithaq.node.exchange.sending import sendable
from mithaq.node.exchange.unsealing import Unsealed, open_bodies
from mithaq.store.evidence import Evidence
from mithaq.store.evidence_check import VerifiedEvidence, verify_evidence
from mithaq.v1 import exchange_pb2
from tests.exchange.nodes import Node
from tests.federation import Federation, now


@dataclass
class Desk(Node):
    """A node without a session: acts are done and what they bring about is looked at."""

    batches: list[Batch] = field(default_factory=list[Batch])

    def learn(self, *, fresh: bool = True) -> list[Batch]:
        """Replay the registry as it is now, and do what follows from it."""
        home, federation = self.home, self.federation
        leaves = federation.leaves[home.registry.size :]
        note = federation.checkpoint(at=None if fresh else home.registry.time)
        home.database.write_sync(lambda each: home.trust.extend(each, leaves, note))
        home.database.write_sync(lambda each: note_announced(each, home))
        return self.settle()

    def settle(self) -> list[Batch]:
        batches = self.home.database.write_sync(
            lambda each: reconcile(each, self.home, at=self.clock())
        )
        self.batches += batches
        return batches

    def do(self, *acts: Act) -> list[ActResult | Exception]:
        """Do acts in one transaction, if they may stand in one."""

        async def run() -> list[ActResult | Exception]:
            return list(await self.outbox().submit_all(acts))

        return asyncio.run(run())

    def done(self, act: Act) -> ActResult:
        """Do an act; raise what refused it."""
        (outcome,) = self.do(act)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def outbox(self) -> Outbox:
        return Outbox(self.home, self.batches.extend)

    def take_batches(self) -> list[Batch]:
        taken, self.batches = self.batches, []
        return taken

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        return [
            tuple(row)
            for row in self.home.database.read_sync(
                lambda each: each.exec_driver_sql(statement).all()
            )
        ]

    def number(self, statement: str) -> object:
        return self.rows(statement)[0][0]

    # --- as a reader --------------------------------------------------------------------

    def hold(self, *arrived: ArrivedHeaders) -> Held:
        return self.home.database.write_sync(
            lambda each: hold_headers(each, self.home, arrived, at=self.clock())
        )

    def open_bodies(self, *arrived: ArrivedBodies) -> Unsealed:
        home = self.home
        return home.database.write_sync(
            lambda each: open_bodies(
                each, home, arrived, reception=load_keys(each, home), at=self.clock()
            )
        )

    def receive(self, *batches: Batch) -> Unsealed:
        """Hold and open what an honest hub would deliver; everything must be taken."""
        unsealed = Unsealed()
        for headers, bodies in carry(self.federation, self.member, batches):
            held = self.hold(headers)
            assert not held.failed, held.failed
            assert not held.waiting
            one = self.open_bodies(bodies)
            assert not one.failed, one.failed
            unsealed.receipts += one.receipts
            unsealed.waiting += one.waiting
        return unsealed

    def proof(self) -> tuple[Evidence, VerifiedEvidence]:
        """Return the one evidence file, and what a third party finds in it."""
        (file,) = self.home.evidence.iterdir()
        evidence = Evidence.from_json(file.read_bytes())
        return evidence, verify_evidence(evidence, self.federation.registry)

    def alarms(self) -> list[str]:
        return [str(name) for (name,) in self.rows("SELECT name FROM node_alarm ORDER BY alarm_no")]


def desk(federation: Federation, member: str, folder: Path, **fields: object) -> Desk:
    """Return a node that knows the registry and has told nobody of its streams yet."""
    node = Desk(federation, member, folder / member, **fields)  # type: ignore[arg-type]
    node.open()
    node.learn()
    return node


def carry(
    federation: Federation, reader: str, batches: Sequence[Batch]
) -> list[tuple[ArrivedHeaders, ArrivedBodies]]:
    """Return what an honest hub would deliver of these batches to a reader."""
    return [
        (headers_of(federation, each), bodies_of(each))
        for each in batches
        if reader in each.segment.state.opening.audience
    ]


def headers_of(federation: Federation, batch: Batch) -> ArrivedHeaders:
    piece = sendable(batch)
    return ArrivedHeaders(
        HeaderPiece(
            piece.stream_id,
            piece.first_sequence,
            piece.runs,
            piece.checkpoint,
            acceptance_of(federation, batch),
        ),
        (),
    )


def acceptance_of(federation: Federation, batch: Batch) -> str:
    assert federation.hub is not None
    return cosign_ed25519(
        batch.segment.state.checkpoint(),
        name=cosigner_name(federation.name, Role.HUB, HUB),
        signer=federation.hub.cosigning.ed25519,
        at=now(),
    ).line()


def bodies_of(batch: Batch) -> ArrivedBodies:
    return ArrivedBodies(batch.stream_id, batch.segment.state.size, dict(batch.segment.bodies), {})


def accept(sender: Desk, *batches: Batch) -> list[Exception]:
    """Let the hub accept batches, and the sender keep its word."""
    answers = Answers(
        [
            exchange_pb2.Acceptance(
                stream_id=each.stream_id,
                size=each.segment.state.size,
                cosignature=acceptance_of(sender.federation, each),
            )
            for each in batches
        ]
    )
    home = sender.home
    return home.database.write_sync(
        lambda each: keep_answers(each, home, answers, at=sender.clock())
    )


def kinds(batch: Batch) -> list[EntryKind]:
    """Return the kinds of a batch's entries, in order."""
    return [terms_of(run.terms_bytes).kind for run in batch.segment.runs for _ in range(len(run))]
