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


def test_every_problem_is_told_at_once():
    with pytest.raises(ManifestError) as caught:
        parse_manifest("spec:\n  admission:\n    maxStreams: 0\n    idleSeconds: 0\n", "p.yaml")
    assert len(str(caught.value).splitlines()) == 2


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ManifestError, match=r"absent\.yaml: cannot be read"):
        read_manifest(tmp_path / "absent.yaml")
