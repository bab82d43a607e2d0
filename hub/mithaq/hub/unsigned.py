"""What came by a member's TLS identity, complete in its form and signed by other keys.

It proves no act of that member, and is refused like all that nobody signed. But it says
something of the member's keys: somebody has the one of the connection without those that
sign, or the node signs with one that was never announced. Nobody but the hub can see that.
The rules: only what claims to be that member's own, under the name that its keys have; only
what is complete, for where no signature stands there is nothing that anybody could check;
and what is kept has to be found unsigned by ``store.evidence_check``, too.
"""

from datetime import datetime
from typing import Final

from mithaq.certs.registry import Registry
from mithaq.hub.batch import PublishedBatch
from mithaq.hub.receipts import SignedReceipt, key_name, receipt_message, verify_line
from mithaq.ledger.cosignature import Cosignature
from mithaq.ledger.errors import LedgerError, SignatureInvalidError, SignatureMissingError
from mithaq.ledger.keytypes import SIGNATURE_SIZE_BYTES, KeyType
from mithaq.ledger.kinds import EntryKind
from mithaq.ledger.names import stream_origin
from mithaq.ledger.note import parse_note
from mithaq.ledger.terms import parse_terms
from mithaq.store.evidence import Evidence

KEY_USED_ELSEWHERE: Final = "key used elsewhere"
BATCH: Final = "`checkpoint` came by the TLS identity of its stream's sender, and is not signed by \
both log keys that the registry has of that member: somebody has the key of that identity without \
the others, or that node signs with a key that was never announced. By which connection it came \
is this hub's word alone. Nothing of it was taken."
RECEIPT: Final = "`receipt` came by the TLS identity of its reader, and is not signed by the \
receipt key that the registry has of that member: somebody has the key of that identity without \
the others, or that node signs with a key that was never announced. By which connection it came \
is this hub's word alone. Nothing of it was taken."
_NOT_SIGNED: Final = (SignatureMissingError, SignatureInvalidError)
_TIMESTAMP_SIZE_BYTES: Final = 8
# The lines of a complete note by their size (PROTOCOL 1.3); the second begins with its time.
_LINES: Final = frozenset(
    {
        SIGNATURE_SIZE_BYTES[KeyType.ED25519],
        _TIMESTAMP_SIZE_BYTES + SIGNATURE_SIZE_BYTES[KeyType.MLDSA44_COSIGNATURE],
    }
)


def evidence_of_unsigned(
    error: Exception, work: PublishedBatch | SignedReceipt, *, registry: Registry, at: datetime
) -> Evidence | None:
    """Return what a refused work says of the keys of the member whose connection it came by."""
    if not isinstance(error, _NOT_SIGNED):
        return None
    origin = stream_origin(registry.federation, work.stream_id)
    if isinstance(work, PublishedBatch):
        if not _is_of_its_own(work) or not _is_complete(work.checkpoint, name=origin):
            return None
        member, sent, explanation = work.sender, {"checkpoint": work.checkpoint}, BATCH
    else:
        if _is_signed_or_anothers(work, registry, origin=origin):
            return None
        message = receipt_message(work).SerializeToString(deterministic=True)
        member, sent, explanation = work.reader, {"receipt": message}, RECEIPT
    return Evidence(
        alarm=KEY_USED_ELSEWHERE,
        accused=member,
        at=at,
        explanation=explanation,
        messages=sent,
        # Of a member and not of a stream: who holds no key can name any number of streams.
        subject=f"{member}/{work.stream_id.hex()[:16]}",
        facts={"sender": member},
        registry_size=registry.size,
    )


def _is_of_its_own(batch: PublishedBatch) -> bool:
    """Tell whether a batch does not begin a stream in the name of another member.

    One that continues another's stream was refused for that, before any signature.
    """
    try:
        terms = parse_terms(batch.runs[0].terms_bytes)
    except LedgerError:
        return False
    if terms.kind is not EntryKind.OPEN:
        return True
    return terms.opening is not None and terms.opening.sender == batch.sender


def _is_complete(note: bytes, *, name: str) -> bool:
    """Tell whether a note has all the lines of its owner's that a checkpoint has."""
    try:
        lines = parse_note(note).signatures
    except LedgerError:
        return False
    return {len(each.signature) for each in lines if each.name == name} >= _LINES


def _is_signed_or_anothers(receipt: SignedReceipt, registry: Registry, *, origin: str) -> bool:
    """Tell whether a receipt's first line is its reader's, or doesn't say that it is.

    Then what was wrong is its second line or a list beside it; or it is the receipt of
    another, which every reader of a stream is shown (PROTOCOL 5.6).
    """
    member, federation = registry.member(receipt.reader), registry.federation
    try:
        line = Cosignature.parse(receipt.cosignature)
        if (line.name, line.algorithm) != (
            key_name(receipt, federation=federation),
            KeyType.ED25519_COSIGNATURE,
        ):
            return True
        verify_line(receipt, federation=federation, origin=origin, member=member)
    except _NOT_SIGNED:
        return False
    except LedgerError:
        return True
    return True
