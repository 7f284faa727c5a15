"""What front and core say to each other: the only thing they share.

Rules: a stream is named by its id, times are whole samples at 16 kHz since the stream's first sample, audio is
float32 mono at 16 kHz in [-1, 1]. Messages of one stream keep their order. Every `Open` is answered by `Opened` or
`Refused`; after `Closed` (which is always the last word on a stream) neither side mentions the stream again.
"""

from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from weir_api.degradation import ClassName

SAMPLE_RATE = 16_000
Samples = npt.NDArray[np.float32]
Latency = Literal["low", "balanced", "accurate"]
# Why a segment ended, and why a stream was closed; the wire uses the same words (docs/protocol.md).
FinalReason = Literal["endpoint", "finalize", "max_segment", "close", "drain", "shed", "idle", "session_limit"]
CloseReason = Literal["close", "cancel", "drain", "shed", "idle", "session_limit", "error"]
ErrorCode = Literal[
    "bad_message", "unknown_message", "unknown_option", "invalid_option", "unsupported_option", "start_after_audio",
    "closing", "undecodable", "engine_failed", "engine_stalled", "internal",
]  # fmt: skip
WarningCode = Literal[
    "lagging", "header_differs", "clipped", "idle", "session_expiring", "draining", "degraded", "recovered"
]  # fmt: skip


class StreamOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may choose about recognition; what only changes the wire's form stays in the adapter."""

    interim: bool = True
    max_interim_hz: float = 10.0
    latency: Latency | None = None  # None: the variant's own chunk
    endpointing: Literal["server", "manual"] = "server"
    silence_ms: int = 300
    max_segment_s: float = 60.0
    stages: tuple[str, ...] = ()  # of those that rewrite text, in the manifest's order


class ResumePoint(msgspec.Struct, frozen=True):
    """All that must be known of a stream's past to go on from here: the detector starts anew at `reset`, on the same
    audio with the same result as a stream that was never cut."""

    from_: int = (
        0  # audio is wanted from here, a whole millisecond: `reset` and what a segment may begin with before it
    )
    reset: int = 0
    floor: int = 0  # no segment begins before
    obeyed: int = 0  # options that came before are in force already
    speaking: bool = False  # in the middle of speech: a segment begins at `reset`
    segment: int = 0  # number of the next one
    said: bool = False  # some text precedes
    last_final: int | None = None  # end of the last final


BEGINNING = ResumePoint()


# ---- front -> core


class Open(msgspec.Struct, frozen=True, tag=True):
    stream: str
    priority: ClassName
    tenant: str
    variant: str
    options: StreamOptions
    high_rate: bool = False  # the client sends more than 16 kHz: the rung lowerSampleRate would spare something
    resume: ResumePoint | None = None  # goes on from here; times count from the session's first sample all the same
    existing: bool = False  # counts as one of the streams that there are: under load it is not refused as a new one


class Audio(msgspec.Struct, frozen=True, tag=True):
    stream: str
    pcm: Samples  # [n], never changed after it is sent
    arrived: float  # seconds on the loop's clock when the socket gave the last byte: where the latency clock starts


class Configure(msgspec.Struct, frozen=True, tag=True):
    """New options from this point of the audio on; answered by `Configured`."""

    stream: str
    id: str | None
    options: StreamOptions


class Finalize(msgspec.Struct, frozen=True, tag=True):
    """End the open segment here; answered by its `Final`, then `Finalized`."""

    stream: str
    id: str | None


class Clear(msgspec.Struct, frozen=True, tag=True):
    """Throw the open segment away; answered by `Cleared`. The next segment takes its number."""

    stream: str
    id: str | None


class Close(msgspec.Struct, frozen=True, tag=True):
    """Recognise what was sent, then `Closed` with this reason; the last segment's final carries `final_reason`."""

    stream: str
    reason: CloseReason = "close"
    final_reason: FinalReason = "close"


class Cancel(msgspec.Struct, frozen=True, tag=True):
    """Drop everything now, no finals; also what the front sends for a client that vanished."""

    stream: str


