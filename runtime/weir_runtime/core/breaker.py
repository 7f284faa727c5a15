"""The circuit breaker: an engine that fails gets no new streams until a few of them show that it works again.

closed -> open where the share of failed calls in the window is too high; open -> half-open after a while; half-open
-> closed once as many calls as there are probes have worked, -> open again with the first that fails. Probes that
came to nothing are followed by others. Existing streams are served in every state.
"""

from collections import deque
from typing import Literal

from weir_api.degradation import Breaker

State = Literal["closed", "open", "half-open"]


class CircuitBreaker:
    def __init__(self, limits: Breaker) -> None:
        self.limits = limits
        self._calls: deque[tuple[float, bool]] = deque()  # when, and whether it failed
        self._failed = 0
        self._opened: float | None = None
        self._probing: float | None = None  # since when
        self._let_in = self._worked = 0  # while half-open

    def state(self, now: float) -> State:
        if self._opened is None:
            return "closed"
        since = self._opened if self._probing is None else self._probing
        if now - since >= self.limits.open_seconds:
            self._probing, self._let_in = now, 0
        return "open" if self._probing is None else "half-open"

    def called(self, failed: bool, now: float) -> None:
        """An engine call has ended."""
        match self.state(now):
            case "half-open" if failed:
                self._open(now)
            case "half-open":
                self._worked += 1
                if self._worked >= self.limits.probes:
                    self._opened = self._probing = None
            case "closed":
                self._count(failed, now)
            case _:
                pass  # open: what was on its way

    def refuses(self, now: float) -> bool:
        """Whether a new stream is turned away now."""
        state = self.state(now)
        return state == "open" or (state == "half-open" and self._let_in >= self.limits.probes)

    def opened(self, now: float) -> None:
        """A stream was let in."""
        if self.state(now) == "half-open":
            self._let_in += 1

    def wait_s(self, now: float) -> float:
        """How long a refused stream should wait."""
        if self._opened is None or self._probing is not None:
            return 1.0
        return max(1.0, self._opened + self.limits.open_seconds - now)

    def _count(self, failed: bool, now: float) -> None:
        self._calls.append((now, failed))
        self._failed += failed
        while self._calls[0][0] <= now - self.limits.window_seconds:
            self._failed -= self._calls.popleft()[1]
        n_calls = len(self._calls)
        if n_calls >= self.limits.minimum_calls and 100 * self._failed >= self.limits.error_percent * n_calls:
            self._open(now)

    def _open(self, now: float) -> None:
        self._opened, self._probing, self._worked = now, None, 0
        self._calls.clear()
        self._failed = 0
