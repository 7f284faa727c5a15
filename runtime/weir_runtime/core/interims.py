"""When which stream may say its next interim: a heap of times, each stream in it once at most."""

from heapq import heappop, heappush


class Interims:
    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []
        self._scheduled: set[str] = set()

    @property
    def next_at(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def schedule(self, stream: str, due: float) -> None:
        """Look at this stream at `due`; one that is scheduled already stays where it is."""
        if stream not in self._scheduled:
            self._scheduled.add(stream)
            heappush(self._heap, (due, stream))

    def due(self, now: float) -> list[str]:
        """Streams whose time has come; they leave."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            found.append(heappop(self._heap)[1])
            self._scheduled.discard(found[-1])
        return found
