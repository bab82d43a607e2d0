from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithaq.ledger.errors import EntryFormatError, NameFormatError
from mithaq.ledger.kinds import EntryKind, Priority, StreamRole, WithdrawReason, WithdrawScope
from mithaq.ledger.terms import (
    AGREEMENT_VERSION_MAX,
    AUDIENCE_MEMBERS_MAX,
    CATEGORY_LENGTH_MAX,
    PURPOSES_MAX,
    TERMS_SIZE_BYTES_MAX,
    EpochReader,
    Opening,
    Terms,
    encode_terms,
    parse_terms,
)
from mithaq.ledger.tree import TREE_SIZE_MAX
from mithaq.v1 import entry_pb2
from tests.ledger.builders import (
    CLOSE,
    CLOSE_WITH_SUCCESSOR,
    EPOCH,
    EXPIRY,
    FEDERATION,
    HASH,
    MINUTE,
    OPEN_TERMS,
    OPENING,
    OTHER_HASH,
    PUT,
    WITHDRAW,
)

KINDS = (OPEN_TERMS, EPOCH, PUT, WITHDRAW, CLOSE, CLOSE_WITH_SUCCESSOR)
each_kind = pytest.mark.parametrize("terms", KINDS, ids=lambda terms: terms.kind.name)
MEMBERS = tuple(f"xx-m{number:03}" for number in range(AUDIENCE_MEMBERS_MAX + 1))

# A value for each field that not every kind has.
VALUES: dict[str, Any] = {
    "stream_id": HASH,
    "category": "wanted-person",
    "priority": Priority.ROUTINE,
    "epoch": 1,
    "expires_at": EXPIRY,
    "scope": WithdrawScope.DISCLOSURE,
    "reason": WithdrawReason.ERROR,
    "successor": OTHER_HASH,
    "opening": OPENING,
    "readers": (EpochReader("int-iom", HASH),),
}
# PROTOCOL 3.4, once more and apart from the code.
USED: dict[EntryKind, set[str]] = {
    EntryKind.OPEN: {"opening"},
    EntryKind.EPOCH: {"stream_id", "epoch", "readers"},
    EntryKind.PUT: {"stream_id", "epoch", "category", "priority", "expires_at"},
    EntryKind.WITHDRAW: {"stream_id", "scope", "reason"},
    EntryKind.CLOSE: {"stream_id", "successor"},
}


def message_of(terms: Terms) -> entry_pb2.EntryTerms:
    return entry_pb2.EntryTerms.FromString(encode_terms(terms))


def refuse(message: entry_pb2.EntryTerms, *, match: str | None = None) -> None:
    with pytest.raises(EntryFormatError, match=match):
        parse_terms(message.SerializeToString(deterministic=True))


@each_kind
def test_terms_of_each_kind_come_back_from_their_bytes(terms: Terms) -> None:
    assert parse_terms(encode_terms(terms)) == terms


def test_every_field_that_not_all_kinds_have_is_tested() -> None:
    common = {"kind", "registry_size", "agreement_version", "created_at"}
    assert {each.name for each in fields(Terms)} == common | set(VALUES)


@each_kind
@pytest.mark.parametrize("name", VALUES)
def test_a_kind_has_the_fields_that_it_uses_and_no_other(terms: Terms, name: str) -> None:
    used = name in USED[terms.kind]
    if used and name != "successor":
        absent: Any = () if name == "readers" else None
        with pytest.raises(EntryFormatError, match=f"lacks {name}"):
            replace(terms, **{name: absent})
    if not used:
        with pytest.raises(EntryFormatError, match=f"does not use {name}"):
            replace(terms, **{name: VALUES[name]})


def test_attachments_are_refused_until_they_are_built() -> None:
    with pytest.raises(EntryFormatError, match="reserved"):
        replace(PUT, kind=EntryKind.BLOB)
    message = message_of(PUT)
    message.kind = entry_pb2.ENTRY_KIND_BLOB
    refuse(message, match="reserved")


@pytest.mark.parametrize("kind", [0, 7, -1, 2**31 - 1])
def test_a_kind_outside_of_the_vocabulary_is_refused(kind: int) -> None:
    message = message_of(PUT)
    message.kind = entry_pb2.EntryKind.ValueType(kind)
    refuse(message, match="EntryKind")


@pytest.mark.parametrize(
    ("terms", "name"), [(PUT, "priority"), (WITHDRAW, "scope"), (WITHDRAW, "reason")]
)
def test_a_code_outside_of_its_vocabulary_is_refused(terms: Terms, name: str) -> None:
    message = message_of(terms)
    setattr(message, name, 99)
    refuse(message, match="99 is not in")


