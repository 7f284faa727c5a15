"""`weir operator run` as a process on a real API server: what it makes, that it rests, and who of several leads.

No kubelet is needed: pods stay Pending. Each test has a namespace of its own, with the operator's Lease in it.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from box.kubernetes import Cluster
from box.waiting import wait_for

from weir_api.crd import as_yaml, definition
from weir_operator import names

pytestmark = pytest.mark.cluster
DEEDS = ("Apply", "CreatePod", "DeletePod", "Drain", "DeleteChild", "Remember", "Scale")


@dataclass(frozen=True, slots=True)
class Operator:
    process: subprocess.Popen[bytes]
    log: Path

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def said(self, event: str) -> dict[str, object] | None:
        return next((line for line in self.lines() if line["event"] == event), None)

    def count(self, event: str) -> int:
        return sum(line["event"] == event for line in self.lines())

    def deeds(self) -> list[str]:
        return [f"{line['event']} {line['object']}" for line in self.lines() if line["event"] in DEEDS]

    def probe(self, path: str) -> str:
        started = self.said("operator started")
        assert started is not None
        with urllib.request.urlopen(f"http://127.0.0.1:{started['probes']}{path}", timeout=5) as answer:
            return answer.read().decode()

    def requests(self) -> dict[tuple[str, str], float]:
        """Requests to the API server so far, by verb and kind."""
        found = {}
        for line in self.probe("/metrics").splitlines():
            if line.startswith("weir_operator_api_requests_total{"):
                kind, verb = (part.split('"')[1] for part in line.partition("{")[2].partition("}")[0].split(","))
                found[verb, kind] = float(line.rpartition(" ")[2])
        return found

    def ready(self) -> bool:
        try:
            return self.said("leading") is not None and self.probe("/readyz") == "ok\n"
        except OSError:
            return False


@pytest.fixture(scope="module", autouse=True)
def resource_definition(cluster: Cluster) -> None:
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=as_yaml(definition()))
    cluster.wait_for_definition("streamingpipelines.weir.dev")


@contextmanager
def operator(cluster: Cluster, namespace: str, log: Path) -> Iterator[Operator]:
    """It watches its own namespace only."""
    command = [str(Path(sys.executable).with_name("weir")), "operator", "run", "--probe-port=0"]
    places = [f"--namespace={namespace}", f"--watch-namespace={namespace}", f"--kubeconfig={cluster.kubeconfig}"]
    with log.open("wb") as out:
        process = subprocess.Popen([*command, *places], stderr=out, env={**os.environ, "POD_NAME": log.stem})
    try:
        yield Operator(process, log)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def running(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[Operator]:
    with operator(cluster, namespace, tmp_path / "one.log") as one:
        wait_for("the operator", one.ready, log=one.log)
        yield one


def pipeline(**spec: object) -> dict[str, object]:
    return {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": {"name": "captions"}, "spec": spec}


def found(cluster: Cluster, namespace: str, kinds: str = "pods,services,configmaps,poddisruptionbudgets") -> list[str]:
    """Kind and name of all objects of pipelines."""
    items = cluster.get(kinds, f"-n{namespace}", f"-l{names.PIPELINE_LABEL}")["items"]
    return sorted(f"{item['kind']} {item['metadata']['name']}" for item in items)


def uids(cluster: Cluster, namespace: str) -> dict[str, str]:
    """Of the pods, by name."""
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in cluster.get("pods", f"-n{namespace}")["items"]}


def reason(cluster: Cluster, namespace: str) -> str:
    conditions = cluster.get("spl", "captions", f"-n{namespace}").get("status", {}).get("conditions", [])
    return next((each["reason"] for each in conditions if each["type"] == "Ready"), "")


def test_a_bare_pipeline_becomes_pods_children_and_a_status_rests_and_is_collected_with_its_owner(
    cluster: Cluster, namespace: str, running: Operator
):
    cluster.apply(pipeline(), namespace)
    wait_for("a status", lambda: reason(cluster, namespace) == "Unschedulable", log=running.log)
    made = found(cluster, namespace)
    assert [each.partition("-")[0] for each in made] == [
        "ConfigMap captions", "ConfigMap captions", "Pod captions", "PodDisruptionBudget captions", "Service captions",
    ]  # fmt: skip
    assert cluster.get("spl", "captions", f"-n{namespace}")["metadata"].get("finalizers") is None
    writes_rest(running, for_s=6.0)
    cluster.kubectl("delete", "spl", "captions", f"-n{namespace}")
    wait_for("the garbage collector", lambda: not found(cluster, namespace))
    assert sum(deed.startswith("CreatePod") for deed in running.deeds()) == 1


def writes_rest(running: Operator, for_s: float) -> None:
    """No write but the Lease's, and no read at all, until so much time has passed."""
    wait_for("calm", lambda: calm(running, 1.0))
    before, until = running.requests(), time.monotonic() + for_s
    wait_for("time to pass", lambda: time.monotonic() > until)
    more = {key: count - before.get(key, 0) for key, count in running.requests().items() if count != before.get(key)}
    assert list(more) == [("update", "Lease")], more


