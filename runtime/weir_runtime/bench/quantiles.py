"""Percentiles: of values, and of the histograms in /metrics, which hold counts per bucket. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf

from weir_api.degradation import ClassName

SHARES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds. `n` values had this spread."""

    n: int
    p50_s: float
    p95_s: float
    p99_s: float


def spread(values: Sequence[float]) -> Spread | None:
    """None without a value."""
    if not values:
        return None
    ordered = sorted(values)
    return Spread(len(ordered), *(rank(ordered, share) for share in SHARES))


def rank(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Histogram:
    """(upper bound, count of values up to it), by bound; the last bound is infinite."""

    buckets: tuple[tuple[float, float], ...]

    @property
    def n(self) -> int:
        return int(self.buckets[-1][1])

    def quantile(self, share: float) -> float:
        """Interpolated within its bucket; infinite beyond the last finite bound."""
        wanted, low, below = share * self.buckets[-1][1], 0.0, 0.0
        for high, count in self.buckets:
            if count >= wanted:
                if count == below or high == inf:
                    return high
                return low + (high - low) * (wanted - below) / (count - below)
            low, below = high, count
        return inf


def between(
    before: Mapping[str, float], after: Mapping[str, float], name: str, priority: ClassName, breakpoint_: str = ""
) -> Histogram | None:
    """What the histogram `name` of a class counted between two scrapes; None where it counted nothing."""
    buckets = []
    for key, value in after.items():
        if not key.startswith(f"{name}_bucket{{") or f'class="{priority}"' not in key:
            continue
        bound = re.search(r'le="([^"]+)"', key)
        if bound is not None and (not breakpoint_ or f'breakpoint="{breakpoint_}"' in key):
            buckets.append((float(bound[1]), value - before.get(key, 0.0)))
    histogram = Histogram(tuple(sorted(buckets)))
    return histogram if buckets and histogram.n > 0 else None


def spread_of(histogram: Histogram | None) -> Spread | None:
    if histogram is None:
        return None
    return Spread(histogram.n, *(histogram.quantile(share) for share in SHARES))
