"""A pipeline that serves: from `kubectl apply` to captions, through an overload, without operator and API server."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from time import monotonic, time
from typing import Any

import pytest
from box import checkout
from box.control_plane import ControlPlane
from box.kubernetes import Cluster
from box.process import output
from box.waiting import wait_for
from endtoend.deployed import Deployed
from endtoend.heard import Voice
from endtoend.overload import BENDING
from endtoend.pipelines import Pipeline, report
from endtoend.speakers import SAID, Speakers, hear

from weir_api.control import SIGNATURE_HEADER
from weir_api.signing import new_key, sign
from weir_operator import names
from weir_runtime.word_errors import count_errors

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

CROWD = 20  # streams, of which an idle machine needs twice what presses below
SPEC = {"degradation": BENDING}


@pytest.fixture(scope="module")
def captions(cluster: Cluster, shared: str) -> Pipeline:
    """One pod, which bends under a few streams."""
    return Pipeline(cluster, shared, "captions")


def test_from_apply_to_captions(captions: Pipeline):
    began = monotonic()
    captions.apply(**SPEC)
    captions.wait_ready()
    print("apply → Ready, s:", round(monotonic() - began, 1))
    assert captions.row()["READY"] == "True"
    heard = hear(captions.url, 1)
    assert heard.first_at is not None
    print("apply → first caption, s:", round(heard.first_at - began, 1))
    assert count_errors(SAID, heard.text).errors <= 2
    wait_for("pods to say what they give", lambda: captions.row()["VARIANT"], 10)
    assert captions.row() | {"AGE": ""} == {
        "NAME": "captions", "READY": "True", "REASON": "AllPodsReady", "VARIANT": "large", "RUNG": "0", "STREAMS": "0",
        "CAPACITY": "64", "REPLICAS": "1", "AGE": "",
    }  # fmt: skip


def told(captions: Pipeline) -> bool:
    return captions.condition("Degraded")[2] in captions.described()


def test_an_overload_is_shown_explained_and_over(captions: Pipeline):
    with Speakers(captions.url, [Voice()] * CROWD) as crowd:
        began = monotonic()
        captions.until("a rung", lambda report: report.policy.rung > 0)
        wait_for("the rung to be shown", lambda: int(captions.row()["RUNG"]) > 0, 30)
        print("overload → rung shown, s:", round(monotonic() - began, 1))
        wait_for("the policy's floor", lambda: captions.status["policy"]["inForce"], 30)
        captions.wait("Degraded", "RungInForce")
        message = captions.condition("Degraded")[2]
        assert "1 of 1 ready pods bend" in message
        assert "deviceUtilization" in captions.status["policy"]["reason"]
        assert "(enter 2, recover 1)" in captions.status["policy"]["reason"]
        wait_for("describe to say what the condition says", lambda: told(captions), 30)  # both change meanwhile
        assert "Warning  RungInForce" in captions.described()
        heard = crowd.finish()
    began = monotonic()
    assert [one.error for one in heard] == [""] * CROWD
    assert all("degraded" in one.warnings for one in heard)
    wait_for("full quality", lambda: captions.row()["RUNG"] == "0", 60)
    print("end of load → rung 0, s:", round(monotonic() - began, 1))
    captions.wait("Degraded", "FullQuality")
    wait_for("the event", lambda: "Normal   FullQuality" in captions.described())


def test_a_live_field_holds_soon_and_interrupts_nobody(captions: Pipeline):
    pods = captions.pods().keys()
    with Speakers(captions.url) as talk:
        began = monotonic()
        captions.apply(**SPEC, admission={"idleSeconds": 77})
        captions.wait("ConfigSynced", "ConfigApplied", 30)
        print("live field applied → acknowledged, s:", round(monotonic() - began, 1))
        limits = hear(captions.url, 1).limits
        assert limits is not None
        assert limits["idle_s"] == 77
        (heard,) = talk.finish()
    assert (heard.error, heard.closed) == ("", "close")
    assert captions.pods().keys() == pods


@pytest.fixture
def order(operator: Deployed, captions: Pipeline) -> Callable[..., int]:
    """Sends the pod an order that would hold but for what is changed in it; the answer's status."""
    (pod,) = captions.pods().values()
    uids = {"pipelineUid": captions.get()["metadata"]["uid"], "podUid": pod["metadata"]["uid"]}
    key, spec = operator.key(), captions.get()["spec"]

    def send(path: str, changed: dict[str, Any], by: str = key) -> int:
        policy = next(iter(captions.reports().values())).policy
        whole: dict[str, Any] = {**uids, "epoch": policy.epoch, "expiresAt": time() + 60}
        if path == "policy":
            whole |= {"kind": "policy", "revision": policy.revision + 1, "floor": [0], "spec": spec}
        else:
            whole |= {"kind": "drain", "counter": 1 << 40, "drainSeconds": 0}
        body = json.dumps(whole | changed).encode()
        url = f"http://{pod['status']['podIP']}:{names.CONTROL_PORT}/control/{path}"
        asked = urllib.request.Request(url, body, {SIGNATURE_HEADER: sign(by, body)}, method="POST")
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    return send


