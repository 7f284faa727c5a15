"""What ends a stream for good and what only interrupts it; how long to wait before each try to come back. Pure.

Rules: a stream that came back counts as lost until the server has recognised more than before, so that one that
breaks at the same place again and again ends. What the server says about when to come is obeyed.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from weir_runtime.client.errors import ConnectionLost, Refused, StreamClosed

LOST_CODES = (1001, 1006, 1011, 1012, 1013)  # the server ended, or fell over, or had too much to do
SHED_CODE = 1013
FIRST_S, LONGEST_S = 0.1, 2.0  # between tries, growing
OPEN_S = 5.0  # for one try
Chance = Callable[[float, float], float]


def is_lost(end: Exception) -> bool:
    """Whether a stream that ended so may go on elsewhere."""
    if isinstance(end, StreamClosed):
        return end.code in LOST_CODES
    return isinstance(end, ConnectionLost) and not end.for_good


def may_come_later(refused: Refused) -> bool:
    """Whether the same token may be taken later; what is wrong with the request stays wrong."""
    return refused.status == 429 or refused.status >= 500


@dataclass(slots=True)
class Outage:
    """From when a stream was lost until the server has recognised more than `reached_ms` of it; times in seconds. In
    all it may be without a connection for `left_s`, counted from `began` where it is now."""

    began: float
    left_s: float
    reached_ms: int
    tries: int = 0
    after_s: float = 0.0  # what the last refusal asked for
    back: float | None = None  # since when it has a connection, which has shown nothing new so far

    def pause_s(self, now: float, chance: Chance = random.uniform) -> float | None:
        """How long to wait before the next try; None: the time is up, or would be."""
        grown = 0.0 if self.tries == 0 else min(LONGEST_S, FIRST_S * 2 ** min(self.tries - 1, 10)) * chance(0.5, 1.0)
        pause = max(grown, self.after_s * chance(1.0, 1.2))
        self.tries, self.after_s = self.tries + 1, 0.0
        return pause if now + pause <= self.began + self.left_s else None

    def came_back(self, now: float) -> None:
        self.left_s -= now - self.began
        self.back = now


def outage_at(now: float, before: Outage | None, limit_s: float, reached_ms: int) -> Outage:
    """A stream is lost at `now`, `before` being an outage that is not made up for: the same one goes on, unless its
    connection lasted as long as an outage may."""
    if before is None or before.back is None or now - before.back > limit_s:
        return Outage(now, limit_s, reached_ms)
    before.began, before.back = now, None
    return before