def calm(running: Operator, for_s: float) -> bool:
    def all_but_lease() -> dict[tuple[str, str], float]:
        return {key: count for key, count in running.requests().items() if key[1] != "Lease"}

    before, until = all_but_lease(), time.monotonic() + for_s
    wait_for("time to pass", lambda: time.monotonic() > until)
    return all_but_lease() == before


def test_what_is_changed_or_deleted_by_hand_comes_back(cluster: Cluster, namespace: str, running: Operator):
    cluster.apply(pipeline(replicas=2), namespace)
    wait_for("two pods", lambda: len(found(cluster, namespace, "pods")) == 2, log=running.log)
    pods = uids(cluster, namespace)
    gone = min(pods)
    cluster.kubectl("delete", "service", "captions", f"-n{namespace}")
    cluster.kubectl("delete", "pod", gone, f"-n{namespace}")
    cluster.kubectl("patch", "pdb", "captions", "--type=merge", "-p", '{"spec":{"maxUnavailable":2}}', f"-n{namespace}")

    def mended() -> bool:
        new = uids(cluster, namespace).items() - pods.items()
        unavailable = cluster.get("pdb", "captions", f"-n{namespace}")["spec"]["maxUnavailable"]
        return len(new) == 1 and len(found(cluster, namespace)) == 6 and unavailable == 1

    wait_for("all as it was", mended, log=running.log)
    assert sum(deed.startswith("CreatePod") for deed in running.deeds()) == 3


def test_an_object_of_somebody_else_is_left_alone_and_named_until_it_is_gone(
    cluster: Cluster, namespace: str, running: Operator
):
    theirs = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "captions"}, "spec": {"ports": [{"port": 1}]}}
    cluster.apply(theirs, namespace)
    before = cluster.get("service", "captions", f"-n{namespace}")
    cluster.apply(pipeline(), namespace)
    wait_for("the condition", lambda: reason(cluster, namespace) == "NameConflict", log=running.log)
    assert cluster.get("service", "captions", f"-n{namespace}") == before
    cluster.kubectl("delete", "service", "captions", f"-n{namespace}")
    wait_for("our Service", lambda: "Service captions" in found(cluster, namespace), limit_s=45.0, log=running.log)
    wait_for("another reason", lambda: reason(cluster, namespace) == "Unschedulable", log=running.log)


def test_a_secret_that_is_missing_is_named_and_seen_once_it_is_there(
    cluster: Cluster, namespace: str, running: Operator
):
    cluster.apply(pipeline(auth={"apiKeysSecretRef": {"name": "keys"}}), namespace)
    wait_for("the condition", lambda: reason(cluster, namespace) == "SecretMissing", log=running.log)
    cluster.kubectl("create", "secret", "generic", "keys", "--from-literal=keys.yaml=[]", f"-n{namespace}")
    wait_for("another reason", lambda: reason(cluster, namespace) == "Unschedulable", log=running.log)


