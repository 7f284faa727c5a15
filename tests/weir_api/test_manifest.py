from pathlib import Path

import pytest

from weir_api.manifest import ManifestError, parse_manifest, read_manifest
from weir_api.v1alpha1 import StreamingPipeline


@pytest.mark.parametrize("text", ["", "spec: {}", "apiVersion: weir.dev/v1alpha1\nkind: StreamingPipeline\nspec: {}"])
def test_an_empty_spec_is_the_whole_default_pipeline(text):
    assert parse_manifest(text, "p.yaml") == StreamingPipeline()
    assert [v.source for v in StreamingPipeline().spec.model.variants] == ["embedded://large", "embedded://small"]


def test_fields_are_camel_case_and_kept():
    spec = parse_manifest("spec:\n  admission:\n    maxStreams: 4\n    idleSeconds: 5\n", "p.yaml").spec
    assert (spec.admission.max_streams, spec.admission.idle_seconds) == (4, 5)


def test_unknown_metadata_of_kubernetes_is_ignored():
    text = "metadata:\n  name: captions\n  namespace: speech\n  labels: {a: b}\n"
    assert parse_manifest(text, "p.yaml").metadata.name == "captions"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("spec:\n  admission:\n    maxStreems: 4\n", "p.yaml:3: spec.admission.maxStreems:"),
        ("spec:\n  admission:\n    maxStreams: 0\n", "p.yaml:3: spec.admission.maxStreams:"),
        (
            "spec:\n  stages:\n    vad:\n      threshold: 20\n      release: 30\n",
            "release (30) must be below threshold",
        ),
        ("spec:\n  priorityClasses:\n  - {name: batch, weight: 0}\n", "p.yaml:3: spec.priorityClasses[0].weight:"),
        ("spec:\n  model:\n    variants:\n    - {name: a, source: 'http://x'}\n", "spec.model.variants[0].source:"),
        (
            "spec:\n  model:\n    variants:\n    - {name: a, source: 'embedded://large'}\n"
            "    - {name: a, source: 'embedded://small'}\n",
            "every name must be unique",
        ),
        (
            "spec:\n  stages:\n    postprocess:\n    - {name: numbers}\n    - {name: numbers}\n",
            "p.yaml:5: spec.stages.postprocess[1].name: every name must be unique",
        ),
        ("kind: Deployment\n", "p.yaml:1: kind:"),
        ("- 1\n", "a manifest is a mapping"),
        ("spec: [\n", "not YAML"),
        ("spec: !!python/object:os.system {}\n", "not YAML"),
    ],
)
def test_a_wrong_manifest_is_refused_with_the_line_and_the_field(text, said):
    with pytest.raises(ManifestError, match=r"p\.yaml") as caught:
        parse_manifest(text, "p.yaml")
    assert said in str(caught.value)


def ladder(*rungs, above=""):
    """A manifest with these rungs, the first of them in line 4 and more for each line `above`."""
    return f"spec:\n{above}  degradation:\n    ladder:\n" + "".join(f"    - {rung}\n" for rung in rungs)


