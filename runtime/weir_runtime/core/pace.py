"""How urgent a client's audio is: who sends a file has no claim to an answer at once.

Rules: audio far ahead of real time counts as if it came as it was spoken. What a resumed client sends again at once
counts as a file's too, but is not held against what it says from then on.
"""

from weir_runtime.messages import SAMPLE_RATE

FASTEST = 1.05 * SAMPLE_RATE  # samples per second of a client's clock that still is a microphone's
BURST_S = 1.0  # that a network may hold back and then deliver at once
LIVE = 1.2  # times real time, over a second: who was catching up has done so


class Pace:
    def __init__(self, now: float, catching_up: bool = False) -> None:
        self._paced = now  # when the audio so far would have arrived, sent as it was spoken
        self._catching_up, self._since, self._came = catching_up, now, 0

    def arrival(self, n_samples: int, arrived: float) -> float:
        """When the next `n_samples`, which came at `arrived`, count as having come."""
        self._paced = max(arrived, self._paced + n_samples / FASTEST)
        if self._catching_up:
            self._catch_up(n_samples, arrived)
        return arrived if self._paced - arrived < BURST_S else self._paced

    def _catch_up(self, n_samples: int, arrived: float) -> None:
        """Once a second of time has brought no more than that of audio, what came before is forgotten."""
        self._came += n_samples
        passed_s = arrived - self._since
        if passed_s >= 1.0:
            self._catching_up = self._came > LIVE * passed_s * SAMPLE_RATE
            self._paced = self._paced if self._catching_up else arrived
            self._since, self._came = arrived, 0
