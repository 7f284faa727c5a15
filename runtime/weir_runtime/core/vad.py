"""Hysteresis: from the speech probability of each window to "speech began" and "speech paused long enough".

Rules: speech begins at a window of at least `threshold` and counts once it has lasted `min_speech` without falling
below `release`; a pause begins at a window below `release`, is undone by one of at least `threshold`, and ends the
speech once it has lasted `silence`. In between nothing changes. Positions are samples.
"""


class SpeechGate:
    """`onset` is where speech (or a candidate for it) began, `pause` where the present pause did."""

    def __init__(self, threshold: float, release: float, min_speech: int) -> None:
        self.onset: int | None = None
        self.pause: int | None = None
        self.speaking = False
        self._threshold, self._release, self._min_speech = threshold, release, min_speech

    def reset(self) -> None:
        self.onset, self.pause, self.speaking = None, None, False

    def resume(self, position: int) -> None:
        """In the middle of speech, from `position` on: what follows a cut."""
        self.onset, self.pause, self.speaking = position, None, True

    def push(self, prob: float, begin: int, end: int) -> None:
        """One window of samples [begin, end)."""
        if self.onset is None:
            if prob < self._threshold:
                return
            self.onset = begin
        if not self.speaking:
            if prob < self._release:
                self.onset = None
            else:
                self.speaking = end - self.onset >= self._min_speech
        elif prob >= self._threshold:
            self.pause = None
        elif prob < self._release and self.pause is None:
            self.pause = begin

    def ended(self, position: int, silence: int) -> bool:
        """Whether the pause has lasted `silence` samples at `position`."""
        return self.pause is not None and position - self.pause >= silence
