"""A pod's manifest: what Weir relies on, what the user may say over it, and that it fits restricted namespaces."""

import json
from collections.abc import Iterator
from typing import Any

import click
import pytest

from weir_api.pod import RESERVED_ENV, RESERVED_MOUNTS, RESERVED_VOLUMES
from weir_api.status import StreamingPipelineStatus
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator import names
from weir_operator.observed import Observed, Revision
from weir_operator.pods import GRACE_S, pod
from weir_runtime.commands.serve import serve

UID = "0b6f3bd8-5f9b-4a86-9f6e-3d1a5d2c7e10"
EVERYTHING = {
    "imagePullPolicy": "Always",
    "accelerator": "gpu",
    "gpuResourceName": "nvidia.com/mig-1g.10gb",
    "resources": {"requests": {"memory": "8Gi"}, "limits": {"cpu": "4"}},
    "env": [{"name": "HF_ENDPOINT", "value": "http://hub"}, {"name": "EMPTY"}],
    "nodeSelector": {"pool": "gpus"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "topologySpreadConstraints": [{"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
    "volumes": [{"name": "certificates", "configMap": {"name": "certificates"}}],
    "volumeMounts": [{"name": "certificates", "mountPath": "/certificates"}],
    "priorityClassName": "high",
    "runtimeClassName": "nvidia",
    "serviceAccountName": "speech",
    "imagePullSecrets": [{"name": "registry"}],
    "labels": {"team": "captions"},
    "annotations": {"sidecar.istio.io/inject": "false"},
}


def made(**spec: Any) -> dict[str, Any]:
    """The pod of a pipeline with this spec."""
    whole = StreamingPipelineSpec.model_validate(spec)
    observed = Observed("shop", "captions", UID, 1, whole, StreamingPipelineStatus())
    return pod(observed, Revision("0a1b2c3d", whole, "weir/runtime:1", 0.0), "x7k2p")


def runtime(manifest: dict[str, Any]) -> dict[str, Any]:
    (container,) = manifest["spec"]["containers"]
    return dict(container)


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in container["env"]}


def leaves(value: Any) -> Iterator[Any]:
    match value:
        case dict():
            for part in value.values():
                yield from leaves(part)
        case list():
            for part in value:
                yield from leaves(part)
        case _:
            yield value


@pytest.mark.parametrize("spec", [{}, {"runtime": EVERYTHING}])
def test_nothing_is_none_and_the_same_input_gives_the_same_bytes(spec: dict[str, Any]):
    assert None not in list(leaves(made(**spec)))
    assert json.dumps(made(**spec)) == json.dumps(made(**spec))


def test_it_belongs_to_its_pipeline_and_is_found_by_its_service_and_its_revision():
    meta = made(runtime={"labels": {"team": "captions"}})["metadata"]
    assert (meta["name"], meta["namespace"]) == ("captions-0a1b2c3d-x7k2p", "shop")
    assert names.selector("captions").items() <= meta["labels"].items()
    assert names.labels("captions").items() <= meta["labels"].items()
    assert {names.REVISION_LABEL: "0a1b2c3d", "team": "captions"}.items() <= meta["labels"].items()
    (owner,) = meta["ownerReferences"]
    assert owner == {
        "apiVersion": "weir.dev/v1alpha1", "kind": "StreamingPipeline", "name": "captions", "uid": UID,
        "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip


def test_it_serves_the_file_of_its_revision_and_obeys_the_operators_key():
    manifest = made()
    container = runtime(manifest)
    assert " ".join(container["command"]) == (
        "weir serve -f /etc/weir/pipeline.json --host 0.0.0.0 --port 8000 --control-port 9000 "
        "--operator-key /etc/weir/operator.pub"
    )
    assert container["image"] == "weir/runtime:1"
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {"http": 8000, "control": 9000}
    volumes = {volume["name"]: volume for volume in manifest["spec"]["volumes"]}
    assert volumes["weir"]["configMap"]["name"] == "captions-0a1b2c3d"
    assert {"name": "weir", "mountPath": "/etc/weir", "readOnly": True} in container["volumeMounts"]


def test_probes_ask_the_control_port_and_loading_may_take_ten_minutes():
    container = runtime(made())
    probes = [container[f"{name}Probe"] for name in ("startup", "readiness", "liveness")]
    assert [probe["httpGet"] for probe in probes] == [
        {"path": path, "port": "control"} for path in ("/readyz", "/readyz", "/livez")
    ]
    startup, readiness, _ = probes
    assert startup["periodSeconds"] * startup["failureThreshold"] == 600
    assert readiness["periodSeconds"] == 2


def test_it_lives_as_long_as_its_streams_may():
    assert made(rollout={"drainSeconds": 90})["spec"]["terminationGracePeriodSeconds"] == 90 + GRACE_S


@pytest.mark.parametrize("source", ["embedded://large", "hf://owner/model"])
def test_every_container_fits_the_restricted_pod_security_standard(source: str):
    spec = made(model={"variants": [{"name": "only", "source": source}]})["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 65532
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }


def test_it_holds_no_token_of_the_cluster_unless_a_service_account_is_named():
    assert made()["spec"]["automountServiceAccountToken"] is False
    named = made(runtime={"serviceAccountName": "speech"})["spec"]
    assert (named["automountServiceAccountToken"], named["serviceAccountName"]) == (True, "speech")
    assert named["enableServiceLinks"] is False


def test_the_overlay_reaches_its_places():
    manifest = made(runtime=EVERYTHING)
    spec, container = manifest["spec"], runtime(manifest)
    for field in ("nodeSelector", "tolerations", "affinity", "topologySpreadConstraints", "priorityClassName",
                  "runtimeClassName", "serviceAccountName", "imagePullSecrets"):  # fmt: skip
        assert spec[field] == EVERYTHING[field]
    assert container["imagePullPolicy"] == "Always"
    assert EVERYTHING["volumes"][0] in spec["volumes"]
    assert EVERYTHING["volumeMounts"][0] in container["volumeMounts"]
    assert manifest["metadata"]["annotations"] == EVERYTHING["annotations"]
    assert environment(container)["HF_ENDPOINT"] == "http://hub"
    assert environment(container)["EMPTY"] == ""


def test_a_gpu_is_asked_for_once_and_a_default_request_never_exceeds_a_limit():
    assert runtime(made())["resources"] == {"requests": {"cpu": "1", "memory": "1Gi"}}
    assert runtime(made(runtime=EVERYTHING))["resources"] == {
        "requests": {"memory": "8Gi"},
        "limits": {"cpu": "4", "nvidia.com/mig-1g.10gb": "1"},
    }
    two = {"accelerator": "gpu", "resources": {"requests": {"nvidia.com/gpu": "2"}}}
    assert runtime(made(runtime=two))["resources"]["limits"] == {"nvidia.com/gpu": "2"}


def test_the_environment_says_who_the_pod_is_and_the_users_own_comes_before_a_default():
    env = [{"name": "HOME", "value": "/cache"}, {"name": "OMP_NUM_THREADS", "value": "2"}]
    variables = runtime(made(runtime={"env": env}))["env"]
    assert len({variable["name"] for variable in variables}) == len(variables)
    said = environment({"env": variables})
    assert set(RESERVED_ENV) <= set(said)
    assert said["WEIR_PIPELINE_UID"] == UID
    assert said["WEIR_POD_UID"]["fieldRef"]["fieldPath"] == "metadata.uid"
    assert said["WEIR_POD_NAME"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert (said["HOME"], said["OMP_NUM_THREADS"]) == ("/cache", "2")


def test_pods_prefer_nodes_without_one_of_their_own_revision():
    (spread,) = made()["spec"]["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")
    assert spread["labelSelector"]["matchLabels"].items() <= made()["metadata"]["labels"].items()
    assert spread["labelSelector"]["matchLabels"][names.REVISION_LABEL] == "0a1b2c3d"


@pytest.mark.parametrize(
    ("cache", "volume"),
    [
        ({}, {"emptyDir": {}}),
        ({"sizeLimit": "10Gi"}, {"emptyDir": {"sizeLimit": "10Gi"}}),
        ({"persistentVolumeClaim": "models"}, {"persistentVolumeClaim": {"claimName": "models"}}),
    ],
)
def test_models_are_kept_in_the_claim_or_for_the_pods_life(cache: dict[str, str], volume: dict[str, Any]):
    manifest = made(model={"cache": cache})
    assert {"name": "models", **volume} in manifest["spec"]["volumes"]
    assert {"name": "models", "mountPath": "/models"} in runtime(manifest)["volumeMounts"]
    assert environment(runtime(manifest))["HF_HOME"].startswith("/models/")


def test_each_model_of_a_hub_is_fetched_once_before_serving():
    sources = ["hf://owner/one", "embedded://small", "hf://owner/two@v1", "hf://owner/one"]
    variants = [{"name": f"v{place}", "source": source} for place, source in enumerate(sources)]
    pulls = made(model={"variants": variants})["spec"]["initContainers"]
    assert [pull["command"] for pull in pulls] == [
        ["weir", "models", "pull", "hf://owner/one"],
        ["weir", "models", "pull", "hf://owner/two@v1"],
    ]
    assert len({pull["name"] for pull in pulls}) == 2
    assert "initContainers" not in made()["spec"]


def test_keys_come_from_the_one_entry_of_their_secret_and_no_pod_starts_without_them():
    manifest = made(auth={"apiKeysSecretRef": {"name": "captions-keys", "key": "mine.yaml"}})
    (keys,) = [volume for volume in manifest["spec"]["volumes"] if volume["name"] == "keys"]
    assert keys["secret"]["secretName"] == "captions-keys"
    assert keys["secret"]["items"] == [{"key": "mine.yaml", "path": "mine.yaml"}]
    assert keys["secret"]["optional"] is False
    assert {"name": "keys", "mountPath": "/etc/weir-keys", "readOnly": True} in runtime(manifest)["volumeMounts"]
    without = made()
    assert "keys" not in [volume["name"] for volume in without["spec"]["volumes"]]
    assert "keys" not in [mount["name"] for mount in runtime(without)["volumeMounts"]]


def test_what_serves_has_the_pipelines_key_of_resume_tokens_and_what_pulls_models_has_not():
    manifest = made(model={"variants": [{"name": "v", "source": "hf://owner/one"}]})
    (volume,) = [volume for volume in manifest["spec"]["volumes"] if volume["name"] == "resume"]
    assert volume["secret"] == {"secretName": "captions-resume", "defaultMode": 0o440, "optional": False}
    assert {"name": "resume", "mountPath": "/etc/weir-resume", "readOnly": True} in runtime(manifest)["volumeMounts"]
    (pull,) = manifest["spec"]["initContainers"]
    assert "resume" not in [mount["name"] for mount in pull["volumeMounts"]]
    assert environment(runtime(manifest))["WEIR_RESUME_KEY"] == "/etc/weir-resume/key"


def test_the_runtime_reads_the_variables_that_its_pod_gets():
    """An image that does not know one serves all the same, which an option would not let it."""
    read = {option.envvar for option in serve.params if isinstance(option, click.Option)}
    assert {"WEIR_POD_UID", "WEIR_PIPELINE_UID", "WEIR_RESUME_KEY"} <= read & set(environment(runtime(made())))


def test_no_name_of_our_own_can_be_the_users():
    manifest = made(auth={"apiKeysSecretRef": {"name": "captions-keys"}})
    assert {volume["name"] for volume in manifest["spec"]["volumes"]} == set(RESERVED_VOLUMES)
    mounts = {mount["mountPath"] for mount in runtime(manifest)["volumeMounts"]}
    assert mounts == set(RESERVED_MOUNTS)
    given = {name for name in environment(runtime(manifest)) if name.startswith("WEIR_")}
    assert given == set(RESERVED_ENV)
