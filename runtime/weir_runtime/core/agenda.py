"""What a stream has to say, in the order of its audio.

Rules: segments and answers form one queue whose head alone speaks: a segment its start, interims, endpoint and final,
an answer itself. So finals, answers and `closed` leave in order, and numbers are given when a segment's turn comes.
"""

from collections import deque
from typing import assert_never

from msgspec.structs import replace

from weir_runtime.core.grid import total_frames
from weir_runtime.core.results import endpoint_of, final_of, interim_of
from weir_runtime.core.segmenter import Segment
from weir_runtime.messages import (
    Checkpoint,
    Cleared,
    Closed,
    Configured,
    Finalized,
    Progress,
    ResumePoint,
    SpeechStarted,
    ToFront,
)

Answer = Configured | Finalized | Cleared | Checkpoint | Closed
RESUMABLE = ("drain", "shed")  # who is sent away by the server may go on elsewhere


class Agenda:
    """`heard` is set by the stream: everything before is judged; `interim_due` is when an interim may be said."""

    def __init__(self, stream: str, point: ResumePoint) -> None:
        self.heard = point.from_
        self.closed = False
        self.interim_due: float | None = None
        self._stream = stream
        self._items: deque[Segment | Answer] = deque()
        self._events: list[ToFront] = []
        self._finals = point.segment
        self._said = point.said  # a final with text was sent
        self._last_final = point.last_final
        self._rev = 0  # of a segment that was thrown away: its number is used again, its revisions are not
        self._interim_sent = float("-inf")
        self._consumed = self._told = point.from_

    @property
    def consumed(self) -> int:
        """Everything before is recognised or known to be silence; never goes back, though a segment may begin before
        it was known."""
        first = self.first_segment
        self._consumed = max(self._consumed, self.heard if first is None else first.fed)
        return self._consumed

    @property
    def head(self) -> Segment | None:
        """The segment whose turn it is."""
        return self._items[0] if self._items and isinstance(self._items[0], Segment) else None

    @property
    def first_segment(self) -> Segment | None:
        """The first segment whose text is not final."""
        return next((item for item in self._items if isinstance(item, Segment)), None)

    def add(self, item: Segment | Answer) -> None:
        """At its place in the audio; only a configure does not wait for the end of a segment that goes on under it,
        since a client may wait for the answer before it sends more, and a checkpoint, which lies before it."""
        if isinstance(item, Configured | Checkpoint) and self._items and _is_open(self._items[-1]):
            self._items.insert(len(self._items) - 1, item)
        else:
            self._items.append(item)

    def insert_after_head(self, segment: Segment) -> None:
        self._items.insert(1, segment)

    def drop(self, segment: Segment) -> None:
        """Never mention this segment again."""
        self._items.remove(segment)
        if segment.number is not None:
            self._rev, self.interim_due = segment.rev, None

    def cancel(self) -> None:
        """Drop all that is to be said and end."""
        self._items.clear()
        self._answer(Closed(self._stream, 0, "cancel", 0, None))

    def say(self, event: ToFront) -> None:
        """Out of turn: what cannot wait."""
        self._events.append(event)

    def advance(self, busy: Segment | None, now: float) -> None:
        """Say what is ready to be said; a chunk of the segment `busy` is on its way."""
        while self._items and not self.closed:
            item = self._items[0]
            if not isinstance(item, Segment):
                self._answer(item)
            else:
                self._announce(item)
                if item.end is None or busy is item or _needs_step(item):
                    return
                self._finish(item, now)
            self._items.popleft()

    def interim_wanted(self, now: float, max_hz: float) -> None:
        """There is new text; it is said at most `max_hz` times a second."""
        self.interim_due = max(now, self._interim_sent + 1 / max_hz)

    def interim(self, now: float) -> None:
        """Say the open text, if there is any; only where it is due, so that there is an open segment."""
        due, head, self.interim_due = self.interim_due, self.head, None
        assert head is not None
        assert due is not None
        if head.hypothesis.text:
            head.hypothesis.commit(head.hold)
            head.rev += 1
            self._interim_sent = now
            self.say(interim_of(self._stream, self.consumed, head, due))

    def take_events(self) -> list[ToFront]:
        if not self.closed and self.consumed > self._told:
            self._told = self.consumed
            self.say(Progress(self._stream, self._told))
        events, self._events = self._events, []
        return events

    def _answer(self, answer: Answer) -> None:
        match answer:
            case Closed():
                self.closed = True
                point = self._numbered(answer.point) if answer.point and answer.reason in RESUMABLE else None
                self.say(Closed(self._stream, self.consumed, answer.reason, self._finals, self._last_final, point))
            case Checkpoint():
                self.say(Checkpoint(self._stream, self.consumed, self._numbered(answer.point)))
            case Configured():
                self.say(Configured(self._stream, self.consumed, answer.id, answer.from_))
            case Finalized():
                self.say(Finalized(self._stream, self.consumed, answer.id, answer.empty))
            case Cleared():
                self.say(Cleared(self._stream, self.consumed, answer.id))
            case other:
                assert_never(other)

    def _announce(self, head: Segment) -> None:
        if head.number is None:
            head.number, head.rev, self._rev = self._finals, self._rev, 0
            self.say(SpeechStarted(self._stream, self.consumed, head.number, head.onset))

    def tell_endpoint(self, head: Segment) -> None:
        """The text of this segment is complete but for its last chunk: no interim follows."""
        if head.reason == "endpoint" and not head.end_told:
            head.end_told, self.interim_due = True, None
            self.say(endpoint_of(self._stream, self.consumed, head))

    def _finish(self, head: Segment, now: float) -> None:
        self.tell_endpoint(head)
        if head.end is not None and head.fed > head.end:  # cut behind its back: that audio is recognised again
            head.hypothesis.cut(head.end)
        head.rev += 1
        head.fed = max(head.fed, head.end or 0)  # samples that are too few for a frame
        final = final_of(self._stream, self.consumed, head, " " if self._said else "", now)
        self._finals += 1
        self._said = self._said or bool(final.text)
        self._last_final, self.interim_due = final.end, None
        self.say(replace(final, point=self._numbered(head.point)))

    def _numbered(self, point: ResumePoint) -> ResumePoint:
        """With what was said until here."""
        return replace(point, segment=self._finals, said=self._said, last_final=self._last_final)


def _is_open(item: Segment | Answer) -> bool:
    return isinstance(item, Segment) and item.end is None


def _needs_step(head: Segment) -> bool:
    assert head.end is not None
    return head.fed < head.end and total_frames(head.end - head.start) > head.frames
