"""How many pods of which revision, step by step through rollouts and scalings."""

from situations import NOW, A, B, C, pod_of

from weir_operator.fleet import Goal, moves


def pods_of(revision, ready, waiting=0, **fields):
    up = [pod_of(f"{revision}-{at}", revision, streams=at, **fields) for at in range(ready)]
    return [*up, *(pod_of(f"{revision}-w{at}", revision, ready=False, created_at=NOW - 5) for at in range(waiting))]


def steps(pods, **goal):
    """Pods to add by revision, and to drain by revision."""
    found = moves(pods, Goal(**{"replicas": 3, "revision": A} | goal), NOW)
    return dict(found.add), sorted(pod.revision for pod in found.drain)


def test_missing_pods_are_made_and_those_too_many_drained():
    assert steps([]) == ({A: 3}, [])
    assert steps(pods_of(A, 2)) == ({A: 1}, [])
    assert steps(pods_of(A, 3)) == ({}, [])
    assert steps(pods_of(A, 5)) == ({}, [A, A])
    assert steps(pods_of(A, 2), replicas=0) == ({}, [A, A])


def test_pods_that_do_not_count_are_replaced_at_once():
    away = [pod_of("x", A, deleting=True), pod_of("y", A, node_ready=False), pod_of("z", A, phase="Failed")]
    assert steps([*away, *pods_of(A, 1)]) == ({A: 2}, [])


def test_scaling_down_spares_ready_pods_while_others_are_not_ready():
    assert steps(pods_of(A, 2, waiting=2), replicas=2) == ({}, [A, A])
    found = moves(pods_of(A, 2, waiting=2), Goal(2, A), NOW)
    assert not any(pod.ready for pod in found.drain)


def test_a_revision_on_trial_gets_one_pod_beside_all_the_old_ones():
    trial = {"revision": B, "base": A}
    assert steps(pods_of(A, 3), **trial) == ({B: 1}, [])
    assert steps([*pods_of(A, 3), *pods_of(B, 0, 1)], **trial) == ({}, [])
    assert steps([*pods_of(A, 3), *pods_of(B, 1)], **trial) == ({}, [])
    assert steps(pods_of(A, 3), replicas=0, **trial) == ({}, [A, A, A])


def test_a_good_pod_that_is_lost_while_another_revision_is_on_trial_is_replaced_by_a_good_one():
    assert steps([*pods_of(A, 2), *pods_of(B, 1)], revision=B, base=A) == ({A: 1}, [])


def test_without_surge_the_trial_takes_the_place_of_an_old_pod_and_rather_of_one_that_is_not_ready():
    trial = {"revision": B, "base": A, "surge": 0}
    assert steps(pods_of(A, 3), **trial) == ({B: 1}, [A])
    found = moves(pods_of(A, 2, waiting=1), Goal(3, B, base=A, surge=0), NOW)
    assert [pod.ready for pod in found.drain] == [False]
    assert steps([*pods_of(A, 2), *pods_of(B, 0, 1)], **trial) == ({}, [])
    assert steps(pods_of(A, 1), **trial, replicas=1) == ({B: 1}, [A])
    assert steps([*pods_of(A, 1), *pods_of(C, 1)], **trial, replicas=2)[0] == {B: 1}
    assert steps(pods_of(A, 1), **trial, replicas=0) == ({}, [A])


def test_a_trial_that_is_held_makes_no_pod_and_leaves_the_one_that_is_there():
    held = {"revision": B, "base": A, "held": True}
    assert steps(pods_of(A, 3), **held) == ({}, [])
    assert steps([*pods_of(A, 3), *pods_of(B, 1)], **held) == ({}, [])
    assert steps([*pods_of(A, 1), *pods_of(B, 1)], **held) == ({A: 2}, [])


def test_fewer_replicas_during_a_trial_take_old_pods_first():
    assert steps([*pods_of(A, 3), *pods_of(B, 1)], revision=B, base=A, replicas=1) == ({}, [A, A])
    assert steps([*pods_of(A, 1), *pods_of(B, 3)], revision=B, base=A, replicas=1) == ({}, sorted([A, B]))


def test_the_pod_of_a_trial_that_was_overtaken_by_another_goes_before_good_ones():
    overtaken = pod_of("c", C, streams=50)
    assert steps([*pods_of(A, 3), overtaken], revision=B, base=A) == ({B: 1}, [C])


def test_a_proven_revision_takes_over_one_surge_at_a_time():
    assert steps([*pods_of(A, 3), *pods_of(B, 1)], revision=B) == ({B: 1}, [A])
    assert steps([*pods_of(A, 2), *pods_of(B, 1, waiting=1)], revision=B) == ({}, [])
    assert steps([*pods_of(A, 2), *pods_of(B, 2)], revision=B) == ({B: 1}, [A])
    assert steps([*pods_of(A, 1), *pods_of(B, 3)], revision=B) == ({}, [A])
    assert steps(pods_of(A, 3), revision=B, surge=2) == ({B: 2}, [])


def test_without_surge_old_pods_go_first_and_one_less_is_ready():
    assert steps(pods_of(A, 3), revision=B, surge=0) == ({B: 1}, [A])
    assert steps([*pods_of(A, 2), *pods_of(B, 0, 1)], revision=B, surge=0) == ({}, [])
    assert steps([*pods_of(A, 2), *pods_of(B, 1)], revision=B, surge=0) == ({B: 1}, [A])


def test_old_pods_that_are_not_ready_go_at_once():
    assert steps([*pods_of(A, 3), *pods_of(B, 0, 1)]) == ({}, [B])


def test_a_pause_in_the_middle_replaces_what_is_lost_and_nothing_else():
    held = {"revision": B, "held": True}
    assert steps([*pods_of(A, 2), *pods_of(B, 2)], **held) == ({}, [])
    assert steps([*pods_of(A, 1), *pods_of(B, 1)], **held) == ({B: 1}, [])
    assert steps([*pods_of(A, 2), *pods_of(B, 2)], **held, replicas=1) == ({}, [A, A])
    assert steps([*pods_of(A, 1), *pods_of(B, 3)], **held, replicas=1) == ({}, sorted([A, B]))
    assert steps([], **held) == ({B: 3}, [])


def test_a_drain_is_taken_back_rather_than_a_pod_made():
    marked = pod_of("m", A, streams=4, state="draining", ready=False, draining_since=NOW - 9)
    found = moves([*pods_of(A, 1), marked], Goal(3, A), NOW)
    assert found.recall == (marked,)
    assert found.add == ((A, 1),)
    assert moves([*pods_of(A, 2), marked], Goal(3, A), NOW).add == ()


def test_a_pod_that_failed_right_after_its_start_is_not_followed_at_once():
    dead = pod_of("d", A, phase="Failed", created_at=NOW - 10)
    found = moves([dead], Goal(1, A), NOW)
    assert found.add == ()
    assert found.again_at == NOW + 20
    assert moves([dead], Goal(1, A), NOW + 20).add == ((A, 1),)
