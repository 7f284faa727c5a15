"""weir.v1, our own protocol (docs/protocol.md): binary frames are audio, text frames one JSON object each.

Pure: frames in, commands out; events in, text out. Its state is the sequence number and the text that the client has
of the open segment, against which offsets of `revisions=delta` are counted.
"""

import unicodedata
from collections.abc import Callable
from typing import Any, assert_never

import msgspec

from weir_runtime.front.events import (
    Abort,
    Applied,
    Bad,
    Change,
    Command,
    DropSegment,
    EndSegment,
    Finish,
    Heartbeat,
    KeepAlive,
    Notice,
    Ping,
    Pong,
    Problem,
    Ready,
    SessionEvent,
    Sound,
)
from weir_runtime.front.options import Options, flatten
from weir_runtime.front.resume import WINDOW_S
from weir_runtime.messages import (
    SAMPLE_RATE,
    Checkpoint,
    Cleared,
    Closed,
    CloseReason,
    Endpoint,
    ErrorCode,
    Failed,
    Final,
    Finalized,
    Interim,
    ResumePoint,
    SpeechStarted,
    Word,
)

SUBPROTOCOL = "weir.v1"
LONGEST_MESSAGE = 1 << 16
LONGEST_ID = 128
LONGEST_REASON = 123  # bytes that a close frame has room for
FEATURES = ("words", "configure", "finalize", "clear", "delta", "resume")
INTERNAL_ERROR = 1011
CLOSE_CODES: dict[CloseReason, tuple[int, str]] = {
    "close": (1000, "as you asked"),
    "cancel": (1000, "as you asked, without finals"),
    "drain": (1001, "this server ends; open a new stream"),
    "shed": (1013, "too much load; try again later"),
    "idle": (4008, "neither audio nor keepalive came"),
    "session_limit": (4009, "the longest session is over; open a new stream"),
    "error": (INTERNAL_ERROR, "the server made a mistake"),
}
ERROR_CODES: dict[ErrorCode, int] = {"undecodable": 4010}
EXTENDERS = "\u200c\u200d\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"  # joiners, skin tones
Plain = SpeechStarted | Endpoint | Heartbeat | Notice
Issue = Callable[[ResumePoint, int, bool], str]


class NativeAdapter:
    """`goodbye` is the id of the message that asked for the end: `closed` answers it. `issue(point, seq, shed)` makes
    the token of a stream whose next event is number `seq`."""

    def __init__(self, options: Options, language: str, issue: Issue, seq: int = 0) -> None:
        self.goodbye: str | None = None
        self._options, self._language, self._issue = options, language, issue
        self._seq = seq
        self._seg = -1
        self._text = ""  # what the client has of segment `_seg`

    # ---- what the client says

    def on_frame(self, frame: str | bytes) -> Command:
        """One frame's command; what cannot be understood becomes `Bad`."""
        if isinstance(frame, bytes):
            return Sound(frame)
        if len(frame) > LONGEST_MESSAGE:
            return Bad("bad_message", f"a message of {len(frame)} characters; at most {LONGEST_MESSAGE} are read")
        try:
            message = msgspec.json.decode(frame)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return Bad("bad_message", "text frames are JSON objects; audio is sent in binary frames")
        if not isinstance(message, dict):
            return Bad("bad_message", 'a message is a JSON object with a "type"')
        name, kind = message.pop("id", None), message.pop("type", None)
        if name is not None and not (isinstance(name, str) and len(name) <= LONGEST_ID):
            return Bad("bad_message", f"id: a string of at most {LONGEST_ID} characters")
        if not isinstance(kind, str):
            return Bad("bad_message", 'a message is a JSON object with a "type"', name)
        return self._command(kind, name, message)

    def _command(self, kind: str, name: str | None, rest: dict[str, Any]) -> Command:
        match kind:
            case "start" | "configure":
                return Change(name, flatten(rest), start=kind == "start")
            case "finalize":
                return EndSegment(name)
            case "clear":
                return DropSegment(name)
            case "keepalive":
                return KeepAlive(name)
            case "ping":
                return Ping(name, rest.get("t"))
            case "close":
                return Finish(name)
            case "cancel":
                return Abort(name)
        return Bad("unknown_message", f"{kind[:64]!r} is no message of {SUBPROTOCOL}", name)

    # ---- what we say

    def encode(self, event: SessionEvent) -> str:
        """The frame for `event`, to be written now and in this order."""
        kind, fields = self._fields(event)
        head = {"type": kind, "seq": self._seq, "audio_ms": _ms(event.audio)}
        self._seq += 1
        return msgspec.json.encode(head | fields).decode()

    def _fields(self, event: SessionEvent) -> tuple[str, dict[str, Any]]:
        if isinstance(event, Interim):
            return "interim", self._interim(event)
        if isinstance(event, Final):
            return "final", self._final(event)
        if isinstance(event, Ready):
            return "ready", _ready_fields(event) | self._resume(event.point)
        if isinstance(event, Checkpoint):
            return "checkpoint", self._resume(event.point)
        if isinstance(event, Finalized | Cleared | Applied | Pong):
            self._take_note(event)
            return _answer_fields(event)
        if isinstance(event, Closed):
            resume = self._resume(event.point, event.reason == "shed") if event.point else {}
            return "closed", _answer(self.goodbye) | _closed_fields(event) | resume
        if isinstance(event, Problem | Failed):
            return "error", _error_fields(event)
        return _plain_fields(event)

    def _take_note(self, answer: Finalized | Cleared | Applied | Pong) -> None:
        """What an answer changes in the form of the events behind it."""
        if isinstance(answer, Applied):
            self._options = answer.options
        elif isinstance(answer, Cleared):
            self._text = ""

    def _interim(self, event: Interim) -> dict[str, Any]:
        known = self._text if event.seg == self._seg else ""
        offset = common_words(known, event.text) if self._options.revisions == "delta" else 0
        self._seg, self._text = event.seg, event.text
        return {
            "seg": event.seg,
            "rev": event.rev,
            "offset": offset,
            "text": event.text[offset:],
            "stable": event.stable,
            "stability": round(event.stability, 3),
            "start_ms": _ms(event.start),
            "end_ms": _ms(event.end),
        }

    def _final(self, event: Final) -> dict[str, Any]:
        self._text = ""
        fields = {
            "seg": event.seg,
            "rev": event.rev,
            "text": event.text,
            "raw": event.raw,
            "lead": event.lead,
            "start_ms": _ms(event.start),
            "end_ms": _ms(event.end),
            "confidence": round(event.confidence, 3),
            "language": self._language,
            "model": event.variant,
            "skipped": event.skipped,
            "reason": event.reason,
        }
        words = {"words": [_word(word) for word in event.words]} if self._options.words else {}
        return fields | words | self._resume(event.point, event.reason == "shed")

    def _resume(self, point: ResumePoint, shed: bool = False) -> dict[str, Any]:
        return {"from_ms": _ms(point.from_), "resume": self._issue(point, self._seq + 1, shed)}


