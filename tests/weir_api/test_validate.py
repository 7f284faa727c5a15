"""`weir validate` says what `kubectl apply` would: these specs are judged by a real API server in tests/cluster too."""

import json

import pytest
from click.testing import CliRunner
from judged import BAD, GOOD, Bad, manifest

from weir_api.cli import main
from weir_api.documents import verdicts

GOOD_TEXT = json.dumps(manifest({}))


def validate(*words, stdin=""):
    return CliRunner().invoke(main, ["validate", *map(str, words)], input=stdin)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.offline[:60])
def test_a_bad_spec_is_refused_by_field(bad: Bad):
    (verdict,) = verdicts(json.dumps(manifest(bad.spec)), "p.yaml")
    assert verdict.answer == "invalid"
    assert any(bad.offline in line for line in verdict.says.splitlines()), verdict.says
    assert all(line.startswith("p.yaml:1: ") for line in verdict.says.splitlines())


@pytest.mark.parametrize("spec", GOOD, ids=json.dumps)
def test_a_good_spec_is_valid(spec):
    (verdict,) = verdicts(json.dumps(manifest(spec)), "p.yaml")
    assert (verdict.answer, verdict.says) == ("valid", "p.yaml:1: captions is valid")


@pytest.mark.parametrize("name", ["a" * 46, "9a", "a.b", "a-", "A", ""])
def test_a_name_leaves_room_for_those_of_the_pods(name):
    (verdict,) = verdicts(json.dumps(manifest({}, name)), "p.yaml")
    assert "p.yaml:1: metadata.name: its Service and pods are named after it: at most 45" in verdict.says


def test_what_kubernetes_writes_into_a_manifest_is_no_mistake(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("""\
apiVersion: weir.dev/v1alpha1
kind: StreamingPipeline
metadata:
  name: captions
  namespace: speech
  creationTimestamp: null
  labels: {a: b}
  annotations: {c: d}
spec: {}
status: {anything: at all}
""")
    done = validate(file)
    assert (done.exit_code, done.output) == (0, f"{file}:1: captions is valid\n")


def test_documents_of_other_kinds_are_passed_by_and_lines_are_those_of_the_file(tmp_path):
    file = tmp_path / "all.yaml"
    file.write_text("""\
# what we run
apiVersion: v1
kind: Secret
metadata: {name: keys}
---
---
apiVersion: weir.dev/v1alpha1
kind: StreamingPipeline
metadata: {name: one}
---
apiVersion: weir.dev/v1alpha1
kind: StreamingPipeline
metadata:
  name: two
spec:
  replicas: 2
  rollout:
  admission:
    maxStreams: 1
    idleSeconds: 0
    maxStreams: 2
---
apiVersion: weir.dev/v1alpha1
kind: StreamingPipeline
metadata: {generateName: three-}
spec:
  admission: {idleSeconds: 0}
---
kind: StreamingPipeline
""")
    done = validate(file)
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [f"{file}:2: skipped, it is a Secret", f"{file}:7: one is valid"]
    assert done.stderr.splitlines() == [
        f"{file}:17: spec.rollout: is empty; give a value or leave it out",
        f"{file}:21: spec.admission.maxStreams: is there twice",
        f"{file}:27: spec.admission.idleSeconds: Input should be greater than or equal to 1",
        f"{file}:29: apiVersion: is missing",
        f"{file}:29: metadata.name: is missing",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "stdin: there is no StreamingPipeline in it"),
        ("kind: Secret\n", "stdin: there is no StreamingPipeline in it"),
        ("a: [\n", "stdin:2: not YAML:"),
        ("a: b\n--- [\n", "stdin:3: not YAML:"),
        ("- a\n", "stdin:1: a manifest is a mapping"),
        (GOOD_TEXT.replace('"StreamingPipeline"', "null"), "stdin:1: kind: Input should be 'StreamingPipeline'"),
        (GOOD_TEXT.replace("v1alpha1", "v1"), "stdin:1: apiVersion: Input should be 'weir.dev/v1alpha1'"),
        ("spec: &a {x: *a, y: [*a]}\n? {a: b}\n: c\n", "stdin:1: kind: is missing"),
    ],
)
def test_what_is_no_pipeline_is_told(text, said):
    done = validate("-", stdin=text)
    assert done.exit_code == 1
    assert said in done.stderr


def test_every_file_is_looked_at(tmp_path):
    done = validate(tmp_path / "absent.yaml", "-", stdin=GOOD_TEXT)
    assert done.exit_code == 1
    assert done.stdout == "stdin:1: captions is valid\n"
    assert "absent.yaml: cannot be read" in done.stderr


def test_a_manifest_of_one_machine_is_valid_for_it(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("spec:\n  auth: {keysFile: keys.yaml}\n")
    assert validate("--for", "serve", file).output == f"{file}: weir is valid\n"
    assert validate(file).exit_code == 1
    file.write_text("spec:\n  auth: {}\n")
    done = validate("--for", "serve", file)
    assert (done.exit_code, done.stderr.partition(" give")[0]) == (1, f"{file}:2: spec.auth:")
