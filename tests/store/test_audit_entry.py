"""An audit entry has one spelling, its limits, and no personal data."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mithaq.store.audit_entry import (
    NAMED_PER_ENTRY_MAX,
    RECORDS_PER_ENTRY_MAX,
    AuditEntry,
    Decision,
    Loss,
    Operation,
    RecordRef,
    cut_in_entries,
    query_hash,
)
from mithaq.store.errors import AuditFormatError
from mithaq.v1 import audit_pb2

AT = datetime(2026, 3, 4, 5, 6, 7, 891011, tzinfo=UTC)
STREAM, OTHER = bytes(32), bytes([1]) * 32
ALLOWED = Decision(allowed=True, reason="allowed", clause_ids=("C1", "C2"))
DENIED = Decision(allowed=False, reason="purpose-not-granted")
MINIMAL = AuditEntry(AT, "m.hassan", "officer", Operation.SIGN_IN)
FULL = AuditEntry(
    at=AT,
    actor="m.hassan",
    role="officer",
    operation=Operation.DISCLOSE,
    outcome="done",
    purpose="border-control",
    legal_basis="Law 1/2020",
    case_reference="CASE-7",
    justification="Requested by the competent court.",
    certificate=bytes(range(32)),
    agreement_id="eg-tn",
    agreement_version=3,
    agreement_hash=bytes(range(32)),
    registry_size=12,
    counterparts=("int-iom", "tn-dgsn"),
    records=(
        RecordRef("eg-moi-01J", 1, STREAM, 7, ALLOWED, bytes(range(32))),
        RecordRef("eg-moi-01K", 2, OTHER, 0, ALLOWED),
        RecordRef("eg-moi-01L", 1, b"", 0, DENIED),
        RecordRef(stream_id=STREAM, sequence=2**63),
    ),
    query_kind="document",
    query_hash=bytes(range(32)),
    query_sealed=b"sealed",
    result_count=4,
    subject="officer m.hassan added",
    loss=Loss("test.example/audit/eg-moi", 9, bytes(32), 7),
)


@pytest.mark.parametrize("entry", [MINIMAL, FULL])
def test_an_entry_comes_back_as_it_was(entry: AuditEntry) -> None:
    data = entry.to_bytes()
    assert AuditEntry.from_bytes(data) == entry
    assert AuditEntry.from_bytes(data).to_bytes() == data


def of_streams(count: int) -> list[RecordRef]:
    return [RecordRef("x", 1, n.to_bytes(32, "big"), n) for n in range(count)]


def of_decisions(count: int) -> list[RecordRef]:
    decisions = [
        Decision(allowed=True, reason="allowed", clause_ids=(f"C{n}",)) for n in range(999)
    ]
    return [RecordRef("x", 1, STREAM, n, decisions[n % 999]) for n in range(count)]


@pytest.mark.parametrize(
    ("records", "parts"),
    [
        ([], []),
        ([RecordRef("x")] * RECORDS_PER_ENTRY_MAX, [RECORDS_PER_ENTRY_MAX]),
        ([RecordRef("x")] * (RECORDS_PER_ENTRY_MAX + 1), [RECORDS_PER_ENTRY_MAX, 1]),
        (of_streams(NAMED_PER_ENTRY_MAX), [NAMED_PER_ENTRY_MAX]),
        (of_streams(NAMED_PER_ENTRY_MAX + 1), [NAMED_PER_ENTRY_MAX, 1]),
        (of_decisions(NAMED_PER_ENTRY_MAX), [NAMED_PER_ENTRY_MAX]),
        (of_decisions(2 * NAMED_PER_ENTRY_MAX + 1), [NAMED_PER_ENTRY_MAX] * 2 + [1]),
    ],
)
def test_records_are_cut_where_an_entry_takes_no_more(
    records: list[RecordRef], parts: list[int]
) -> None:
    cut = list(cut_in_entries(records))
    assert [len(each) for each in cut] == parts
    assert [one for each in cut for one in each] == records
    for each in cut:
        assert replace(FULL, records=tuple(each)).to_bytes()


def test_decisions_and_streams_are_written_once_for_a_batch() -> None:
    records = tuple(RecordRef(f"eg-moi-{n}", 1, STREAM, n, ALLOWED) for n in range(256))
    message = audit_pb2.AuditEntry.FromString(replace(FULL, records=records).to_bytes())
    assert (len(message.decisions), len(message.stream_ids), len(message.records)) == (1, 1, 256)


def test_unknown_fields_are_refused() -> None:
    # Field 99, varint 1.
    with pytest.raises(AuditFormatError, match="one spelling"):
        AuditEntry.from_bytes(MINIMAL.to_bytes() + bytes([0x98, 0x06, 0x01]))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"actor": ""}, "actor"),
        ({"actor": "x" * 65}, "actor"),
        ({"outcome": ""}, "outcome"),
        ({"certificate": b"short"}, "certificate"),
        ({"query_hash": b"short"}, "query_hash"),
        ({"counterparts": ("not a member",)}, "counterparts"),
        ({"justification": "x" * 1001}, "justification"),
        ({"at": datetime(1969, 1, 1, tzinfo=UTC)}, "at_us"),
        ({"records": (RecordRef("x"),) * (RECORDS_PER_ENTRY_MAX + 1)}, "records"),
    ],
)
def test_what_goes_beyond_a_limit_is_refused_by_field(
    change: dict[str, object], field: str
) -> None:
    with pytest.raises(AuditFormatError, match=field):
        replace(MINIMAL, **change).to_bytes()  # type: ignore[arg-type]


def test_the_limits_themselves_are_allowed() -> None:
    records = (RecordRef("x" * 80),) * RECORDS_PER_ENTRY_MAX
    entry = replace(MINIMAL, actor="x" * 64, justification="x" * 1000, records=records)
    assert AuditEntry.from_bytes(entry.to_bytes()) == entry


@pytest.mark.parametrize("field", ["stream", "decision"])
def test_a_record_that_names_what_is_not_there_is_refused(field: str) -> None:
    message = audit_pb2.AuditEntry.FromString(MINIMAL.to_bytes())
    setattr(message.records.add(), field, 1)
    with pytest.raises(AuditFormatError, match="isn't there"):
        AuditEntry.from_bytes(message.SerializeToString(deterministic=True))


def test_an_instant_beyond_the_calendar_is_refused() -> None:
    message = audit_pb2.AuditEntry.FromString(MINIMAL.to_bytes())
    message.at_us = 2**63 - 1
    with pytest.raises(AuditFormatError, match="9999"):
        AuditEntry.from_bytes(message.SerializeToString(deterministic=True))


@given(st.binary(max_size=300))
def test_hostile_bytes_are_refused_or_an_entry(data: bytes) -> None:
    try:
        entry = AuditEntry.from_bytes(data)
    except AuditFormatError:
        return
    assert entry.to_bytes() == data


@given(st.integers(0, 1000), st.integers(0, 255))
def test_a_flipped_byte_is_refused_or_another_entry(position: int, value: int) -> None:
    data = bytearray(FULL.to_bytes())
    data[position % len(data)] ^= value
    try:
        entry = AuditEntry.from_bytes(bytes(data))
    except AuditFormatError:
        return
    assert (entry == FULL) == (value == 0)


def test_search_terms_leave_only_a_keyed_hash() -> None:
    key = b"k" * 32
    hashed = query_hash(key, kind="document", terms=("EGY", "A1234567"))
    assert len(hashed) == 32
    assert hashed == query_hash(key, kind="document", terms=("EGY", "A1234567"))
    assert hashed != query_hash(b"other" * 8, kind="document", terms=("EGY", "A1234567"))
    # Terms are framed: one that swallows the next gives another hash.
    assert hashed != query_hash(key, kind="document", terms=("EGYA", "1234567"))
    assert hashed != query_hash(key, kind="name", terms=("EGY", "A1234567"))


def test_instants_keep_their_microseconds() -> None:
    entry = replace(MINIMAL, at=AT + timedelta(microseconds=1))
    assert AuditEntry.from_bytes(entry.to_bytes()).at == AT + timedelta(microseconds=1)
