"""What a session says besides the core's own events, and what an adapter makes of a client's frames.

An adapter turns frames into commands and events into frames; it knows one wire protocol and nothing else.
Times are samples at 16 kHz, as in messages.py; `audio` is what was consumed when the event was made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from weir_runtime.front.options import Options
from weir_runtime.messages import (
    Checkpoint,
    Cleared,
    Closed,
    Configured,
    Endpoint,
    ErrorCode,
    Failed,
    Final,
    Finalized,
    Interim,
    ResumePoint,
    SpeechStarted,
    WarningCode,
)


@dataclass(frozen=True, slots=True)
class Ready:
    """The stream is open."""

    audio: int
    session: str
    model: str
    language: str
    sample_rate: int
    limits: Mapping[str, int]
    degraded: bool  # the ladder takes something from this stream
    point: ResumePoint  # where it begins
    resumed: bool


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the client should know; the stream goes on."""

    audio: int
    code: WarningCode
    detail: str
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Problem:
    """A typed error; the stream goes on unless it is fatal. None for `retry_after_ms`: the same would fail again."""

    audio: int
    code: ErrorCode
    message: str
    id: str | None = None
    fatal: bool = False
    retry_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """The core took over new options, and events have their form from here on; `ignored` are names nobody knows."""

    configured: Configured
    options: Options
    ignored: tuple[str, ...]

    @property
    def audio(self) -> int:
        return self.configured.audio


@dataclass(frozen=True, slots=True)
class Pong:
    audio: int
    id: str | None
    t: Any


@dataclass(frozen=True, slots=True)
class Heartbeat:
    audio: int


SessionEvent = (
    Ready
    | Notice
    | Problem
    | Applied
    | Pong
    | Heartbeat
    | SpeechStarted
    | Interim
    | Endpoint
    | Final
    | Checkpoint
    | Finalized
    | Cleared
    | Failed
    | Closed
)


# ---- commands: what a frame asks for


@dataclass(frozen=True, slots=True)
class Sound:
    """Encoded audio."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """`start` or `configure` with the options it names."""

    id: str | None
    options: Mapping[str, Any]
    start: bool


@dataclass(frozen=True, slots=True)
class EndSegment:
    id: str | None


@dataclass(frozen=True, slots=True)
class DropSegment:
    id: str | None


@dataclass(frozen=True, slots=True)
class KeepAlive:
    id: str | None


@dataclass(frozen=True, slots=True)
class Ping:
    id: str | None
    t: Any


@dataclass(frozen=True, slots=True)
class Finish:
    """Recognise what was sent, then end."""

    id: str | None


@dataclass(frozen=True, slots=True)
class Abort:
    """End at once."""

    id: str | None


@dataclass(frozen=True, slots=True)
class Bad:
    """A frame that means nothing in this protocol."""

    code: ErrorCode
    message: str
    id: str | None = None


Command = Sound | Change | EndSegment | DropSegment | KeepAlive | Ping | Finish | Abort | Bad
