"""Numbers from numbers: medians and ranges of ratios, percentiles of times."""

import math
from collections.abc import Mapping, Sequence
from statistics import median

from bench.result import Latency, Spread


def spread(values: Sequence[float]) -> Spread:
    """Return median and range; raise ValueError where there is no value."""
    if not values:
        raise ValueError("no values")
    return Spread(median=median(values), low=min(values), high=max(values))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` (0 to 1) of the values don't exceed."""
    if not values or not 0 < share <= 1:
        raise ValueError("a share above 0 of at least one value")
    return sorted(values)[math.ceil(share * len(values)) - 1]


def ratio_of_all(
    ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]], share: float
) -> Spread:
    """Return the ratio of two percentiles over all rounds, with the range of single rounds."""
    by_round = [
        percentile(mine, share) / percentile(its, share)
        for mine, its in zip(ours, theirs, strict=True)
    ]
    mine, its = ([time for each in side for time in each] for side in (ours, theirs))
    whole = percentile(mine, share) / percentile(its, share)
    return Spread(median=whole, low=min(whole, *by_round), high=max(whole, *by_round))


def latency(seconds: Sequence[float], *, cpu_us: Mapping[str, float]) -> Latency:
    """Return p50 and p99 of times, in milliseconds, with the CPU that a record took."""
    return Latency(
        count=len(seconds),
        p50_ms=percentile(seconds, 0.50) * 1e3,
        p99_ms=percentile(seconds, 0.99) * 1e3,
        cpu_us=dict(cpu_us),
    )
