"""What calls of the device cost: measured with the real small model, stated in a manifest, written into one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from engine.checkpoints import make_checkpoint
from engine.feed import Feed, run
from hypothesis import given
from hypothesis import strategies as st

from weir_api.cli import main
from weir_api.manifest import ManifestError, parse_manifest, read_manifest
from weir_api.v1alpha1 import StreamingPipeline, Vad, Variant
from weir_runtime.commands.calibration import calibrate, with_costs
from weir_runtime.core.values import CallCost, DetectBatch, DeviceCosts
from weir_runtime.engine import calibrate as calibrate_module
from weir_runtime.engine.calibrate import costs_of, detector_cost, line, measure_detector, measure_engine
from weir_runtime.engine.checkpoint import read_checkpoint
from weir_runtime.engine.native import NativeEngine
from weir_runtime.engine.silero import BatchedSilero
from weir_runtime.engine.sources import resolve

SMALL = "embedded://small"
COSTS = DeviceCosts(
    {name: {mode: CallCost(0.001 * mode, 0.0001 * mode) for mode in (1, 2, 7, 14)} for name in ("large", "small")},
    CallCost(0.0002, 0.00001),
)
COMMENTED = """\
# our pipeline
apiVersion: weir.dev/v1alpha1
kind: StreamingPipeline
metadata: {name: captions}  # ours

spec:
  model:
    # the best one first
    variants:
      - name: large  # slow
        source: "embedded://large"  # comes with Weir
        # and if it is too slow:

      - name: small
        source: 'embedded://small'

  # who may come
  admission:
    maxStreams: 4  # not many
# end
"""
MEASURED_ONCE = """\
spec:
  stages:
    vad:
      cost: {stepUs: 1, rowUs: 1}  # long ago

  # the models
  model:
    variants:
    - name: small
      cost:
      - chunkMs: 560
        stepUs: 1  # and this too
        rowUs: 1
      # only one was measured
      source: embedded://small
