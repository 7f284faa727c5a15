"""What a client sends where the server, short of power, asks for a lower sample rate (`send_rate` in a warning). Pure.

Rules: the rate changes between segments, behind a `configure` that says so; no sample is lost or sent twice at the
border. Only raw pcm_s16le is brought down: a WAV's header names its rate once and for all.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import soxr

from weir_runtime.client import events, request

WAV = b"RIFF"
Frame = str | bytes


class SendRate:
    """One stream's sending side, opened with `options`; it hears every event and sees everything that is sent."""

    def __init__(self, options: Mapping[str, Any], obey: bool) -> None:
        self._obeys = obey and options.get("encoding") in (None, "pcm_s16le")
        self._channels = _whole(options.get("channels"), 1)
        self._rate = self._sending = _whole(options.get("sample_rate"), 16_000)  # of the caller's audio, of the frames
        self._wanted: int | None = None
        self._due = self._in_segment = False
        self._head = b""  # the first bytes of the audio
        self._carry = b""  # a cut sample of all channels
        self._resampler: soxr.ResampleStream | None = None

    def on_event(self, event: events.ServerEvent) -> None:
        """Take one event; those that do not concern the rate change nothing."""
        match event:
            case events.SpeechStarted():
                self._in_segment = True
            case events.Final() | events.Cleared():
                self._in_segment, self._due = False, True
            case events.Warning(code="degraded" | "recovered", send_rate=wanted):
                self._wanted, self._due = wanted, not self._in_segment
            case _:
                pass

    def audio(self, data: bytes) -> list[Frame]:
        """The frames that bring the next bytes of the caller's audio to the server."""
        if not self._obeys:
            return [data]
        if len(self._head) < len(WAV):
            self._head = (self._head + data)[: len(WAV)]
        data = self._carry + data
        if self._head == WAV:
            self._obeys = False
            return [data]
        frames = self._change() if self._due and len(self._head) == len(WAV) else []
        whole = len(data) - len(data) % (2 * self._channels)
        self._carry = data[whole:]
        return [*frames, *self._at_rate(data[:whole])]

    def rest(self) -> list[Frame]:
        """What is to be sent before a message that speaks of all audio so far."""
        if self._resampler is None:
            return []
        rest = self._at_rate(b"", last=True)
        self._resampler = self._new_resampler()
        return rest

    def configured(self, options: Mapping[str, Any]) -> None:
        """The caller's own `configure` was sent, behind `rest`."""
        if options.get("sample_rate") is not None:
            self._rate = self._sending = _whole(options["sample_rate"], 16_000)
            self._resampler, self._due = None, True

    def _change(self) -> list[Frame]:
        """To the rate that is wanted now."""
        self._due = False
        rate = min(self._rate, self._wanted or self._rate)
        if rate == self._sending:
            return []
        frames = self.rest()
        self._sending = rate
        self._resampler = self._new_resampler()
        return [*frames, request.message("configure", {"sample_rate": rate})]

    def _new_resampler(self) -> soxr.ResampleStream | None:
        if self._sending == self._rate:
            return None
        return soxr.ResampleStream(self._rate, self._sending, self._channels, dtype="int16", quality="HQ")

    def _at_rate(self, data: bytes, last: bool = False) -> list[Frame]:
        """Whole samples at the rate of the frames."""
        if self._resampler is not None:
            samples = np.frombuffer(data, "<i2").astype(np.int16)
            shaped = samples if self._channels == 1 else samples.reshape(-1, self._channels)
            data = self._resampler.resample_chunk(shaped, last=last).astype("<i2").tobytes()
        return [data] if data else []


def _whole(value: Any, default: int) -> int:
    """An option as the server would read it, which has taken it already."""
    return default if value is None else int(float(value))
