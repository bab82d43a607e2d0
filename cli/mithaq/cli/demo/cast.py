"""Who plays: three agencies by name, and up to 29 more for a larger federation.

The states are the 18 European and 14 Arab ones of the round tables; the agencies
beyond the first three are called after the country's code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NODES_MIN: Final = 3
NODES_MAX: Final = 32


@dataclass(frozen=True, slots=True)
class Role:
    """A member of the demo's federation."""

    member: str
    display_name: str
    country: str

    @property
    def is_state(self) -> bool:
        """Whether it is a state's agency; organisations get missing persons only."""
        return not self.member.startswith("int-")


_LEADING: Final = (
    Role("eg-moi", "Ministry of Interior, Egypt (synthetic)", "EGY"),
    Role("tn-dgsn", "National Security, Tunisia (synthetic)", "TUN"),
    Role("int-iom", "International Organization for Migration (synthetic)", "XXX"),
)
_OTHERS: Final = (
    ("at", "AUT"), ("be", "BEL"), ("bg", "BGR"), ("hr", "HRV"), ("cy", "CYP"), ("fr", "FRA"),
    ("de", "D"), ("gr", "GRC"), ("hu", "HUN"), ("it", "ITA"), ("mt", "MLT"), ("nl", "NLD"),
    ("pl", "POL"), ("pt", "PRT"), ("ro", "ROU"), ("si", "SVN"), ("es", "ESP"), ("se", "SWE"),
    ("dz", "DZA"), ("bh", "BHR"), ("iq", "IRQ"), ("jo", "JOR"), ("kw", "KWT"), ("lb", "LBN"),
    ("ly", "LBY"), ("mr", "MRT"), ("ma", "MAR"), ("om", "OMN"), ("qa", "QAT"),
)  # fmt: skip


def cast(nodes: int) -> tuple[Role, ...]:
    """Return the members of a federation of `nodes` (3 to 32)."""
    others = (
        Role(f"{code}-border", f"Border authority {code.upper()} (synthetic)", country)
        for code, country in _OTHERS
    )
    return (*_LEADING, *others)[:nodes]
