"""Whether speech came through: what a stream was given back, against what an undisturbed one was given. Pure.

A speaker says one recording in rounds, all alike, with silence between them, so what is right for a round is known from
a stream that nothing happened to (`Reference`). Three kinds of difference are told apart:

- lost: words that are not there, or are others, where nobody had announced anything; words twice count as well;
- announced: words that differ in a round during which the server had said that it bends (decision: texts may change by
  a smaller model, larger chunks, a lower rate; no segment may be missing even then);
- cut: what a stream without resume misses from its end on, where the server or its node was taken away.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from weir_runtime.word_errors import count_errors


@dataclass(frozen=True, slots=True)
class Segment:
    """A final: its place in the stream's audio, in milliseconds."""

    seg: int
    start_ms: int
    end_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class Span:
    """Audio during which the server said that it bends; to the stream's end where `end_ms` is None."""

    start_ms: int
    end_ms: int | None = None

    def meets(self, start_ms: int, end_ms: int) -> bool:
        return self.start_ms < end_ms and (self.end_ms is None or start_ms <= self.end_ms)


@dataclass(frozen=True, slots=True)
class Reference:
    """One round of `round_ms`, as an undisturbed stream hears it; places count from the round's start."""

    round_ms: int
    segments: tuple[Segment, ...]

    @property
    def text(self) -> str:
        return joined(self.segments)


@dataclass(frozen=True, slots=True)
class Count:
    """Words, and segments that were missing altogether."""

    sent: int = 0
    lost: int = 0
    announced: int = 0
    cut: int = 0
    cut_segments: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(
            self.sent + other.sent,
            self.lost + other.lost,
            self.announced + other.announced,
            self.cut + other.cut,
            self.cut_segments + other.cut_segments,
        )


def reference(finals: Sequence[Segment], round_ms: int, rounds: int) -> Reference:
    """From a stream of `rounds` rounds. Raises ValueError where they were not all heard alike: then nothing can be
    told by this recording."""
    heard = [in_round(finals, round_ms, index) for index in range(rounds)]
    texts = {joined(each) for each in heard}
    if len(texts) != 1 or not texts.pop():
        raise ValueError(f"rounds were heard differently: {[[one.text for one in each] for each in heard]}")
    last = (rounds - 1) * round_ms
    moved = [Segment(one.seg, one.start_ms - last, one.end_ms - last, one.text) for one in heard[-1]]
    return Reference(round_ms, tuple(moved))


def in_round(finals: Sequence[Segment], round_ms: int, index: int) -> list[Segment]:
    """Those whose middle lies in that round."""
    return [one for one in finals if (one.start_ms + one.end_ms) // 2 // round_ms == index]


def count(right: Reference, finals: Sequence[Segment], rounds: int, bent: Sequence[Span] = ()) -> Count:
    """A stream that spoke `rounds` whole rounds and was closed properly."""
    total = Count()
    for index in range(rounds):
        total += count_round(right, in_round(finals, right.round_ms, index), index, bent)
    beyond = [one for one in finals if (one.start_ms + one.end_ms) // 2 >= rounds * right.round_ms]
    return total + Count(lost=len(joined(beyond).split()))


def count_round(right: Reference, heard: Sequence[Segment], index: int, bent: Sequence[Span]) -> Count:
    begin = index * right.round_ms
    errors = count_errors(right.text, joined(heard))
    if not any(span.meets(begin, begin + right.round_ms) for span in bent):
        return Count(errors.words, errors.errors)
    missing = [
        one
        for one in right.segments
        if not any(other.start_ms < begin + one.end_ms and begin + one.start_ms < other.end_ms for other in heard)
    ]
    lost = len(joined(missing).split())
    return Count(errors.words, lost, max(0, errors.errors - lost))


def count_cut(right: Reference, finals: Sequence[Segment], until_ms: int) -> Count:
    """A stream without resume that broke: `until_ms` of its audio were sent when it last heard from the server.

    What it was given must be right, but for the last segment, which may be cut short; what is missing is counted from
    behind, as `cut`.
    """
    expected = [
        Segment(one.seg, begin + one.start_ms, begin + one.end_ms, one.text)
        for begin in range(0, until_ms, right.round_ms)
        for one in right.segments
        if begin + one.start_ms < until_ms
    ]
    n_heard = len(finals)
    if n_heard <= len(expected) and finals and finals[-1].text != expected[n_heard - 1].text:
        n_heard -= 1
    missing = expected[n_heard:]
    errors = count_errors(joined(expected[:n_heard]), joined(finals[:n_heard]))
    return Count(
        sent=len(joined(expected).split()),
        lost=errors.errors,
        cut=len(joined(missing).split()),
        cut_segments=len(missing),
    )


def joined(segments: Sequence[Segment]) -> str:
    return " ".join(one.text for one in segments)


def differing(right: Reference, finals: Sequence[Segment], rounds: int) -> list[str]:
    """What was heard of rounds that were not heard rightly."""
    texts = [joined(in_round(finals, right.round_ms, index)) for index in range(rounds)]
    return [f"round {index + 1} of {rounds}: {text!r}" for index, text in enumerate(texts) if text != right.text]


def numbering(finals: Sequence[Segment]) -> str:
    """What is wrong with the segments' numbers, which count from the first without a gap; "" if nothing is."""
    found = [one.seg for one in finals]
    if not found or found == list(range(found[0], found[0] + len(found))):
        return ""
    return f"finals are numbered {found}"
