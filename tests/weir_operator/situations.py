"""Pipelines in any situation, as values, and what becomes of them when a plan is carried out."""

from dataclasses import replace

from crew import report_of
from hypothesis import strategies as st

from weir_api.changes import revision_of
from weir_api.report import ClassReport, PolicyReport
from weir_api.status import StreamingPipelineStatus
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator import names
from weir_operator.actions import Apply, CreateKey, CreatePod, DeleteChild, DeletePod, Drain, Remember, Scale, digest
from weir_operator.memory import Memory, StreamsAt
from weir_operator.observed import Child, Observed, Pod, PodReport, Revision, Site
from weir_operator.plan import plan
from weir_operator.revisions import read_revision

NOW = 1_800_000_000.0
UID = "0b6f3bd8-5f9b-4a86-9f6e-3d1a5d2c7e10"
SITE = Site(default_image="weir/runtime:1", public_key="a2V5")


def spec_of(version="a", **fields):
    """A spec whose revision is another one for each `version`."""
    return StreamingPipelineSpec.model_validate({"runtime": {"image": f"weir/runtime:{version}"}, **fields})


A, B, C = (revision_of(spec_of(version)) for version in "abc")
VERSIONS = {A: "a", B: "b", C: "c"}


def pod_of(name, revision=A, *, streams=None, state="ready", at=NOW, **fields):
    """A Ready pod that has been there for an hour; with `streams` it has reported them `at`."""
    report = None if streams is None else PodReport(at, report_of(streams, state=state))
    plain = Pod(name, f"uid-{name}", revision, NOW - 3600, "10.0.0.1", "node", "Running", True, report=report)
    return replace(plain, **fields)


def revision(name, *, failed=""):
    spec = spec_of(VERSIONS[name])
    return Revision(name, spec, spec.runtime.image or "", NOW - 7200, failed)


def seen(spec, pods=(), *, good="", failed="", known=(A,), owner=UID, **memory):
    """A pipeline whose revisions `known` have their ConfigMaps."""
    configs = [names.revision_config("captions", name) for name in known]
    return Observed(
        "shop", "captions", UID, 1, spec, StreamingPipelineStatus(), tuple(pods),
        children={("ConfigMap", name): Child("ConfigMap", name, f"uid-{name}", owner) for name in configs},
        revisions={name: revision(name, failed="it was bad" if name == failed else "") for name in known},
        memory=Memory(good_revision=good, **memory),
    )  # fmt: skip


def carried_out(observed, done, now):
    """The pipeline when `done` has been carried out, and nothing else has happened."""
    for action in done.actions:
        observed = _after(observed, action, now)
    return observed


def _after(observed, action, now):
    pods = {pod.name: pod for pod in observed.pods}
    match action:
        case Remember(memory):
            return replace(observed, memory=memory)
        case Scale(replicas):
            return replace(observed, spec=observed.spec.model_copy(update={"replicas": replicas}))
        case Apply(manifest):
            kind, name = manifest["kind"], manifest["metadata"]["name"]
            child = Child(kind, name, f"uid-{name}", observed.uid, applied=digest(manifest))
            found = [read_revision(manifest)] if kind == "ConfigMap" else []
            revisions = {**observed.revisions, **{each.name: each for each in found}}
            return replace(observed, children={**observed.children, (kind, name): child}, revisions=revisions)
        case CreateKey(name):
            child = Child("Secret", name, f"uid-{name}", observed.uid)
            return replace(observed, children={**observed.children, ("Secret", name): child})
        case DeleteChild(kind, name, _):
            children = {key: child for key, child in observed.children.items() if key != (kind, name)}
            gone = name.removeprefix("captions-")
            revisions = {key: each for key, each in observed.revisions.items() if key != gone}
            return replace(observed, children=children, revisions=revisions)
        case CreatePod(manifest):
            name = manifest["metadata"]["name"]
            assert name not in pods
            pods[name] = Pod(name, f"uid-{name}", manifest["metadata"]["labels"][names.REVISION_LABEL], now)
        case DeletePod(name, _, _, force):
            pods[name] = replace(pods[name], deleting=True)
            if force:
                del pods[name]
        case Drain(name, _, since):
            pods[name] = replace(pods[name], draining_since=since)
    return replace(observed, pods=tuple(pods.values()))


def settled(observed, now, site=SITE):
    """The pipeline when it has its children, and how its plans went."""
    done = plan(observed, site, now)
    return carried_out(observed, done, now), done


