"""Specs with what is to be said of them, offline and by the API server: the same words where both have the choice."""

from dataclasses import dataclass
from typing import Any

SMALL = {"name": "small", "source": "embedded://small"}


@dataclass(frozen=True, slots=True)
class Bad:
    """`offline` and `cluster`: field and words, `: ` between them; the server may put its own words there."""

    spec: dict[str, Any]
    offline: str
    cluster: str


def both(spec: dict[str, Any], said: str) -> Bad:
    return Bad(spec, said, said)


def rungs(*ladder: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"degradation": {"ladder": list(ladder)}} | more


def signals(**signal: Any) -> dict[str, Any]:
    return {"degradation": {"signals": signal}}


def classes(*names: str, **more: Any) -> dict[str, Any]:
    return {"priorityClasses": [{"name": name, "weight": 1, **more} for name in names]}


def variants(*names: str, **more: Any) -> dict[str, Any]:
    return {"model": {"variants": [SMALL | {"name": name} | more for name in names]}}


SWING = "or the ladder would swing"
OWN_MOUNTS = "/etc/weir, /etc/weir-keys, /etc/weir-resume, /models, /tmp are Weir's own; mount yours elsewhere"
OWN_LABELS = "labels under weir.dev/ and app.kubernetes.io/ are the operator's; leave them out"
COST = {"chunkMs": 160, "stepUs": 1, "rowUs": 1}
LADDER = "spec.degradation.ladder"

