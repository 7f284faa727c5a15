"""One stream as every protocol sees it: audio and wishes in, events out. All adapters stand on this one class.

Rules: nothing here blocks; whoever reads the socket asks `may_read` first and so slows a client that is too far
ahead. A fatal problem, an end by the server and the client's own close all go the same way: the core recognises what
was sent, and `Closed` is the last event.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from weir_runtime.core.values import VariantInfo
from weir_runtime.front.events import Applied, Notice, Problem, SessionEvent
from weir_runtime.front.ingest import Ingest
from weir_runtime.front.link import CoreLink
from weir_runtime.front.options import START_ONLY, OptionError, Options, change
from weir_runtime.front.wav import Undecodable
from weir_runtime.messages import (
    SAMPLE_RATE,
    Audio,
    Cancel,
    Clear,
    Close,
    Closed,
    CloseReason,
    Configure,
    Configured,
    Finalize,
    FinalReason,
    Opened,
    Progress,
    Refused,
    Samples,
    ToFront,
)

Emit = Callable[[SessionEvent], None]


class Session:
    """`problem` is the fatal error, if one ended it; `consumed` and `sent` count samples at 16 kHz."""

    def __init__(self, link: CoreLink, stream: str, options: Options, variant: VariantInfo, emit: Emit) -> None:
        self.stream, self.options = stream, options
        self.problem: Problem | None = None
        self.closing = False  # the end is on its way: nothing more is read
        self.closed = False
        self.consumed = self.sent = 0
        self._link, self._language, self._emit = link, variant.language, emit
        self._ingest = Ingest(options, self.notice)
        self._ignored: deque[tuple[str, ...]] = deque()  # of each configure that the core has not answered

    @property
    def lead_s(self) -> float:
        """Audio that was sent and is not consumed yet."""
        return (self.sent - self.consumed) / SAMPLE_RATE

    # ---- what the client wants

    def push(self, data: bytes) -> None:
        """Encoded audio; the stream fails where it is none."""
        if self.closing:
            return
        arrived = self._link.clock()
        try:
            self._send(self._ingest.push(data), arrived)
        except Undecodable as error:
            self.fail("undecodable", str(error))

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
            self._emit(Problem(self.consumed, "unknown_option", f"{option}: no option of this protocol"))
        self._send(self._ingest.use(options), self._link.clock())
        self.options = options
        self._ignored.append(ignored)
        self._link.send(Configure(self.stream, name, options.recognition))

    def finalize(self, name: str | None) -> None:
        self._send(self._ingest.flush(), self._link.clock())
        self._link.send(Finalize(self.stream, name))

    def clear(self, name: str | None) -> None:
        self._send(self._ingest.flush(), self._link.clock())
        self._link.send(Clear(self.stream, name))

    def finish(self, reason: CloseReason = "close", final_reason: FinalReason = "close") -> None:
        """Recognise what was sent, then end."""
        if self.closing:
            return
        try:
            self._send(self._ingest.finish(), self._link.clock())
        except Undecodable as error:
            self.fail("undecodable", str(error))
            return
        self.closing = True
        self._link.send(Close(self.stream, reason, final_reason))

    def fail(self, code: str, message: str, retryable: bool = False) -> None:
        """A fatal error: what was recognised until here still comes."""
        if self.closing:
            return
        self.closing = True
        self.problem = Problem(self.consumed, code, message, fatal=True, retryable=retryable)
        self._emit(self.problem)
        self._link.send(Close(self.stream, "error", "close"))

    def abort(self) -> None:
        """End at once; also what a client that vanished gets. Safe at any time."""
        self.closing = True
        if not self.closed:
            self._link.send(Cancel(self.stream))

    def notice(self, code: str, detail: str, **more: object) -> None:
        self._emit(Notice(self.consumed, code, detail, more))

    # ---- what the core says

    def on_event(self, event: ToFront) -> None:
        match event:
            case Progress(audio=audio):
                self.consumed = audio
            case Opened() | Refused():
                pass
            case Configured():
                self._emit(Applied(event, self._ignored.popleft()))
            case Closed():
                self.closed = self.closing = True
                reason = event.reason if self.problem is None else "error"
                self._emit(Closed(event.stream, event.audio, reason, event.segments, event.last_final))
            case _:
                self._emit(event)

    def _send(self, samples: Samples, arrived: float) -> None:
        if len(samples) and not self.closing:
            self.sent += len(samples)
            self._link.send(Audio(self.stream, samples, arrived))
