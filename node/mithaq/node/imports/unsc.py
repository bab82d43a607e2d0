"""The Security Council's consolidated list: from the published XML file to alerts.

The file is read in one pass, entry by entry, and strictly: an entry becomes an
alert that carries every text of it, or a fault that names its line and DATAID,
while the others go in. `delta` says what a newer file changed. Nothing is issued
here, and no address is fetched: whoever runs the node brings the file.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mithaq.agreements.categories import Category
from mithaq.agreements.vocabulary import Purpose
from mithaq.node.imports.block import Block
from mithaq.node.imports.elements import Element, Root, read_elements
from mithaq.node.imports.errors import EntryError, ListMalformedError
from mithaq.node.imports.unsc_entry import entity_of, listing_of, person_of
from mithaq.node.records.errors import RecordError
from mithaq.node.records.model import ParsedRecord, seal_in
from mithaq.v1 import entry_pb2
from mithaq.v1 import record_pb2 as wire

ORIGIN_SYSTEM: Final = "UNSC"
_ROOT: Final = "CONSOLIDATED_LIST"
_ENTRY_TAGS: Final = frozenset({"INDIVIDUAL", "ENTITY"})
_REFERENCE_CHARS_MAX: Final = 20
_DIGEST_LABEL: Final = b"mithaq/list-entry/v1\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportTerms:
    """What the importing member says of every alert that it makes from the list."""

    issuer: str
    authority: str
    legal_basis: str
    expires_at: datetime
    review_by: datetime
    purposes: tuple[str, ...] = (Purpose.BORDER_CONTROL, Purpose.SANCTIONS_ENFORCEMENT)
    necessity: str = (
        "Resolutions of the Security Council under Chapter VII oblige every state to apply the "
        "measures to the listed persons and entities at its borders."
    )


@dataclass(frozen=True, slots=True)
class ListedAlert:
    """An entry that was taken; `digest` is equal where the entry says the same."""

    dataid: str
    digest: bytes
    line: int
    record: ParsedRecord


@dataclass(frozen=True, slots=True)
class Fault:
    """An entry that was not taken; `dataid` is empty where it could not be read."""

    line: int
    dataid: str
    code: str
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Delta:
    """What a newer list changed, by DATAID, each sorted.

    `unread` stood in the older list and in faults of the newer: they stay as they are.
    """

    new: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    withdrawn: tuple[str, ...]
    unread: tuple[str, ...]


# Returns the alert's id and next version for a DATAID.
Identify = Callable[[str], tuple[str, int]]


def read_list(
    chunks: Iterable[bytes], terms: ImportTerms, *, identify: Identify, at: datetime
) -> Iterator[ListedAlert | Fault]:
    """Yield an alert or a fault for every entry of the file, in its order.

    Raises ListError where the file is no list or not whole; what was yielded before
    is good, but then nothing may be concluded from what is missing.
    """
    seen: set[str] = set()
    as_of = 0
    for element in read_elements(chunks, _ENTRY_TAGS):
        if isinstance(element, Root):
            as_of = _generated_at(element)
        else:
            yield _take(element, seen, terms, identify=identify, at=at, as_of=as_of)


def delta(
    old: Mapping[str, bytes], new: Mapping[str, bytes], *, faults: Collection[Fault] = ()
) -> Delta:
    """Compare the digests of two lists by DATAID.

    An entry that is missing from the newer list is withdrawn, unless faults leave it
    open: where one has no DATAID, nothing counts as withdrawn.
    """
    unread = {fault.dataid for fault in faults}
    missing = old.keys() - new.keys()
    kept = missing if "" in unread else missing & unread
    both = old.keys() & new.keys()
    changed = {dataid for dataid in both if old[dataid] != new[dataid]}
    return Delta(
        new=tuple(sorted(new.keys() - old.keys())),
        changed=tuple(sorted(changed)),
        unchanged=tuple(sorted(both - changed)),
        withdrawn=tuple(sorted(missing - kept)),
        unread=tuple(sorted(kept)),
    )


def entry_digest(element: Element) -> bytes:
    """Return a hash of every text of an entry by its path, white space apart.

    Publishers reflow notes and pad names between two files; that is no change.
    """
    leaves = sorted((path, " ".join(text.split())) for path, text in _leaves(element, element.tag))
    digest = hashlib.sha256(_DIGEST_LABEL)
    for path, text in leaves:
        for part in (path.encode(), text.encode()):
            digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()


def _leaves(element: Element, path: str) -> Iterator[tuple[str, str]]:
    if element.is_leaf and element.text.strip():
        yield path, element.text
    for child in element.children:
        yield from _leaves(child, f"{path}/{child.tag}")


def _generated_at(root: Root) -> int:
    if root.tag != _ROOT:
        raise ListMalformedError(f"the file begins with {_ROOT}", line=root.line)
    try:
        generated = datetime.fromisoformat(root.attributes["dateGenerated"])
    except (KeyError, ValueError):
        raise ListMalformedError(
            "the list says when it was made, as 2025-08-02T23:00:00Z", line=root.line
        ) from None
    if generated.tzinfo is None:
        raise ListMalformedError("the list says when it was made, with a zone", line=root.line)
    return int(generated.timestamp())


def _take(
    element: Element,
    seen: set[str],
    terms: ImportTerms,
    *,
    identify: Identify,
    at: datetime,
    as_of: int,
) -> ListedAlert | Fault:
    dataid = ""
    try:
        entry = Block(element, element.tag)
        dataid = _dataid(entry)
        if dataid in seen:
            raise entry.fail("DATAID", "stands in the list already")
        seen.add(dataid)
        digest = entry_digest(element)
        origin = wire.Origin(
            system=ORIGIN_SYSTEM,
            reference=dataid,
            version=entry.text("VERSIONNUM"),
            as_of=as_of,
            digest=digest,
        )
        alert = _alert(entry, terms, origin, identity=identify(dataid), at=at)
        return ListedAlert(dataid, digest, element.line, seal_in(wire.Record(alert=alert)))
    except EntryError as error:
        return Fault(error.line, dataid, error.code, error.path, error.expected)
    except RecordError as error:
        return Fault(element.line, dataid, error.code, error.path, error.expected)


def _dataid(entry: Block) -> str:
    dataid = entry.text("DATAID")
    if not (dataid.isascii() and dataid.isdigit() and len(dataid) <= _REFERENCE_CHARS_MAX):
        raise entry.fail("DATAID", "a number")
    return dataid


def _alert(
    entry: Block,
    terms: ImportTerms,
    origin: wire.Origin,
    *,
    identity: tuple[str, int],
    at: datetime,
) -> wire.Alert:
    alert_id, version = identity
    seconds = int(at.timestamp())
    listing = listing_of(entry)
    alert = wire.Alert(
        alert_id=alert_id,
        version=version,
        issuer=terms.issuer,
        category=Category.UNSC_LISTED,
        action=wire.ACTION_APPLY_SANCTIONS,
        priority=entry_pb2.PRIORITY_ROUTINE,
        created_at=seconds,
        valid_from=seconds,
        review_by=int(terms.review_by.timestamp()),
        expires_at=int(terms.expires_at.timestamp()),
        handling=wire.HANDLING_H0,
        source_grade=wire.SOURCE_GRADE_A,
        information_grade=wire.INFORMATION_GRADE_2,
        data_subject=wire.DATA_SUBJECT_LISTED,
        basis=wire.BASIS_FACT,
        legal_basis=terms.legal_basis,
        purposes=terms.purposes,
        necessity=terms.necessity,
        authority=terms.authority,
        decision_reference=listing.reference_number.strip(),
        reason="Listed by the Security Council of the United Nations",
        origin=origin,
        listing=listing,
    )
    if entry.path == "INDIVIDUAL":
        alert.person.CopyFrom(person_of(entry))
    else:
        alert.entity.CopyFrom(entity_of(entry))
    entry.finish()
    return alert
