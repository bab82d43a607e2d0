"""Audit entries, bundles, evidence and stored pages: what is shown to a third party.

An auditor reads files that an agency has made, which may be the accused one. Bundles are
signed anew after a change, for their owner holds its own key.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from mithaq.certs.errors import TrustError
from mithaq.ledger.run import Run
from mithaq.store.audit_bundle import BundleKeys, registry_of, verify_bundle
from mithaq.store.audit_entry import AuditEntry
from mithaq.store.audit_wire import SignedBytes, decode_bundle, encode_bundle
from mithaq.store.errors import StoreDamagedError, StoreError
from mithaq.store.evidence import Evidence
from mithaq.store.evidence_check import verify_evidence
from mithaq.store.pages import pack_leaves, pack_runs, unpack_leaves, unpack_runs
from mithaq.v1 import audit_pb2, exchange_pb2
from tests.fuzz import streams
from tests.fuzz.cast import AT, CAIRO, TUNIS, agency, federation
from tests.fuzz.node_targets import accepted, sign_head, sign_list
from tests.fuzz.target import Exposure, Target, same
from tests.store.bundles import both_ends


def audit_entry(data: bytes) -> None:
    try:
        entry = AuditEntry.from_bytes(data)
    except StoreError:
        return
    same(entry.to_bytes(), data, "an audit entry has two spellings")


def bundle(data: bytes) -> None:
    """A bundle that its owner has signed, whatever it says."""
    try:
        decoded = decode_bundle(data)
    except StoreError:
        return
    same(encode_bundle(decoded), data, "a bundle has two spellings")
    signed = _signed(data)
    try:
        verified = verify_bundle(signed, BundleKeys.of(federation().registry))
    except StoreError:
        return
    same(len(verified.entries), len(decoded.entries), "a bundle shows other entries")


def bundle_registry(data: bytes) -> None:
    """The registry in a bundle, by which an auditor begins."""
    try:
        registry_of(data, pinned_root_hash=federation().pin)
    except (StoreError, TrustError):
        return


def _signed(data: bytes) -> bytes:
    signature = agency(CAIRO).log.sign(b"mithaq/audit-bundle/v1" + data)
    return SignedBytes(data, signature.ed25519, signature.mldsa44).to_bytes()


def evidence(data: bytes) -> None:
    try:
        read = Evidence.from_json(data)
    except StoreError:
        return
    same(Evidence.from_json(read.to_json()), read, "evidence is written as another")
    read.file_name.encode()
    found = verify_evidence(read, federation().registry)
    for each in found.statements:
        each.text.encode()


def pages(data: bytes) -> None:
    """What a damaged disk gives back: whole entries, or the word that it is damaged."""
    with suppress(StoreDamagedError):
        same(pack_leaves(unpack_leaves(data)), data, "a page of leaves has two readings")
    try:
        runs = unpack_runs(data)
    except StoreDamagedError:
        return
    same(pack_runs(runs), data, "a page of runs has two readings")


# --- seeds ----------------------------------------------------------------------------


def _bundles() -> list[bytes]:
    made: list[bytes] = []
    for end in both_ends(federation(), size=6):
        whole = replace(
            end.bundle(),
            registry=tuple(federation().leaves[:1]),
            registry_checkpoint=federation().checkpoint(size=1, at=AT),
        )
        made += [encode_bundle(end.bundle()), encode_bundle(whole)]
    return made


def _entries() -> list[bytes]:
    return [each.to_bytes() for end in both_ends(federation(), size=6) for each in end.entries]


def _evidence() -> list[bytes]:
    writer = streams.writer()
    head = writer.state.checkpoint()
    batch = streams.batch(writer)
    listed = exchange_pb2.FreezeList(
        federation=federation().name,
        sender=CAIRO,
        reader=TUNIS,
        at=int(AT.timestamp()),
        streams=[exchange_pb2.StreamHead(stream_id=writer.stream_id, size=6, root=bytes(32))],
    )
    sign_list(listed)
    messages = (
        {"checkpoint": sign_head(head, CAIRO), "acceptance": accepted(head).encode()},
        {
            "freeze_list": listed.SerializeToString(deterministic=True),
            "known_checkpoint": sign_head(head, CAIRO),
        },
        {
            "entries": batch.SerializeToString(deterministic=True),
            "frontier": bytes(8),
            "checkpoint": sign_head(head, CAIRO),
        },
    )
    return [
        Evidence(
            alarm="fork",
            accused=CAIRO,
            at=datetime(2026, 11, 2, tzinfo=UTC),
            explanation="two roots",
            messages=each,
            stream_id=writer.stream_id,
            facts={"sender": CAIRO, "size": 6},
            subject="x/1",
            kept_by=TUNIS,
            registry_size=6,
        ).to_json()
        for each in messages
    ]


TARGETS = (
    Target(
        "audit_entry",
        Exposure.FILE,
        audit_entry,
        _entries,
        message=audit_pb2.AuditEntry,
    ),
    Target(
        "bundle",
        Exposure.FILE,
        bundle,
        _bundles,
        message=audit_pb2.AuditBundle,
        size_bytes_max=64 * 1024,
    ),
    Target(
        "bundle_registry",
        Exposure.FILE,
        bundle_registry,
        lambda: [_signed(each) for each in _bundles()[1:2]],
        message=audit_pb2.SignedAuditBundle,
        size_bytes_max=64 * 1024,
    ),
    Target("evidence", Exposure.FILE, evidence, _evidence, size_bytes_max=16 * 1024),
    Target(
        "pages",
        Exposure.FILE,
        pages,
        lambda: [pack_leaves([b"a", b"", b"leaf"]), pack_runs([Run(b"terms", 8, bytes(16))])],
    ),
)
