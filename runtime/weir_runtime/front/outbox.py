"""What waits to be written to one socket, bounded without losing anything that counts.

Rules: an interim replaces the interim of its segment that still waits (the newest one says it all); an interim is
worth nothing once its final waits; everything else keeps its place. Whoever fills it stops reading the client when
`full`, so that a client that never reads cannot make it grow.
"""

import asyncio
from collections import deque

from weir_runtime.front.events import SessionEvent
from weir_runtime.messages import Final, Interim

ENOUGH = 256  # events; a reading client never has more than a few


class Outbox:
    def __init__(self) -> None:
        self._events: deque[SessionEvent] = deque()
        self._some = asyncio.Event()

    def __len__(self) -> int:
        return len(self._events)

    @property
    def full(self) -> bool:
        return len(self._events) >= ENOUGH

    def put(self, event: SessionEvent) -> None:
        if isinstance(event, Interim | Final):
            self._drop_interim(event.seg)
        self._events.append(event)
        self._some.set()

    def put_first(self, event: SessionEvent) -> None:
        """Before everything that waits."""
        self._events.appendleft(event)
        self._some.set()

    def clear(self) -> None:
        """Nothing of it will be written."""
        self._events.clear()

    async def get(self) -> SessionEvent:
        """The next event, when there is one."""
        while not self._events:
            self._some.clear()
            await self._some.wait()
        return self._events.popleft()

    def _drop_interim(self, seg: int) -> None:
        """An interim of this segment can only be among the last few."""
        for place in range(len(self._events) - 1, -1, -1):
            event = self._events[place]
            if isinstance(event, Interim) and event.seg == seg:
                del self._events[place]
                return
            if isinstance(event, Final):
                return
