"""Turns a segment into the events that tell of it."""

from weir_runtime.core.segmenter import Segment
from weir_runtime.messages import Endpoint, Final, Interim


def endpoint_of(stream: str, consumed: int, segment: Segment) -> Endpoint:
    assert segment.number is not None
    return Endpoint(stream, consumed, segment.number, segment.at, segment.confidence)


def interim_of(stream: str, consumed: int, segment: Segment) -> Interim:
    assert segment.number is not None
    said = segment.hypothesis
    words = said.words(segment.fed)
    return Interim(
        stream=stream,
        audio=consumed,
        seg=segment.number,
        rev=segment.rev,
        text=said.text,
        stable=said.stable,
        stability=said.stability,
        start=min([segment.onset, *(word.start for word in words[:1])]),
        end=segment.fed,
        arrived=segment.arrived,
        computed=segment.computed,
    )


def final_of(stream: str, consumed: int, segment: Segment, lead: str, now: float) -> Final:
    """The last word on a segment that has ended; one without text never saw the engine."""
    end, said = segment.end, segment.hypothesis
    assert end is not None
    assert segment.number is not None
    words = said.words(end)
    return Final(
        stream=stream,
        audio=consumed,
        seg=segment.number,
        rev=segment.rev,
        text=said.text,
        raw=said.text,
        lead=lead if said.text else "",
        start=min([segment.onset, *(word.start for word in words[:1])]),
        end=max([segment.at, *(word.end for word in words[-1:])]),
        words=words,
        confidence=said.confidence,
        reason=segment.reason,
        arrived=segment.arrived or segment.decided,
        computed=segment.computed or now,
        decided=segment.decided,
    )