def test_our_numbers_are_those_of_the_wire() -> None:
    for ours, theirs, prefix in (
        (EntryKind, entry_pb2.EntryKind, "ENTRY_KIND_"),
        (WithdrawReason, entry_pb2.WithdrawReason, "WITHDRAW_REASON_"),
        (WithdrawScope, entry_pb2.WithdrawScope, "WITHDRAW_SCOPE_"),
        (Priority, entry_pb2.Priority, "PRIORITY_"),
        (StreamRole, entry_pb2.StreamRole, "STREAM_ROLE_"),
    ):
        named = {f"{prefix}{each.name}": each.value for each in ours}
        assert named | {f"{prefix}UNSPECIFIED": 0} == dict(theirs.items())


# Wire type 0, field 1000, value 1.
UNKNOWN = b"\xc0\x3e\x01"


@each_kind
def test_an_unknown_field_is_refused(terms: Terms) -> None:
    with pytest.raises(EntryFormatError, match="unknown fields"):
        parse_terms(encode_terms(terms) + UNKNOWN)


def test_an_unknown_field_deep_inside_is_refused() -> None:
    opening = entry_pb2.StreamOpening.FromString(
        message_of(OPEN_TERMS).opening.SerializeToString() + UNKNOWN
    )
    message = message_of(OPEN_TERMS)
    message.opening.CopyFrom(opening)
    refuse(message, match="unknown fields")
    message = message_of(EPOCH)
    message.readers[0].MergeFromString(UNKNOWN)
    refuse(message, match="unknown fields")


def test_fields_in_another_order_are_refused() -> None:
    data = encode_terms(PUT)
    version, rest = data[:2], data[2:]
    assert entry_pb2.EntryTerms.FromString(rest + version) == entry_pb2.EntryTerms.FromString(data)
    with pytest.raises(EntryFormatError, match="canonical"):
        parse_terms(rest + version)


def test_a_field_written_twice_is_refused() -> None:
    data = encode_terms(PUT)
    with pytest.raises(EntryFormatError, match="canonical"):
        parse_terms(data[:2] + data)


def test_a_number_written_longer_than_it_is_is_refused() -> None:
    data = encode_terms(PUT)
    assert data[:2] == b"\x08\x01"
    with pytest.raises(EntryFormatError, match="canonical"):
        parse_terms(b"\x08\x81\x00" + data[2:])


def test_a_zero_that_is_written_out_is_refused() -> None:
    with pytest.raises(EntryFormatError, match="canonical"):
        parse_terms(encode_terms(CLOSE) + b"\x58\x00")


def test_an_empty_field_that_is_written_out_is_refused() -> None:
    with pytest.raises(EntryFormatError, match="canonical"):
        parse_terms(encode_terms(CLOSE) + b"\x6a\x00")


@pytest.mark.parametrize("version", [0, 2, 2**32 - 1])
def test_another_version_is_refused(version: int) -> None:
    message = message_of(PUT)
    message.version = version
    refuse(message, match="version")


@given(st.binary(max_size=200))
def test_hostile_bytes_are_no_terms_or_ones_that_spell_the_same(data: bytes) -> None:
    try:
        terms = parse_terms(data)
    except EntryFormatError:
        return
    assert encode_terms(terms) == data


@given(st.sampled_from(KINDS), st.data())
def test_terms_with_one_byte_changed_spell_themselves_or_are_refused(
    terms: Terms, data: st.DataObject
) -> None:
    whole = bytearray(encode_terms(terms))
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        changed = parse_terms(bytes(whole))
    except EntryFormatError:
        return
    assert encode_terms(changed) == bytes(whole)


@each_kind
def test_terms_that_are_cut_short_are_refused_or_other_terms(terms: Terms) -> None:
    data = encode_terms(terms)
    for end in range(len(data)):
        try:
            cut = parse_terms(data[:end])
        except EntryFormatError:
            continue
        # A successor or a reader less: the leaf's own length field tells that they are gone.
        assert cut != terms
        assert encode_terms(cut) == data[:end]


def test_terms_have_1_to_16_384_bytes() -> None:
    for size in (0, TERMS_SIZE_BYTES_MAX + 1):
        with pytest.raises(EntryFormatError, match="terms have 1 to"):
            parse_terms(bytes(size))
    for size in (1, TERMS_SIZE_BYTES_MAX):
        with pytest.raises(EntryFormatError, match="not of their form"):
            parse_terms(bytes(size))


