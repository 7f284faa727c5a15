"""A stream's audio that somebody may still need, by absolute position, with the time at which it arrived."""

from collections import deque
from dataclasses import dataclass

from weir_runtime.core.values import Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    start: int
    pcm: Floats
    arrived: float

    @property
    def end(self) -> int:
        return self.start + len(self.pcm)


class AudioBuffer:
    """Samples [start, end) of a stream; the first that comes is number `begin`."""

    def __init__(self, begin: int = 0) -> None:
        self.end = begin
        self.n_samples = 0
        self._pieces: deque[_Piece] = deque()
        self._arrived = 0.0  # of the newest piece that was let go

    def append(self, pcm: Floats, arrived: float) -> None:
        self._pieces.append(_Piece(self.end, pcm, arrived))
        self.end += len(pcm)
        self.n_samples += len(pcm)

    def read(self, begin: int, into: Floats) -> None:
        """Fill `into` [n] with the samples from `begin` on, all of which must be held."""
        end = begin + len(into)
        assert end <= self.end, f"samples up to {end} asked, {self.end} there"
        for piece in self._pieces:
            if piece.end <= begin:
                continue
            if piece.start >= end:
                break
            low, high = max(begin, piece.start), min(end, piece.end)
            into[low - begin : high - begin] = piece.pcm[low - piece.start : high - piece.start]

    def arrival(self, position: int) -> float:
        """When everything before `position` had arrived."""
        arrived = self._arrived
        for piece in self._pieces:
            if piece.start >= position:
                break
            arrived = piece.arrived
        return arrived

    def trim(self, keep: int) -> None:
        """Let go of the pieces that lie wholly before `keep`."""
        while self._pieces and self._pieces[0].end <= keep:
            piece = self._pieces.popleft()
            self.n_samples -= len(piece.pcm)
            self._arrived = piece.arrived
