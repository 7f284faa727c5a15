"""The server's events as types. Times are milliseconds of the session's audio; offsets and lengths are code points.

`resume` is a token that leads back to the session, None from a server that has none; audio before its `from_ms` is
done with. A client library of ours uses them by itself.
"""

from typing import Any

import msgspec


class Event(msgspec.Struct, kw_only=True, frozen=True, tag_field="type"):
    """`seq` counts the events of a session without a gap, but for what a resumed stream repeats and its client passes
    over; `audio_ms` is what was recognised when it was sent."""

    seq: int
    audio_ms: int = 0


class Ready(Event, frozen=True, kw_only=True, tag="ready"):
    session: str
    model: str
    language: str
    sample_rate: int
    limits: dict[str, int]
    features: list[str] = []
    degraded: bool = False
    resumed: bool = False  # the session goes on: text of a segment without a final is void
    resume_window_s: int | None = None
    from_ms: int = 0
    resume: str | None = None


class SpeechStarted(Event, frozen=True, kw_only=True, tag="speech_started"):
    seg: int
    at_ms: int


class Interim(Event, frozen=True, kw_only=True, tag="interim"):
    seg: int
    rev: int
    offset: int
    text: str
    stable: int
    stability: float
    start_ms: int
    end_ms: int


class Endpoint(Event, frozen=True, kw_only=True, tag="endpoint"):
    seg: int
    kind: str
    confidence: float
    at_ms: int


class Word(msgspec.Struct, frozen=True):
    w: str
    s: int
    e: int
    c: float


class Final(Event, frozen=True, kw_only=True, tag="final"):
    seg: int
    rev: int
    text: str
    raw: str
    lead: str
    start_ms: int
    end_ms: int
    confidence: float
    reason: str
    language: str = ""
    model: str = ""
    skipped: list[str] = []
    words: list[Word] = []
    from_ms: int | None = None
    resume: str | None = None


class Finalized(Event, frozen=True, kw_only=True, tag="finalized"):
    id: str | None = None
    empty: bool = False


class Configured(Event, frozen=True, kw_only=True, tag="configured"):
    from_ms: int
    id: str | None = None
    ignored: list[str] = []


class Cleared(Event, frozen=True, kw_only=True, tag="cleared"):
    id: str | None = None


class Pong(Event, frozen=True, kw_only=True, tag="pong"):
    id: str | None = None
    t: Any = None


class Checkpoint(Event, frozen=True, kw_only=True, tag="checkpoint"):
    from_ms: int
    resume: str


class Heartbeat(Event, frozen=True, kw_only=True, tag="heartbeat"):
    pass


class Warning(Event, frozen=True, kw_only=True, tag="warning"):  # noqa: A001 the protocol's own word
    code: str
    detail: str = ""
    rung: int | None = None  # these four with `degraded` and `recovered`
    rung_name: str = ""
    in_force: list[str] = []
    send_rate: int | None = None  # Hz: the server would have no more than that


class Error(Event, frozen=True, kw_only=True, tag="error"):
    code: str
    message: str
    fatal: bool
    retryable: bool = False
    retry_after_ms: int | None = None
    id: str | None = None
    start_ms: int | None = None  # of audio that was lost
    end_ms: int | None = None


class Closed(Event, frozen=True, kw_only=True, tag="closed"):
    reason: str
    segments: int
    last_final_ms: int | None = None
    id: str | None = None
    from_ms: int | None = None  # with the reasons `drain` and `shed`
    resume: str | None = None


class Unknown(msgspec.Struct, frozen=True):
    """An event of a newer protocol: to be passed over."""

    fields: dict[str, Any]


Known = (
    Ready
    | SpeechStarted
    | Interim
    | Endpoint
    | Final
    | Finalized
    | Configured
    | Cleared
    | Pong
    | Checkpoint
    | Heartbeat
    | Warning
    | Error
    | Closed
)
ServerEvent = Known | Unknown
_decoder: msgspec.json.Decoder[Known] = msgspec.json.Decoder(Known)


def decode(text: str | bytes) -> ServerEvent:
    """One text frame's event; raises msgspec.DecodeError where it is no JSON object."""
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError:
        return Unknown(msgspec.json.decode(text, type=dict[str, Any]))
