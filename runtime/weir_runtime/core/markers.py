"""What the client wants done at a place of its audio: each marker waits at the sample where it came.

Rules: markers keep their order, nothing is taken behind a close. What a resumed client sends again from before the
point that it goes on from has done its work already: it is answered, not obeyed.
"""

from collections import deque
from dataclasses import dataclass

from weir_runtime.messages import Clear, Close, Configure, Finalize, ResumePoint

Marker = Configure | Finalize | Clear | Close


@dataclass(frozen=True, slots=True)
class Marked:
    position: int
    came: float
    marker: Marker


class Markers:
    def __init__(self, point: ResumePoint) -> None:
        self._point = point
        self._waiting: deque[Marked] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def next(self) -> Marked:
        return self._waiting[0]

    @property
    def ending(self) -> bool:
        """Its end is set: nothing more is taken."""
        return bool(self._waiting) and isinstance(self._waiting[-1].marker, Close)

    def put(self, position: int, marker: Marker, now: float) -> None:
        if not self.ending:
            self._waiting.append(Marked(position, now, marker))

    def take(self) -> Marked:
        return self._waiting.popleft()

    def is_late(self, marked: Marked) -> bool:
        """Whether it did its work before the stream was cut, unless it is a close."""
        options = isinstance(marked.marker, Configure)
        return marked.position < (self._point.obeyed if options else self._point.reset)
