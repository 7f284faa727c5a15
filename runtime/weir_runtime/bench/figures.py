"""From a run's records to what a report says. Pure.

Figures count from `Run.settled_s` to the traffic's end; word errors and transcripts are those of all whole streams.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from weir_api.degradation import CLASSES, ClassName
from weir_runtime.bench import quantiles
from weir_runtime.bench.plan import FRAME_S
from weir_runtime.bench.quantiles import Histogram, Spread, spread, spread_of
from weir_runtime.bench.record import Notice, Run, StreamRecord
from weir_runtime.bench.speech import Tape
from weir_runtime.word_errors import WordErrors, count_errors

SLOW_CLIENT_S = 0.05  # a client that is later than this with its frames measures itself
EDGE_MS = 1000  # before the place where a recording breaks off: a segment may reach over it
INTERIMS = "interims at"  # as weir_api/policy.py names that step
SLACK_MS = 200  # by which voice activity may place a beginning or an end otherwise than the recording does
Finals = Sequence[tuple[int, int, str]]  # start_ms, end_ms, text


@dataclass(frozen=True, slots=True)
class Slo:
    """`percentile` percent of a class's results within `ms`."""

    priority: ClassName = "interactive"
    ms: float = 300.0
    percentile: float = 95.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`measured_s` is the server's own figure where it shows its metrics, else the clients'; None: no result at all."""

    slo: Slo
    measured_s: float | None
    by: str  # "server" or "client"

    @property
    def held(self) -> bool:
        return self.measured_s is not None and self.measured_s * 1000 <= self.slo.ms


@dataclass(slots=True)
class ClassFigures:
    priority: ClassName
    asked: int  # streams that clients wanted
    opened: int
    refused: dict[str, int]  # answers, by reason; a patient client may get many for one stream
    client: Spread | None  # interims: last sample due to text read
    server: Spread | None  # chunks: last sample arrived to text written
    final: Spread | None  # end of speech to final read
    server_final: Spread | None  # end decided to final written
    words: WordErrors
    equal: int = 0  # transcripts as in the reference run
    announced: int = 0  # others, of streams that were told of reduced quality
    unequal: int = 0


@dataclass(frozen=True, slots=True)
class Summary:
    seconds: float
    classes: list[ClassFigures]
    verdict: Verdict
    heard: bool  # any text at all
    ended: dict[str, int]  # streams by how they ended
    errors: dict[str, int]
    lost_ms: int  # audio that the engine gave up
    turned_away: int  # refusals while figures counted
    refusal: Spread | None  # from the request to the 503, at the client
    lag_p99_s: float
    client_ms_per_stream_second: float
    most_open: int  # streams at once
    highest_rung: int | None  # None: the server did not say
    most_rss: int | None  # bytes
    cores: float | None  # that the server used

    @property
    def slow_client(self) -> bool:
        return self.lag_p99_s > SLOW_CLIENT_S


def summarise(run: Run, tapes: Sequence[Tape], slo: Slo, reference: Mapping[int, Finals] | None = None) -> Summary:
    begin_s, end_s = run.settled_s, run.traffic.seconds
    lags = sorted(run.lag.between(begin_s, end_s))
    refusals = [one.took_s for stream in run.streams for one in stream.refusals]
    return Summary(
        seconds=end_s,
        classes=[_figures(run, name, tapes, reference) for name in CLASSES if _wanted(run, name)],
        verdict=judge(run, slo),
        heard=any(text for stream in run.streams for _, _, text in stream.finals),
        ended=dict(Counter(stream.reason for stream in run.streams if stream.opened_s is not None)),
        errors=dict(Counter(error for stream in run.streams for error in stream.errors)),
        lost_ms=sum(stream.lost_ms for stream in run.streams),
        turned_away=sum(begin_s <= one.at_s for stream in run.streams for one in stream.refusals),
        refusal=spread(refusals),
        lag_p99_s=quantiles.rank(lags, 0.99) if lags else 0.0,
        client_ms_per_stream_second=1000 * run.client_cpu_s / max(run.stream_seconds, FRAME_S),
        most_open=max((sum(open_) for open_ in open_streams(run)), default=0),
        highest_rung=max((int(one.load["rung"]) for one in run.loaded if "rung" in one.load), default=None),
        most_rss=max((sample.rss for sample in run.loaded if sample.rss is not None), default=None),
        cores=_cores(run),
    )


def judge(run: Run, slo: Slo) -> Verdict:
    share = slo.percentile / 100
    histogram = _histogram(run, "weir_chunk_seconds", slo.priority, "total")
    if histogram is not None:
        return Verdict(slo, histogram.quantile(share), "server")
    values = sorted(run.results[slo.priority].between(run.settled_s, run.traffic.seconds))
    return Verdict(slo, quantiles.rank(values, share) if values else None, "client")


def open_streams(run: Run) -> list[tuple[int, ...]]:
    """Streams open at the clients, by class in the order of CLASSES, at each whole second of the traffic."""
    n_seconds = int(run.traffic.seconds) + 1
    changes = {name: [0] * (n_seconds + 1) for name in CLASSES}
    for stream in run.streams:
        if stream.opened_s is not None:
            first, last = ceil(stream.opened_s), ceil(stream.end_s)
            changes[stream.priority][min(first, n_seconds)] += 1
            changes[stream.priority][min(last, n_seconds)] -= 1
    running = [0] * len(CLASSES)
    counted = []
    for second in range(n_seconds):
        running = [n + changes[name][second] for n, name in zip(running, CLASSES, strict=True)]
        counted.append(tuple(running))
    return counted


def compare(stream: StreamRecord, tape: Tape, reference: Finals) -> bool | None:
    """Whether the stream's finals are those of its tape on an idle server, as far as both heard the same audio.
    None: no final lies so far.
    """
    until_ms = _whole_ms(stream, tape) - EDGE_MS
    heard, known = ([text for _, end_ms, text in finals if end_ms < until_ms] for finals in (stream.finals, reference))
    return heard == known if heard or known else None


def heard_whole(stream: StreamRecord, tape: Tape) -> str | None:
    """What was heard of the recordings that the stream said wholly; None where a final runs into a broken one."""
    whole_ms = _whole_ms(stream, tape)
    if any(start_ms < whole_ms - SLACK_MS and end_ms > whole_ms + SLACK_MS for start_ms, end_ms, _ in stream.finals):
        return None
    return " ".join(text for _, end_ms, text in stream.finals if end_ms <= whole_ms + SLACK_MS)


def _whole_ms(stream: StreamRecord, tape: Tape) -> float:
    return 1000 * FRAME_S * tape.whole(stream.frames)


def _figures(run: Run, name: ClassName, tapes: Sequence[Tape], reference: Mapping[int, Finals] | None) -> ClassFigures:
    streams = [stream for stream in run.streams if stream.priority == name]
    begin_s, end_s = run.settled_s, run.traffic.seconds
    figures = ClassFigures(
        priority=name,
        asked=len(streams),
        opened=sum(stream.opened_s is not None for stream in streams),
        refused=dict(Counter(one.reason for stream in streams for one in stream.refusals)),
        client=spread(run.results[name].between(begin_s, end_s)),
        server=spread_of(_histogram(run, "weir_chunk_seconds", name, "total")),
        final=spread(run.finals[name].between(begin_s, end_s)),
        server_final=spread_of(_histogram(run, "weir_final_delay_seconds", name)),
        words=WordErrors(),
    )
    for stream in streams:
        if (stream.outcome, stream.reason) == ("closed", "close"):
            _compare_texts(figures, stream, tapes[stream.tape], reference)
    return figures


def _compare_texts(
    figures: ClassFigures, stream: StreamRecord, tape: Tape, reference: Mapping[int, Finals] | None
) -> None:
    said, heard = tape.text(stream.frames), heard_whole(stream, tape)
    if said is not None and heard is not None:
        figures.words += count_errors(said, heard)
    if reference is None:
        return
    match compare(stream, tape, reference[stream.tape]):
        case True:
            figures.equal += 1
        case False if any(_changes_text(notice) for notice in stream.notices):
            figures.announced += 1
        case False:
            figures.unequal += 1


def _changes_text(notice: Notice) -> bool:
    """Whether this announced something that text may depend on: anything but slower interims."""
    return any(not name.startswith(INTERIMS) for name in notice.in_force)


def _histogram(run: Run, name: str, priority: ClassName, breakpoint_: str = "") -> Histogram | None:
    return quantiles.between(run.before, run.after, name, priority, breakpoint_)


def _wanted(run: Run, name: ClassName) -> bool:
    return any(stream.priority == name for stream in run.streams)


def _cores(run: Run) -> float | None:
    used = [(one.at_s, one.cpu_s) for one in run.loaded if one.cpu_s is not None]
    if len(used) < 2:
        return None
    (began_s, before_s), (ended_s, after_s) = used[0], used[-1]
    return (after_s - before_s) / (ended_s - began_s)
