"""A pod of a pipeline: `weir serve` with a revision's ConfigMap, and what the manifest says of its pods over it.

Rules: everything that a restart needs is in the revision, nothing comes from the operator's version; the pod needs no
right in the cluster and no writable file but /tmp and the model cache; what the user writes wins over a default, never
over what Weir itself relies on.
"""

from typing import Any

from weir_api.pod import Runtime
from weir_api.serving import KEYS_MOUNT, Auth
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator import names
from weir_operator.observed import Observed, Revision
from weir_operator.owned import given, metadata

GRACE_S = 30  # behind the drain: the last finals, checkpoints and closes
READY_PERIOD_S = 2  # how soon a new pod, or one that drains, is seen as what it is
LOADING_LIMIT_S = 600  # loading the largest models from a cold disk
USER = 65532
HUB_CACHE = f"{names.MODELS_MOUNT}/huggingface"
REQUESTS = {  # one process with both embedded models takes 0.75 GiB before the first stream
    "cpu": {"cpu": "1", "memory": "1Gi"},
    "gpu": {"cpu": "2", "memory": "4Gi"},
}
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}


def pod(observed: Observed, revision: Revision, suffix: str) -> dict[str, Any]:
    """A new pod of `revision`; `suffix`: five random characters."""
    runtime = revision.spec.runtime
    own = {**names.selector(observed.name), names.REVISION_LABEL: revision.name}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata(
            observed,
            names.pod_name(observed.name, revision.name, suffix),
            {**runtime.labels, **own},
            runtime.annotations,
        ),
        "spec": given(
            {
                "containers": [_serve(observed, revision)],
                "initContainers": _pulls(observed, revision),
                "volumes": [*_volumes(observed, revision), *runtime.volumes],
                "securityContext": POD_SECURITY,
                "terminationGracePeriodSeconds": revision.spec.rollout.drain_seconds + GRACE_S,
                "enableServiceLinks": False,
                "automountServiceAccountToken": runtime.service_account_name is not None,
                "topologySpreadConstraints": runtime.topology_spread_constraints or [_over_nodes(own)],
                "serviceAccountName": runtime.service_account_name,
                "imagePullSecrets": [{"name": secret.name} for secret in runtime.image_pull_secrets],
                "nodeSelector": dict(runtime.node_selector),
                "tolerations": runtime.tolerations,
                "affinity": runtime.affinity,
                "priorityClassName": runtime.priority_class_name,
                "runtimeClassName": runtime.runtime_class_name,
            }
        ),
    }


