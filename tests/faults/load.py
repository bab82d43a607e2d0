"""Steady load: every member issues, updates and withdraws, and what it was told is kept.

A call whose answer did not come is made again, with the same bytes, until there is one: so
at the end nothing is in doubt, and whoever stores an act twice is found out. The one rule:
the ledger holds what was acknowledged, and nothing that was only tried.
"""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Final, TypeVar

from mithaq.cli.demo.stage import Stage
from mithaq.cli.profile import connected
from mithaq.node.records.model import ParsedRecord, seal_in
from mithaq.node.records.synthetic import made_up_alert
from mithaq.service.errors import RemoteError
from mithaq.v1 import local_pb2
from mithaq.v1.local_pb2_grpc import AlertServiceStub

CALL_S: Final = 15.0
AGAIN_S: Final = 0.5
BATCH_MAX: Final = 6
UPDATES: Final = 0.2
WITHDRAWALS: Final = 0.1
BY_STATES: Final = (
    "ARREST",
    "DOC_INVALID",
    "MISSING_LOCATE",
    "MISSING_PROTECT",
    "CHILD_ABDUCTION_RISK",
)
BY_ORGANISATIONS: Final = ("MISSING_LOCATE", "MISSING_PROTECT")
# What says that an act that is asked for again has been done before.
DONE_BEFORE: Final = frozenset(
    {"MQ-EXCH-ALERT-EXISTS", "MQ-EXCH-ALERT-VERSION", "MQ-EXCH-ALERT-UNKNOWN"}
)

Place = tuple[bytes, int]
# Where a version stands, and for whom.
Places = dict[Place, tuple[str, ...]]
A = TypeVar("A")


@dataclass(slots=True)
class Acknowledged:
    """An alert as its issuer's node has answered for it."""

    record: ParsedRecord
    # By version: the places that were named, with their readers; none after a lost answer.
    places: dict[int, Places] = field(default_factory=dict[int, "Places"])
    is_withdrawn: bool = False

    @property
    def version(self) -> int:
        """The newest version that was acknowledged."""
        return max(self.places)


