"""Pods that go, for whatever reason, take no word along; operators that come and go disturb nobody."""

from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest
from box.kubernetes import Cluster
from box.nodes import Nodes
from box.waiting import wait_for
from endtoend import processes
from endtoend.deployed import CHARTS, Deployed
from endtoend.heard import Voice
from endtoend.pipelines import Pipeline
from endtoend.speakers import Speakers, are_whole

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

SPEC = {"degradation": {"ladder": []}, "rollout": {"canarySeconds": 1, "drainSeconds": 90}}


@pytest.fixture(scope="module")
def steady(cluster: Cluster, shared: str) -> Pipeline:
    """One pod that never bends: what it makes of the same audio is always the same."""
    made = Pipeline(cluster, shared, "steady")
    made.apply(**SPEC)
    made.wait_ready()
    return made


def test_a_rollout_takes_no_word_from_streams_that_run(steady: Pipeline):
    (old,) = steady.pods()
    with Speakers(steady.url, [Voice()] * 3) as talk:
        began = monotonic()
        steady.apply(**SPEC, runtime={"annotations": {"example.com/round": "2"}})
        wait_for("the old pod to drain", lambda: steady.state(old) == "draining", 120)
        print("rollout, apply → new pod serves and the old one drains, s:", round(monotonic() - began, 1))
        assert steady.reports()[old].streams == 3
        heard = talk.finish()
    began = monotonic()
    wait_for("the old pod to go", lambda: old not in steady.pods(), 60)
    print("last stream ended → old pod gone, s:", round(monotonic() - began, 1))
    steady.wait_ready()
    assert len(steady.pods()) == 1
    are_whole(heard, steady.url)


def test_a_pod_that_is_not_needed_any_more_lets_its_streams_end(steady: Pipeline):
    steady.scale(2)
    wait_for("the second pod", lambda: steady.row()["REPLICAS"] == "2", 120)
    first, second = steady.pods()
    with Speakers(steady.url_of(first), [Voice()] * 2) as two, Speakers(steady.url_of(second)) as one:
        steady.until("streams in both", lambda report: report.streams > 0)
        steady.scale(1)
        wait_for("a pod to drain", lambda: "draining" in {steady.state(first), steady.state(second)}, 60)
        heard = one.finish() + two.finish()
    wait_for("one pod to be left", lambda: len(steady.pods()) == 1, 60)
    steady.wait_ready()
    are_whole(heard, steady.url)


def test_a_node_that_is_drained_lets_streams_end(steady: Pipeline, cluster: Cluster):
    ((old, pod),) = steady.pods().items()
    node = pod["spec"]["nodeName"]
    words = ("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s")
    with ThreadPoolExecutor(1) as beside, Speakers(steady.url, [Voice()] * 2) as talk:
        try:
            drained = beside.submit(cluster.kubectl, *words)
            wait_for("the pod to be told", lambda: steady.reports()[old].state == "draining", 60)
            wait_for("another to serve", lambda: steady.row()["REPLICAS"] == "1" and len(steady.pods()) == 2, 120)
            assert not drained.done()
            heard = talk.finish()
            drained.result()
        finally:
            cluster.kubectl("uncordon", node)
    assert old not in steady.pods()
    steady.wait_ready()
    are_whole(heard, steady.url)


def test_a_process_that_is_killed_comes_back(steady: Pipeline, nodes: Nodes):
    ((name, _),) = steady.pods().items()
    processes.kill(name)
    began = monotonic()
    wait_for("status to say so", lambda: steady.condition("Ready")[0] == "False", 60)
    print("killed → said so, s:", round(monotonic() - began, 1), *steady.condition("Ready"))
    steady.wait_ready()
    print("killed → Ready, s:", round(monotonic() - began, 1))
    ((_, restarts),) = steady.uids().values()
    assert restarts == 1
    with Speakers(steady.url) as talk:
        are_whole(talk.finish(), steady.url)


def test_helm_test_finds_the_leader(operator: Deployed):
    assert "Phase:          Succeeded" in operator.helm("test", "weir", "--timeout=120s")


def test_an_upgrade_of_the_operator_rolls_no_pipeline_and_its_end_ends_none(operator: Deployed, steady: Pipeline):
    before, operators = steady.uids(), operator.pods()
    with Speakers(steady.url) as talk:
        operator.helm("upgrade", "weir", str(CHARTS / "weir"), "--set=logLevel=debug", "--wait", "--timeout=180s")
        wait_for("the new ones alone", lambda: operator.pods().isdisjoint(operators), 60)
        wait_for("one to lead", lambda: operator.leader() in operator.pods(), 60)
        steady.apply(**SPEC, runtime={"annotations": {"example.com/round": "2"}}, admission={"idleSeconds": 60})
        steady.wait("ConfigSynced", "ConfigApplied")
        assert steady.uids() == before
        assert not [line for line in operator.log().splitlines() if "Traceback" in line or '"level": "error"' in line]
        operator.helm("uninstall", "weir", "--wait", "--timeout=120s")
        heard = talk.finish()
    assert steady.uids() == before
    are_whole(heard, steady.url)
