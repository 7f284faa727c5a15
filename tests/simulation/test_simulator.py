"""What a simulation is made of: the same again for a seed, a recorded run again, speech, front, table and picture."""

import json
import random
from itertools import islice, pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from scenes import COSTS, capacity, machine, pipeline, traffic

from weir_api.cli import main
from weir_api.manifest import read_manifest
from weir_api.v1alpha1 import Vad
from weir_runtime.bench.traffic import read_traffic
from weir_runtime.messages import SAMPLE_RATE
from weir_runtime.simulation.front import Front
from weir_runtime.simulation.machine import FrontCosts
from weir_runtime.simulation.play import simulate
from weir_runtime.simulation.replay import replay
from weir_runtime.simulation.report import as_json
from weir_runtime.simulation.speech import spans

OVERLOAD = traffic((10, 10), (40, 2.5 * capacity()), (20, 10))


def test_a_seed_gives_the_same_outcome_and_another_one_another():
    first, again, other = (as_json(simulate(pipeline(), OVERLOAD, machine=machine(), seed=n)) for n in (1, 1, 2))
    assert first == again
    assert first != other


def test_every_chunk_of_who_was_let_in_gets_its_result():
    """The traffic ends before its streams do nothing more: all that was said by the end is recognised."""
    outcome = simulate(pipeline(ladder=[]), traffic((30, 20), (20, 0)), machine=machine(noise=0.0))
    speech_s = sum(totals.chunks for totals in outcome.classes.values()) * 0.16
    streams_s = sum(sum(second.streams.values()) for second in outcome.seconds)
    assert 0.6 * streams_s < speech_s < 1.0 * streams_s
    assert outcome.seconds[-1].queue_chunks == 0
    assert not any(outcome.seconds[-1].streams.values())


@given(st.integers(1, 100), st.integers(0, 1000))
def test_segments_lie_in_order_and_speech_has_its_share(percent, seed):
    found = list(islice(spans(Vad(), percent, random.Random(seed)), 200))
    for span, after in pairwise(found):
        assert 0 <= span.start <= span.opened <= span.end <= after.start
    assert all(span.end - span.start <= Vad().max_segment_seconds * SAMPLE_RATE for span in found)
    heard = sum(span.end - span.start for span in found) / found[-1].end
    assert heard > 0.7 * percent / 100


def test_a_front_that_is_asked_too_much_falls_behind_and_says_so():
    front = Front(FrontCosts(frame_s=1e-3))
    for tick in range(1, 41):
        front.advance(150, tick * 0.25)  # one and a half cores
        used = front.read(tick * 0.25)
    assert used == pytest.approx(1.0)
    assert front.backlog_s == pytest.approx(5.0)
    for tick in range(41, 101):
        front.advance(50, tick * 0.25)
        used = front.read(tick * 0.25)
    assert front.backlog_s == pytest.approx(0.0, abs=1e-6)
    assert used == pytest.approx(0.5)


def test_a_front_that_is_the_bottleneck_is_relieved_by_what_spares_it():
    slow = FrontCosts(frame_s=5e-4, chunk_s=1e-3, interim_s=3e-3)
    outcome = simulate(pipeline(), traffic((10, 10), (60, 40), (40, 10)), machine=machine(front=slow))
    assert outcome.changes[0].step == "interims at 2 Hz"
    assert "frontUtilization" in outcome.changes[0].reason


def test_memory_presses_and_the_longest_batch_streams_are_closed():
    ladder = [{"action": "refuse", "class": "batch"}, {"action": "closeLongest", "class": "batch"}]
    tight = machine()
    memory = type(tight.memory)(base=0.0, stream=1.0, limit=22.0)  # of each stream a byte
    tight = type(tight)(tight.costs, memory=memory)
    outcome = simulate(pipeline(ladder=ladder), traffic((40, 21)), machine=tight)
    assert outcome.closed_early > 0
    assert [change.step for change in outcome.changes[:2]] == ["batch refused", "longest batch closed"]


# ---- a recorded run


