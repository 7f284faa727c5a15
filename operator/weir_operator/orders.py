"""Which orders a pipeline's pods are due. Pure.

Rules: a pod gets the spec that is its revision's, and the floor in that spec's places; a policy goes to each pod once,
and again while its floor is not empty, before it runs out; a pod that refused, or said nothing, is asked ever less
often; orders to drain follow from the difference between a pod's annotation and what it says of itself.
"""

from collections.abc import Mapping

from weir_api.changes import revision_of
from weir_api.control import Drain, Policy
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator.bend import floor_of
from weir_operator.book import DrainKind, Entry, Told, Trouble
from weir_operator.memory import Memory
from weir_operator.observed import Observed, Pod
from weir_operator.revisions import live

TTL_S = 15.0  # of a policy; orders to drain expire as soon
RENEW_S = TTL_S / 3  # a lost renewal or two harm nothing
SOONEST_S, LATEST_S = 2.0, 30.0  # until a pod is told again that did not take an order


def specs_of(observed: Observed, entry: Entry) -> dict[str, StreamingPipelineSpec]:
    """What pods of each revision are to run: the pipeline's spec where it is theirs, else its live part over theirs."""
    spec, running = observed.spec, {pod.revision for pod in observed.pods}
    if spec == entry.asked and running <= entry.specs.keys():
        return entry.specs
    known = {name: revision for name, revision in observed.revisions.items() if name in running}
    if spec is None:
        return {name: revision.spec for name, revision in known.items()} | entry.specs
    return {name: live(revision, spec).spec for name, revision in known.items()} | {revision_of(spec): spec}


def differs(specs: Mapping[str, StreamingPipelineSpec], carried: Mapping[str, StreamingPipelineSpec]) -> bool:
    """Whether a policy that carried those has to be replaced."""
    return any(name in carried and carried[name] != spec for name, spec in specs.items())


def policy(observed: Observed, memory: Memory, spec: StreamingPipelineSpec, now: float) -> Policy:
    """What pods that run `spec` are told."""
    return Policy(
        pipeline_uid=observed.uid,
        epoch=memory.epoch,
        revision=memory.revision,
        expires_at=now + TTL_S,
        floor=floor_of(spec, memory),
        spec=spec.model_dump(mode="json", by_alias=True, exclude_defaults=True),
    )


def reachable(pod: Pod) -> bool:
    """Whether there is a control port to ask."""
    return pod.phase == "Running" and pod.ip is not None and pod.node_ready


def renewal_due(entry: Entry, memory: Memory, now: float) -> bool:
    return bool(memory.floor) and now - entry.renewed_at >= RENEW_S


def due(entry: Entry, pod: Pod, now: float) -> bool:
    """Whether the pod may be told something now: it has answered before, it does not load, no trouble is too recent."""
    if not reachable(pod) or pod.uid not in entry.acknowledged:
        return False
    heard, trouble = entry.reports.get(pod.uid), entry.troubles.get(pod.uid)
    if heard is not None and heard.report is not None and heard.report.state == "loading":
        return False
    if trouble is None or now >= trouble.again_at:
        return True
    return not trouble.answered and heard is not None and heard.report is not None and heard.at > trouble.at


def after_trouble(before: Trouble | None, answered: bool, now: float) -> Trouble:
    times = 1 if before is None else before.times + 1
    return Trouble(times, now, now + min(LATEST_S, SOONEST_S * 2.0 ** min(times - 1, 10)), answered)


def drain_wanted(entry: Entry, pod: Pod) -> DrainKind | None:
    """What the pod's annotation asks and its last report does not show. A pod that is being deleted drains by itself,
    and one that loads takes no streams anyway."""
    heard = entry.reports.get(pod.uid)
    if heard is None or heard.report is None or pod.deleting:
        return None
    if pod.draining_since is not None and heard.report.state == "ready":
        return "drain"
    if pod.draining_since is None and heard.report.state in ("draining", "drained"):
        return "undrain"
    return None


def numbered(told: Mapping[str, Told], wanted: Mapping[str, DrainKind], counter: int) -> dict[str, Told]:
    """Each wanted order (by pod uid) with its number: one that has to be repeated keeps it, since who has carried it
    out refuses it; another than the pod's last gets the next one after `counter`."""
    orders = {}
    for uid, kind in wanted.items():
        last = told.get(uid)
        if last is None or last[0] != kind:
            counter += 1
            last = kind, counter
        orders[uid] = last
    return orders


def drain(observed: Observed, epoch: int, pod: Pod, order: Told, drain_seconds: int, now: float) -> Drain:
    """The order to `pod`, with what is left of its time."""
    kind, counter = order
    since = now if pod.draining_since is None else min(now, pod.draining_since)
    return Drain(
        kind=kind,
        pipeline_uid=observed.uid,
        pod_uid=pod.uid,
        epoch=epoch,
        counter=counter,
        expires_at=now + TTL_S,
        drain_seconds=max(0, round(drain_seconds - (now - since))),
    )
