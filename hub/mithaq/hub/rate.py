"""How often something may be done: a bucket that fills with time and is drawn from."""

from dataclasses import dataclass
from datetime import datetime

MINUTE_S = 60


@dataclass(slots=True)
class Rate:
    """At most `per_minute` acts in a minute, all of them at once if none came before."""

    per_minute: int
    _left: float = -1.0
    _seen: datetime | None = None

    def take(self, *, at: datetime) -> bool:
        """Tell whether one more act may be done now, and count it if so."""
        if self._seen is None:
            self._left = self.per_minute
        else:
            passed_s = max(0.0, (at - self._seen).total_seconds())
            self._left = min(self.per_minute, self._left + passed_s * self.per_minute / MINUTE_S)
        self._seen = at
        if self._left < 1:
            return False
        self._left -= 1
        return True