"""
FLOW = (
    "spec: {model: {variants: [{name: small, source: 'embedded://small'}]}, stages: {vad: {threshold: 60}}}  # short\n"
)


class Watched:
    """An engine, and what it is asked for."""

    def __init__(self, engine):
        self._engine = engine
        self.batches = []

    @property
    def modes(self):
        return self._engine.modes

    def step(self, batch):
        self.batches.append(batch)
        return self._engine.step(batch)


@pytest.fixture(scope="module")
def small():
    return NativeEngine(read_checkpoint(resolve(SMALL)), 16)


def assert_sound(cost):
    assert cost.step_s >= 0
    assert cost.row_s >= 1e-6
    assert 0 < cost.seconds(1) < cost.seconds(2) < cost.seconds(64) < 60


@pytest.mark.parametrize("waited", [calibrate_module.WAITED, Path("/nowhere")])
def test_every_mode_and_the_detector_get_a_cost_that_grows_with_the_rows(small, monkeypatch, waited):
    """Also where no file tells how long the thread waited."""
    monkeypatch.setattr(calibrate_module, "WAITED", waited)
    costs = measure_engine(small, 16)
    assert tuple(costs) == small.modes
    for cost in (*costs.values(), measure_detector(BatchedSilero(16), 16)):
        assert_sound(cost)


@pytest.mark.parametrize("n_slots", [1, 2, 16])
def test_measuring_stays_within_the_slots_and_leaves_no_trace(n_slots):
    engine = Watched(NativeEngine(make_checkpoint(), n_slots))
    pcm = np.random.default_rng(1).normal(0, 0.1, 40_000).astype(np.float32)
    feeds = [Feed(pcm, 0, lambda: 2) for _ in range(2)]
    run(engine, feeds[:1])
    engine.batches.clear()
    for cost in measure_engine(engine, n_slots).values():
        assert_sound(cost)
    assert all(len(set(batch.slots)) == len(batch.slots) for batch in engine.batches)
    assert {int(batch.slots.max()) for batch in engine.batches} - {0} <= set(range(1, n_slots + 1))
    run(engine, feeds[1:])
    assert feeds[0].tokens == feeds[1].tokens != []


def test_the_detector_hears_afterwards_what_it_heard_before(clips):
    detector, pcm = BatchedSilero(2), clips("coffee")[0].samples[: 20 * 512][None]
    batch = DetectBatch(("",), np.array([1]), pcm, np.array([20]), np.array([True]))
    before = detector.detect(batch)
    assert_sound(measure_detector(detector, 2))
    assert np.array_equal(detector.detect(batch), before)


def variant(*sizes):
    cost = [{"chunkMs": size, "stepUs": 1000 + size, "rowUs": size} for size in sizes]
    return Variant.model_validate({"name": "small", "source": SMALL, "cost": cost})


def test_what_the_manifest_states_is_not_measured(small):
    watched = Watched(small)
    stated = costs_of(variant(80, 160, 560, 1120), watched, 16)
    assert watched.batches == []
    assert stated[7] == CallCost(0.00156, 0.00056)
    vad = Vad.model_validate({"cost": {"stepUs": 200, "rowUs": 9}})
    assert detector_cost(vad, None, 16) == CallCost(0.0002, 0.000009)


def test_what_the_manifest_leaves_out_is_measured(small):
    watched = Watched(small)
    costs = costs_of(variant(160, 1120), watched, 16)
    assert {batch.mode for batch in watched.batches} == {1, 7}
    assert set(costs) == {1, 2, 7, 14}
    assert costs[2] == CallCost(0.00116, 0.00016)
    assert_sound(detector_cost(Vad(), BatchedSilero(16), 16))


SECONDS = st.floats(1e-7, 10.0)


@given(few_s=SECONDS, many_s=SECONDS, many=st.integers(2, 512))
def test_a_line_through_any_two_timings_can_be_reckoned_with(few_s, many_s, many):
    cost = line((1, few_s), (many, many_s))
    assert cost.step_s >= 0
    assert cost.row_s >= 1e-6
    if many_s > 1e-6 * many:
        assert cost.seconds(many) == pytest.approx(many_s)
    if many_s > few_s + 1e-6 * many and many_s / many < few_s:
        assert cost.seconds(1) == pytest.approx(few_s)


@pytest.mark.parametrize("text", [COMMENTED, MEASURED_ONCE, FLOW, "", "# nothing yet\n", "spec: {}\n"])
def test_costs_are_written_into_any_manifest_and_read_back(text):
    once = with_costs(text, "p.yaml", COSTS)
    spec, before = parse_manifest(once, "p.yaml").spec, parse_manifest(text, "p.yaml").spec
    for found in spec.model.variants:
        assert {cost.chunk_ms: (cost.step_us, cost.row_us) for cost in found.cost} == {
            80 * mode: (1000 * mode, 100 * mode) for mode in (1, 2, 7, 14)
        }
    assert (spec.stages.vad.cost.step_us, spec.stages.vad.cost.row_us) == (200, 10)
    assert [(v.name, v.source) for v in spec.model.variants] == [(v.name, v.source) for v in before.model.variants]
    assert spec.admission == before.admission
    assert with_costs(once, "p.yaml", COSTS) == once


def test_comments_order_and_quotes_are_kept():
    """Every line is still there, in its place; where a size was measured before, its numbers alone are new."""
    assert_kept(COMMENTED.splitlines(), with_costs(COMMENTED, "p.yaml", COSTS).splitlines())
    kept = [text for text in MEASURED_ONCE.splitlines() if "rowUs" not in text and "stepUs" not in text]
    changed = with_costs(MEASURED_ONCE, "p.yaml", COSTS)
    assert_kept(kept, changed.splitlines())
    for comment in ("# long ago", "# and this too", "# only one was measured"):
        assert comment in changed
    assert "{stepUs: 200, rowUs: 10} # long ago" in changed.replace("  #", " #")
    assert with_costs(FLOW, "p.yaml", COSTS).count("\n") == 1


def test_a_comment_stays_with_what_it_is_about():
    lines = with_costs(COMMENTED, "p.yaml", COSTS).splitlines()
    place = lines.index("        # and if it is too slow:")
    assert "chunkMs: 1120" in lines[place - 1]
    assert lines[place + 2] == "      - name: small"


def assert_kept(kept, lines):
    left = iter(lines)
    for text in kept:
        assert text in left, text


def test_calibrating_writes_the_file_and_prints_what_a_device_carries(tmp_path, capsys):
    path = tmp_path / "pipeline.yaml"
    path.write_text(f"spec:\n  model:\n    variants:\n      - name: small\n        source: {SMALL}  # ours\n")
    threads = torch.get_num_threads()
    calibrate(path, threads, seconds=0.0)
    spec = read_manifest(path).spec
    assert [cost.chunk_ms for cost in spec.model.variants[0].cost] == [80, 160, 560, 1120]
    assert spec.stages.vad.cost is not None
    assert "# ours" in path.read_text()
    printed = capsys.readouterr().out
    assert [word in printed for word in ("small", "1120", "rows in 80 ms", "60 % speech", str(path))] == [True] * 5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("spec: {model: {variants: [{name: small}]}}", "p.yaml:1: spec.model.variants[0].source"),
        ("spec: {model: {variants: [{name: small, source: embedded://huge}]}}", "embedded://huge"),
        ("spec: [", "not YAML"),
        ("- a", "mapping"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_one_line_and_left_alone(tmp_path, capsys, text, told):
    path = tmp_path / "p.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit) as stopped:
        calibrate(path, torch.get_num_threads(), seconds=0.0)
    assert stopped.value.code == 1
    (line_,) = capsys.readouterr().err.splitlines()
    assert line_.startswith("weir: ")
    assert told in line_
    assert not path.exists() if text is None else path.read_text() == text


def test_the_command_is_weir_bench_calibrate(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("spec: {models: {}}")
    told = CliRunner().invoke(
        main, ["bench", "--calibrate", "-f", str(path), "--threads", str(torch.get_num_threads())]
    )
    assert told.exit_code == 1
    assert "p.yaml:1: spec.models" in told.stderr


def test_the_same_key_twice_is_refused_and_not_guessed_at():
    text = "spec: {}\nspec: {}\n"
    with pytest.raises(ManifestError, match=r"p\.yaml:2: a key that was there already"):
        with_costs(text, "p.yaml", COSTS)


def test_the_default_pipeline_is_written_out_whole():
    written = parse_manifest(with_costs("", "p.yaml", COSTS), "p.yaml").spec
    default = StreamingPipeline().spec
    assert [v.model_copy(update={"cost": []}) for v in written.model.variants] == default.model.variants