ToCore = Open | Audio | Configure | Finalize | Clear | Close | Cancel


# ---- core -> front


class Opened(msgspec.Struct, frozen=True, tag=True):
    stream: str


class Refused(msgspec.Struct, frozen=True, tag=True):
    stream: str
    reason: str  # a stable word, such as "slots"
    retry_after_s: float  # before jitter, which the front adds
    detail: str = ""  # the same in a sentence


class QualityChanged(msgspec.Struct, frozen=True, tag=True):
    """What the ladder does to this stream from now on; also sent behind `Opened` where it does anything at all."""

    stream: str
    audio: int
    worse: bool
    rung: int  # the highest in force on this server
    rung_name: str
    in_force: tuple[str, ...]  # names of the steps that touch this stream
    send_rate: int | None  # Hz that the client should send at, if it sends at more


class Progress(msgspec.Struct, frozen=True, tag=True):
    """Everything before `audio` is consumed: recognised or known to be silence."""

    stream: str
    audio: int


class SpeechStarted(msgspec.Struct, frozen=True, tag=True):
    stream: str
    audio: int
    seg: int
    at: int


class Interim(msgspec.Struct, frozen=True, tag=True):
    """The whole text of the open segment so far; the adapter works out offsets against what it really wrote."""

    stream: str
    audio: int
    seg: int
    rev: int  # +1 for each new text of the segment; never reused
    text: str
    stable: int  # code points of `text` that will not change
    stability: float  # 0 to 1, for the rest
    start: int
    end: int
    arrived: float  # when the last sample that this text needed had arrived: where the latency clock starts
    computed: float  # when the engine had it
    due: float  # when it was to be said: later than `computed` where interims come more slowly than chunks


class Word(msgspec.Struct, frozen=True):
    text: str
    start: int
    end: int
    confidence: float


class Endpoint(msgspec.Struct, frozen=True, tag=True):
    stream: str
    audio: int
    seg: int
    at: int
    confidence: float


class Final(msgspec.Struct, frozen=True, tag=True):
    stream: str
    audio: int
    seg: int
    rev: int
    text: str
    raw: str  # before any stage rewrote it
    variant: str  # the model that heard it
    skipped: tuple[str, ...]  # stages that were asked for and left out, by the ladder or by a failure
    lead: str  # what joins it to the text before: "" or " "
    start: int
    end: int
    words: tuple[Word, ...]
    confidence: float
    reason: FinalReason
    arrived: float  # as in Interim
    computed: float
    decided: float  # when the segment's end was decided: where the clock of the final's delay starts
    point: ResumePoint = BEGINNING  # behind it


class Checkpoint(msgspec.Struct, frozen=True, tag=True):
    """From where the stream could go on now: in silence a new place, during speech the last one again."""

    stream: str
    audio: int
    point: ResumePoint


class Finalized(msgspec.Struct, frozen=True, tag=True):
    stream: str
    audio: int
    id: str | None
    empty: bool  # there was no open segment


class Configured(msgspec.Struct, frozen=True, tag=True):
    stream: str
    audio: int
    id: str | None
    from_: int


class Cleared(msgspec.Struct, frozen=True, tag=True):
    stream: str
    audio: int
    id: str | None


class Failed(msgspec.Struct, frozen=True, tag=True):
    """Audio from `start` to `end` was lost, though nobody did anything wrong; the stream goes on unless `fatal`."""

    stream: str
    audio: int
    code: ErrorCode
    detail: str
    fatal: bool
    start: int
    end: int


class Closed(msgspec.Struct, frozen=True, tag=True):
    stream: str
    audio: int
    reason: CloseReason
    segments: int
    last_final: int | None  # end of the last final, None without one
    point: ResumePoint | None = None  # where the server ended a stream that may go on elsewhere


ToFront = (
    Opened
    | Refused
    | QualityChanged
    | Progress
    | SpeechStarted
    | Interim
    | Endpoint
    | Final
    | Checkpoint
    | Finalized
    | Configured
    | Cleared
    | Failed
    | Closed
)