def test_the_largest_terms_that_the_rules_allow_fit_the_limit() -> None:
    long_members = tuple(f"xxx-{'a' * 27}{number:03}" for number in range(AUDIENCE_MEMBERS_MAX))
    purposes = tuple(f"{'p' * 61}{number:03}" for number in range(PURPOSES_MAX))
    opening = replace(
        OPENING,
        federation=f"{'a' * 49}.{'b' * 50}",
        agreement_id="a" * 64,
        audience=long_members,
        purposes=purposes,
        predecessor=HASH,
        ordinal=TREE_SIZE_MAX,
    )
    readers = tuple(EpochReader(each, HASH) for each in long_members)
    for terms in (replace(OPEN_TERMS, opening=opening), replace(EPOCH, readers=readers)):
        assert parse_terms(encode_terms(terms)) == terms


def test_a_time_that_is_not_utc_or_not_whole_is_refused() -> None:
    cairo = timezone(timedelta(hours=2))
    for wrong in (
        MINUTE + timedelta(seconds=1),
        MINUTE + timedelta(microseconds=1),
        MINUTE.astimezone(cairo),
        MINUTE.replace(tzinfo=None),
        datetime(1970, 1, 1, tzinfo=UTC),
    ):
        with pytest.raises(EntryFormatError, match="multiple of 60 s"):
            replace(PUT, created_at=wrong)
    with pytest.raises(EntryFormatError, match="multiple of 86400 s"):
        replace(PUT, expires_at=EXPIRY + timedelta(minutes=1))


@pytest.mark.parametrize("seconds", [0, -60, 61, 253_402_300_800])
def test_a_creation_time_off_the_minute_or_the_calendar_is_refused_in_bytes(seconds: int) -> None:
    message = message_of(PUT)
    message.created_at = seconds
    refuse(message)


@pytest.mark.parametrize("seconds", [-86_400, 86_401, 253_402_300_800])
def test_an_expiry_off_the_day_or_the_calendar_is_refused_in_bytes(seconds: int) -> None:
    message = message_of(PUT)
    message.expires_at = seconds
    refuse(message)


def test_a_record_expires_after_it_was_entered() -> None:
    midnight = datetime(2026, 3, 4, tzinfo=UTC)
    replace(PUT, created_at=midnight - timedelta(minutes=1), expires_at=midnight)
    with pytest.raises(EntryFormatError, match="expires after"):
        replace(PUT, created_at=midnight, expires_at=midnight)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("registry_size", 1, TREE_SIZE_MAX),
        ("agreement_version", 1, AGREEMENT_VERSION_MAX),
        ("epoch", 1, TREE_SIZE_MAX),
    ],
)
def test_numbers_stay_within_their_limits(name: str, low: int, high: int) -> None:
    changes: dict[str, Any] = {name: low}
    parse_terms(encode_terms(replace(PUT, **changes)))
    changes = {name: high}
    parse_terms(encode_terms(replace(PUT, **changes)))
    for wrong in (low - 1, high + 1):
        changes = {name: wrong}
        with pytest.raises(EntryFormatError):
            replace(PUT, **changes)


@pytest.mark.parametrize("name", ["registry_size", "epoch"])
def test_numbers_above_2_to_the_63_are_refused_in_bytes(name: str) -> None:
    message = message_of(PUT)
    setattr(message, name, 2**63)
    refuse(message)


@pytest.mark.parametrize("category", ["", "two words", "x" * (CATEGORY_LENGTH_MAX + 1), "é"])
def test_a_category_is_a_code(category: str) -> None:
    replace(PUT, category="x" * CATEGORY_LENGTH_MAX)
    with pytest.raises(NameFormatError):
        replace(PUT, category=category)


def test_a_name_that_is_not_of_its_form_is_an_entry_fault_in_bytes() -> None:
    message = message_of(PUT)
    message.category = "two words"
    refuse(message, match="terms are not of their form")


@pytest.mark.parametrize("size", [0, 31, 33])
def test_hashes_have_32_bytes(size: int) -> None:
    wrong = bytes(size)
    for made in (
        lambda: replace(PUT, stream_id=wrong),
        lambda: replace(CLOSE, successor=wrong),
        lambda: EpochReader("int-iom", wrong),
        lambda: replace(OPENING, registry_root=wrong),
        lambda: replace(OPENING, predecessor=wrong),
    ):
        with pytest.raises(EntryFormatError, match="32 bytes"):
            made()


