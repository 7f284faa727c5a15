"""What a report says of records that are known."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from weir_runtime.bench.chart import chart_of, p95_per_second
from weir_runtime.bench.figures import Slo, open_streams, summarise
from weir_runtime.bench.find import best, limited_by_client, most_streams
from weir_runtime.bench.quantiles import between, rank, spread
from weir_runtime.bench.record import Notice, Refusal, Run, Sample, Series, StreamRecord
from weir_runtime.bench.replay import as_trace
from weir_runtime.bench.report import as_json, print_report
from weir_runtime.bench.speech import SILENCE, Recording, Tape, make_tapes
from weir_runtime.bench.traffic import Phase, Traffic

CLIP = Recording((b"\1\0" * 1600,) * 20, "two words")  # two seconds
SLO = Slo("interactive", 300, 95)


def traffic(seconds=10.0, streams=4):
    return Traffic(phases=[Phase(seconds=seconds, streams=streams)])


def stream(**fields):
    fields = {"client": 0, "priority": "interactive", "tape": 0, "seconds": 5.0, "asked_s": 0.1, "opened_s": 0.2,
              "end_s": 5.2, "outcome": "closed", "reason": "close", "frames": 50} | fields  # fmt: skip
    return StreamRecord(**fields)


def histogram(name, counts, **labels):
    """Lines of /metrics for {le: count}."""
    text = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return {f'{name}_bucket{{{text},le="{le}"}}': count for le, count in counts.items()}


def served(counts, priority="interactive"):
    return histogram("weir_chunk_seconds", counts, **{"class": priority, "breakpoint": "total"})


TAPES = make_tapes([CLIP], traffic())
WORDS = [(0, 2000, "two words")]


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_a_value_that_the_share_does_not_exceed(values, share):
    found = rank(sorted(values), share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) <= share * len(values) + 1e-9


def test_no_values_have_no_spread():
    assert spread([]) is None
    assert spread([0.1]).p99_s == 0.1


def test_a_histograms_percentile_lies_in_its_bucket_and_only_new_values_count():
    before, after = served({"0.1": 50, "0.3": 50, "+Inf": 50}), served({"0.1": 100, "0.3": 150, "+Inf": 150})
    found = between(before, after, "weir_chunk_seconds", "interactive", "total")
    assert found.n == 100
    assert found.quantile(0.25) == pytest.approx(0.05)
    assert found.quantile(0.75) == pytest.approx(0.2)
    assert between(after, after, "weir_chunk_seconds", "interactive", "total") is None
    assert between(before, after, "weir_chunk_seconds", "batch", "total") is None
    assert between(before, after, "weir_chunk_seconds", "interactive", "device") is None
    beyond = between({}, served({"0.1": 1, "+Inf": 9}), "weir_chunk_seconds", "interactive", "total")
    assert beyond.quantile(0.95) == float("inf")


def test_the_servers_figure_judges_and_without_it_the_clients():
    run = Run(traffic())
    for n in range(100):
        run.results["interactive"].add(5.0, 0.2 if n < 94 else 0.5)
    assert summarise(run, TAPES, SLO).verdict.measured_s == 0.5
    assert not summarise(run, TAPES, SLO).verdict.held
    assert summarise(run, TAPES, Slo("interactive", 300, 90)).verdict.held
    run.after = served({"0.1": 100, "+Inf": 100})
    verdict = summarise(run, TAPES, SLO).verdict
    assert (verdict.by, verdict.held) == ("server", True)
    assert verdict.measured_s == pytest.approx(0.095)


def test_nothing_heard_holds_nothing():
    summary = summarise(Run(traffic()), TAPES, SLO)
    assert (summary.heard, summary.verdict.measured_s, summary.verdict.held) == (False, None, False)


def test_only_what_settled_counts():
    run = Run(traffic(), settled_s=5.0)
    for at_s, delay_s in ((1.0, 9.0), (5.0, 0.1), (9.9, 0.1), (10.0, 9.0)):
        run.results["interactive"].add(at_s, delay_s)
        run.lag.add(at_s, delay_s)
    run.streams.append(stream())
    summary = summarise(run, TAPES, SLO)
    assert (summary.classes[0].client.n, summary.classes[0].client.p99_s) == (2, 0.1)
    assert summary.lag_p99_s == 0.1
    assert summary.slow_client


def test_refusals_errors_and_losses_are_counted():
    run = Run(traffic())
    no = Refusal(1.0, 0.004, 503, "slots", 2.0)
    run.streams += [
        stream(finals=WORDS),
        stream(refusals=[no, no], priority="batch"),
        stream(opened_s=None, outcome="refused", reason="refuse", refusals=[Refusal(2.0, 0.004, 503, "refuse", 2.0)],
               priority="batch"),
        stream(outcome="lost", reason="ConnectionLost", errors=["the connection broke"]),
        stream(errors=["engine_failed"], lost_ms=160),
    ]  # fmt: skip
    summary = summarise(run, TAPES, SLO)
    assert [(one.priority, one.asked, one.opened) for one in summary.classes] == [
        ("interactive", 3, 3),
        ("batch", 2, 1),
    ]
    assert summary.classes[1].refused == {"slots": 2, "refuse": 1}
    assert summary.ended == {"close": 3, "ConnectionLost": 1}
    assert summary.errors == {"the connection broke": 1, "engine_failed": 1}
    assert (summary.lost_ms, summary.refusal.n) == (160, 3)


def test_streams_at_once_are_counted_by_second_and_class():
    run = Run(traffic(4.0))
    run.streams += [stream(opened_s=0.2, end_s=2.5), stream(opened_s=1.0, end_s=9.0, priority="batch"),
                    stream(opened_s=None)]  # fmt: skip
    assert open_streams(run) == [(0, 0, 0), (1, 0, 1), (1, 0, 1), (0, 0, 1), (0, 0, 1)]
    assert summarise(run, TAPES, SLO).most_open == 2


def test_what_a_stream_said_leaves_out_the_recording_in_which_it_ends():
    tape = TAPES[0]
    first, second = tape.said[:2]
    assert list(tape.play(first.end)) == list(tape.frames[: first.end])
    assert (tape.text(first.end - 1), tape.text(first.end), tape.text(second.end)) == (
        "",
        "two words",
        "two words two words",
    )
    assert (tape.whole(first.end - 1), tape.whole(first.end), tape.whole(first.begin)) == (
        first.begin,
        first.end,
        first.begin,
    )


@given(st.integers(1, 100), st.integers(0, 50))
def test_tapes_are_long_enough_and_as_full_as_asked_for(percent, seed):
    manners = {"seconds": {"from": 100, "to": 100}, "speechPercent": percent}
    wanted = Traffic.model_validate({"phases": [{"seconds": 1, "streams": 1}], "stream": manners, "seed": seed})
    tapes = make_tapes([CLIP] * 3, wanted)
    assert min(len(tape.frames) for tape in tapes) >= 1000
    spoken = sum(said.end - said.begin for tape in tapes for said in tape.said)
    share = spoken / sum(max(len(tape.frames), tape.said[-1].end) for tape in tapes)
    assert abs(share - percent / 100) < 0.12


def test_word_errors_are_those_of_recordings_that_were_said_wholly():
    first, second = TAPES[0].said[:2]
    over, cut = 100 * first.end, 100 * second.begin + 700
    run = Run(traffic())
    run.streams += [
        stream(frames=first.end, finals=[(over - 1500, over - 100, "two birds")]),
        stream(frames=second.begin + 9, finals=[(over - 1500, over - 100, "two words"), (cut - 500, cut, "tw")]),
        stream(frames=second.begin + 9, finals=[(over - 1500, cut, "two words tw")]),  # cannot be taken apart
        stream(frames=first.end, reason="shed"),
        stream(frames=first.end, outcome="lost"),
    ]
    words = summarise(run, TAPES, SLO).classes[0].words
    assert (words.errors, words.words) == (1, 4)


def test_transcripts_are_equal_changed_with_notice_or_changed_without():
    tape = Tape((*CLIP.frames, *[SILENCE] * 40), ())
    known = {0: [(0, 2000, "two words"), (2500, 5800, "of which the stream heard less")]}
    told = [Notice(1.0, 500, "degraded", ("interims at 2 Hz", "chunks of 560 ms"))]
    slower = [Notice(1.0, 500, "degraded", ("interims at 2 Hz",))]
    run = Run(traffic())
    run.streams += [
        stream(finals=[(0, 2000, "two words")]),
        stream(finals=[(0, 2000, "two birds")]),
        stream(finals=[(0, 2000, "two birds")], notices=told),
        stream(finals=[(0, 2000, "two words")], notices=told),
        stream(finals=[(0, 2000, "two birds")], notices=slower),  # of which text cannot depend
        stream(finals=[], frames=20),  # too short to compare
    ]
    found = summarise(run, [tape], SLO, known).classes[0]
    assert (found.equal, found.unequal, found.announced) == (2, 2, 1)


def test_p95_by_second_looks_back_over_a_window():
    series = Series()
    series.add(0.5, 0.1)
    series.add(3.0, 0.2)
    assert p95_per_second(series, 10) == [100, 100, 100, 200, 200, 200, 200, 200, None, None]


def bent():
    """A run in which the server bent and refused."""
    run = Run(traffic(6.0))
    no = Refusal(2.5, 0.003, 503, "slots", 3.0)
    run.streams.append(stream(finals=WORDS, end_s=3.0))
    run.streams.append(stream(opened_s=None, outcome="refused", priority="batch", refusals=[no]))
    run.results["interactive"].add(1.0, 0.12)
    loads = [(0, "full quality", []), (1, "interimRate", ["interimRate"]), (1, "interimRate", ["interimRate"]),
             (0, "full quality", [])]  # fmt: skip
    for n, (rung, name, force) in enumerate(loads):
        load = {"streams": 1, "classes": {}, "refused": n, "rung": rung, "rung_name": name, "in_force": force,
                "queue": {"chunks": n}, "variants": [], "detector_cost": {}}  # fmt: skip
        run.samples.append(Sample(float(n), load, 100_000_000 + n, 1.0 + n / 2, 0.5))
    return run


def test_the_report_is_printed_and_written():
    run = bent()
    summary = summarise(run, TAPES, SLO)
    console = Console(file=io.StringIO(), width=160)
    print_report(summary, console)
    text = console.file.getvalue()
    assert "HELD: interactive p95 within 300 ms: 120 ms, measured by the client" in text
    assert "1 slots" in text
    assert "0.50 cores" in text
    found = json.loads(json.dumps(as_json(summary, chart_of(run, "", {}), run.samples), allow_nan=False))
    assert found["verdict"]["held"]
    assert found["highest_rung"] == 1
    assert found["clients_by_second"]["refused"]["batch"] == [0, 0, 1, 0, 0, 0, 0]
    assert [one["rung"] for one in found["server_by_second"]] == [0, 1, 1, 0]


def test_the_trace_has_what_was_played_and_every_change_of_rung():
    trace = as_trace(bent())
    assert Traffic.model_validate(trace["traffic"]) == traffic(6.0)
    assert [(one["class"], one["start_s"], one["outcome"]) for one in trace["streams"]] == [
        ("interactive", 0.2, "closed"), ("batch", None, "refused")]  # fmt: skip
    assert [(one["at_s"], one["rung"], one["in_force"]) for one in trace["rungs"]] == [
        (0.0, 0, []), (1.0, 1, ["interimRate"]), (3.0, 0, [])]  # fmt: skip
    assert trace["refusals"] == {"interactive": {}, "standard": {}, "batch": {"slots": 1}}
    assert trace["cost"] == {"variants": [], "detector_cost": {}}
    assert len(trace["open"]) == 7


@pytest.mark.parametrize("first", [1, 3, 64])
@pytest.mark.parametrize("limit", [0, 1, 2, 7, 50, 333])
async def test_the_search_ends_within_a_tenth_of_the_limit(first, limit):
    async def measure(n):
        run = Run(traffic())
        run.results["interactive"].add(1.0, 0.1 if n <= limit else 0.9)
        run.streams.append(stream(finals=WORDS))
        return summarise(run, TAPES, SLO)

    points = await most_streams(measure, first)
    held = best(points)
    found = 0 if held is None else held.streams
    assert found <= limit
    assert limit - found <= max(1, found // 10)
    assert not limited_by_client(points)
    assert len({point.streams for point in points}) == len(points)


async def test_the_search_tells_when_the_clients_were_the_limit():
    async def measure(n):
        run = Run(traffic())
        run.results["interactive"].add(1.0, 0.1)
        run.lag.add(1.0, 0.001 if n <= 8 else 0.2)
        run.streams.append(stream(finals=WORDS))
        return summarise(run, TAPES, SLO)

    points = await most_streams(measure, 2)
    assert best(points).streams == 8
    assert limited_by_client(points)
