"""Who gets a slot. A decision is a value; the shell turns it into HTTP before the upgrade.

Rules: a stream holds one slot for life, the lowest free one, so that busy slots lie close together; without a free
slot the answer is no, and when to ask again grows with the audio that waits.
"""

from heapq import heapify, heappop, heappush

from weir_runtime.messages import Refused

RETRY_S = 2.0


class Slots:
    """Free rows of the engine's slabs."""

    def __init__(self, n_slots: int) -> None:
        self.total = n_slots
        self._free = list(range(n_slots))
        heapify(self._free)

    @property
    def used(self) -> int:
        return self.total - len(self._free)

    def take(self) -> int:
        return heappop(self._free)

    def give_back(self, slot: int) -> None:
        heappush(self._free, slot)


def refusal(stream: str, slots: Slots, queue_audio_s: float) -> Refused | None:
    """Why a stream cannot be opened now, or None."""
    if slots.used < slots.total:
        return None
    return Refused(stream, "slots", RETRY_S + queue_audio_s / max(1, slots.total))