def test_a_stream_does_not_succeed_itself() -> None:
    with pytest.raises(EntryFormatError, match="itself"):
        replace(CLOSE, successor=CLOSE.stream_id)


@pytest.mark.parametrize(
    "audience",
    [
        (),
        ("tn-dgsn", "int-iom"),
        ("int-iom", "int-iom"),
        ("eg-moi", "int-iom"),
        MEMBERS,
    ],
)
def test_an_audience_is_sorted_without_repetition_and_without_the_sender(
    audience: tuple[str, ...],
) -> None:
    replace(OPENING, audience=MEMBERS[:AUDIENCE_MEMBERS_MAX])
    with pytest.raises(EntryFormatError, match="audience"):
        replace(OPENING, audience=audience)


def test_an_audience_has_members_only() -> None:
    with pytest.raises(NameFormatError, match="member"):
        replace(OPENING, audience=("hub",))


@pytest.mark.parametrize(
    "purposes", [(), ("b", "a"), ("a", "a"), tuple(f"p{number:02}" for number in range(33))]
)
def test_purposes_are_sorted_without_repetition(purposes: tuple[str, ...]) -> None:
    replace(OPENING, purposes=tuple(f"p{number:02}" for number in range(PURPOSES_MAX)))
    with pytest.raises(EntryFormatError, match="purposes"):
        replace(OPENING, purposes=purposes)


def test_purposes_are_codes() -> None:
    with pytest.raises(NameFormatError, match="code"):
        replace(OPENING, purposes=("two words",))


def test_a_return_stream_runs_to_one_peer() -> None:
    alone = replace(OPENING, role=StreamRole.RETURN, audience=("int-iom",))
    assert parse_terms(encode_terms(replace(OPEN_TERMS, opening=alone))).opening == alone
    with pytest.raises(EntryFormatError, match="one peer"):
        replace(OPENING, role=StreamRole.RETURN)


def test_an_opening_without_a_role_is_refused() -> None:
    message = message_of(OPEN_TERMS)
    message.opening.role = entry_pb2.STREAM_ROLE_UNSPECIFIED
    refuse(message, match="StreamRole")


def test_an_empty_opening_is_refused() -> None:
    message = message_of(OPEN_TERMS)
    message.opening.Clear()
    message.opening.SetInParent()
    refuse(message)


def test_an_opening_names_federation_sender_and_agreement() -> None:
    with pytest.raises(NameFormatError, match="federation"):
        replace(OPENING, federation="Euro Arab")
    with pytest.raises(NameFormatError, match="member"):
        replace(OPENING, sender="hub")
    with pytest.raises(NameFormatError, match="code"):
        replace(OPENING, agreement_id="an agreement")
    with pytest.raises(EntryFormatError, match="3 letters"):
        replace(OPENING, agreement_id="EA")
    assert replace(OPENING, agreement_id="EA1").federation == FEDERATION


@pytest.mark.parametrize("ordinal", [-1, TREE_SIZE_MAX + 1])
def test_an_ordinal_has_its_limits(ordinal: int) -> None:
    replace(OPENING, ordinal=TREE_SIZE_MAX)
    with pytest.raises(EntryFormatError, match="ordinal"):
        replace(OPENING, ordinal=ordinal)


def test_a_reader_is_a_member() -> None:
    with pytest.raises(NameFormatError, match="member"):
        EpochReader("hub", HASH)


def test_the_first_stream_of_its_kind_has_ordinal_0_and_no_predecessor() -> None:
    assert (OPENING.ordinal, OPENING.predecessor) == (0, None)


@pytest.mark.parametrize("members", [("tn-dgsn", "int-iom"), ("int-iom", "int-iom")])
def test_readers_are_sorted_without_repetition(members: tuple[str, ...]) -> None:
    with pytest.raises(EntryFormatError, match="readers"):
        replace(EPOCH, readers=tuple(EpochReader(each, HASH) for each in members))


def test_an_epoch_has_at_most_as_many_readers_as_an_audience_has_members() -> None:
    readers = tuple(EpochReader(each, HASH) for each in MEMBERS)
    replace(EPOCH, readers=readers[:AUDIENCE_MEMBERS_MAX])
    with pytest.raises(EntryFormatError, match="readers"):
        replace(EPOCH, readers=readers)


def test_an_opening_is_what_its_stream_keeps_for_good() -> None:
    with pytest.raises(AttributeError):
        OPENING.sender = "tn-dgsn"  # type: ignore[misc]
    assert isinstance(OPENING, Opening)
