"""Turns a segment into the events that tell of it."""

from weir_runtime.core.segmenter import Segment
from weir_runtime.messages import Endpoint, Final, Interim
from weir_runtime.stages.postprocess import apply


def endpoint_of(stream: str, consumed: int, segment: Segment) -> Endpoint:
    assert segment.number is not None
    return Endpoint(stream, consumed, segment.number, segment.at, segment.confidence)


def interim_of(stream: str, consumed: int, segment: Segment, due: float) -> Interim:
    """Where stages rewrite the text, only what they cannot change any more is committed."""
    assert segment.number is not None
    said = segment.hypothesis
    words, text, stable = said.words(segment.fed), said.text, said.stable
    if segment.stages:
        text = apply(segment.stages, said.spoken()).text
        stable = apply(segment.stages, said.spoken(committed=True)).settled
    return Interim(
        stream=stream,
        audio=consumed,
        seg=segment.number,
        rev=segment.rev,
        text=text,
        stable=stable,
        stability=said.stability,
        start=min([segment.onset, *(word.start for word in words[:1])]),
        end=segment.fed,
        arrived=segment.arrived,
        computed=segment.computed,
        due=due,
    )


def final_of(stream: str, consumed: int, segment: Segment, lead: str, now: float) -> Final:
    """The last word on a segment that has ended; one without text never saw the engine."""
    end, said = segment.end, segment.hypothesis
    assert end is not None
    assert segment.number is not None
    words = said.words(end)
    rewritten = apply(segment.stages, said.spoken())
    return Final(
        stream=stream,
        audio=consumed,
        seg=segment.number,
        rev=segment.rev,
        text=rewritten.text,
        raw=said.text,
        variant=segment.variant,
        skipped=(*segment.skipped, *rewritten.skipped),
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
