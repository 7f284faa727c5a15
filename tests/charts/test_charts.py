"""The operator's chart as it is rendered: what holds for every choice of values."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from weir_operator.commands.operator import operator

pytestmark = pytest.mark.cluster
CHART = Path(__file__).parents[2] / "charts" / "weir"
Helm = Callable[..., CompletedProcess[str]]
Manifest = dict[str, Any]
Rendered = Callable[[dict[str, Any]], list[Manifest]]


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def pods(manifests: list[Manifest]) -> list[Manifest]:
    """Metadata and spec of all that run."""
    return of_kind(manifests, "Pod") + [each["spec"]["template"] for each in of_kind(manifests, "Deployment")]


def test_the_linter_has_nothing_against_it(helm: Helm):
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout + done.stderr


def test_objects_have_names_of_their_own_and_the_charts_labels(manifests: list[Manifest]):
    places = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in manifests]
    assert len(set(places)) == len(places)
    for manifest in manifests:
        assert manifest["metadata"]["labels"]["app.kubernetes.io/instance"] == "weir"
        assert ("namespace" in manifest["metadata"]) != manifest["kind"].startswith("Cluster")


def test_every_pod_fits_the_restricted_standard(manifests: list[Manifest]):
    for pod in pods(manifests):
        security = pod["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["spec"]["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]


def test_selectors_choose_the_operators_pods_and_not_the_test(manifests: list[Manifest]):
    (deployment,) = of_kind(manifests, "Deployment")
    operator = deployment["spec"]["template"]["metadata"]["labels"]
    (test,) = of_kind(manifests, "Pod")
    selectors = [
        each["spec"].get("selector", each["spec"].get("podSelector"))
        for kind in ("Deployment", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor")
        for each in of_kind(manifests, kind)
    ]
    for selector in selectors:
        assert selector["matchLabels"].items() <= operator.items()
        assert not selector["matchLabels"].items() <= test["metadata"]["labels"].items()


def test_the_command_says_what_the_values_say(rendered: Rendered):
    images = {
        name: {"repository": f"registry.example.com/weir/{name}", "tag": "edge"} for name in ("operator", "runtime")
    }
    values = {
        "image": images["operator"],
        "runtimeImage": images["runtime"],
        "watchNamespaces": ["shop", "news"],
        "pipelines": {"networkPolicy": True, "monitors": False},
        "logLevel": "debug",
    }
    (deployment,) = of_kind(rendered(values), "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example.com/weir/operator:edge"
    assert container["command"] == [
        "weir", "operator", "run", "--namespace=weir-system", "--watch-namespace=shop", "--watch-namespace=news",
        "--default-image=registry.example.com/weir/runtime:edge", "--probe-port=8080", "--network-policy",
        "--no-monitors", "--log-level=debug",
    ]  # fmt: skip


def test_the_operator_knows_every_word_of_its_command(manifests: list[Manifest]):
    (deployment,) = of_kind(manifests, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["command"][:3] == ["weir", "operator", "run"]
    given = operator.commands["run"].make_context("run", container["command"][3:]).params
    assert (given["namespace"], given["probe_port"]) == ("weir-system", container["ports"][0]["containerPort"])


def test_a_budget_is_made_only_where_one_pod_can_go(rendered: Rendered):
    assert of_kind(rendered({}), "PodDisruptionBudget")
    assert not of_kind(rendered({"replicas": 1}), "PodDisruptionBudget")


def test_what_is_added_reaches_operator_and_test(everything: list[Manifest]):
    for pod in pods(everything):
        (container,) = pod["spec"]["containers"]
        assert {"name": "HTTPS_PROXY", "value": "http://proxy:3128"} in container["env"]
        assert {"name": "authority", "configMap": {"name": "authority"}} in pod["spec"]["volumes"]
        assert {"name": "authority", "mountPath": "/etc/authority", "readOnly": True} in container["volumeMounts"]
