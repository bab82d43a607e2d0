"""What will go wrong, and when: a plan that a seed gives again.

The plan says which fault meets which part after what wait and for how long. What the parts
happen to be doing at that moment is theirs: two runs of one seed share the faults, not the
interleaving.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

REGISTRAR: Final = "registrar"
HUB: Final = "hub"
MEMBERS: Final = ("eg-moi", "tn-dgsn", "int-iom")
PARTS: Final = (REGISTRAR, HUB, *MEMBERS)
# A restart takes seconds of two processors: the next fault begins before the last has healed.
WAIT_S_MEAN: Final = 0.6
WAIT_S_MAX: Final = 3.0
# Two clocks moved apart still differ by less than the policy's skew limit of 120 s.
CLOCK_S_MAX: Final = 50.0


class Kind(StrEnum):
    """A way in which something breaks."""

    KILLED = "killed"
    KILLED_STARTING = "killed while starting"
    PAUSED = "paused"
    CUT = "link cut"
    SLOW = "link slow and lossy"
    SILENT = "link silent"
    FLIPPED = "byte flipped"
    LOCKED = "database locked"
    AWAY = "database server stopped"
    NO_WRITE = "disk refuses writes"
    CLOCK = "clock moved"


@dataclass(frozen=True, slots=True)
class Rule:
    """How often a kind comes, how long it lasts, and whom it can meet."""

    weight: int
    shortest_s: float
    longest_s: float
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a plan."""

    number: int
    kind: Kind
    target: str
    wait_s: float
    lasts_s: float
    # Of a clock: how far it is moved.
    seconds: float = 0.0


def rules(*, postgresql: bool) -> dict[Kind, Rule]:
    """Return what can go wrong: with PostgreSQL the hub has a server, the others have files."""
    embedded = (REGISTRAR, *MEMBERS) if postgresql else PARTS
    known = {
        Kind.KILLED: Rule(6, 0.0, 3.0, (HUB, HUB, *PARTS)),
        Kind.KILLED_STARTING: Rule(2, 0.2, 2.0, (HUB, *MEMBERS)),
        Kind.PAUSED: Rule(4, 0.2, 5.0, PARTS),
        Kind.CUT: Rule(6, 0.0, 3.0, MEMBERS),
        Kind.SLOW: Rule(3, 2.0, 8.0, MEMBERS),
        Kind.SILENT: Rule(2, 1.0, 6.0, MEMBERS),
        Kind.FLIPPED: Rule(2, 0.1, 1.0, MEMBERS),
        # The store waits 5 s for a lock: some end before that, some after.
        Kind.LOCKED: Rule(3, 0.5, 8.0, embedded),
        Kind.NO_WRITE: Rule(3, 0.5, 5.0, embedded),
        Kind.CLOCK: Rule(3, 1.0, 8.0, (HUB, *MEMBERS)),
    }
    return known | ({Kind.AWAY: Rule(4, 0.2, 6.0, (HUB,))} if postgresql else {})


def plan(*, seed: int, faults: int, postgresql: bool) -> Iterator[Fault]:
    """Yield the faults of a seed: every kind comes, in an order of chance."""
    chance = Random(seed)  # noqa: S311 - when to break what, no secret
    known = rules(postgresql=postgresql)
    kinds = list(known)
    weights = [known[kind].weight for kind in kinds]
    # A short plan has each kind as well, as far as it reaches.
    first = chance.sample(kinds, len(kinds))
    for number in range(faults):
        kind = first[number] if number < len(first) else chance.choices(kinds, weights)[0]
        rule = known[kind]
        yield Fault(
            number=number,
            kind=kind,
            target=chance.choice(rule.targets),
            wait_s=round(min(chance.expovariate(1 / WAIT_S_MEAN), WAIT_S_MAX), 3),
            lasts_s=round(chance.uniform(rule.shortest_s, rule.longest_s), 3),
            seconds=round(chance.uniform(-CLOCK_S_MAX, CLOCK_S_MAX), 1),
        )
