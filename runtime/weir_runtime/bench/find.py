"""The largest number of streams that hold a promise: doubling until it breaks, then halving the gap."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from weir_runtime.bench.figures import Summary

Measure = Callable[[int], Awaitable[Summary]]
COARSE = 10  # the gap that ends the search: a tenth of what holds
MOST = 20_000


@dataclass(frozen=True, slots=True)
class Point:
    streams: int
    summary: Summary

    @property
    def held(self) -> bool:
        """Refused streams are no load, so a server that refused some did not hold so many."""
        return (
            not self.summary.turned_away
            and self.summary.heard
            and self.summary.verdict.held
            and not self.summary.slow_client
        )


async def most_streams(measure: Measure, first: int) -> list[Point]:
    """Every point that was measured, in order; `best` and `slow_client` say what they mean."""
    points: list[Point] = []
    good, bad, n = 0, 0, max(1, first)
    while not bad or bad - good > max(1, good // COARSE):
        point = Point(n, await measure(n))
        points.append(point)
        good, bad = (n, bad) if point.held else (good, n)
        n = (good + bad) // 2 if bad else min(MOST, 2 * n)
        if n < 1 or n == good:
            break
    return points


def best(points: list[Point]) -> Point | None:
    return max((point for point in points if point.held), key=lambda point: point.streams, default=None)


def limited_by_client(points: list[Point]) -> bool:
    """Whether the smallest number that failed did so with clients that were late themselves."""
    failed = min((point for point in points if not point.held), key=lambda point: point.streams, default=None)
    return failed is not None and failed.summary.slow_client