def test_pods_that_the_api_server_refuses_are_told_in_an_event_and_do_not_stop_the_status(
    cluster: Cluster, namespace: str, running: Operator
):
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    cluster.apply(quota, namespace)
    wait_for("the quota", lambda: "status" in cluster.get("quota", "none", f"-n{namespace}"))
    cluster.apply(pipeline(), namespace)

    def told() -> bool:
        events = cluster.get("events", f"-n{namespace}", "--field-selector=involvedObject.kind=StreamingPipeline")
        return any("exceeded quota" in each["message"] for each in events["items"])

    def said() -> bool:
        conditions = cluster.get("spl", "captions", f"-n{namespace}").get("status", {}).get("conditions", [])
        return any(each["type"] == "Progressing" and "exceeded quota" in each["message"] for each in conditions)

    wait_for("the event", told, log=running.log)
    wait_for("the condition", said, log=running.log)


def test_of_two_operators_one_acts_and_the_other_takes_over_with_a_greater_epoch(
    cluster: Cluster, namespace: str, tmp_path: Path
):
    with ExitStack() as stack:
        one = stack.enter_context(operator(cluster, namespace, tmp_path / "one.log"))
        wait_for("the first", one.ready, log=one.log)
        two = stack.enter_context(operator(cluster, namespace, tmp_path / "two.log"))
        wait_for("the second", lambda: two.said("operator started"), log=two.log)
        cluster.apply(pipeline(), namespace)
        wait_for("a pod", lambda: found(cluster, namespace, "pods"), log=one.log)
        assert not two.deeds()
        assert two.probe("/readyz") == "ok\n"  # it could lead
        assert ("watch", "Pod") not in two.requests()

        killed_at = time.monotonic()
        one.process.kill()
        wait_for("the second to lead", lambda: two.said("leading"), limit_s=25.0, log=two.log)
        assert time.monotonic() - killed_at >= 12.0  # the lease of a leader that is killed has to run out
        first, second = one.said("leading"), two.said("leading")
        assert first is not None
        assert second is not None
        assert int(str(second["epoch"])) > int(str(first["epoch"]))
        wait_for("the second's caches", two.ready, log=two.log)

        third = stack.enter_context(operator(cluster, namespace, tmp_path / "three.log"))
        wait_for("the third", lambda: third.said("operator started"), log=third.log)
        ended_at = time.monotonic()
        two.process.send_signal(signal.SIGTERM)
        wait_for("the third to lead", lambda: third.said("leading"), limit_s=12.0, log=third.log)
        assert two.process.wait(10) == 0
        assert time.monotonic() - ended_at < 8.0
        wait_for("the third's caches", third.ready, log=third.log)
        cluster.kubectl("patch", "spl", "captions", "--type=merge", "-p", '{"spec":{"replicas":2}}', f"-n{namespace}")
        wait_for("a second pod", lambda: len(found(cluster, namespace, "pods")) == 2, log=third.log)
        created = [deed for each in (one, two, third) for deed in each.deeds() if deed.startswith("CreatePod")]
        assert len(created) == 2


def test_a_leader_that_was_stopped_for_longer_than_its_lease_does_nothing_when_it_goes_on(
    cluster: Cluster, namespace: str, tmp_path: Path
):
    with ExitStack() as stack:
        one = stack.enter_context(operator(cluster, namespace, tmp_path / "one.log"))
        wait_for("the first", one.ready, log=one.log)
        two = stack.enter_context(operator(cluster, namespace, tmp_path / "two.log"))
        wait_for("the second", lambda: two.said("operator started"), log=two.log)
        cluster.apply(pipeline(), namespace)
        wait_for("a pod", lambda: found(cluster, namespace, "pods"), log=one.log)
        one.process.send_signal(signal.SIGSTOP)
        cluster.kubectl("patch", "spl", "captions", "--type=merge", "-p", '{"spec":{"replicas":2}}', f"-n{namespace}")
        wait_for("the second to act", lambda: len(found(cluster, namespace, "pods")) == 2, 40.0, log=two.log)
        before = one.deeds()
        one.process.send_signal(signal.SIGCONT)
        wait_for("it to begin anew", lambda: one.count("operator started") == 2, 20.0, log=one.log)
        assert one.said("lease lost")
        assert one.deeds() == before
        assert len(found(cluster, namespace, "pods")) == 2
