"""Checking an evidence file as a third party does: by the registry's keys and nothing else.

Each message is verified for itself, and what two signed ones say of one log at one size is
compared; so are the lists of refusals that are there with those that are named (PROTOCOL
5.5). Which message is what follows from its name: `checkpoint`, `receipt`,
`acceptance`, `freeze_list`, `refusals`, `entries` with `frontier`, `entry` with
`entry_proof`, each also with a word before it (`known_checkpoint`). The one rule: a message
that does not verify is said to be so; it is never an error, for that may be the proof.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.message import DecodeError

from mithaq.certs.errors import TrustError
from mithaq.certs.keys import PairPublic, PairSignature, verify_ed25519, verify_pair
from mithaq.certs.registry import Registry
from mithaq.ledger.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint_text
from mithaq.ledger.cosignature import Cosignature, Role, cosigner_name, verify_cosignature
from mithaq.ledger.errors import LedgerError
from mithaq.ledger.lists import (
    REFUSED_BY_HUB,
    freeze_list_bytes,
    refusal_list_bytes,
    refusal_list_hash,
    refusals_extension,
)
from mithaq.ledger.names import HUB, stream_origin
from mithaq.ledger.note import parse_note
from mithaq.ledger.run import Run
from mithaq.ledger.terms import parse_terms
from mithaq.ledger.tlog_proof import parse_tlog_proof, verify_tlog_proof
from mithaq.ledger.tree import Frontier
from mithaq.store.audit import party_of
from mithaq.store.audit_bundle import BundleKeys
from mithaq.store.errors import BundleInvalidError, EvidenceFormatError
from mithaq.store.evidence import Evidence
from mithaq.v1 import exchange_pb2

_ROLES: Final = {
    exchange_pb2.RECEIPT_ROLE_HELD: Role.HELD,
    exchange_pb2.RECEIPT_ROLE_OPENED: Role.OPENED,
}
# The alarm whose proof is what isn't there: lists that signed messages name.
_REFUSAL_WITHHELD: Final = "refusal withheld"
_REFUSED: Final = (LedgerError, TrustError, BundleInvalidError, EvidenceFormatError)


@dataclass(frozen=True, slots=True)
class Statement:
    """What a message of the file is, and whether whoever should have signed it did."""

    message: str
    holds: bool
    text: str


@dataclass(frozen=True, slots=True)
class VerifiedEvidence:
    """What the messages say one by one, and what signed ones among them contradict."""

    statements: tuple[Statement, ...]
    contradictions: tuple[str, ...]

    def holds(self, message: str) -> bool:
        """Tell whether a message is there and verifies."""
        return any(each.holds for each in self.statements if each.message == message)


def verify_evidence(evidence: Evidence, registry: Registry) -> VerifiedEvidence:
    """Return what an evidence file proves under the keys of a registry."""
    desk = _Desk(evidence, registry, BundleKeys.of(registry))
    statements = [
        desk.checked(name, check)
        for name in sorted(evidence.messages)
        for suffix, check in _CHECKS.items()
        if name == suffix or name.endswith(f"_{suffix}")
    ]
    return VerifiedEvidence(tuple(statements), tuple(desk.contradictions()))


@dataclass(slots=True)
class _Desk:
    """Checks the messages of one file, and remembers the heads that were signed."""

    evidence: Evidence
    registry: Registry
    keys: BundleKeys
    # By origin and size: each root, and which messages say it.
    _roots: dict[tuple[str, int], dict[bytes, list[str]]] = field(
        default_factory=dict[tuple[str, int], dict[bytes, list[str]]]
    )
    _broken: list[str] = field(default_factory=list[str])
    # The hashes of the lists of refusals that hold, and of those that are named.
    _lists: set[bytes] = field(default_factory=set[bytes])
    _named: set[bytes] = field(default_factory=set[bytes])
    # What readers say that the hub refused to them, and what it says itself.
    _said: set[int] = field(default_factory=set[int])
    _by_hub: set[int] = field(default_factory=set[int])

    def checked(self, name: str, check: "_Check") -> Statement:
        """Return the statement about one message."""
        try:
            return Statement(name, holds=True, text=check(self, name))
        except _REFUSED as fault:
            return Statement(name, holds=False, text=str(fault))
        except (DecodeError, UnicodeDecodeError):
            return Statement(name, holds=False, text="not a message of its form")

    def contradictions(self) -> list[str]:
        """Return where signed messages name two roots of one log at one size."""
        forks = [
            f"{' and '.join(sorted(name for names in roots.values() for name in names))}"
            f" name different roots at size {size}"
            for (_, size), roots in sorted(self._roots.items())
            if len(roots) > 1
        ]
        return forks + self._broken + self._withheld()

    def _withheld(self) -> list[str]:
        """Return which refusals are named and not among what whoever kept the file was told."""
        if self.evidence.alarm != _REFUSAL_WITHHELD:
            return []
        lists = [
            f"the list of refusals {each.hex()} is named and is not here"
            for each in sorted(self._named - self._lists)
        ]
        entries = [
            f"a reader says that the hub refused entry {each}, and the hub's lists here do not"
            for each in sorted(self._said - self._by_hub)
        ]
        return lists + entries

    # --- each kind of message -------------------------------------------------------

    def note(self, name: str) -> str:
        """Check a signed note by the log's owner."""
        owner, claimed = self._opened(name)
        self._signed(name, claimed)
        return f"{owner} signed size {claimed.size}, root {claimed.root.hex()}"

    def acceptance(self, name: str) -> str:
        """Check the hub's cosignature over the head that its neighbours show."""
        head = self._neighbouring_head(name)
        line = Cosignature.parse(self.evidence.messages[name].decode())
        verify_cosignature(
            line,
            head,
            name=cosigner_name(self.registry.federation, Role.HUB, HUB),
            public_key=self.registry.hub.cosign_ed25519,
            algorithm=line.algorithm,
        )
        self._signed(name, head)
        return f"the hub accepted size {head.size}, root {head.root.hex()}"

    def receipt(self, name: str) -> str:
        """Check a reader's receipt."""
        message = exchange_pb2.Receipt.FromString(self.evidence.messages[name])
        role = _ROLES.get(message.role)
        if role is None:
            raise EvidenceFormatError("a receipt has a role")
        origin = stream_origin(self.registry.federation, message.stream_id)
        head = Checkpoint(origin, message.size, message.root)
        line = Cosignature.parse(message.cosignature)
        verify_cosignature(
            line,
            head,
            name=cosigner_name(self.registry.federation, role, message.reader),
            public_key=self.keys.cosigning_key(message.reader, role, line.algorithm),
            algorithm=line.algorithm,
            extension=refusals_extension(message.refusals_head),
        )
        self._signed(name, head)
        named = f", refusals {message.refusals_head.hex()}" if message.refusals_head else ""
        self._named.update([message.refusals_head] if named else [])
        return f"{message.reader} signed {role} at size {head.size}, root {head.root.hex()}{named}"

    def freeze_list(self, name: str) -> str:
        """Check a sender's freeze list."""
        message = exchange_pb2.FreezeList.FromString(self.evidence.messages[name])
        signature = PairSignature(message.signature_ed25519, message.signature_mldsa)
        verify_pair(self.keys.log_key(message.sender), freeze_list_bytes(message), signature)
        for each in message.streams:
            origin = stream_origin(self.registry.federation, each.stream_id)
            self._signed(name, Checkpoint(origin, each.size, each.root))
        return f"{message.sender} listed {len(message.streams)} streams for {message.reader}"

    def refusals(self, name: str) -> str:
        """Check a signed list of refusals."""
        message = exchange_pb2.RefusalList.FromString(self.evidence.messages[name])
        if message.signer == HUB:
            key = self.registry.hub.cosign_ed25519
        else:
            key = self.registry.member(message.signer).opened_ed25519
        verify_ed25519(key, refusal_list_bytes(message), message.signature)
        self._lists.add(refusal_list_hash(message.SerializeToString(deterministic=True)))
        if message.signer == HUB:
            self._by_hub.update(each.sequence for each in message.refusals)
        elif name == "refusals":
            # The one that accuses; others are there for what they answer.
            self._named.update([message.previous] if message.previous else [])
            self._said.update(
                each.sequence for each in message.refusals if each.reason == REFUSED_BY_HUB
            )
        reasons = sorted({each.reason for each in message.refusals})
        return f"{message.signer} refused {len(message.refusals)}: {', '.join(reasons)}"

    def entries(self, name: str) -> str:
        """Check that entries give the root that the note beside them names."""
        claimed = self._claimed(_beside(name, "entries", "checkpoint"))
        frontier = Frontier.from_bytes(self._message("frontier"))
        for run in self._runs(name):
            frontier = frontier.extend(run.leaf_hashes())
        if (frontier.size, frontier.root()) != (claimed.size, claimed.root):
            # Else anybody could make a contradiction, of a note that nobody signed.
            self._opened(_beside(name, "entries", "checkpoint"))
            self._broken.append(f"{name} give another root than is signed")
            raise EvidenceFormatError("the entries don't give the root of the note")
        return f"the entries up to size {claimed.size} give the root of the note"

    def entry_proof(self, name: str) -> str:
        """Check that an entry stands in a head that its stream's sender signed."""
        runs = self._runs(_beside(name, "entry_proof", "entry"))
        proof = parse_tlog_proof(self.evidence.messages[name])
        origin = parse_checkpoint_text(parse_note(proof.checkpoint_note).text).origin
        owner, key = self._owner(origin)
        verify_tlog_proof(
            proof,
            leaf=runs[0].leaf_hashes()[0],
            origin=origin,
            ed25519_public=key.ed25519,
            mldsa_public=key.mldsa44,
        )
        return f"{owner} signed entry {proof.index} of {origin}: {_entry_text(runs[0])}"

    # --- what they need -------------------------------------------------------------

    def _message(self, name: str) -> bytes:
        message = self.evidence.messages.get(name)
        if message is None:
            raise EvidenceFormatError(f"{name} is missing")
        return message

    def _claimed(self, name: str) -> Checkpoint:
        return parse_checkpoint_text(parse_note(self._message(name)).text)

    def _opened(self, name: str) -> tuple[str, Checkpoint]:
        """Return the owner of a note's log and its head, once its two signatures hold."""
        claimed = self._claimed(name)
        owner, key = self._owner(claimed.origin)
        open_checkpoint(
            self._message(name),
            origin=claimed.origin,
            ed25519_public=key.ed25519,
            mldsa_public=key.mldsa44,
        )
        return owner, claimed

    def _neighbouring_head(self, name: str) -> Checkpoint:
        """Return what whoever kept the file computed, or else what the note beside it names."""
        facts = self.evidence.facts
        root = facts.get("root")
        if isinstance(root, str) and self.evidence.stream_id:
            origin = stream_origin(self.registry.federation, self.evidence.stream_id)
            return Checkpoint(origin, _size(facts.get("size")), _hash(root))
        return self._claimed(_beside(name, "acceptance", "checkpoint"))

    def _runs(self, name: str) -> list[Run]:
        batch = exchange_pb2.Batch.FromString(self._message(name))
        runs = [Run(each.terms, each.own_size, each.own) for each in batch.runs]
        if not runs:
            raise EvidenceFormatError(f"{name} has no entries")
        return runs

    def _owner(self, origin: str) -> tuple[str, PairPublic]:
        if origin == self.registry.origin:
            return "the registrar", self.registry.registrar.key
        if "/audit/" in origin:
            party, _ = party_of(origin)
            return party, self.keys.log_key(party)
        sender = str(self.evidence.facts.get("sender", self.evidence.accused))
        return sender, self.keys.log_key(sender)

    def _signed(self, name: str, head: Checkpoint) -> None:
        roots = self._roots.setdefault((head.origin, head.size), {})
        roots.setdefault(head.root, []).append(name)


