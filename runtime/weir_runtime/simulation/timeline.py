"""Virtual time: what is to happen when, done in order as fast as it can be."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any

Action = Callable[[Any, float], None]  # its subject, and the time


class Timeline:
    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Action, Any]] = []
        self._order = count()

    def at(self, time: float, action: Action, subject: Any = None) -> None:
        """Have `action` done at `time`; what is due at the same time is done in the order in which it was asked for."""
        heappush(self._heap, (time, next(self._order), action, subject))

    def run(self, until: float) -> None:
        """Do what is due before `until`, which becomes the present."""
        heap = self._heap
        while heap and heap[0][0] < until:
            self.now, _, action, subject = heappop(heap)
            action(subject, self.now)
        self.now = until
