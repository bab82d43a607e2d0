"""A member that signs whatever it likes, and sends it over the wire in its own name.

It has no node: a `StreamWriter` holds its streams, real sealing fills them, and its own TLS
identity carries them to the hub. Who else has its keys may write another history.
"""

import hashlib
import os
from dataclasses import dataclass, field

from mithaq.ledger.checkpoint import Checkpoint
from mithaq.ledger.cosignature import Role, cosign_ed25519, cosigner_name
from mithaq.ledger.entry import (
    EntryKind,
    EpochReader,
    Own,
    Priority,
    day_from,
    encode_terms,
    pack_own,
)
from mithaq.ledger.lists import refusal_list_hash
from mithaq.ledger.names import HUB, stream_origin
from mithaq.ledger.stream import Run
from mithaq.ledger.terms import Terms
from mithaq.node.exchange.receipts import ReceiptSigners, sign_receipt, to_message
from mithaq.node.exchange.refusals import Refusal, sign_refusals
from mithaq.node.records.model import ParsedRecord
from mithaq.node.records.synthetic import made_up_alert
from mithaq.node.sealing.body import ContentKey, SealedBody
from mithaq.node.sealing.epoch import EpochPlace, EpochSecret, wrap_epoch
from mithaq.v1 import exchange_pb2
from tests.attacks.evil_hub import EvilHub
from tests.exchange.nodes import CHANCE
from tests.federation import Federation, now
from tests.hub.running import Publisher
from tests.streams import StreamWriter, open_terms


@dataclass
class EvilMember:
    """One stream of a member's, under its keys."""

    federation: Federation
    sender: str
    readers: tuple[str, ...]
    ordinal: int = 9
    agreement_id: str = "test-agreement"
    writer: StreamWriter = field(init=False)
    secret: EpochSecret = field(default_factory=lambda: EpochSecret.of(os.urandom(64)))

    def __post_init__(self) -> None:
        terms = open_terms(
            self.federation,
            self.sender,
            self.readers,
            ordinal=self.ordinal,
            agreement_id=self.agreement_id,
        )
        self.writer = StreamWriter(self.federation, terms)

    @property
    def stream_id(self) -> bytes:
        return self.writer.stream_id

    def epoch(self, others: dict[str, EpochSecret] | None = None) -> None:
        """Begin an epoch; each of the others is wrapped another secret than is committed to."""
        number = self.writer.state.epoch + 1
        keys = {each: self.federation.agencies[each].reception for each in sorted(self.readers)}
        place = EpochPlace(self.stream_id, number, self.sender)
        body = b"".join(
            wrap_epoch((others or {}).get(each, self.secret), place, [(each, key.public)])
            for each, key in keys.items()
        )
        terms = self.writer.terms(
            EntryKind.EPOCH,
            epoch=number,
            readers=tuple(EpochReader(each, key.key_id) for each, key in keys.items()),
        )
        sealed = SealedBody(body, hashlib.sha256(body).digest(), self.secret.commitment)
        self.add(terms, sealed)

    def alert(self, issuer: str = "") -> ParsedRecord:
        return made_up_alert(CHANCE, issuer=issuer or self.sender, category="ARREST", at=now())

    def seal(self, record: bytes, secret: EpochSecret | None = None) -> SealedBody:
        """Seal a record for the next sequence."""
        key = ContentKey(
            stream_id=self.stream_id,
            epoch=self.writer.state.epoch,
            secret=(secret or self.secret).secret,
        )
        return key.seal(self.writer.size, record, salt=os.urandom(32), nonce=os.urandom(12))

    def put(
        self,
        record: ParsedRecord,
        *,
        sealed: SealedBody | None = None,
        target: int | None = None,
    ) -> int:
        """Add a record, or what is sealed in its place; return its sequence."""
        terms = self.writer.terms(
            EntryKind.PUT,
            epoch=self.writer.state.epoch,
            category="ARREST",
            priority=Priority.URGENT,
            expires_at=day_from(record.expiry),
        )
        return self.add(terms, sealed or self.seal(record.raw), target=target)

    def add(self, terms: Terms, sealed: SealedBody, *, target: int | None = None) -> int:
        own = pack_own(
            terms.kind,
            Own(self.writer.size, target, len(sealed.body), sealed.body_hash, sealed.commitment),
        )
        self.writer.sent[self.writer.size] = sealed.body
        self.writer.bodies.append(sealed.body)
        run = Run(encode_terms(terms), len(own), own)
        return self.writer._append(run, terms)  # pyright: ignore[reportPrivateUsage] - no honest way

    # --- on the wire ----------------------------------------------------------------

    async def publish(self, hub: EvilHub) -> exchange_pb2.Acceptance:
        """Send what was added, as any sender does, and return its acceptance."""
        return await Publisher(hub.node(self.sender)).publish(self.writer)

    def headers(self, hub: EvilHub, batch: exchange_pb2.Batch) -> exchange_pb2.SubscribeResponse:
        """Return a batch's entries as a hub in league hands them on, with its acceptance."""
        line = cosign_ed25519(
            self.writer.state.checkpoint(),
            name=cosigner_name(self.federation.name, Role.HUB, HUB),
            signer=hub.hub.context.keys.ed25519,
            at=now(),
        )
        return exchange_pb2.SubscribeResponse(
            headers=exchange_pb2.Headers(
                stream_id=batch.stream_id,
                first_sequence=batch.first_sequence,
                runs=batch.runs,
                checkpoint=batch.checkpoint,
                acceptance=line.line(),
            )
        )


def opened_without(
    federation: Federation, reader: str, stream_id: bytes, head: Checkpoint, *, sequence: int
) -> exchange_pb2.Receipt:
    """Return a reader's `opened` that names and brings its refusal of one entry."""
    agency = federation.agencies[reader]
    lists = sign_refusals(
        [Refusal(sequence, "NO_CLAUSE", federation.registry.size)],
        stream_id=stream_id,
        signer=reader,
        key=agency.opened,
    )
    receipt = sign_receipt(
        head,
        stream_id=stream_id,
        role=Role.OPENED,
        name=(federation.name, reader),
        keys=ReceiptSigners(agency.held, agency.opened, agency.receipt_mldsa),
        at=now(),
        with_mldsa=False,
        refusals_head=refusal_list_hash(lists[-1].SerializeToString(deterministic=True)),
    )
    message = to_message(receipt)
    message.refusals.extend(lists)
    return message


def receipt_over(
    federation: Federation, reader: str, stream_id: bytes, *, size: int, root: bytes
) -> exchange_pb2.Receipt:
    """Return a reader's `held` over whatever it likes."""
    agency = federation.agencies[reader]
    receipt = sign_receipt(
        Checkpoint(stream_origin(federation.name, stream_id), size, root),
        stream_id=stream_id,
        role=Role.HELD,
        name=(federation.name, reader),
        keys=ReceiptSigners(agency.held, agency.opened, agency.receipt_mldsa),
        at=now(),
        with_mldsa=False,
    )
    return to_message(receipt)
