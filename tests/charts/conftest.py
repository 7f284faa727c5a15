"""Helm, for tests of the charts: they need no cluster, only its binary."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.append(str(Path(__file__).parents[2] / "hack"))

from box import binaries

CHART = Path(__file__).parents[2] / "charts" / "weir"
Helm = Callable[..., subprocess.CompletedProcess[str]]
Manifest = dict[str, Any]
Rendered = Callable[[dict[str, Any]], list[Manifest]]
EVERYTHING: dict[str, Any] = {
    "replicas": 3,
    "image": {"repository": "registry.example.com/weir/operator", "tag": "edge", "pullPolicy": "Always"},
    "runtimeImage": {"repository": "registry.example.com/weir/runtime", "tag": "edge"},
    "imagePullSecrets": [{"name": "registry"}],
    "pipelines": {"networkPolicy": True, "monitors": False},
    "logLevel": "debug",
    "serviceAccount": {"annotations": {"example.com/identity": "weir"}},
    "networkPolicy": {"enabled": True},
    "metrics": {
        "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "rules": {"enabled": True, "labels": {"release": "prometheus"}},
        "dashboards": {"enabled": True},
    },
    "nodeSelector": {"pool": "infra"},
    "tolerations": [{"key": "infra", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
    "priorityClassName": "system-cluster-critical",
    "podLabels": {"team": "speech"},
    "podAnnotations": {"example.com/note": "yes"},
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "extraVolumes": [{"name": "authority", "configMap": {"name": "authority"}}],
    "extraVolumeMounts": [{"name": "authority", "mountPath": "/etc/authority", "readOnly": True}],
}
MATRIX: dict[str, dict[str, Any]] = {
    "defaults": {},
    "everything": EVERYTHING,
    "two namespaces": {"watchNamespaces": ["shop", "news"]},
    "two namespaces and nothing outside": {"watchNamespaces": ["shop", "news"], "rbac": {"userRoles": False}},
    "an account that is there": {"serviceAccount": {"create": False, "name": "mine"}, "rbac": {"create": False}},
    "one replica": {"replicas": 1},
}


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Runs it with the words given, `values` as a further values file; compiled once, if Go is there."""
    if binaries.missing(["helm"]) and shutil.which("go") is None:
        pytest.skip("Helm has to be compiled once, and there is no Go")
    binaries.build(["helm"])

    def run(*words: str, values: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
        command = [str(binaries.path("helm")), *words, *(["--values=-"] if values is not None else [])]
        text = json.dumps(values) if values is not None else None
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.fixture(scope="session")
def rendered(helm: Helm) -> Rendered:
    """The chart's objects with these values, as release `weir` in the namespace `weir-system`."""

    def render(values: dict[str, Any]) -> list[Manifest]:
        done = helm("template", "weir", str(CHART), "--namespace=weir-system", values=values)
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    return render


@pytest.fixture(scope="session", params=MATRIX.values(), ids=MATRIX.keys())
def manifests(request: pytest.FixtureRequest, rendered: Rendered) -> list[Manifest]:
    """The chart's objects, once for every choice of values."""
    return rendered(request.param)


@pytest.fixture(scope="session")
def everything(rendered: Rendered) -> list[Manifest]:
    """With all that is off by default."""
    return rendered(EVERYTHING)
