"""What was sent and may have to be sent again: the audio and messages behind the newest resume token. Pure.

Rules: positions count bytes of the caller's audio, before anything brings it down to another rate. What is in the log
is exactly what a new connection must be sent: audio from the sample at the token's `from_ms` on, and every message
whose place is there or behind, or that has not been answered yet. An audio's rate may change at a message; `from_ms` is
a place on the time line of all of them. Of a WAV the header is read: its samples are sent again without it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from weir_runtime.client import request
from weir_runtime.wav import WIDTH, Encoding, Undecodable, WavFormat, read_header

RIFF = b"RIFF"
OWN = "weir:"  # begins the ids that the caller did not give
ANSWERED = ("finalize", "clear", "configure", "ping")  # kinds of which each is answered once


@dataclass(slots=True, eq=False)
class Mark:
    """A message at its place: behind `at` bytes of audio. `rate` is the sample rate that holds from there on."""

    n: int
    at: int
    kind: str
    fields: dict[str, Any]
    rate: int | None = None
    once: bool = False  # means nothing later: not sent again
    answered: bool = False

    @property
    def text(self) -> str:
        return request.message(self.kind, self.fields)

    @property
    def id(self) -> str | None:
        found: str | None = self.fields.get("id")
        return found

    @property
    def due(self) -> bool:
        """Whether its answer is still to come."""
        return self.kind in ANSWERED and not self.answered


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far one connection has been sent the log: bytes before `at`, messages before `mark`."""

    at: int = 0
    mark: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Byte `at` is the session's time `ms`; from here on samples come at `rate`."""

    at: int
    ms: Fraction
    rate: int