BETWEEN_FIELDS = [
    both(signals(queueDepth={"enter": 3, "recover": 3}),
         f"spec.degradation.signals.queueDepth.recover: must be below enter (3), {SWING}"),
    both(signals(hostMemory={"enter": 3, "recover": 4}),
         f"spec.degradation.signals.hostMemory.recover: must be below enter (3), {SWING}"),
    both(signals(latencyP95={"enterPercent": 5, "recoverPercent": 9}),
         f"spec.degradation.signals.latencyP95.recoverPercent: must be below enterPercent (5), {SWING}"),
    both({"stages": {"vad": {"threshold": 35}}}, "spec.stages.vad.release: release (35) must be below threshold (35)"),
    both({"scaling": {"minReplicas": 2}},
         "spec.scaling.minReplicas: must not exceed maxReplicas (1): raise that or lower this"),
    both({"model": {"cache": {"persistentVolumeClaim": "a", "sizeLimit": "1Gi"}}},
         "spec.model.cache.sizeLimit: a claim has its own size; leave sizeLimit out"),
    both({"ingress": {"host": "a"}, "gateway": {"parentRefs": [{"name": "a"}]}},
         "spec.gateway: give one of ingress, gateway, httpProxy; ingress is given too"),
    both({"ingress": {"host": "a"}, "httpProxy": {"host": "a"}},
         "spec.httpProxy: give one of ingress, gateway, httpProxy; ingress is given too"),
    both({"gateway": {"parentRefs": [{"name": "a"}]}, "httpProxy": {"host": "a"}},
         "spec.httpProxy: give one of ingress, gateway, httpProxy; gateway is given too"),
    both({"auth": {"keysFile": "keys.yaml"}},
         "spec.auth.keysFile: pods have no such file: put it into a Secret (docs/keys.md) and name that in "
         "auth.apiKeysSecretRef"),
    Bad({"auth": {}}, "spec.auth: give exactly one of keysFile (weir serve) and apiKeysSecretRef (Kubernetes)",
        "spec.auth.apiKeysSecretRef: name the Secret with the hashed API keys (docs/keys.md), or leave auth out"),
    both(rungs({"action": "refuseAll"}, {"action": "largerChunks", "maxHz": 1}),
         f"{LADDER}[1].maxHz: largerChunks has no such field; leave it out"),
    both(rungs({"action": "interimRate", "hz": 8000}),
         f"{LADDER}[0].hz: interimRate has no such field; leave it out"),
    both(rungs({"action": "interimRate", "chunkMs": 560}),
         f"{LADDER}[0].chunkMs: interimRate has no such field; leave it out"),
    both(rungs({"action": "refuseAll", "class": "batch"}),
         f"{LADDER}[0].class: refuseAll has no such field; leave it out"),
    both(rungs({"action": "refuse"}),
         f"{LADDER}[0].class: refuse needs the class that it concerns; add one of priorityClasses"),
    both(rungs({"action": "closeLongest"}),
         f"{LADDER}[0].class: closeLongest needs the class that it concerns; add one of priorityClasses"),
    Bad(rungs({"action": "refuse", "class": "batch"}, **classes("standard")),
        f"{LADDER}[0].class: batch is not among priorityClasses; name one of standard",
        f"{LADDER}: batch is not among priorityClasses; add it there, or take its rungs out"),
    Bad(rungs({"action": "smallerVariant"}, **variants("a")),
        f"{LADDER}[0].action: smallerVariant needs a second entry in model.variants",
        f"{LADDER}: smallerVariant needs a second entry in model.variants"),
    Bad(rungs({"action": "optionalStages"}),
        f"{LADDER}[0].action: optionalStages needs an entry in stages.postprocess",
        f"{LADDER}: optionalStages needs an entry in stages.postprocess"),
    Bad(rungs({"action": "optionalStages"}, stages={"postprocess": []}),
        f"{LADDER}[0].action: optionalStages needs an entry in stages.postprocess",
        f"{LADDER}: optionalStages needs an entry in stages.postprocess"),
    Bad(classes("batch", reservedStreams=65),
        "spec.priorityClasses[0].reservedStreams: with this the classes reserve 65 streams, "
        "more than admission.maxStreams (64)",
        "spec.priorityClasses: the classes reserve 65 streams, more than admission.maxStreams (64): "
        "raise that or reserve fewer"),
    Bad(classes("standard", "batch", reservedStreams=2) | {"admission": {"maxStreams": 3}},
        "spec.priorityClasses[1].reservedStreams: with this the classes reserve 4 streams, "
        "more than admission.maxStreams (3)",
        "spec.priorityClasses: the classes reserve 4 streams, more than admission.maxStreams (3)"),
    Bad({"runtime": {"env": [{"name": "WEIR_POD_UID"}]}},
        "spec.runtime.env[0].name: WEIR_POD_UID is set by the operator; leave it out",
        "spec.runtime.env: WEIR_POD_NAME, WEIR_POD_UID, WEIR_PIPELINE_UID, WEIR_RESUME_KEY "
        "are set by the operator; leave them out"),
    Bad({"runtime": {"volumes": [{"name": "tmp", "emptyDir": {}}]}},
        "spec.runtime.volumes[0].name: tmp is one of Weir's own volumes",
        "spec.runtime.volumes: weir, models, keys, resume, tmp are Weir's own volumes; rename yours"),
    *(Bad({"runtime": {"volumeMounts": [{"name": "a", "mountPath": path}]}},
          f"spec.runtime.volumeMounts[0].mountPath: {OWN_MOUNTS}", f"spec.runtime.volumeMounts: {OWN_MOUNTS}")
      for path in ("/tmp", "/models/", "/etc/weir", "/etc/weir-keys/more", "/etc/weir-resume/")),
    Bad({"runtime": {"volumeMounts": [{"name": "a"}]}},
        "spec.runtime.volumeMounts[0].mountPath: is missing, or no text",
        "spec.runtime.volumeMounts[0].mountPath: Required value"),
    Bad({"runtime": {"labels": {"weir.dev/a": "b"}}}, f"spec.runtime.labels.weir.dev/a: {OWN_LABELS}",
        f"spec.runtime.labels: {OWN_LABELS}"),
    Bad({"runtime": {"labels": {"app.kubernetes.io/name": "b"}}},
        f"spec.runtime.labels.app.kubernetes.io/name: {OWN_LABELS}", f"spec.runtime.labels: {OWN_LABELS}"),
]  # fmt: skip

