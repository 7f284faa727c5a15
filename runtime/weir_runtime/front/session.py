"""One stream as every protocol sees it: audio and wishes in, events out. All adapters stand on this one class.

Rules: nothing here blocks; whoever reads the socket looks at `lead_s` first and so slows a client that is too far
ahead. A fatal problem, an end by the server and the client's own close all go the same way: the core recognises what
was sent, and `Closed` is the last event.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from weir_runtime.core.values import VariantInfo
from weir_runtime.front.events import Applied, Notice, Problem, SessionEvent
from weir_runtime.front.ingest import Ingest
from weir_runtime.front.link import CoreLink
from weir_runtime.front.options import START_ONLY, OptionError, Options, change
from weir_runtime.messages import (
    BEGINNING,
    SAMPLE_RATE,
    Audio,
    Cancel,
    Checkpoint,
    Clear,
    Close,
    Closed,
    CloseReason,
    Configure,
    Configured,
    ErrorCode,
    Final,
    Finalize,
    FinalReason,
    Opened,
    Progress,
    QualityChanged,
    Refused,
    ResumePoint,
    Samples,
    ToFront,
    WarningCode,
)
from weir_runtime.wav import Undecodable, WavFormat

Emit = Callable[[SessionEvent], None]


class Session:
    """`problem` is the fatal error, if one ended it; `consumed` and `sent` count samples at 16 kHz since the first one
    of the session, which goes on from `point`."""

    def __init__(
        self,
        link: CoreLink,
        stream: str,
        options: Options,
        variant: VariantInfo,
        emit: Emit,
        point: ResumePoint = BEGINNING,
    ) -> None:
        self.stream, self.options = stream, options
        self.problem: Problem | None = None
        self.closing = False  # the end is on its way: nothing more is read
        self.closed = False
        self.degraded = False  # the ladder takes something from this stream
        self.consumed = self.sent = point.from_
        self._link, self._language, self._emit = link, variant.language, emit
        self._ingest = Ingest(options, self.notice)
        # of each configure that the core has not answered: what it made of the options, and the names nobody knows
        self._changes: deque[tuple[Options, tuple[str, ...]]] = deque()
        self._in_force = options  # as far as the core has told
        # points whose token may still have to be made, oldest first, each with the options in force there
        self._points: deque[tuple[ResumePoint, Options]] = deque([(point, options)])

    @property
    def lead_s(self) -> float:
        """Audio that was sent and is not consumed yet."""
        return (self.sent - self.consumed) / SAMPLE_RATE

    def options_at(self, point: ResumePoint) -> Options:
        """What was in force at a point that an event names; events are asked about in their order."""
        while self._points[0][0] != point:
            self._points.popleft()
        return self._points[0][1]

    # ---- what the client wants

    def push(self, data: bytes) -> None:
        """Encoded audio; the stream fails where it is none."""
        if not self.closing:
            self._take(lambda: self._ingest.push(data))

    def change(self, wanted: Mapping[str, Any], name: str | None, start: bool) -> None:
        """`start` or `configure`: all of it or, with an error, nothing."""
        try:
            if start and self._ingest.begun:
                raise OptionError("start_after_audio", "start", "audio has come already", "use configure")
            fixed = [option for option in START_ONLY if option in wanted and not start]
            if fixed:
                raise OptionError("invalid_option", fixed[0], "cannot change in mid-stream", "name it in start")
            options, ignored = change(self.options, wanted, language=self._language)
        except OptionError as error:
            self._emit(Problem(self.consumed, error.code, f"{error.message}; {error.fix}", name))
            return
        for option in ignored:
            self.unknown(option)
        if self._take(lambda: self._ingest.use(options, "sample_rate" in wanted), name):
            self.options = options
            self._changes.append((options, ignored))
            self._link.send(Configure(self.stream, name, options.recognition))

    def unknown(self, option: str) -> None:
        """Say that nobody knows this option; it is passed over."""
        self._emit(Problem(self.consumed, "unknown_option", f"{option[:64]}: no option of this protocol"))

    def finalize(self, name: str | None) -> None:
        if self._take(self._ingest.flush, name):
            self._link.send(Finalize(self.stream, name))

    def clear(self, name: str | None) -> None:
        if self._take(self._ingest.flush, name):
            self._link.send(Clear(self.stream, name))

    def finish(self, reason: CloseReason = "close", final_reason: FinalReason = "close") -> None:
        """Recognise what was sent, then end."""
        if not self.closing and self._take(self._ingest.finish):
            self.closing = True
            self._link.send(Close(self.stream, reason, final_reason))

    def fail(
        self, code: ErrorCode, message: str, *, name: str | None = None, retry_after_ms: int | None = None
    ) -> None:
        """A fatal error: what was recognised until here still comes. It also overtakes an end that is on its way."""
        if self.closed or self.problem is not None:
            return
        self.problem = Problem(self.consumed, code, message, name, fatal=True, retry_after_ms=retry_after_ms)
        self._emit(self.problem)
        if not self.closing:
            self.closing = True
            self._link.send(Close(self.stream, "error", "close"))

    def abort(self) -> None:
        """End at once; also what a client that vanished gets. Safe at any time."""
        self.closing = True
        if not self.closed:
            self._link.send(Cancel(self.stream))

    def notice(self, code: WarningCode, detail: str, **more: object) -> None:
        self._emit(Notice(self.consumed, code, detail, more))

    # ---- what the core says

    def on_event(self, event: ToFront) -> None:
        match event:
            case Progress(audio=audio):
                self.consumed = audio
            case Opened() | Refused():
                pass
            case QualityChanged():
                self._bend(event)
            case Configured():
                self._in_force, ignored = self._changes.popleft()
                self._emit(Applied(event, self._in_force, ignored))
            case Final(point=point) | Checkpoint(point=point):
                self._note(point)
                self._emit(event)
            case Closed():
                self._close(event)
            case _:
                self._emit(event)

    def _note(self, point: ResumePoint) -> None:
        if point != self._points[-1][0]:
            self._points.append((point, self._in_force))

    def _close(self, event: Closed) -> None:
        self.closed = self.closing = True
        reason, point = (event.reason, event.point) if self.problem is None else ("error", None)
        if point is not None:
            self._note(point)
        self._emit(Closed(event.stream, event.audio, reason, event.segments, event.last_final, point))

    def _bend(self, event: QualityChanged) -> None:
        """The ladder has moved: do the front's part of it, and tell the client."""
        steps, rate = event.in_force, event.send_rate
        self.degraded = bool(steps)
        self._take(lambda: self._ingest.cheap(rate is not None))
        hint = rate if rate is not None and self._ingest.rate > rate else None
        detail = f"quality is reduced: {', '.join(steps)}" if steps else "quality is full again"
        rung, name = event.rung, event.rung_name
        if event.worse:
            self.notice("degraded", detail, rung=rung, rung_name=name, in_force=steps, send_rate=hint)
        else:
            self.notice("recovered", detail, rung=rung, rung_name=name, in_force=steps, send_rate=hint)

    def _take(self, decode: Callable[[], Samples], name: str | None = None) -> bool:
        """Send the samples that `decode` gives on. False: they were none, which ends the stream, and is the answer to
        message `name`."""
        arrived = self._link.clock()
        try:
            samples = decode()
        except Undecodable as error:
            self.fail("undecodable", str(error), name=name)
            return False
        if self._ingest.header is not None:
            self._believe(self._ingest.header)
        if len(samples) and not self.closing:
            self.sent += len(samples)
            self._link.send(Audio(self.stream, samples, arrived))
        return True

    def _believe(self, found: WavFormat) -> None:
        """The form that a container's header names is the stream's from here on, as if the client had named it."""

        def with_form(options: Options) -> Options:
            return replace(options, encoding=found.encoding, channels=found.channels, sample_rate=found.sample_rate)

        self._ingest.header = None
        self.options, self._in_force = with_form(self.options), with_form(self._in_force)
        self._changes = deque((with_form(options), ignored) for options, ignored in self._changes)
