"""Two agencies' audit bundles for tests: what each logged, and one stream between them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mithaq.ledger.checkpoint import Checkpoint, sign_checkpoint
from mithaq.ledger.cosignature import Role, cosign_ed25519, cosign_mldsa, cosigner_name
from mithaq.ledger.lists import refusals_extension
from mithaq.ledger.names import audit_origin, stream_origin
from mithaq.ledger.tree import leaf_hash, root_of
from mithaq.store.audit_bundle import BundleKeys, VerifiedBundle, sign_bundle, verify_bundle
from mithaq.store.audit_entry import AuditEntry, Decision, Operation, RecordRef
from mithaq.store.audit_wire import Bundle, ReceiptLine, Side, StreamEvidence
from tests.federation import Agency, Federation, now

SENDER, READER, THIRD = "eg-moi", "tn-dgsn", "int-iom"
STREAM_ID = bytes(range(32))
NOW = now()
ALLOWED = Decision(allowed=True, reason="allowed", clause_ids=("C1",))


def small_federation() -> Federation:
    """Return a federation of a hub and three agencies."""
    federation = Federation.found()
    federation.enrol_hub()
    federation.enrol(SENDER, READER, THIRD)
    return federation


def entry_hashes(size: int, *, forked_from: int | None = None) -> list[bytes]:
    """Return a stream's leaf hashes; from `forked_from` on they are another history's."""
    fork = size if forked_from is None else forked_from
    return [leaf_hash(b"%d%s" % (n, b"!" if n >= fork else b"")) for n in range(size)]


def act(operation: Operation, sequences: Sequence[int], *, at: datetime = NOW) -> AuditEntry:
    """Return an act on entries of the stream."""
    records = tuple(RecordRef(f"eg-moi-{n}", 1, STREAM_ID, n, ALLOWED) for n in sequences)
    return AuditEntry(at, "node", "system", operation, records=records)


@dataclass(slots=True)
class End:
    """One agency's end of the stream, to be spoilt by a test before it is bundled."""

    federation: Federation
    owner: str
    entries: list[AuditEntry]
    hashes: list[bytes]
    side: Side
    receipts: list[ReceiptLine] = field(default_factory=list[ReceiptLine])
    with_hashes: bool = True

    @property
    def agency(self) -> Agency:
        """The owner's keys."""
        return self.federation.agencies[self.owner]

    def bundle(self) -> Bundle:
        """Return the bundle, unsigned, with the hub's cosignature."""
        leaves = [each.to_bytes() for each in self.entries]
        origin = audit_origin(self.federation.name, self.owner)
        head = Checkpoint(origin, len(leaves), root_of([leaf_hash(each) for each in leaves]))
        log = self.agency.log
        hub = self.federation.hub
        assert hub is not None
        name = cosigner_name(self.federation.name, Role.HUB, "hub")
        cosignatures = (
            cosign_ed25519(head, name=name, signer=hub.cosigning.ed25519, at=NOW),
            cosign_mldsa(head, name=name, signer=hub.cosigning.mldsa, at=NOW),
        )
        return Bundle(
            federation=self.federation.name,
            owner=self.owner,
            origin=origin,
            exported_at=NOW,
            first_index=0,
            frontier=(),
            entries=tuple(leaves),
            consistency=(),
            checkpoint=sign_checkpoint(head, ed25519=log.ed25519, mldsa=log.mldsa, at=NOW),
            cosignatures=tuple(each.line() for each in cosignatures),
            streams=(self.evidence(),),
        )

    def evidence(self) -> StreamEvidence:
        """Return the stream's head as this end holds it, signed by the sender."""
        log = self.federation.agencies[SENDER].log
        head = stream_head(self.federation, self.hashes)
        return StreamEvidence(
            stream_id=STREAM_ID,
            side=self.side,
            sender=SENDER,
            audience=(THIRD, READER),
            checkpoint=sign_checkpoint(head, ed25519=log.ed25519, mldsa=log.mldsa, at=NOW),
            receipts=tuple(self.receipts),
            leaf_hashes=b"".join(self.hashes) if self.with_hashes else b"",
        )

    def signed(self) -> bytes:
        """Return the bundle as a file."""
        return sign_bundle(self.bundle(), self.agency.log)

    def verified(self) -> VerifiedBundle:
        """Return what the bundle proves."""
        return verify_bundle(self.signed(), BundleKeys.of(self.federation.registry))


def stream_head(federation: Federation, hashes: Sequence[bytes]) -> Checkpoint:
    """Return the stream's checkpoint over these leaf hashes."""
    return Checkpoint(stream_origin(federation.name, STREAM_ID), len(hashes), root_of(hashes))


def receipt(
    federation: Federation,
    hashes: Sequence[bytes],
    *,
    reader: str = READER,
    role: Role = Role.HELD,
    with_mldsa: bool = False,
    refusals_head: bytes = b"",
) -> ReceiptLine:
    """Return a reader's receipt over these leaf hashes."""
    head, agency = stream_head(federation, hashes), federation.agencies[reader]
    name = cosigner_name(federation.name, role, reader)
    key = agency.opened if role is Role.OPENED else agency.held
    mldsa = cosign_mldsa(head, name=name, signer=agency.receipt_mldsa, at=NOW).line()
    return ReceiptLine(
        reader=reader,
        role=role,
        size=head.size,
        root=head.root,
        cosignature=cosign_ed25519(
            head, name=name, signer=key, at=NOW, extension=refusals_extension(refusals_head)
        ).line(),
        cosignature_mldsa=mldsa if with_mldsa else "",
        refusals_head=refusals_head,
    )


def both_ends(federation: Federation, size: int = 20) -> tuple[End, End]:
    """Return a sender and a reader who tell the same story about a stream of `size` entries."""
    hashes = entry_hashes(size)
    held = receipt(federation, hashes)
    opened = receipt(
        federation, hashes, role=Role.OPENED, with_mldsa=True, refusals_head=bytes(range(32))
    )
    puts = range(2, size)
    sent = [act(Operation.DISCLOSE, puts[:5]), act(Operation.DISCLOSE, puts[5:])]
    received = [act(Operation.SIGN_IN, ()), act(Operation.RECEIVE, puts)]
    return (
        End(federation, SENDER, sent, list(hashes), Side.SENT, [held, opened]),
        End(federation, READER, received, list(hashes), Side.RECEIVED, [held, opened]),
    )