def test_orders_of_others_and_of_the_past_change_nothing(captions: Pipeline, order: Callable[..., int]):
    def told() -> list[Any]:
        return [(each.state, each.policy.epoch, each.policy.revision) for each in captions.reports().values()]

    captions.until("quiet", lambda report: not report.policy.floor)
    before, ((_, epoch, revision),) = told(), told()
    for path in ("policy", "drain"):
        assert order(path, {}, by=new_key()) == 403
        assert order(path, {"pipelineUid": "another"}) == 403
        assert order(path, {"epoch": epoch - 1}) == 409
        assert order(path, {"expiresAt": time() - 1}) == 410
    assert order("drain", {"podUid": "another"}) == 403
    assert order("policy", {"revision": revision, "expiresAt": time() + 0.5}) in (409, 410)  # what was obeyed before
    assert told() == before
    assert captions.row()["READY"] == "True"


def test_without_api_server_and_operator_pods_bend_and_recover_by_themselves(
    captions: Pipeline, control_plane: ControlPlane
):
    pods = captions.pods()
    (address,) = {pod["status"]["podIP"] for pod in pods.values()}
    with Speakers(captions.url, [Voice()] * CROWD) as crowd:
        captions.until("the policy's floor", lambda report: bool(report.policy.floor))
        control_plane.stop_apiserver(kill=True)
        try:
            began = monotonic()
            wait_for("the policy's end", lambda: not report(address).policy.valid, 60)
            print("API server gone → policy over, s:", round(monotonic() - began, 1))
            assert report(address).policy.floor == []
            wait_for("a rung of the pod's own", lambda: report(address).policy.rung > 0, 30)
            heard = crowd.finish()
            assert [one.error for one in heard] == [""] * CROWD
            wait_for("full quality", lambda: report(address).policy.rung == 0, 30)
        finally:
            control_plane.start_apiserver()
    began = monotonic()
    wait_for("an operator to lead and see", lambda: captions.row()["RUNG"] == "0", 150)
    captions.wait_ready()
    print("API server back → status right, s:", round(monotonic() - began, 1))
    assert captions.pods().keys() == pods.keys()


def test_pods_wait_for_the_keys_and_then_ask_for_them(another: Pipeline, cluster: Cluster):
    another.apply(auth={"apiKeysSecretRef": {"name": "captions-keys"}})
    assert "there is no Secret captions-keys" in another.wait("Ready", "SecretMissing")
    assert not any(pod["status"].get("podIP") for pod in another.pods().values())
    made = output([checkout.VENV / "bin" / "weir", "keys", "new", "--tenant", "acme", "--class", "standard"])
    key, _, entry = made.partition("\n")
    cluster.kubectl("create", "secret", "generic", "captions-keys", another.where, f"--from-literal=keys.yaml={entry}")
    another.wait_ready()
    with Speakers(another.url) as unknown:
        assert [one.status for one in unknown.finish()] == [401]
    assert count_errors(SAID, hear(another.url, 1, key=key).text).errors <= 2