def _serve(observed: Observed, revision: Revision) -> dict[str, Any]:
    serve = ["weir", "serve", "-f", f"{names.CONFIG_MOUNT}/{names.PIPELINE_FILE}", "--host", "0.0.0.0"]
    ports = ["--port", str(names.PUBLIC_PORT), "--control-port", str(names.CONTROL_PORT)]
    container = _container(observed, revision, "runtime")
    resume = {"name": "resume", "mountPath": names.RESUME_MOUNT, "readOnly": True}
    return {
        **container,
        "command": [*serve, *ports, "--operator-key", f"{names.CONFIG_MOUNT}/{names.KEY_FILE}"],
        "volumeMounts": [*container["volumeMounts"], resume],
        "ports": [
            {"name": "http", "containerPort": names.PUBLIC_PORT, "protocol": "TCP"},
            {"name": "control", "containerPort": names.CONTROL_PORT, "protocol": "TCP"},
        ],
        "startupProbe": _probe("/readyz", READY_PERIOD_S, 2, LOADING_LIMIT_S // READY_PERIOD_S),
        "readinessProbe": _probe("/readyz", READY_PERIOD_S, 2, 2),  # one slow answer under load does not take it out
        "livenessProbe": _probe("/livez", 10, 5, 3),
    }


def _pulls(observed: Observed, revision: Revision) -> list[dict[str, Any]]:
    """Serving never downloads: what comes from a hub is fetched before, one container for each source."""
    sources = dict.fromkeys(variant.source for variant in revision.spec.model.variants)
    hub = [source for source in sources if source.startswith("hf://")]
    return [
        {**_container(observed, revision, f"pull-{place}"), "command": ["weir", "models", "pull", source]}
        for place, source in enumerate(hub)
    ]


def _container(observed: Observed, revision: Revision, name: str) -> dict[str, Any]:
    """What all containers have in common."""
    runtime = revision.spec.runtime
    return {
        "name": name,
        "image": revision.image,
        "imagePullPolicy": runtime.image_pull_policy,
        "env": _environment(observed, runtime),
        "resources": _resources(runtime),
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [*_mounts(revision.spec.auth), *runtime.volume_mounts],
    }


def _environment(observed: Observed, runtime: Runtime) -> list[dict[str, Any]]:
    """Weir's own names are refused in a spec, see weir_api.pod.RESERVED_ENV. What an older image does not know is said
    here and not as an option: it would not start with that.
    """
    own: list[dict[str, Any]] = [
        {"name": "WEIR_POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
        {"name": "WEIR_POD_UID", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.uid"}}},
        {"name": "WEIR_PIPELINE_UID", "value": observed.uid},
        {"name": "WEIR_RESUME_KEY", "value": f"{names.RESUME_MOUNT}/{names.RESUME_FILE}"},
    ]
    defaults = {"HOME": "/tmp", "HF_HOME": HUB_CACHE}  # the user has no home, and all else is read-only
    wanted = defaults | {variable.name: variable.value for variable in runtime.env}
    return [*own, *({"name": name, "value": value} for name, value in wanted.items())]


def _resources(runtime: Runtime) -> dict[str, Any]:
    """Defaults are requests only, and only of what is not limited: a default must never exceed a limit."""
    requests, limits = dict(runtime.resources.requests), dict(runtime.resources.limits)
    if runtime.accelerator == "gpu":  # Kubernetes takes a request for a device from its limit
        limits.setdefault(runtime.gpu_resource_name, requests.get(runtime.gpu_resource_name, "1"))
    defaults = {name: amount for name, amount in REQUESTS[runtime.accelerator].items() if name not in limits}
    return given({"requests": defaults | requests, "limits": limits})


def _mounts(auth: Auth | None) -> list[dict[str, Any]]:
    keys = [{"name": "keys", "mountPath": KEYS_MOUNT, "readOnly": True}]
    return [
        {"name": "weir", "mountPath": names.CONFIG_MOUNT, "readOnly": True},
        {"name": "models", "mountPath": names.MODELS_MOUNT},
        {"name": "tmp", "mountPath": "/tmp"},
        *(keys if auth is not None and auth.api_keys_secret_ref is not None else []),
    ]


def _volumes(observed: Observed, revision: Revision) -> list[dict[str, Any]]:
    config = {"name": names.revision_config(observed.name, revision.name), "defaultMode": 0o444}
    return [
        {"name": "weir", "configMap": config},
        {"name": "models", **_model_cache(revision.spec)},
        {"name": "tmp", "emptyDir": {}},
        _resume(observed),
        *_keys(revision.spec.auth),
    ]


def _resume(observed: Observed) -> dict[str, Any]:
    """Not optional: a pod with a key of its own would refuse what the others gave their clients."""
    name = names.resume_secret(observed.name)
    return {"name": "resume", "secret": {"secretName": name, "defaultMode": 0o440, "optional": False}}


def _model_cache(spec: StreamingPipelineSpec) -> dict[str, Any]:
    cache = spec.model.cache
    if cache.persistent_volume_claim is not None:
        return {"persistentVolumeClaim": {"claimName": cache.persistent_volume_claim}}
    return {"emptyDir": given({"sizeLimit": cache.size_limit})}


def _keys(auth: Auth | None) -> list[dict[str, Any]]:
    """Not optional: without the Secret a new pod waits in ContainerCreating, and starts by itself once it is there; a
    pod that ran without keys would crash again and again, or serve everybody. Pods that run keep what they have read.
    """
    if auth is None or auth.api_keys_secret_ref is None:
        return []
    reference = auth.api_keys_secret_ref
    items = [{"key": reference.key, "path": reference.key}]
    secret = {"secretName": reference.name, "items": items, "defaultMode": 0o440, "optional": False}
    return [{"name": "keys", "secret": secret}]


def _over_nodes(selected: dict[str, str]) -> dict[str, Any]:
    """Preferred, not demanded: a cluster of one node runs all pods."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selected},
    }


def _probe(path: str, period_s: int, timeout_s: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "control"},
        "periodSeconds": period_s,
        "timeoutSeconds": timeout_s,
        "failureThreshold": failures,
    }