def signals(text):
    return f"spec:\n  degradation:\n    signals:\n      {text}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            signals("queueDepth: {enter: 50, recover: 50}"),
            "4: spec.degradation.signals.queueDepth.recover: must be below enter (50), or the ladder would swing",
        ),
        (
            signals("queueDepth:\n        enter: 50\n        recover: 60"),
            "6: spec.degradation.signals.queueDepth.recover: must be below enter (50), or the ladder would swing",
        ),
        (
            signals("latencyP95: {enterPercent: 50, recoverPercent: 60}"),
            "4: spec.degradation.signals.latencyP95.recoverPercent: must be below enterPercent (50), "
            "or the ladder would swing",
        ),
        (
            signals("hostMemory: {enter: 50, recover: 0}"),
            "4: spec.degradation.signals.hostMemory.recover: Input should be greater than or equal to 1",
        ),
        (
            ladder("{action: interimRate}", "{action: prayer}"),
            "5: spec.degradation.ladder[1].action: Input should be 'interimRate', 'lowerSampleRate', 'optionalStages', "
            "'largerChunks', 'smallerVariant', 'refuse', 'refuseAll' or 'closeLongest'",
        ),
        (
            ladder("{action: refuse, class: gold}"),
            "4: spec.degradation.ladder[0].class: Input should be 'interactive', 'standard' or 'batch'",
        ),
        (
            ladder(
                "{action: refuseAll}", "{action: refuse, class: batch}",
                above="  priorityClasses:\n  - {name: interactive, weight: 1}\n  - {name: standard, weight: 1}\n",
            ),
            "8: spec.degradation.ladder[1].class: batch is not among priorityClasses; "
            "name one of interactive, standard",
        ),
        (
            ladder("{action: refuse}"),
            "4: spec.degradation.ladder[0].class: refuse needs the class that it concerns; add one of priorityClasses",
        ),
        (
            ladder("{action: refuseAll}", "{action: interimRate, chunkMs: 560}"),
            "5: spec.degradation.ladder[1].chunkMs: interimRate has no such field; leave it out",
        ),
        (
            ladder("{action: largerChunks, class: batch}"),
            "4: spec.degradation.ladder[0].class: largerChunks has no such field; leave it out",
        ),
        (
            ladder(
                "{action: smallerVariant}",
                above="  model:\n    variants:\n    - {name: a, source: 'embedded://small'}\n",
            ),
            "7: spec.degradation.ladder[0].action: smallerVariant needs a second entry in model.variants",
        ),
        (
            ladder("{action: optionalStages}"),
            "4: spec.degradation.ladder[0].action: optionalStages needs an entry in stages.postprocess",
        ),
        (
            "spec:\n  priorityClasses:\n  - {name: batch, weight: 1}\n  - {name: batch, weight: 2}\n",
            "4: spec.priorityClasses[1].name: every name must be unique, priorityClasses[0] has batch too",
        ),
        (
            "spec:\n  priorityClasses:\n  - {name: batch, weight: 0}\n",
            "3: spec.priorityClasses[0].weight: Input should be greater than or equal to 1",
        ),
        (
            "spec:\n  admission: {maxStreams: 4}\n  priorityClasses:\n"
            "  - {name: interactive, weight: 2, reservedStreams: 3}\n"
            "  - name: batch\n    weight: 1\n    reservedStreams: 2\n",
            "7: spec.priorityClasses[1].reservedStreams: with this the classes reserve 5 streams, "
            "more than admission.maxStreams (4)",
        ),
        (
            "spec:\n  model:\n    variants:\n    - name: a\n      source: embedded://small\n      cost:\n"
            "      - {chunkMs: 160, stepUs: 1, rowUs: 1}\n      - {chunkMs: 160, stepUs: 2, rowUs: 1}\n",
            "8: spec.model.variants[0].cost[1].chunkMs: every chunkMs must be unique, cost[0] has 160 too",
        ),
        (
            "spec:\n  degradation:\n    dwellSeconds: 0\n    breaker: {probes: 0}\n",
            "3: spec.degradation.dwellSeconds: Input should be greater than or equal to 1\n"
            "p.yaml:4: spec.degradation.breaker.probes: Input should be greater than or equal to 1",
        ),
    ],
)  # fmt: skip
def test_a_policy_that_cannot_be_is_refused_with_the_line_the_field_and_the_fix(text, said):
    with pytest.raises(ManifestError) as caught:
        parse_manifest(text, "p.yaml")
    assert str(caught.value) == f"p.yaml:{said}"


def test_the_default_ladder_leaves_out_what_the_pipeline_cannot_do():
    def actions(text):
        return [(rung.action, rung.class_) for rung in parse_manifest(text, "p.yaml").spec.ladder]

    refusals = [("refuse", "batch"), ("refuse", "standard"), ("refuseAll", None), ("closeLongest", "batch")]
    gentle = [("interimRate", None), ("lowerSampleRate", None)]
    assert actions("") == [*gentle, ("largerChunks", None), ("smallerVariant", None), *refusals]
    one = "spec:\n  model: {variants: [{name: a, source: 'embedded://small'}]}\n"
    assert actions(one) == [*gentle, ("largerChunks", None), *refusals]
    stages = f"{one}  stages: {{postprocess: [{{name: numbers}}]}}\n"
    assert actions(stages) == [*gentle, ("optionalStages", None), ("largerChunks", None), *refusals]
    only = f"{one}  priorityClasses: [{{name: standard, weight: 1}}]\n"
    assert actions(only)[-2:] == [("refuseAll", None), ("closeLongest", "standard")]
    assert actions(ladder()[: -len("\n")] + " []\n") == []
    assert actions(ladder("{action: refuseAll}")) == [("refuseAll", None)]


def test_classes_are_told_highest_first_however_they_are_written():
    text = "spec:\n  priorityClasses: [{name: batch, weight: 1}, {name: interactive, weight: 9}]\n"
    assert parse_manifest(text, "p.yaml").spec.classes == ("interactive", "batch")


def test_every_problem_is_told_at_once():
    with pytest.raises(ManifestError) as caught:
        parse_manifest("spec:\n  admission:\n    maxStreams: 0\n    idleSeconds: 0\n", "p.yaml")
    assert len(str(caught.value).splitlines()) == 2


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ManifestError, match=r"absent\.yaml: cannot be read"):
        read_manifest(tmp_path / "absent.yaml")
