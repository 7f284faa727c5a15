"""`weir keys` as a person uses it: a key is made, put into a file, and checked with its pipeline."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from weir_runtime.front.keys import Grant, digest, parse_keys
from weir_runtime.front.quota import Quota

WEIR = str(Path(sys.executable).with_name("weir"))
OFFERED = ("interactive", "standard", "batch")


def weir(*args):
    done = subprocess.run([WEIR, *map(str, args)], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def pipeline(tmp_path):
    path = tmp_path / "pipeline.yaml"
    path.write_text(f"spec:\n  auth: {{keysFile: {tmp_path}/keys.yaml}}\n")
    return path


def test_new_keys_go_into_the_file_and_only_their_hashes_stay(tmp_path, pipeline):
    file = tmp_path / "keys.yaml"
    file.write_text("# ours")  # without an end of line
    code, first, err = weir(
        "keys", "new", "--tenant", "acme", "--class", "interactive", "--max-streams", 4, "--file", file
    )
    assert (code, err, first.count("\n")) == (0, "", 1)
    assert first.startswith("weir_")
    code, second, _ = weir("keys", "new", "--tenant", "acme", "--audio-seconds-per-day", 3600, "--file", file)
    assert code == 0
    text = file.read_text()
    assert text.startswith("# ours\n")
    assert first.strip() not in text
    quota = Quota(4, 3600)
    assert parse_keys(text, "k", OFFERED) == {
        digest(first.strip()): Grant("acme", OFFERED, quota),
        digest(second.strip()): Grant("acme", OFFERED[1:], quota),
    }
    assert weir("keys", "check", "-f", pipeline) == (0, f"{file}: ok, keys: 2, tenants: 1\n", "")


def test_without_a_file_the_entry_is_printed_for_pasting():
    code, out, _ = weir("keys", "new", "--tenant", "acme", "--class", "batch")
    key, entry = out.split("\n\n")
    assert code == 0
    assert yaml.safe_load(entry) == [{"sha256": digest(key), "tenant": "acme", "class": "batch"}]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--tenant", "Acme"), "tenant: String should match pattern"),
        (("--tenant", "acme", "--max-streams", 5), "maxStreams: 5, but [0] states 4 for the same tenant"),
    ],
)
def test_what_would_spoil_the_file_is_not_written(tmp_path, args, said):
    file = tmp_path / "keys.yaml"
    weir("keys", "new", "--tenant", "acme", "--max-streams", 4, "--file", file)
    before = file.read_text()
    code, out, err = weir("keys", "new", *args, "--file", file)
    assert (code, out, said in err) == (1, "", True), err
    assert file.read_text() == before


def test_check_tells_all_that_is_wrong(tmp_path, pipeline):
    code, _, err = weir("keys", "check", "-f", pipeline)
    assert (code, "keys.yaml: cannot be read" in err) == (1, True)
    weir("keys", "new", "--tenant", "acme", "--class", "interactive", "--file", tmp_path / "keys.yaml")
    pipeline.write_text(pipeline.read_text() + "  priorityClasses: [{name: batch, weight: 1}]\n")
    code, out, err = weir("keys", "check", "-f", pipeline)
    assert (code, out) == (1, "")
    assert "keys.yaml:3: [0].class: interactive is not among the pipeline's priorityClasses (batch)" in err
    pipeline.write_text("spec: {}\n")
    code, _, err = weir("keys", "check", "-f", pipeline)
    assert (code, "spec.auth: absent" in err) == (1, True)