TWICE = [
    Bad(variants("a", "a"), "spec.model.variants[1].name: every name must be unique",
        'spec.model.variants[1]: Duplicate value: {"name":"a"}'),
    Bad(variants("a", cost=[COST, COST]), "spec.model.variants[0].cost[1].chunkMs: every chunkMs must be unique",
        'spec.model.variants[0].cost[1]: Duplicate value: {"chunkMs":160}'),
    Bad(classes("batch", "batch"), "spec.priorityClasses[1].name: every name must be unique",
        'spec.priorityClasses[1]: Duplicate value: {"name":"batch"}'),
    Bad({"stages": {"postprocess": [{"name": "numbers"}] * 2}}, "spec.stages.postprocess[1].name: every name",
        'spec.stages.postprocess[1]: Duplicate value: {"name":"numbers"}'),
    Bad({"runtime": {"env": [{"name": "A"}] * 2}}, "spec.runtime.env[1].name: every name must be unique",
        'spec.runtime.env[1]: Duplicate value: {"name":"A"}'),
]  # fmt: skip

ONE_FIELD = [
    Bad({"replicaz": 1}, "spec.replicaz: Extra inputs", 'unknown field "spec.replicaz"'),
    Bad({"admission": {"maxStreems": 1}}, "spec.admission.maxStreems: Extra", 'field "spec.admission.maxStreems"'),
    Bad({"replicas": "2"}, "spec.replicas: Input should be a valid integer", "spec.replicas in body must be of type"),
    Bad({"replicas": 2.5}, "spec.replicas: Input should be a valid integer", "spec.replicas in body must be of type"),
    Bad({"replicas": True}, "spec.replicas: Input should be a valid integer", "spec.replicas in body must be of type"),
    Bad({"rollout": {"paused": "no"}}, "spec.rollout.paused: Input should be a valid boolean", "must be of type bool"),
    Bad({"replicas": 1001}, "spec.replicas: Input should be less", "spec.replicas in body should be less"),
    Bad({"replicas": -1}, "spec.replicas: Input should be greater", "spec.replicas in body should be greater"),
    Bad({"priorityClasses": []}, "spec.priorityClasses: List should have at least 1 item", "should have at least 1 it"),
    Bad({"priorityClasses": [{"name": "gold", "weight": 1}]}, "spec.priorityClasses[0].name: Input should be",
        'spec.priorityClasses[0].name: Unsupported value: "gold"'),
    Bad({"priorityClasses": [{"name": "batch"}]}, "spec.priorityClasses[0].weight: Field required",
        "spec.priorityClasses[0].weight: Required value"),
    Bad(variants("a", chunkMs=100), "spec.model.variants[0].chunkMs: Input should be", "Unsupported value: 100"),
    Bad(variants(*"abcdefghi"), "spec.model.variants: List should have at most 8", "must have at most 8 items"),
    Bad(variants("a", source="http://a"), "spec.model.variants[0].source: String should match", "should match"),
    Bad(variants("A"), "spec.model.variants[0].name: String should match", "should match"),
    Bad({"runtime": {"accelerator": "tpu"}}, "spec.runtime.accelerator: Input should be", 'value: "tpu"'),
    Bad({"runtime": {"image": ""}}, "spec.runtime.image: String should have at least 1", "should be at least 1 chars"),
    Bad({"runtime": {"volumes": [{"emptyDir": {}}]}}, "spec.runtime.volumes[0].name: is missing",
        "spec.runtime.volumes[0].name: Required value"),
    Bad({"runtime": {"volumeMounts": [{"name": 1}]}}, "spec.runtime.volumeMounts[0].name: is missing, or no text",
        "spec.runtime.volumeMounts[0].name in body must be of type string"),
    Bad({"runtime": {"nodeSelector": {"a b": "c"}}}, "spec.runtime.nodeSelector.a b.[key]: String should match",
        "spec.runtime.nodeSelector: keys have at most 317 characters and match ^"),
    Bad({"runtime": {"annotations": {"a" * 318: "c"}}}, "String should have at most 317 characters",
        "spec.runtime.annotations: keys have at most 317 characters"),
    Bad({"runtime": {"nodeSelector": {"a": "-"}}}, "spec.runtime.nodeSelector.a: String should match", "should match"),
    Bad({"runtime": {"resources": {"limits": {"cpu": "a lot"}}}}, "spec.runtime.resources.limits.cpu: String should",
        "spec.runtime.resources.limits.cpu in body should match"),
    Bad({"ingress": {}}, "spec.ingress.host: Field required", "spec.ingress.host: Required value"),
    Bad({"ingress": {"host": "A"}}, "spec.ingress.host: String should match", "spec.ingress.host in body should match"),
    Bad({"gateway": {"parentRefs": []}}, "spec.gateway.parentRefs: List should have at least", "at least 1 items"),
    Bad({"tracing": {"endpoint": "grpc://a"}}, "spec.tracing.endpoint: String should match", "should match"),
    Bad({"auth": {"apiKeysSecretRef": {"name": "a", "key": "../b"}}}, "spec.auth.apiKeysSecretRef.key: String should",
        "spec.auth.apiKeysSecretRef.key in body should match"),
]  # fmt: skip

