"""The promises of the repository itself: its shape, its two commands, its licences."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def tracked():
    """Files that git has or would have."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


FILES = tracked()
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("folder", ["operator", "runtime", "crds", "tests"])
def test_nothing_shadows_pythons_operator(folder):
    assert not (ROOT / folder / "__init__.py").exists()
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_no_file_is_longer_than_300_lines_or_called_after_nothing():
    code = [path for path in FILES if path.suffix in {".py", ".js", ".css", ".sh"}]
    assert len(code) > 100
    assert [(path.name, n) for path in code if (n := len(path.read_text().splitlines())) > 300] == []
    assert [path for path in code if path.stem in {"utils", "util", "common", "helpers", "manager"}] == []


def test_the_readmes_two_commands_are_what_ci_runs():
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "exec make test"
    first = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)[0].splitlines()
    assert [line.split("#")[0].strip() for line in first] == ["make demo", "make test"]
    targets = (ROOT / "Makefile").read_text()
    assert "\ndemo:" in targets
    assert "\ntest:" in targets


def test_the_list_of_tasks_names_every_target():
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    phony = re.search(r"\.PHONY: (.*)", (ROOT / "Makefile").read_text())
    assert phony
    assert [name for name in phony[1].split() if f"make {name} " not in listed] == []


def test_links_between_pages_lead_somewhere():
    broken = []
    for page in (path for path in FILES if path.suffix == ".md"):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append((page.name, target))
    assert broken == []


def test_the_walk_through_the_code_names_files_that_are_there():
    named = re.findall(r"`((?:front|core|engine)/[\w/]+\.py|\w+\.py)`", (ROOT / "docs" / "architecture.md").read_text())
    packages = [ROOT / "runtime" / "weir_runtime", ROOT / "operator" / "weir_operator", ROOT / "crds" / "weir_api"]
    missing = [name for name in named if not any((package / name).exists() for package in packages)]
    assert len(named) > 60
    assert missing == []


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        (".", "Apache License"),
        ("runtime/weir_runtime/models/embedded", "CC-BY-SA-4.0"),
        ("runtime/weir_runtime/models/silero", "MIT License"),
    ],
)
def test_what_is_not_apache_carries_its_own_licence(folder, words):
    assert words in (ROOT / folder / "LICENSE").read_text()


def test_every_recording_states_its_licence():
    stated = (ROOT / "runtime/weir_runtime/samples/LICENSES.md").read_text()
    samples = [path.name for path in FILES if path.parent.name == "samples" and path.suffix == ".flac"]
    assert samples
    assert [name for name in samples if name not in stated] == []
    manifest = (ROOT / "tests/speech/manifest.jsonl").read_text()
    for path in FILES:
        if path.suffix == ".flac" and "speech" in path.parts:
            assert f'"{path.parent.name}/{path.name}"' in manifest
