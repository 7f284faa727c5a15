"""What one speaker was given back, event by event."""

from dataclasses import dataclass, field
from time import monotonic

from endtoend.words import Segment, Span

from weir_runtime.bench.figures import INTERIMS
from weir_runtime.client.events import Closed, Final, Interim, Ready, ServerEvent
from weir_runtime.client.events import Warning as Notice

BLOCK_S, BLOCK_MS = 0.16, 160  # of audio that is sent at once
DIGITS = "digits/digits_lucas_00.flac"


@dataclass(frozen=True, slots=True)
class Voice:
    """What one speaker says, in which class, and for how long its client tries to get a lost stream back."""

    clip: str = DIGITS
    priority: str = "standard"
    resume_s: float = 0.0


@dataclass(slots=True)
class Heard:
    """By one speaker. Times in ms are of the stream's audio."""

    voice: Voice = field(default_factory=Voice)
    text: str = ""
    rounds: int = 0  # times that the recording was spoken
    sent_ms: int = 0
    alive_ms: int = 0  # of it, when the server last said something
    first_at: float | None = None  # of the first words, on the monotonic clock
    limits: dict[str, int] | None = None  # as `ready` told; None: the stream is not open yet
    closed: str = ""
    warnings: list[str] = field(default_factory=list)
    finals: list[Segment] = field(default_factory=list)
    bent: list[Span] = field(default_factory=list)
    delays_s: list[float] = field(default_factory=list)  # of results, from when their last sample was sent
    began: float = 0.0  # of speaking, on the monotonic clock
    resumed: int = 0  # times that the stream went on at another server
    error: str = ""
    status: int = 0  # of a refusal


def note(event: ServerEvent, heard: Heard) -> None:
    match event:
        case Ready():
            heard.resumed += heard.limits is not None
            heard.limits = event.limits
            bend(heard, event.degraded, event.audio_ms)
        case Notice(code="degraded" | "recovered"):
            heard.warnings.append(event.code)
            bend(heard, any(not step.startswith(INTERIMS) for step in event.in_force), event.audio_ms)
        case Notice():
            heard.warnings.append(event.code)
        case Interim() | Final():
            hear_words(event, heard)
        case Closed():
            heard.closed = event.reason


def bend(heard: Heard, now: bool, at_ms: int) -> None:
    """The server says that it does, or does not, what text may depend on."""
    open_span = bool(heard.bent) and heard.bent[-1].end_ms is None
    if now and not open_span:
        heard.bent.append(Span(at_ms))
    elif not now and open_span:
        heard.bent[-1] = Span(heard.bent[-1].start_ms, at_ms)


def hear_words(event: Interim | Final, heard: Heard) -> None:
    if isinstance(event, Final):
        heard.finals.append(Segment(event.seg, event.start_ms, event.end_ms, event.text))
    if event.text:
        now = monotonic()
        heard.first_at = heard.first_at or now
        if isinstance(event, Interim):
            heard.delays_s.append(now - heard.began - (-(-event.end_ms // BLOCK_MS) - 1) * BLOCK_S)