BAD = [*BETWEEN_FIELDS, *TWICE, *ONE_FIELD]

GOOD: list[dict[str, Any]] = [
    {},
    {"replicas": 0},
    {"scaling": {"maxReplicas": 8}},
    {"scaling": {}, "rollout": {}, "admission": {}, "degradation": {"signals": {}, "breaker": {}}, "serving": {}},
    rungs(),
    rungs(*[{"action": "interimRate"}] * 2),
    rungs({"action": "refuse", "class": "interactive"}),
    rungs({"action": "smallerVariant"}),
    rungs({"action": "smallerVariant"}, model={"maxStepMs": 20}),
    rungs({"action": "optionalStages"}, stages={"postprocess": [{"name": "numbers"}]}),
    rungs({"action": "closeLongest", "class": "standard"}, **classes("standard")),
    classes("standard", "batch", reservedStreams=32),
    variants("b", "a", cost=[COST, COST | {"chunkMs": 80}]),
    {"auth": {"apiKeysSecretRef": {"name": "keys"}, "anonymous": True}},
    {"ingress": {"host": "*.example.com", "annotations": {"a.b/c": "d e"}}},
    {"gateway": {"parentRefs": [{"name": "a", "namespace": "b"}], "hostnames": ["a.b"]}},
    {"httpProxy": {"host": "a.b", "className": "contour", "tlsSecretName": "tls", "annotations": {"a.b/c": "d e"}}},
    {
        "runtime": {
            "env": [{"name": "HF_HOME", "value": "/tmp"}],
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "volumes": [{"name": "certs", "secret": {"secretName": "certs"}}],
            "volumeMounts": [
                {"name": "certs", "mountPath": "/certs", "readOnly": True},
                {"name": "certs", "mountPath": "/tmp/certs"},
                {"name": "certs", "mountPath": "/etc/weirder"},
            ],
            "resources": {"limits": {"cpu": "1.5", "memory": "4Gi", "nvidia.com/gpu": "1"}},
            "labels": {"team": "", "weir.dev.example/a": "b"},
        }
    },
]


def manifest(spec: dict[str, Any], name: str = "captions") -> dict[str, Any]:
    return {
        "apiVersion": "weir.dev/v1alpha1",
        "kind": "StreamingPipeline",
        "metadata": {"name": name},
        "spec": spec,
    }
