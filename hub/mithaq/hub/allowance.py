"""Headers without a stored body: how many a sender may add before it is asked to wait.

A well-formed header is always admitted (PROTOCOL 5.2), stays for ever, and counts in no
quota once its body is dropped or where it has none. The rule: a sender that adds them
faster than its allowance is slowed down by as long as it is ahead, and never refused.
"""

from dataclasses import dataclass, field


@dataclass(slots=True)
class HeaderAllowance:
    """So many headers at once and so many a second, for each member; across connections."""

    per_second: int
    at_once: int
    # By member: what is left, and at what time that was so.
    _left: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])

    def take(self, member: str, headers: int, *, now: float) -> float:
        """Count headers and return for how many seconds their sender has to wait."""
        left, since = self._left.get(member, (float(self.at_once), now))
        left = min(float(self.at_once), left + (now - since) * self.per_second) - headers
        self._left[member] = left, now
        return max(0.0, -left / self.per_second)
