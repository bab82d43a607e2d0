"""Importing a list that others publish: a file in, own alerts out, applied as a delta.

Each entry is compared with what was taken from the last edition: new ones are issued,
changed ones updated, missing ones withdrawn. What an entry's alert is called is durable
before the alert is issued, so that an import that was cut short goes on where it was and
issues nothing twice. The rule: an edition that can't be read to its end withdraws
nothing.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Final

from grpc import StatusCode

from mithaq.ledger.entry import WithdrawReason
from mithaq.node.exchange.acts import Act, ActResult, IssueItem, UpdateItem, WithdrawItem
from mithaq.node.exchange.home import Actor
from mithaq.node.folder import NodeFolder
from mithaq.node.imports.errors import ListError
from mithaq.node.imports.unsc import Fault, ImportTerms, ListedAlert, read_list
from mithaq.node.local.access import Caller
from mithaq.node.local.desk import Desk, entry_of
from mithaq.node.local.grounds import actor_of
from mithaq.node.local.importrows import Edition, Entry, forget, load, plan, settle
from mithaq.node.local.listfile import ListFile, received
from mithaq.node.records.identifiers import new_alert_id
from mithaq.service.errors import MithaqError, fault_of
from mithaq.store.audit_entry import Operation
from mithaq.v1 import local_pb2

BATCH_ENTRIES: Final = 256
VALIDITY: Final = timedelta(days=730)
REVIEW: Final = timedelta(days=365)
# An entry that still stands in the list is extended when less than this is left.
EXTENDED_BEFORE: Final = timedelta(days=90)
AUTHORITY: Final = "Security Council of the United Nations"
LEGAL_BASIS: Final = "Charter of the United Nations, Chapter VII; the resolution of the listing"
_DIGEST_LABEL: Final = b"mithaq/import-entry/v1"


class ImportRunningError(MithaqError):
    """Another list is being imported."""

    code = "MQ-IMPORT-RUNNING"
    public_message = "Another list is being imported at this node."
    fix = "Wait for it to end and repeat."
    grpc_status = StatusCode.RESOURCE_EXHAUSTED
    retry_after = timedelta(seconds=5)


class ListRefusedError(MithaqError):
    """The file is no list, or not whole; the message names the line."""

    fix = "Fetch the file again from its publisher, and import it as it is."
    grpc_status = StatusCode.INVALID_ARGUMENT

    def __init__(self, error: ListError) -> None:
        """Say at which line, never what stands there."""
        super().__init__(
            str(error), code=error.code, public_message=f"{error.public_message[:-1]}: {error}."
        )


@dataclass(slots=True)
class ListImport:
    """Imports of one node, as many at a time as its limits allow."""

    desk: Desk
    _running: int = 0

    async def run(
        self, caller: Caller, requests: AsyncIterator[local_pb2.ImportListRequest]
    ) -> AsyncIterator[local_pb2.ImportListResponse]:
        """Take a file in and apply it; yield progress, then the result with `done`.

        Raises:
            ImportRunningError, ListFileTooLargeError, InvalidRequestError: nothing was done.
            ListRefusedError: the entries before the line named were taken.

        """
        limits = self.desk.config.limits
        if self._running >= limits.imports_running_max:
            raise ImportRunningError
        self._running += 1
        folder = NodeFolder(self.desk.config.directory).incoming
        try:
            async with received(
                requests, folder, size_bytes_max=limits.import_size_bytes_max
            ) as file:
                run = await _begun(self.desk, caller, file)
                async for progress in run.apply():
                    yield progress
        finally:
            self._running -= 1


async def _begun(desk: Desk, caller: Caller, file: ListFile) -> "_Run":
    edition = await desk.home.database.read(lambda each: load(each, file.format))
    return _Run(desk, actor_of(caller), caller, file, edition, desk.now())


@dataclass(slots=True)
class _Run:
    """One import, from its first entry to its last."""

    desk: Desk
    actor: Actor
    caller: Caller
    file: ListFile
    edition: Edition
    at: datetime
    told: local_pb2.ImportListResponse = field(default_factory=local_pb2.ImportListResponse)
    _seen: set[str] = field(default_factory=set[str])
    _new_ids: dict[str, str] = field(default_factory=dict[str, str])
    # An entry whose reference can't be read may be any of the missing ones.
    _all_known: bool = True

    async def apply(self) -> AsyncIterator[local_pb2.ImportListResponse]:
        """Apply the file; yield what was done after each batch."""
        entries = self._entries()
        while batch := await asyncio.to_thread(self._next, entries):
            yield await self._take(batch)
        yield await self._withdraw_missing()

    def _entries(self) -> Iterator[ListedAlert | Fault]:
        terms = ImportTerms(
            issuer=self.desk.home.member,
            authority=AUTHORITY,
            legal_basis=LEGAL_BASIS,
            expires_at=self.at + VALIDITY,
            review_by=self.at + REVIEW,
        )
        return read_list(self.file.chunks(), terms, identify=self._identify, at=self.at)

    @staticmethod
    def _next(entries: Iterator[ListedAlert | Fault]) -> list[ListedAlert | Fault]:
        try:
            return list(islice(entries, BATCH_ENTRIES))
        except ListError as error:
            raise ListRefusedError(error) from None

    def _identify(self, reference: str) -> tuple[str, int]:
        """Return the alert's id and next version; a new id is the same however often asked."""
        entry = self.edition.get(reference)
        if entry is not None and entry.is_usable(at=self.at):
            return entry.alert_id, entry.stored_version + 1
        if reference not in self._new_ids:
            random = self.desk.home.random
            self._new_ids[reference] = new_alert_id(
                self.desk.home.member, at=self.at, randomness=random
            )
        return self._new_ids[reference], 1

    async def _take(self, batch: Sequence[ListedAlert | Fault]) -> local_pb2.ImportListResponse:
        """Issue and update what is new or changed in a batch."""
        faults = [each for each in batch if isinstance(each, Fault)]
        listed = [each for each in batch if isinstance(each, ListedAlert)]
        self._note(faults, listed)
        wanted = [each for each in listed if self._differs(each)]
        planned = {each.dataid: each.record.alert_id for each in wanted}
        database = self.desk.home.database
        await database.write(lambda each: plan(each, self.file.format, planned))
        refused = await self._act_on(wanted)
        self.told.entries_read += len(batch)
        self.told.entries_unchanged += len(listed) - len(wanted)
        return self._progress([*map(_fault, faults), *refused])

    def _note(self, faults: Sequence[Fault], listed: Sequence[ListedAlert]) -> None:
        self._seen.update(each.dataid for each in listed)
        self._seen.update(each.dataid for each in faults)
        self._all_known &= all(each.dataid for each in faults)

    def _differs(self, listed: ListedAlert) -> bool:
        entry = self.edition.get(listed.dataid)
        if entry is None:
            return True
        same = hmac.compare_digest(entry.content_hash, self._keyed(listed.digest))
        return not (same and entry.is_settled(at=self.at, extended_before=EXTENDED_BEFORE))

    def _keyed(self, digest: bytes) -> bytes:
        return hmac.digest(self.desk.terms_key, _DIGEST_LABEL + digest, "sha256")

    async def _act_on(self, wanted: Sequence[ListedAlert]) -> list[local_pb2.ImportFault]:
        answers = await self._answers([self._item(each) for each in wanted])
        taken: dict[str, tuple[bytes, int]] = {}
        refused: list[local_pb2.ImportFault] = []
        for listed, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, ActResult):
                taken[listed.dataid] = self._keyed(listed.digest), answer.version
                self.told.entries_new += answer.version == 1
                self.told.entries_changed += answer.version > 1
            else:
                refused.append(_refusal(listed, answer))
        await self.desk.home.database.write(lambda each: settle(each, self.file.format, taken))
        return refused

    def _item(self, listed: ListedAlert) -> IssueItem | UpdateItem:
        if listed.record.version > 1:
            return UpdateItem(listed.record, self.actor)
        agreement_id, recipients = self.file.agreement_id or None, self.file.recipients or None
        return IssueItem(listed.record, agreement_id, recipients, self.actor)

    async def _answers(self, acts: Sequence[Act]) -> list[ActResult | BaseException]:
        """Do acts together; raise what would refuse every other one as well."""
        outbox = self.desk.outbox
        answers = await asyncio.gather(*map(outbox.act, acts), return_exceptions=True)
        for answer in answers:
            if getattr(answer, "retryable", False) and isinstance(answer, Exception):
                raise answer
        return answers

    async def _withdraw_missing(self) -> local_pb2.ImportListResponse:
        """Take back what the list no longer holds, and say that the import is done."""
        missing = self._missing() if self._all_known else []
        for start in range(0, len(missing), BATCH_ENTRIES):
            batch = missing[start : start + BATCH_ENTRIES]
            acts = [
                WithdrawItem(each.alert_id, WithdrawReason.WITHDRAWN, self.actor)
                for each in batch
                if each.is_live
            ]
            answers = await self._answers(acts)
            self.told.entries_withdrawn += sum(isinstance(each, ActResult) for each in answers)
            gone = [each.reference for each in batch]
            drop = partial(forget, list_format=self.file.format, references=gone)
            await self.desk.home.database.write(drop)
        await self._log()
        self.told.done = True
        return self._progress([])

    def _missing(self) -> list[Entry]:
        return [entry for name, entry in sorted(self.edition.items()) if name not in self._seen]

    async def _log(self) -> None:
        told = self.told
        counts = (
            f"new {told.entries_new} changed {told.entries_changed} "
            f"withdrawn {told.entries_withdrawn} unchanged {told.entries_unchanged}"
        )
        await self.desk.log(
            entry_of(
                self.actor,
                Operation.ADMINISTER,
                at=self.desk.now(),
                certificate=self.caller.tls_fingerprint,
                subject=f"list {self.file.format} {self.file.sha256.hex()}: {counts}",
                result_count=told.entries_read,
            )
        )

    def _progress(self, faults: Sequence[local_pb2.ImportFault]) -> local_pb2.ImportListResponse:
        progress = local_pb2.ImportListResponse()
        progress.CopyFrom(self.told)
        progress.faults.extend(faults[:BATCH_ENTRIES])
        return progress


def _fault(fault: Fault) -> local_pb2.ImportFault:
    return local_pb2.ImportFault(
        line=fault.line,
        reference=fault.dataid,
        code=fault.code,
        message=f"{fault.path}: {fault.message}"[:500],
    )


def _refusal(listed: ListedAlert, error: BaseException) -> local_pb2.ImportFault:
    told = fault_of(error)
    return local_pb2.ImportFault(
        line=listed.line, reference=listed.dataid, code=told.code, message=told.public_message
    )