def trace_of(load):
    """As bench/replay.py writes it; every client wants one stream."""
    streams = [
        {"client": n, "class": ("interactive", "batch")[n % 2], "asked_s": n * 0.1, "start_s": n * 0.1, "end_s": 40.0,
         "seconds": 30.0, "sent_s": 30.0, "speech_percent": 60, "outcome": "closed", "reason": "close", "refusals": []}
        for n in range(load.most_clients)
    ]  # fmt: skip
    cost = {
        "variants": [
            {"name": name, "cost": [{"chunk_ms": 80 * mode, "step_us": 1e6 * one.step_s, "row_us": 1e6 * one.row_s}
                                    for mode, one in modes.items()]}
            for name, modes in COSTS.engine.items()
        ],
        "detector_cost": {"step_us": 1e6 * COSTS.detector.step_s, "row_us": 1e6 * COSTS.detector.row_s},
    }  # fmt: skip
    return {"traffic": load.model_dump(mode="json", by_alias=True), "streams": streams, "rungs": [], "cost": cost}


def test_a_trace_is_played_again_stream_by_stream():
    trace = json.loads(json.dumps(trace_of(traffic((60, 40)))))
    outcome = replay(trace, pipeline())
    assert {name: totals.opened for name, totals in outcome.classes.items()} == {
        "interactive": 20, "standard": 0, "batch": 20,
    }  # fmt: skip
    assert outcome.most_open == 40
    assert outcome.seconds[2].streams["batch"] == 15, "each when it really asked"
    few = replay(trace, pipeline(max_streams=30))
    assert few.most_open == 30
    assert sum(map(few.refusals, few.classes)) > 10


def test_what_is_no_trace_is_refused():
    with pytest.raises((KeyError, ValueError)):
        replay({"streams": []})


# ---- the command

PHASES = "phases:\n  - {seconds: 4, streams: 3}\n  - {seconds: 3.5, streams: 6, fromStreams: 3}\n"


def run(tmp_path, *more, manifest="spec: {}\n", load=PHASES):
    (tmp_path / "pipeline.yaml").write_text(manifest)
    (tmp_path / "traffic.yaml").write_text(load)
    files = ["-f", str(tmp_path / "pipeline.yaml"), "--traffic", str(tmp_path / "traffic.yaml")]
    return CliRunner().invoke(main, ["simulate", *files, *more])


def test_the_command_prints_a_table_and_writes_json_and_a_picture(tmp_path):
    result = run(tmp_path, "--json", str(tmp_path / "out.json"), "--plot", str(tmp_path / "out.png"), "--seed", "3")
    assert result.exit_code == 0, result.output
    assert "interactive" in result.output
    assert "full quality throughout" in result.output
    outcome = json.loads((tmp_path / "out.json").read_text())
    assert len(outcome["seconds"]) == 8, "one for each that has begun"
    assert outcome["classes"]["interactive"]["opened"] > 0
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"manifest": "spec: {model: {variants: []}}\n"}, "pipeline.yaml:1: spec.model.variants"),
        ({"load": "phases: []\n"}, "traffic.yaml:1: phases"),
        ({"load": PHASES + "mix: {interactive: 3}\n"}, "traffic.yaml:4: mix: the percentages must add up to 100"),
        ({"manifest": "spec: {priorityClasses: [{name: standard, weight: 1}]}\n"}, "class interactive, but"),
        ({"load": "- 1\n"}, "a traffic file is a mapping"),
    ],
)
def test_a_bad_file_is_one_line_with_file_and_field(tmp_path, files, told):
    result = run(tmp_path, **files)
    assert result.exit_code == 1
    assert told in result.output
    assert result.output.startswith("weir: ")


EXAMPLES = Path(__file__).parents[2] / "examples" / "simulate"


@pytest.mark.parametrize("path", [EXAMPLES / "pipeline.yaml", *(EXAMPLES / "policies").glob("*.yaml")])
def test_the_examples_are_what_the_page_says(path):
    """Whole, they take seconds each: here the rush alone, at a fifth of its length."""
    load = read_traffic(EXAMPLES / "traffic.yaml")
    short = load.model_copy(update={"phases": [p.model_copy(update={"seconds": p.seconds / 5}) for p in load.phases]})
    outcome = simulate(read_manifest(path).spec, short)
    assert outcome.changes or any(outcome.refusals(name) for name in outcome.classes), "a rush that no policy feels"
    assert path.name in (EXAMPLES / "README.md").read_text()
