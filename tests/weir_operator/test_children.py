"""What a pipeline has besides its pods."""

import json
from dataclasses import replace
from typing import Any

import pytest

from weir_api.changes import revision_of
from weir_api.status import StreamingPipelineStatus
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator import names, pods, revisions
from weir_operator.children import children, stale
from weir_operator.observed import Child, Observed, Pod, Revision, Site

UID = "0b6f3bd8-5f9b-4a86-9f6e-3d1a5d2c7e10"
SITE = Site(default_image="weir/runtime:1", public_key="a2V5", namespace="weir-system")
GUARDED = Site(default_image="weir/runtime:1", public_key="a2V5", namespace="weir-system", network_policy=True)
PROXY = {"httpProxy": {"host": "captions.example.com"}}
INGRESS = {"ingress": {"host": "captions.example.com", "className": "contour"}}
EVERY_KIND = frozenset({"HTTPProxy", "HTTPRoute", "PodMonitor"})


def observed(have: dict[tuple[str, str], Child] | None = None, **spec: Any) -> Observed:
    whole = StreamingPipelineSpec.model_validate(spec)
    status = StreamingPipelineStatus()
    return Observed("shop", "captions", UID, 1, whole, status, children=have or {}, kinds=EVERY_KIND)


def made(seen: Observed, site: Site = SITE) -> tuple[dict[str, Any], ...]:
    assert seen.spec is not None
    return children(seen, site, revisions.kept(seen, revisions.current(seen.spec, seen, site, 5.0)))


def by_kind(seen: Observed, site: Site = SITE) -> dict[str, dict[str, Any]]:
    return {manifest["kind"]: manifest for manifest in made(seen, site)}


def there(*manifests: dict[str, Any], owner: str = UID) -> dict[tuple[str, str], Child]:
    """The same objects, as they are seen in the cluster."""
    keys = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests]
    return {(kind, name): Child(kind, name, f"uid-of-{kind}", owner) for kind, name in keys}


@pytest.mark.parametrize("spec", [{}, INGRESS, {"gateway": {"parentRefs": [{"name": "web"}]}}, PROXY])
def test_every_child_is_ours_and_the_same_input_gives_the_same_bytes(spec: dict[str, Any]):
    for manifest in made(observed(**spec), GUARDED):
        meta = manifest["metadata"]
        assert names.labels("captions").items() <= meta["labels"].items()
        assert [owner["uid"] for owner in meta["ownerReferences"]] == [UID]
        assert meta["namespace"] == "shop"
    text = json.dumps(made(observed(**spec), GUARDED))
    assert "null" not in text
    assert text == json.dumps(made(observed(**spec), GUARDED))


def test_a_plain_pipeline_has_a_service_a_budget_its_revision_and_its_monitor():
    assert set(by_kind(observed())) == {"ConfigMap", "Service", "PodDisruptionBudget", "PodMonitor"}


def test_service_and_budget_select_the_pods_and_only_them():
    seen = observed()
    spec = seen.spec
    assert spec is not None
    pod = pods.pod(seen, Revision(revision_of(spec), spec, "image", 0.0), "x7k2p")
    made_here = by_kind(seen, GUARDED)
    selectors = [
        made_here["Service"]["spec"]["selector"],
        made_here["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        made_here["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        made_here["PodMonitor"]["spec"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector == names.selector("captions")
        assert selector.items() <= pod["metadata"]["labels"].items()


def test_the_service_leads_to_the_public_port_only():
    (port,) = by_kind(observed())["Service"]["spec"]["ports"]
    assert (port["name"], port["port"], port["targetPort"]) == ("http", 8000, "http")


def test_nodes_are_drained_one_pod_at_a_time_and_sick_pods_hold_nobody_up():
    budget = by_kind(observed())["PodDisruptionBudget"]["spec"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


def test_the_network_policy_opens_the_control_port_to_the_operators_namespace_alone():
    assert "NetworkPolicy" not in by_kind(observed())
    policy = by_kind(observed(), GUARDED)["NetworkPolicy"]["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    public, control = policy["ingress"]
    assert public == {"ports": [{"port": "http", "protocol": "TCP"}]}
    assert control["ports"] == [{"port": "control", "protocol": "TCP"}]
    assert control["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "weir-system"}}}]


def test_monitors_ask_the_control_port_where_there_is_somebody_to_read_them():
    monitor = by_kind(observed())["PodMonitor"]["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == ("control", "/metrics")
    assert {entry["targetLabel"]: entry["sourceLabels"] for entry in endpoint["relabelings"]} == {
        "pipeline": ["__meta_kubernetes_pod_label_weir_dev_pipeline"],
        "revision": ["__meta_kubernetes_pod_label_weir_dev_revision"],
    }
    silent = Site(default_image="weir/runtime:1", public_key="a2V5", monitors=False)
    assert "PodMonitor" not in by_kind(observed(), silent)


def test_the_revisions_map_holds_the_pipeline_and_the_operators_key():
    seen = observed(rollout={"drainSeconds": 7})
    (config,) = [manifest for manifest in made(seen) if manifest["kind"] == "ConfigMap"]
    revision = revisions.current(seen.spec, seen, SITE, 5.0)
    assert config["metadata"]["name"] == names.revision_config("captions", revision.name)
    assert config["data"]["operator.pub"].strip() == "a2V5"
    assert json.loads(config["data"]["pipeline.json"])["spec"] == {"rollout": {"drainSeconds": 7}}


def test_an_ingress_that_is_no_longer_wanted_is_stale_and_nothing_else():
    have = there(*made(observed(**INGRESS), GUARDED))
    seen = observed(have)
    gone = stale(seen, made(seen, GUARDED))
    assert [(child.kind, child.name) for child in gone] == [("Ingress", "captions")]
    instead = observed(have, **PROXY)
    assert [child.kind for child in stale(instead, made(instead, GUARDED))] == ["Ingress"]
    assert stale(observed(have, **INGRESS), made(observed(have, **INGRESS), GUARDED)) == ()


def test_a_revision_without_pods_is_stale_and_the_policy_never():
    old = {"kind": "ConfigMap", "metadata": {"name": "captions-00000000"}}
    policy = {"kind": "ConfigMap", "metadata": {"name": names.policy_config("captions")}}
    seen = observed(there(*made(observed()), old, policy))
    assert [child.name for child in stale(seen, made(seen))] == ["captions-00000000"]


def test_what_pods_have_mounted_stays_though_it_cannot_be_read():
    newer = {"kind": "ConfigMap", "metadata": {"name": "captions-22222222"}}
    seen = observed(there(*made(observed()), newer))
    running = replace(seen, pods=(Pod("captions-22222222-x7k2p", "uid", "22222222", 0.0),))
    assert stale(running, made(running)) == ()
    assert [child.name for child in stale(seen, made(seen))] == ["captions-22222222"]


def test_objects_of_somebody_else_are_never_stale():
    foreign = there({"kind": "Ingress", "metadata": {"name": "captions"}}, owner="another")
    unowned = {("ConfigMap", "captions-11111111"): Child("ConfigMap", "captions-11111111", "u", None)}
    not_ours_to_make = there({"kind": "Secret", "metadata": {"name": "captions-resume"}})
    seen = observed(foreign | unowned | not_ours_to_make)
    assert stale(seen, made(seen)) == ()