_Check = Callable[[_Desk, str], str]
_CHECKS: Final[Mapping[str, _Check]] = {
    "checkpoint": _Desk.note,
    "acceptance": _Desk.acceptance,
    "receipt": _Desk.receipt,
    "freeze_list": _Desk.freeze_list,
    "refusals": _Desk.refusals,
    "entries": _Desk.entries,
    "entry_proof": _Desk.entry_proof,
}


def _size(value: object) -> int:
    if not isinstance(value, int):
        raise EvidenceFormatError("a size is a number")
    return value


def _hash(value: str) -> bytes:
    try:
        return bytes.fromhex(value)
    except ValueError as fault:
        raise EvidenceFormatError("a root is in hexadecimal digits") from fault


def _entry_text(run: Run) -> str:
    """Return what kind of entry it is, and what a WITHDRAW takes back."""
    try:
        terms, targets = parse_terms(run.terms_bytes), run.numbers().targets
    except LedgerError:
        return "of no kind that there is"
    target = f" of {targets[0]}" if targets else ""
    return f"{terms.kind.name}{target}" + (f", scope {terms.scope.name}" if terms.scope else "")


def _beside(name: str, suffix: str, other: str) -> str:
    """Return the name of a message's neighbour: with the same word before it."""
    return name.removesuffix(suffix) + other
