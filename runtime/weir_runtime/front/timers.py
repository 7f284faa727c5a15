"""Everything about one stream that happens because time passes. Pure: `now` is seconds on the link's clock.

Rules: audio and `keepalive` show that a client lives, `ping` does not; a client that we slow is not idle; the server
says something at least every five seconds; audio that waits and does not move means that the engine is stuck.
"""

from typing import Literal

from weir_api.v1alpha1 import Admission

HEARTBEAT_S = 3.5  # looked at every second, so that five are never reached
IDLE_WARNING = 2 / 3  # of the idle limit
SESSION_WARNING_S = 60.0
STALLED_S = 20.0
WAITING_S = 2.0  # audio; less may be an incomplete chunk

Due = Literal["heartbeat", "idle_warning", "idle", "session_warning", "session_limit", "stalled", "send_timeout"]


class Timers:
    def __init__(self, limits: Admission, now: float) -> None:
        self._limits = limits
        self._opened = self._heard = self._written = self._moved = now
        self._writing: float | None = None
        self._told: set[Due] = set()

    def heard(self, now: float) -> None:
        """Audio or `keepalive` came."""
        self._heard = now
        self._told.discard("idle_warning")

    def moved(self, now: float) -> None:
        """Some audio was consumed."""
        self._moved = now

    def writing(self, now: float) -> None:
        """A write has begun; it ends with `written`."""
        self._writing = now

    def written(self, now: float) -> None:
        self._written, self._writing = now, None

    def idle_left_s(self, now: float) -> float:
        return max(0.0, self._heard + self._limits.idle_seconds - now)

    def session_left_s(self, now: float) -> float:
        return max(0.0, self._opened + self._limits.max_session_seconds - now)

    def due(self, now: float, lead_s: float, slowed: bool, closing: bool) -> list[Due]:
        """What has to be done now; the order matters, a warning is given once."""
        if slowed or closing:
            self._heard = now
        if lead_s < WAITING_S:
            self._moved = now
        found: list[Due] = []
        if self._writing is not None and now - self._writing >= self._limits.send_timeout_seconds:
            return ["send_timeout"]
        if now - self._moved >= STALLED_S:
            return ["stalled"]
        if not closing:
            found += self._limit("idle", "idle_warning", now - self._heard, *self._idle())
            found += self._limit("session_limit", "session_warning", now - self._opened, *self._session())
        if now - self._written >= HEARTBEAT_S and self._writing is None:
            found.append("heartbeat")
        return found

    def _idle(self) -> tuple[float, float]:
        limit = self._limits.idle_seconds
        return limit * IDLE_WARNING, limit

    def _session(self) -> tuple[float, float]:
        limit = self._limits.max_session_seconds
        return limit - min(SESSION_WARNING_S, limit / 10), limit

    def _limit(self, name: Due, warning: Due, age: float, warn_at: float, end_at: float) -> list[Due]:
        if age >= end_at:
            return [name]
        if age >= warn_at and warning not in self._told:
            self._told.add(warning)
            return [warning]
        return []
