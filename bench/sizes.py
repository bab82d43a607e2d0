"""How much each form of a run measures.

The short form is for CI: it shows that everything still runs, and a first figure.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much a form measures; nothing where a number is 0 or missing."""

    rounds: int
    records: int
    probe_records: int
    singles: int
    callers: tuple[int, ...] = ()
    callers_rounds: int = 1
    callers_records: int = 0
    absences: int = 1
    catch_up: int = 256
    readers: tuple[int, ...] = ()
    fan_out: int = 1024
    # How long what is done by the clock takes to come round.
    period_s: float = 60
    stored: tuple[int, ...] = ()
    stored_rounds: int = 1
    # Of which all come back at the first and at the last level of what is stored.
    nodes: int = 0
    cold_sync: int = 0
    postgres_rounds: int = 0
    as4_rounds: int = 0
    as4_records: int = 10


SHORT: Final = Sizes(
    rounds=3,
    records=4096,
    probe_records=16_384,
    singles=20,
    callers=(16,),
    callers_records=1024,
    catch_up=4096,
    postgres_rounds=1,
    as4_rounds=1,
)
FULL: Final = Sizes(
    rounds=5,
    records=16_384,
    # Both sides of a round last for seconds, whoever else uses the machine.
    probe_records=65_536,
    singles=100,
    callers=(16, 256),
    callers_rounds=5,
    callers_records=4096,
    absences=3,
    catch_up=32_768,
    readers=(1, 8, 31),
    fan_out=8192,
    stored=(10_000, 50_000, 500_000, 1_000_000),
    stored_rounds=3,
    nodes=32,
    cold_sync=100_000,
    postgres_rounds=5,
    as4_rounds=5,
    as4_records=300,
)
