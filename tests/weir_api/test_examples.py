"""examples/: what needs no cluster to be seen. tests/cluster applies them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from weir_api.documents import verdicts
from weir_runtime.core.values import Load
from weir_runtime.front.keys import parse_keys
from weir_runtime.front.metrics import Metrics

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
TRAFFIC = "traffic.yaml"  # no manifest: it is what `weir simulate` plays
FILES = sorted(path for path in EXAMPLES.rglob("*.yaml") if path.name != TRAFFIC)
named = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(EXAMPLES)))


def documents(path: Path, kind: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each["kind"] == kind]


@named
def test_every_pipeline_is_valid(path: Path):
    found = verdicts(path.read_text(), path.name)
    assert [verdict.says for verdict in found if verdict.answer == "invalid"] == []
    assert sum(verdict.answer == "valid" for verdict in found) == len(documents(path, "StreamingPipeline")) > 0


@named
def test_a_head_says_what_it_is_for_and_what_to_run(path: Path):
    head = re.match(r"(#.*\n)+", path.read_text())
    assert head, "it begins with a comment"
    commands = [line for line in head[0].splitlines() if re.match(r"#   (kubectl|weir) ", line)]
    where = str(path.relative_to(ROOT))
    assert any(where in command for command in commands) or "simulate" in path.parts
    assert len(head[0].splitlines()) <= 8


@named
def test_only_one_writes_the_number_of_pods(path: Path):
    for pipeline in documents(path, "StreamingPipeline"):
        assert not {"replicas", "scaling"} <= pipeline["spec"].keys()


@named
def test_the_page_names_it(path: Path):
    page = EXAMPLES / ("simulate/README.md" if "simulate" in path.parts else "README.md")
    assert f"({path.relative_to(page.parent)})" in page.read_text()


def test_autoscalers_ask_for_metrics_that_exist():
    runtime = Metrics()
    runtime.watch(lambda: Load(
        0, {}, 0, 0, 0, 0.0, 0, 0.0, 0.0, 0, 0, 0, "full quality", (), "closed", {}, {}, 0.0, 0.0, 1.0, 0.0, 0.0
    ))  # fmt: skip
    known = {family.name for family in runtime.registry.collect()}
    asked = [
        name
        for path in sorted((EXAMPLES / "autoscaling").glob("*.yaml"))
        for name in re.findall(r"\bweir_[a-z0-9_]+", path.read_text())
    ]
    assert len(asked) >= 2
    assert set(asked) - known == set()


def test_a_pipeline_could_use_the_keys():
    path = EXAMPLES / "keys.yaml"
    (secret,), (pipeline,) = documents(path, "Secret"), documents(path, "StreamingPipeline")
    assert pipeline["spec"]["auth"]["apiKeysSecretRef"]["name"] == secret["metadata"]["name"]
    keys = parse_keys(secret["stringData"]["keys.yaml"], "keys.yaml", ("interactive", "standard", "batch"))
    assert keys
