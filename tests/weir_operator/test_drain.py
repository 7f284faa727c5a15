"""Who goes, when a pod on its way out may be deleted, and who is called back."""

import pytest
from situations import NOW, A, B, pod_of

from weir_operator.drain import ending, recallable, ripe_at, victims


def reason_of(pod, drain_s=300, now=NOW):
    found = ending(pod, drain_s, now)
    return found.reason if found is not None else None


def test_a_pod_that_serves_is_not_deleted():
    assert ending(pod_of("a", streams=5), 300, NOW) is None
    assert ripe_at(pod_of("a", streams=5), 300, NOW) is None


def test_a_marked_pod_is_deleted_when_it_says_that_it_is_drained():
    marked = {"draining_since": NOW - 10, "ready": False}
    assert reason_of(pod_of("a", streams=1, state="draining", **marked)) is None
    assert reason_of(pod_of("a", streams=0, state="drained", **marked)) == "it is drained"


def test_what_a_pod_said_before_it_was_marked_says_nothing():
    assert reason_of(pod_of("a", streams=0, state="drained", at=NOW - 2, draining_since=NOW - 1)) is None


@pytest.mark.parametrize("at", [None, NOW - 11])
def test_a_marked_pod_that_says_nothing_is_deleted_when_its_time_is_over(at):
    pod = pod_of("a", streams=None if at is None else 0, state="drained", at=at, draining_since=NOW - 329)
    assert reason_of(pod) is None
    assert ripe_at(pod, 300, NOW) == NOW + 1
    assert reason_of(pod, now=NOW + 1) == "its time to drain (300 s) is over"


@pytest.mark.parametrize("waits", [{"phase": "Pending"}, {"waiting": "CrashLoopBackOff"}])
def test_a_marked_pod_without_a_running_container_is_deleted_at_once(waits):
    pod = pod_of("a", ready=False, draining_since=NOW - 1, **waits)
    assert reason_of(pod) == "it serves nobody: it was not up yet"


def test_what_was_seen_of_a_marked_pod_long_ago_does_not_say_that_it_serves_nobody():
    assert reason_of(pod_of("a", ready=False, phase="Pending", draining_since=NOW - 6)) is None


def test_a_marked_pod_that_loads_is_deleted_at_once_unless_it_has_become_ready():
    marked = {"streams": 0, "state": "loading", "draining_since": NOW - 1}
    assert reason_of(pod_of("a", ready=False, **marked)) == "it serves nobody: it was still loading"
    assert reason_of(pod_of("a", ready=True, **marked)) is None


def test_a_pod_that_is_being_deleted_is_not_deleted_again():
    pod = pod_of("a", streams=0, state="drained", deleting=True, draining_since=NOW - 1000)
    assert reason_of(pod) is None
    assert ripe_at(pod, 300, NOW) is None


def test_a_failed_pod_is_deleted_unless_it_failed_right_after_its_start():
    assert reason_of(pod_of("a", phase="Failed", message="evicted")) == "it failed: evicted"
    young = pod_of("a", phase="Succeeded", created_at=NOW - 10)
    assert reason_of(young) is None
    assert ripe_at(young, 300, NOW) == NOW + 20
    assert reason_of(young, now=NOW + 20) == "it failed: Succeeded"


def test_a_pod_on_a_lost_node_is_forced_away_after_minutes_if_it_is_known_since_when():
    lost = pod_of("a", streams=5, node_ready=False, lost_since=NOW - 299)
    assert ending(lost, 300, NOW) is None
    assert ripe_at(lost, 300, NOW) == NOW + 1
    forced = ending(lost, 300, NOW + 1)
    assert forced is not None
    assert forced.force
    unknown = pod_of("a", streams=5, node_ready=False)
    assert ending(unknown, 300, NOW + 9999) is None
    assert ripe_at(unknown, 300, NOW) is None


def test_the_pod_with_the_fewest_streams_goes_first_then_the_one_that_is_not_ready_then_the_newest():
    many, few = pod_of("many", streams=9), pod_of("few", streams=1)
    waits = pod_of("waits", ready=False, phase="Pending")
    new, old = pod_of("new", streams=0, created_at=NOW - 5), pod_of("old", streams=0, created_at=NOW - 500)
    assert victims([many, few, old, waits, new], 5, 9) == [waits, new, old, few, many]


def test_a_pod_whose_streams_are_not_known_goes_last():
    silent, known = pod_of("silent"), pod_of("known", streams=50)
    assert victims([silent, known], 1, 9) == [known]


def test_only_as_many_ready_pods_go_as_can_be_spared():
    ready, waits = pod_of("ready", streams=0), pod_of("waits", streams=5, ready=False)
    assert victims([ready, waits], 2, 0) == [waits]
    assert victims([ready, waits], 2, 1) == [ready, waits]
    assert victims([ready, waits], -1, 1) == []


def test_the_pod_marked_last_is_called_back_first_and_only_while_it_serves():
    marked = {"streams": 2, "state": "draining", "ready": False}
    early, late = (pod_of(name, draining_since=NOW - ago, **marked) for name, ago in (("early", 60), ("late", 5)))
    others = [
        pod_of("serves", streams=2),
        pod_of("other", B, draining_since=NOW - 5, **marked),
        pod_of("deleted", deleting=True, draining_since=NOW - 5, **marked),
        pod_of("lost", node_ready=False, draining_since=NOW - 5, **marked),
        pod_of("over", draining_since=NOW - 301, **marked),
        pod_of("starts", phase="Pending", ready=False, draining_since=NOW - 5),
        pod_of("empty", streams=0, state="drained", ready=False, draining_since=NOW - 5),
    ]
    assert recallable([early, *others, late], A, 300, NOW) == [late, early]