def close_code(closed: Closed, problem: Problem | None) -> tuple[int, str]:
    """The close code, and a reason as `code: text`; `problem` is the fatal error, if that is why it closes."""
    if problem is not None:
        code, word, text = ERROR_CODES.get(problem.code, INTERNAL_ERROR), str(problem.code), problem.message
    else:
        word, (code, text) = str(closed.reason), CLOSE_CODES[closed.reason]
    return code, f"{word}: {text}".encode()[:LONGEST_REASON].decode(errors="ignore")


def common_words(known: str, text: str) -> int:
    """The longest common prefix in code points that ends before a word, so that no grapheme is cut in two."""
    n = 0
    for old, new in zip(known, text, strict=False):
        if old != new:
            break
        n += 1
    if n == len(text) == len(known):
        return n
    while n and not (text[n - 1] == " " and (n == len(text) or not _extends(text[n]))):
        n -= 1
    return n


def _extends(char: str) -> bool:
    """Whether this code point belongs to the grapheme before it."""
    return unicodedata.category(char).startswith("M") or char in EXTENDERS


def _answer_fields(event: Finalized | Cleared | Applied | Pong) -> tuple[str, dict[str, Any]]:
    """Answers carry the id of what they answer."""
    match event:
        case Finalized():
            return "finalized", _answer(event.id) | {"empty": event.empty}
        case Cleared():
            return "cleared", _answer(event.id)
        case Applied(configured=configured):
            fields = {"from_ms": _ms(configured.from_), "ignored": event.ignored}
            return "configured", _answer(configured.id) | fields
        case Pong():
            return "pong", _answer(event.id) | {"t": event.t}


def _error_fields(event: Problem | Failed) -> dict[str, Any]:
    if isinstance(event, Problem):
        fields = {"code": event.code, "message": event.message}
        retry = {"retryable": event.retry_after_ms is not None, "retry_after_ms": event.retry_after_ms}
        return _answer(event.id) | fields | {"fatal": event.fatal} | retry
    fields = {"code": event.code, "message": f"this audio could not be recognised: {event.detail}"}
    span = {"start_ms": _ms(event.start), "end_ms": _ms(event.end)}
    return fields | {"fatal": event.fatal, "retryable": True, "retry_after_ms": 0} | span


def _ready_fields(event: Ready) -> dict[str, Any]:
    return {
        "session": event.session,
        "protocol": SUBPROTOCOL,
        "model": event.model,
        "language": event.language,
        "sample_rate": event.sample_rate,
        "limits": event.limits,
        "features": FEATURES,
        "degraded": event.degraded,
        "resumed": event.resumed,
        "resume_window_s": WINDOW_S,
    }


def _closed_fields(event: Closed) -> dict[str, Any]:
    last = None if event.last_final is None else _ms(event.last_final)
    return {"reason": event.reason, "segments": event.segments, "last_final_ms": last}


def _plain_fields(event: Plain) -> tuple[str, dict[str, Any]]:
    match event:
        case SpeechStarted():
            return "speech_started", {"seg": event.seg, "at_ms": _ms(event.at)}
        case Endpoint():
            end = {"at_ms": _ms(event.at), "confidence": round(event.confidence, 3)}
            return "endpoint", {"seg": event.seg, "kind": "final"} | end
        case Heartbeat():
            return "heartbeat", {}
        case Notice():
            return "warning", {"code": event.code, "detail": event.detail} | dict(event.more)
        case other:
            assert_never(other)


def _answer(name: str | None) -> dict[str, Any]:
    return {} if name is None else {"id": name}


def _ms(samples: int) -> int:
    return round(samples * 1000 / SAMPLE_RATE)


def _word(word: Word) -> dict[str, Any]:
    return {"w": word.text, "s": _ms(word.start), "e": _ms(word.end), "c": round(word.confidence, 3)}