def of_kind(done, kind):
    return [action for action in done.actions if isinstance(action, kind)]


REPORTS = st.builds(
    lambda streams, state, age, rung, refused, calls, failed, load_s: PodReport(
        NOW - age,
        report_of(
            streams, state=state, calls=calls, failed_calls=min(calls, failed), load_s=load_s,
            policy=PolicyReport(rung=rung), classes=_classes(streams, refused),
        ),
    ),
    st.integers(0, 100),
    st.sampled_from(["loading", "ready", "draining", "drained"]),
    st.sampled_from([0.0, 2.0, 10.0, 11.0, 500.0]),
    st.sampled_from([0, 0, 0, 2]),
    st.sampled_from([0, 0, 0, 5]),
    st.integers(0, 1000),
    st.integers(0, 30),
    st.floats(0, 600),
)  # fmt: skip


def _classes(streams, refused):
    usual = report_of(streams).classes
    return {**usual, "batch": ClassReport(streams=0, refused=refused, latency=usual["batch"].latency)}


PODS = st.builds(
    Pod,
    name=st.just(""),
    uid=st.just(""),
    revision=st.sampled_from([A, B, C, "ffffffff"]),
    created_at=st.sampled_from([NOW - 7200, NOW - 1000, NOW - 100, NOW - 31, NOW - 5]),
    node=st.just("node"),
    phase=st.sampled_from(["Running", "Running", "Running", "Running", "Pending", "Failed", "Succeeded"]),
    ready=st.booleans(),
    deleting=st.sampled_from([False, False, False, True]),
    node_ready=st.sampled_from([True, True, True, True, False]),
    lost_since=st.sampled_from([None, 0.0, NOW - 400, NOW - 5]),
    draining_since=st.sampled_from([None, None, None, NOW - 1000, NOW - 320, NOW - 20]),
    waiting=st.sampled_from(["", "", "", "Unschedulable", "CrashLoopBackOff"]),
    report=st.none() | REPORTS,
)


def _fitting(pod, place):
    """Ready are only pods that run, and stay."""
    ready = pod.ready and pod.phase == "Running" and pod.waiting == "" and pod.draining_since is None
    return replace(pod, name=f"captions-{pod.revision}-{place}", uid=f"uid-{place}", ready=ready)


FLEETS = st.lists(PODS, max_size=7).map(lambda pods: tuple(_fitting(pod, at) for at, pod in enumerate(pods)))
SPECS = st.builds(
    lambda version, replicas, surge, paused, back, canary_s, scaling: spec_of(
        version,
        replicas=replicas,
        rollout={"maxSurge": surge, "paused": paused, "automaticRollback": back, "canarySeconds": canary_s},
        scaling=scaling,
    ),
    st.sampled_from("abc"),
    st.integers(0, 5),
    st.integers(0, 3),
    st.sampled_from([False, False, False, True]),
    st.sampled_from([True, True, True, False]),
    st.sampled_from([0, 30]),
    st.none() | st.builds(
        lambda least, more, window_s, mode: {
            "minReplicas": least, "maxReplicas": least + more, "scaleDownStabilizationSeconds": window_s, "mode": mode
        },
        st.integers(1, 3), st.integers(0, 4), st.sampled_from([0, 60, 600]), st.sampled_from(["Operator", "External"]),
    ),
)  # fmt: skip
SAMPLES = st.lists(
    st.builds(
        lambda age, replicas, streams: StreamsAt(at=NOW - age, replicas=replicas, streams=streams),
        st.sampled_from([0.0, 5.0, 20.0, 31.0, 50.0, 80.0, 200.0, 700.0]), st.integers(1, 6), st.integers(0, 300),
    ),
    max_size=6,
).map(lambda samples: sorted(samples, key=lambda sample: sample.at))  # fmt: skip
SITUATIONS = st.builds(
    lambda spec, pods, good, failed, known, canary, since, samples, missing: replace(
        seen(spec, pods, good=good, failed=failed, known=sorted(known), canary_revision=canary, canary_since=since,
             wanted=samples),
        missing=missing,
    ),
    SPECS,
    FLEETS,
    st.sampled_from(["", A, A, A, B, "ffffffff"]),
    st.sampled_from(["", "", B, C]),
    st.sets(st.sampled_from([A, B, C])).map(lambda known: {A, *known}),
    st.sampled_from(["", B, C]),
    st.sampled_from([None, NOW - 10, NOW - 40]),
    SAMPLES,
    st.sampled_from([(), (), (), ("Secret captions-keys",)]),
)  # fmt: skip
