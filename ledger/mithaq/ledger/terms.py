"""Terms: the part of an entry's header that repeats from entry to entry.

``Terms`` cannot be wrong: every rule that needs nothing but the terms themselves
is checked when one is made, from bytes or by hand. The bytes are a protobuf
message in its canonical encoding and no other, so that one meaning has one leaf;
a message with unknown fields, anywhere in it, does not re-encode to itself and is
refused (PROTOCOL 3.4). What depends on other entries is for ``stream``.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from functools import lru_cache
from itertools import pairwise
from typing import Final, TypeVar

from google.protobuf.message import DecodeError

from mithaq.ledger.errors import EntryFormatError, NameFormatError, TimestampError
from mithaq.ledger.instants import (
    DAY_SECONDS,
    MINUTE_SECONDS,
    from_posix,
    is_whole,
    posix_seconds,
)
from mithaq.ledger.kinds import EntryKind, Priority, StreamRole, WithdrawReason, WithdrawScope
from mithaq.ledger.names import check_code, check_federation, check_member
from mithaq.ledger.tree import HASH_SIZE_BYTES, TREE_SIZE_MAX
from mithaq.v1 import entry_pb2

TERMS_VERSION: Final = 1
TERMS_SIZE_BYTES_MAX: Final = 16 * 1024
# PROTOCOL 3.4: terms repeat from entry to entry, and from batch to batch within a minute.
TERMS_KEPT_MAX: Final = 256
AUDIENCE_MEMBERS_MAX: Final = 64
PURPOSES_MAX: Final = 32
CATEGORY_LENGTH_MAX: Final = 40
AGREEMENT_ID_LENGTH_MIN: Final = 3
AGREEMENT_VERSION_MAX: Final = 2**32 - 1

_Code = TypeVar("_Code", bound=IntEnum)


@dataclass(frozen=True, slots=True)
class EpochReader:
    """A reader of an epoch, and the SHA-256 of the reception key that its wrap is sealed to."""

    member: str
    key_id: bytes

    def __post_init__(self) -> None:
        """Refuse what is no member or no key id."""
        check_member(self.member)
        _check_hash(self.key_id, "a reception key id")


@dataclass(frozen=True, slots=True)
class Opening:
    """What is fixed for good when a stream is opened (PROTOCOL 3.1).

    ``audience`` and ``purposes`` are sorted and without repetition; ``ordinal`` tells
    apart the streams of one sender, agreement and audience.
    """

    federation: str
    sender: str
    agreement_id: str
    audience: tuple[str, ...]
    purposes: tuple[str, ...]
    registry_root: bytes
    role: StreamRole
    predecessor: bytes | None = None
    ordinal: int = 0

    def __post_init__(self) -> None:
        """Refuse an opening that breaks PROTOCOL 3.1 or 3.2."""
        check_federation(self.federation)
        check_member(self.sender)
        check_code(self.agreement_id)
        if len(self.agreement_id) < AGREEMENT_ID_LENGTH_MIN:
            raise EntryFormatError("an agreement id has at least 3 letters")
        self._check_audience()
        self._check_purposes()
        _check_hash(self.registry_root, "a registry root")
        if self.predecessor is not None:
            _check_hash(self.predecessor, "a predecessor")
        if not 0 <= self.ordinal <= TREE_SIZE_MAX:
            raise EntryFormatError("an ordinal is from 0 to 2^63-1")

    def _check_audience(self) -> None:
        if not 1 <= len(self.audience) <= AUDIENCE_MEMBERS_MAX:
            raise EntryFormatError(f"an audience has 1 to {AUDIENCE_MEMBERS_MAX} members")
        for each in self.audience:
            check_member(each)
        _check_ascending(self.audience, "an audience")
        if self.sender in self.audience:
            raise EntryFormatError("a sender is not in its own audience")
        if self.role is StreamRole.RETURN and len(self.audience) != 1:
            raise EntryFormatError("a return stream runs to one peer")

    def _check_purposes(self) -> None:
        if not 1 <= len(self.purposes) <= PURPOSES_MAX:
            raise EntryFormatError(f"a stream has 1 to {PURPOSES_MAX} purposes")
        for each in self.purposes:
            check_code(each)
        _check_ascending(self.purposes, "a list of purposes")


@dataclass(frozen=True, slots=True)
class Terms:
    """The repeating part of an entry's header (PROTOCOL 3.4).

    ``created_at`` is a whole minute and ``expires_at`` a whole day, both UTC; whoever
    makes terms rounds with ``minute_of`` and ``day_from``. A field that the kind
    does not use is left at its default.
    """

    kind: EntryKind
    registry_size: int
    agreement_version: int
    created_at: datetime
    stream_id: bytes | None = None
    category: str | None = None
    priority: Priority | None = None
    epoch: int | None = None
    expires_at: datetime | None = None
    scope: WithdrawScope | None = None
    reason: WithdrawReason | None = None
    successor: bytes | None = None
    opening: Opening | None = None
    readers: tuple[EpochReader, ...] = ()

    def __post_init__(self) -> None:
        """Refuse terms that their kind does not allow."""
        self._check_common()
        _check_presence(self)
        if self.stream_id is not None:
            _check_hash(self.stream_id, "a stream id")
        if self.successor is not None:
            _check_hash(self.successor, "a successor")
            if self.successor == self.stream_id:
                raise EntryFormatError("a stream does not succeed itself")
        if self.epoch is not None and not 1 <= self.epoch <= TREE_SIZE_MAX:
            raise EntryFormatError("epochs are numbered from 1")
        if self.category is not None:
            check_code(self.category, length_max=CATEGORY_LENGTH_MAX)
        if self.expires_at is not None:
            self._check_expiry(self.expires_at)
        if len(self.readers) > AUDIENCE_MEMBERS_MAX:
            raise EntryFormatError(f"an epoch has 1 to {AUDIENCE_MEMBERS_MAX} readers")
        _check_ascending(tuple(each.member for each in self.readers), "a list of readers")

    def _check_common(self) -> None:
        if self.kind is EntryKind.BLOB:
            raise EntryFormatError("BLOB is reserved: attachments are not built")
        if not 1 <= self.registry_size <= TREE_SIZE_MAX:
            raise EntryFormatError("a registry has at least one entry")
        if not 1 <= self.agreement_version <= AGREEMENT_VERSION_MAX:
            raise EntryFormatError("agreements are numbered from version 1")
        _check_whole(self.created_at, MINUTE_SECONDS)

    def _check_expiry(self, expires_at: datetime) -> None:
        _check_whole(expires_at, DAY_SECONDS)
        if expires_at <= self.created_at:
            raise EntryFormatError("a record expires after it was entered")


def _check_hash(value: bytes, what: str) -> None:
    if len(value) != HASH_SIZE_BYTES:
        raise EntryFormatError(f"{what} has 32 bytes, not {len(value)}")


def _check_ascending(names: tuple[str, ...], what: str) -> None:
    if any(one >= next_one for one, next_one in pairwise(names)):
        raise EntryFormatError(f"{what} is sorted and names nobody twice")


def _check_whole(at: datetime, step_seconds: int) -> None:
    if not is_whole(at, step_seconds=step_seconds):
        raise EntryFormatError(f"a time is UTC, after 1970 and a multiple of {step_seconds} s")


# PROTOCOL 3.4: fields that a kind must have; all others stay absent, except _OPTIONAL.
_OPTIONAL: Final = {EntryKind.CLOSE: frozenset({"successor"})}
_REQUIRED: Final = {
    EntryKind.OPEN: frozenset({"opening"}),
    EntryKind.EPOCH: frozenset({"stream_id", "epoch", "readers"}),
    EntryKind.PUT: frozenset({"stream_id", "epoch", "category", "priority", "expires_at"}),
    EntryKind.WITHDRAW: frozenset({"stream_id", "scope", "reason"}),
    EntryKind.CLOSE: frozenset({"stream_id"}),
}


def _check_presence(terms: Terms) -> None:
    present = {
        name
        for name, value in (
            ("stream_id", terms.stream_id),
            ("category", terms.category),
            ("priority", terms.priority),
            ("epoch", terms.epoch),
            ("expires_at", terms.expires_at),
            ("scope", terms.scope),
            ("reason", terms.reason),
            ("successor", terms.successor),
            ("opening", terms.opening),
            ("readers", terms.readers or None),
        )
        if value is not None
    }
    required = _REQUIRED[terms.kind]
    if missing := required - present:
        raise EntryFormatError(f"{terms.kind.name} lacks {', '.join(sorted(missing))}")
    if unused := present - required - _OPTIONAL.get(terms.kind, frozenset()):
        raise EntryFormatError(f"{terms.kind.name} does not use {', '.join(sorted(unused))}")


@lru_cache(maxsize=TERMS_KEPT_MAX)
def parse_terms(data: bytes) -> Terms:
    """Read the terms of an entry from their exact bytes; of the same bytes, the same object.

    Raises:
        EntryFormatError: too large, not the message, not in canonical encoding, with unknown
            fields, or against a rule of their kind.

    """
    if not 1 <= len(data) <= TERMS_SIZE_BYTES_MAX:
        raise EntryFormatError(f"terms have 1 to {TERMS_SIZE_BYTES_MAX} bytes, not {len(data)}")
    try:
        message = entry_pb2.EntryTerms.FromString(data)
        terms = _from_message(message)
    except (DecodeError, NameFormatError, TimestampError) as fault:
        raise EntryFormatError(f"terms are not of their form: {fault}") from fault
    # Deep and strict at once: whatever our own fields do not hold is lost on the way back.
    if message.version != TERMS_VERSION or encode_terms(terms) != data:
        raise EntryFormatError(
            "terms are of another version, have unknown fields or are not in canonical encoding"
        )
    return terms


def encode_terms(terms: Terms) -> bytes:
    """Return the canonical bytes of terms, which are hashed, stored and sent."""
    message = entry_pb2.EntryTerms(
        version=TERMS_VERSION,
        stream_id=terms.stream_id or b"",
        kind=entry_pb2.EntryKind.ValueType(terms.kind),
        category=terms.category or "",
        priority=entry_pb2.Priority.ValueType(terms.priority or 0),
        agreement_version=terms.agreement_version,
        registry_size=terms.registry_size,
        epoch=terms.epoch or 0,
        created_at=posix_seconds(terms.created_at),
        expires_at=posix_seconds(terms.expires_at) if terms.expires_at else 0,
        scope=entry_pb2.WithdrawScope.ValueType(terms.scope or 0),
        reason=entry_pb2.WithdrawReason.ValueType(terms.reason or 0),
        successor=terms.successor or b"",
        opening=_opening_message(terms.opening) if terms.opening else None,
        readers=[
            entry_pb2.EpochReader(member=each.member, key_id=each.key_id) for each in terms.readers
        ],
    )
    # No length check: the largest terms that can be made are below TERMS_SIZE_BYTES_MAX.
    return message.SerializeToString(deterministic=True)


def _opening_message(opening: Opening) -> entry_pb2.StreamOpening:
    return entry_pb2.StreamOpening(
        federation=opening.federation,
        sender=opening.sender,
        agreement_id=opening.agreement_id,
        audience=opening.audience,
        purposes=opening.purposes,
        registry_root=opening.registry_root,
        role=entry_pb2.StreamRole.ValueType(opening.role),
        predecessor=opening.predecessor or b"",
        ordinal=opening.ordinal,
    )


def _from_message(message: entry_pb2.EntryTerms) -> Terms:
    return Terms(
        kind=_code(EntryKind, message.kind),
        registry_size=message.registry_size,
        agreement_version=message.agreement_version,
        created_at=from_posix(message.created_at),
        stream_id=message.stream_id or None,
        category=message.category or None,
        priority=_code(Priority, message.priority) if message.priority else None,
        epoch=message.epoch or None,
        expires_at=from_posix(message.expires_at) if message.expires_at else None,
        scope=_code(WithdrawScope, message.scope) if message.scope else None,
        reason=_code(WithdrawReason, message.reason) if message.reason else None,
        successor=message.successor or None,
        opening=_opening(message.opening) if message.HasField("opening") else None,
        readers=tuple(EpochReader(each.member, each.key_id) for each in message.readers),
    )


def _opening(message: entry_pb2.StreamOpening) -> Opening:
    return Opening(
        federation=message.federation,
        sender=message.sender,
        agreement_id=message.agreement_id,
        audience=tuple(message.audience),
        purposes=tuple(message.purposes),
        registry_root=message.registry_root,
        role=_code(StreamRole, message.role),
        predecessor=message.predecessor or None,
        ordinal=message.ordinal,
    )


def _code(vocabulary: type[_Code], number: int) -> _Code:
    try:
        return vocabulary(number)
    except ValueError as fault:
        raise EntryFormatError(f"{number} is not in {vocabulary.__name__}") from fault