@dataclass(slots=True)
class Member:
    """One member's officers at work, in a thread of their own."""

    stage: Stage
    name: str
    chance: Random
    pause_s: float
    alerts: dict[str, Acknowledged] = field(default_factory=dict[str, Acknowledged])
    # By stream the sequences that each answer named, in the order of the answers.
    order: dict[bytes, list[set[int]]] = field(default_factory=dict[bytes, list[set[int]]])
    counted: Counter[str] = field(default_factory=Counter[str])
    # Codes of answers that no fault explains.
    refused: Counter[str] = field(default_factory=Counter[str])

    def work(self, stop: threading.Event) -> None:
        """Act until stopped; the act that is on its way then is brought to its end."""
        while not stop.wait(self.chance.expovariate(1 / self.pause_s)):
            live = [each for each in self.alerts.values() if not each.is_withdrawn]
            drawn = self.chance.random()
            if live and drawn < WITHDRAWALS:
                self._withdraw(self.chance.choice(live))
            elif live and drawn < WITHDRAWALS + UPDATES:
                self._update(self.chance.choice(live))
            else:
                self._issue(self._new())

    def _new(self) -> list[ParsedRecord]:
        is_state = not self.name.startswith("int-")
        kinds = BY_STATES if is_state else BY_ORGANISATIONS
        at = datetime.now(UTC)
        return [
            made_up_alert(self.chance, category=kind, issuer=self.name, at=at)
            for kind in self.chance.choices(kinds, k=self.chance.randint(1, BATCH_MAX))
        ]

    # --- acts -------------------------------------------------------------------------

    def _issue(self, records: Sequence[ParsedRecord]) -> None:
        waiting: list[ParsedRecord] = list(records)
        while waiting:
            request = local_pb2.IssueManyRequest(
                items=[local_pb2.IssueRequest(record=each.raw) for each in waiting]
            )
            answer = self._answered("system", partial(_issue_many, request=request))
            if answer is None:
                raise ValueError("a call for many is refused item by item")
            # Of one answer the node chooses the order: equal terms stand together.
            self._note_order(each for item in answer.items for each in item.disclosures)
            # One that was not done is asked for again; the others have their places.
            waiting = [
                record
                for record, item in zip(waiting, answer.items, strict=True)
                if not self._issued(record, item)
            ]
            if waiting:
                time.sleep(AGAIN_S)

    def _issued(self, record: ParsedRecord, item: local_pb2.IssueResponse) -> bool:
        code = item.error.code
        if code and code not in DONE_BEFORE:
            self.counted["put off"] += 1
            self.refused[code] += 1
            return False
        told = self.alerts[record.alert_id] = Acknowledged(record)
        told.places[1] = self._noted(item.disclosures)
        self.counted["issued again" if code else "issued"] += 1
        return True

    def _update(self, told: Acknowledged) -> None:
        message = type(told.record.message)()
        message.CopyFrom(told.record.message)
        message.alert.version = told.version + 1
        message.alert.reason = f"{message.alert.reason}; version {message.alert.version}"
        record = seal_in(message)
        request = local_pb2.UpdateAlertRequest(record=record.raw)
        answer = self._answered("officer", lambda stub: stub.UpdateAlert(request, timeout=CALL_S))
        disclosures = answer.disclosures if answer else ()
        self._note_order(disclosures)
        told.places[record.version] = self._noted(disclosures)
        told.record = record
        self.counted["updated"] += 1

    def _withdraw(self, told: Acknowledged) -> None:
        request = local_pb2.WithdrawAlertRequest(alert_id=told.record.alert_id, reason="withdrawn")
        self._answered("officer", lambda stub: stub.WithdrawAlert(request, timeout=CALL_S))
        told.is_withdrawn = True
        self.counted["withdrawn"] += 1

    # --- answers ----------------------------------------------------------------------

    def _noted(self, disclosures: Iterable[local_pb2.Disclosure]) -> Places:
        return {(each.stream_id, each.sequence): tuple(each.recipients) for each in disclosures}

    def _note_order(self, disclosures: Iterable[local_pb2.Disclosure]) -> None:
        named: dict[bytes, set[int]] = {}
        for each in disclosures:
            named.setdefault(each.stream_id, set()).add(each.sequence)
        for stream, sequences in named.items():
            self.order.setdefault(stream, []).append(sequences)

    def _answered(self, user: str, call: Callable[[AlertServiceStub], A]) -> A | None:
        """Call until there is an answer; None where it says that it was done before."""
        for asked in itertools.count():
            try:
                with connected(self.stage.members[self.name].profile(user)) as channel:
                    return call(AlertServiceStub(channel))
            except RemoteError as error:
                if error.code in DONE_BEFORE:
                    # Before the first call nobody had done it.
                    self.counted["done before" if asked else "done before it was asked"] += 1
                    return None
                self.refused[error.code] += 1
            time.sleep(AGAIN_S)
        return None


def _issue_many(
    stub: AlertServiceStub, request: local_pb2.IssueManyRequest
) -> local_pb2.IssueManyResponse:
    return stub.IssueMany(request, timeout=CALL_S)


@dataclass(slots=True)
class Load:
    """All members at work."""

    members: dict[str, Member]
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list[threading.Thread])

    @classmethod
    def of(cls, stage: Stage, *, seed: int, pause_s: float) -> "Load":
        """Return the load on a stage; nobody works yet."""
        return cls(
            {
                name: Member(stage, name, Random(f"{seed}/{name}"), pause_s)  # noqa: S311 - made up
                for name in stage.members
            }
        )

    def start(self) -> None:
        """Let all begin."""
        self._threads = [
            threading.Thread(target=each.work, args=(self._stop,), name=f"load {name}", daemon=True)
            for name, each in self.members.items()
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, *, within_s: float) -> list[str]:
        """Have all bring their last act to its end; return who did not in time."""
        self._stop.set()
        until = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return [thread.name for thread in self._threads if thread.is_alive()]

    def counted(self) -> Counter[str]:
        """Return what was done, by all."""
        return sum((each.counted for each in self.members.values()), Counter[str]())

    def refused(self) -> Counter[str]:
        """Return the codes of what was refused, by all."""
        return sum((each.refused for each in self.members.values()), Counter[str]())