class Log:
    """Of one stream, opened with `options`. `keeps` is false where it cannot be resumed: what was sent is not kept."""

    def __init__(self, options: Mapping[str, Any], keeps: bool = True) -> None:
        self.keeps = keeps
        self.token: str | None = None
        self.from_ms = 0
        self._options = options
        named = options.get("encoding")
        self._encoding: Encoding = named if named in WIDTH else "pcm_s16le"
        self._channels = whole(options.get("channels")) or 1
        self._begin = Place(0, Fraction(0), whole(options.get("sample_rate")) or 16_000)  # nothing before is gone to
        self._base, self._audio = 0, bytearray()  # the bytes from position `base` on
        self._marks: list[Mark] = []
        self._n_marks = 0  # ever
        self._head: bytes | None = b""  # bytes not yet looked at for a header; None: looked at
        self._last: int | None = None  # where a WAV's data ends

    # ---- what the caller does

    def audio(self, data: bytes) -> None:
        if self._head is not None:
            self._sniff(data)
        if self._last is not None:  # what follows a WAV's data is not audio
            data = data[: max(0, self._last - self.end)]
        self._audio += data

    def mark(self, kind: str, fields: Mapping[str, Any], once: bool = False) -> Mark:
        """Take a message behind all audio so far. Without an `id` it gets one where an answer is to come, so that a
        second answer can be told from the first."""
        given = dict(fields)
        if self.keeps and not once and kind in ANSWERED and given.get("id") is None:
            given["id"] = f"{OWN}{self._n_marks}"
        rate = whole(given.get("sample_rate")) if kind == "configure" else None
        mark = Mark(self._n_marks, self.end, kind, given, rate, once)
        self._n_marks += 1
        self._marks.append(mark)
        return mark

    def answer(self, mark: Mark) -> None:
        """It was answered. It is sent again only where the token does not know of it."""
        mark.answered = True
        if mark.at < self._begin.at or mark.kind == "ping":
            self.drop(mark)

    def drop(self, mark: Mark) -> None:
        """It is done with, or did nothing."""
        if mark in self._marks:
            self._marks.remove(mark)

    def drop_once(self) -> None:
        """The connection that they were meant for is gone."""
        self._marks = [mark for mark in self._marks if not mark.once]

    # ---- what a connection is sent

    @property
    def end(self) -> int:
        """Bytes of audio so far."""
        return self._base + len(self._audio)

    @property
    def closing(self) -> bool:
        """Whether the caller has said that there is no more."""
        return any(mark.kind == "close" for mark in self._marks)

    @property
    def bytes_per_s(self) -> int:
        """Of audio at its end."""
        return self._frame * list(self._places())[-1].rate

    def after(self, cursor: Cursor) -> tuple[bytes | Mark, Cursor] | None:
        """What comes next, and the cursor behind it; None: that was all."""
        mark = next((mark for mark in self._marks if mark.n >= cursor.mark), None)
        if mark is not None and mark.at <= cursor.at:
            return mark, Cursor(cursor.at, mark.n + 1)
        at = max(cursor.at, self._base)
        until = min(at + request.BLOCK, self.end if mark is None else mark.at)
        if until <= at:
            return None
        piece = bytes(self._audio[at - self._base : until - self._base])
        return piece, Cursor(until, cursor.mark)

    def forget(self, cursor: Cursor) -> None:
        """Everything before will not be sent again."""
        self._cut(self._at(cursor.at))
        self._marks = [mark for mark in self._marks if mark.n >= cursor.mark]

    # ---- going on with the session

    def trim(self, from_ms: int, token: str) -> None:
        """A newer token: audio before `from_ms` is done with, and messages before it that have been answered."""
        if from_ms < self.from_ms:
            return
        self.token, self.from_ms = token, from_ms
        if from_ms > 0:  # a header goes before time, and may not have been sent yet
            self._cut(self._place(from_ms))
        self._marks = [mark for mark in self._marks if mark.at >= self._begin.at or mark.due]

    def replay(self) -> tuple[Cursor, dict[str, Any]]:
        """Where a new connection begins, and the options that say what bytes these are."""
        if self._head:  # within a header
            return Cursor(), dict(self._options)
        place = self._place(self.from_ms)
        form = {"encoding": self._encoding, "channels": self._channels, "sample_rate": place.rate}
        return Cursor(place.at), form

    @property
    def answered(self) -> list[Mark]:
        """The messages that will be answered a second time when they are sent again."""
        return [mark for mark in self._marks if mark.answered]

    # ---- bytes and time

    @property
    def _frame(self) -> int:
        """Bytes of one sample of all channels."""
        return WIDTH[self._encoding] * self._channels

    def _places(self) -> Iterator[Place]:
        """From the first place on, each at which the rate changes."""
        place = self._begin
        yield place
        for mark in self._marks:
            if mark.rate is not None and mark.at >= place.at:
                n = (mark.at - place.at) // self._frame  # a cut sample belongs to what follows
                place = Place(place.at + n * self._frame, place.ms + Fraction(1000 * n, place.rate), mark.rate)
                yield place

    def _place(self, ms: int) -> Place:
        """The last whole sample that begins not later than at `ms`, and before any message there."""
        chosen = [place for place in self._places() if place.ms < ms or place is self._begin][-1]
        n = max(0, int((ms - chosen.ms) * chosen.rate / 1000))
        return self._whole(chosen, n)

    def _at(self, position: int) -> Place:
        """The last whole sample before byte `position`."""
        chosen = [place for place in self._places() if place.at <= position or place is self._begin][-1]
        return self._whole(chosen, max(0, position - chosen.at) // self._frame)

    def _whole(self, place: Place, n: int) -> Place:
        """`n` samples behind it, or as many as there are."""
        n = min(n, max(0, self.end - place.at) // self._frame)
        return Place(place.at + n * self._frame, place.ms + Fraction(1000 * n, place.rate), place.rate)

    def _cut(self, place: Place) -> None:
        del self._audio[: max(0, place.at - self._base)]
        self._base = max(self._base, place.at)
        self._begin = place

    def _sniff(self, data: bytes) -> None:
        """Look at the first bytes: a WAV's header, or samples."""
        assert self._head is not None
        self._head += data
        if self._head[: len(RIFF)] != RIFF[: len(self._head)]:
            self._head = None
        elif len(self._head) >= len(RIFF):
            try:
                found = read_header(self._head)
            except Undecodable:  # the server will say so
                self._head = None
                return
            if found is not None:
                self._believe(found)
                self._head = None

    def _believe(self, found: WavFormat) -> None:
        """A header names the form of what follows, whatever the caller said before."""
        self._encoding, self._channels = found.encoding, found.channels
        self._begin = Place(found.data_at, Fraction(0), found.sample_rate)
        self._last = None if found.data_bytes is None else found.data_at + found.data_bytes
        for mark in self._marks:
            mark.at, mark.rate = max(mark.at, found.data_at), None
            mark.fields.pop("sample_rate", None)


def whole(value: Any) -> int | None:
    """An option's value as a whole number, as the server would read it; None where it is none, and changes nothing."""
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        return None
