"""What each tenant has open and has used today, against its quota. Pure: `now` is seconds since the epoch.

Rules: a quota is a tenant's, whatever the number of its keys; it is looked at when a stream asks to be opened, and a
stream that runs is never cut for it. Audio counts when it arrives, recognised or not, on the UTC day of its arrival.
The counts are this process's own and start from nothing with it.
"""

from dataclasses import dataclass
from typing import Literal

DAY_S = 86_400  # of epoch time, which has no leap seconds: a multiple of it is midnight UTC
STREAMS_RETRY_S = 5.0  # nobody knows when one of the tenant's own streams ends


@dataclass(frozen=True, slots=True)
class Quota:
    """None: no limit."""

    max_streams: int | None = None
    audio_seconds_per_day: int | None = None


UNLIMITED = Quota()


@dataclass(frozen=True, slots=True)
class Exceeded:
    """Which quota leaves no room, and when to ask again (before jitter)."""

    reason: Literal["streams", "audio_seconds"]
    retry_after_s: float


class Usage:
    """Of every tenant, also of those that no key names any more: their streams stay open."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}
        self._heard: dict[str, float] = {}  # seconds of audio on `_day`
        self._day = 0

    def streams(self, tenant: str) -> int:
        """Streams that are open now."""
        return self._open.get(tenant, 0)

    def audio_s(self, tenant: str, now: float) -> float:
        """Seconds of audio that came today."""
        self._turn(now)
        return self._heard.get(tenant, 0.0)

    def exceeded(self, tenant: str, quota: Quota, now: float) -> Exceeded | None:
        """Why the tenant may open no stream now; None: it may. What takes longer to pass is told first."""
        if quota.audio_seconds_per_day is not None and self.audio_s(tenant, now) >= quota.audio_seconds_per_day:
            return Exceeded("audio_seconds", DAY_S - now % DAY_S)
        if quota.max_streams is not None and self.streams(tenant) >= quota.max_streams:
            return Exceeded("streams", STREAMS_RETRY_S)
        return None

    def opened(self, tenant: str) -> None:
        """A stream was taken; `closed` gives it back."""
        self._open[tenant] = self.streams(tenant) + 1

    def closed(self, tenant: str) -> None:
        left = self.streams(tenant) - 1
        assert left >= 0, "closed more often than opened"
        if left:
            self._open[tenant] = left
        else:
            del self._open[tenant]

    def heard(self, tenant: str, seconds: float, now: float) -> None:
        """Audio of one of the tenant's streams came."""
        self._heard[tenant] = self.audio_s(tenant, now) + seconds

    def _turn(self, now: float) -> None:
        """Begin a new day; a clock that was set back begins none."""
        day = int(now // DAY_S)
        if day > self._day:
            self._day = day
            self._heard.clear()
