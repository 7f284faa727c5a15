"""What a pod believes of what it is told: no former leader, no replay, nothing for another pod, nothing too late."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from weir_api.control import ORDER, Drain, Orders, Policy

NOW = 1_000_000.0
FRESH = Orders("pipeline", "pod")


def policy(epoch=1, revision=1, expires_at=NOW + 10, pipeline_uid="pipeline"):
    return Policy(pipeline_uid=pipeline_uid, epoch=epoch, revision=revision, expires_at=expires_at, spec={})


def drain(epoch=1, counter=1, expires_at=NOW + 10, pipeline_uid="pipeline", pod_uid="pod", kind="drain"):
    return Drain(
        kind=kind, pipeline_uid=pipeline_uid, pod_uid=pod_uid, epoch=epoch, counter=counter, expires_at=expires_at
    )


def told(*orders):
    """A pod that has carried them out."""
    pod = FRESH
    for order in orders:
        pod = pod.after(order)
    return pod


@pytest.mark.parametrize(
    ("before", "order", "verdict"),
    [
        ([], policy(), "accepted"),
        ([policy()], policy(revision=2), "accepted"),
        ([policy()], policy(), "stale"),
        ([policy()], policy(expires_at=NOW + 11), "renewed"),
        ([policy()], policy(expires_at=NOW + 9), "stale"),
        ([policy(revision=2)], policy(revision=1, expires_at=NOW + 99), "stale"),
        ([policy(epoch=1, revision=9)], policy(epoch=2, revision=1), "accepted"),
        ([policy(epoch=2)], policy(epoch=1, revision=9), "stale"),
        ([drain(epoch=2)], policy(epoch=1, revision=9), "stale"),
        ([policy(epoch=2)], drain(epoch=1, counter=9), "stale"),
        ([policy(epoch=2)], drain(epoch=2), "accepted"),
        ([drain()], drain(), "stale"),
        ([drain()], drain(kind="undrain"), "stale"),
        ([drain()], drain(kind="undrain", counter=2), "accepted"),
        ([drain(counter=9)], drain(epoch=2, counter=1), "accepted"),
        ([], policy(expires_at=NOW), "expired"),
        ([], drain(expires_at=NOW - 1), "expired"),
        ([], policy(pipeline_uid="other"), "foreign"),
        ([], drain(pipeline_uid="other"), "foreign"),
        ([], drain(pod_uid="other"), "foreign"),
        ([policy(epoch=2)], policy(epoch=1, pipeline_uid="other", expires_at=0), "foreign"),
        ([policy(epoch=2)], policy(epoch=1, expires_at=0), "stale"),
    ],
)
def test_one_order(before, order, verdict):
    assert told(*before).judge(order, NOW) == verdict


NUMBERS = st.integers(0, 4)
TIMES = st.integers(-3, 12).map(lambda s: NOW + s)
UIDS = st.sampled_from(["pipeline"] * 4 + ["other"])
POLICIES = st.builds(policy, NUMBERS, NUMBERS, TIMES, UIDS)
DRAINS = st.builds(
    drain,
    NUMBERS,
    NUMBERS,
    TIMES,
    UIDS,
    st.sampled_from(["pod"] * 4 + ["other"]),
    st.sampled_from(["drain", "undrain"]),
)
HEARD = st.lists(POLICIES | DRAINS, max_size=30)
TAKEN = ("accepted", "renewed")


def carried_out(heard, now=NOW):
    """The orders that a pod takes of those that it hears, and the pod afterwards."""
    pod, taken = FRESH, []
    for order in heard:
        if pod.judge(order, now) in TAKEN:
            pod = pod.after(order)
            taken.append(order)
    return taken, pod


@given(heard=HEARD.flatmap(lambda orders: st.permutations(orders + orders)))
def test_however_orders_are_replayed_and_reordered_no_older_one_is_taken(heard):
    taken, _ = carried_out(heard)
    policies = [order for order in taken if isinstance(order, Policy)]
    drains = [order for order in taken if isinstance(order, Drain)]
    for before, after in pairwise(policies):
        assert (before.epoch, before.revision, before.expires_at) < (after.epoch, after.revision, after.expires_at)
    for before, after in pairwise(drains):
        assert (before.epoch, before.counter) < (after.epoch, after.counter)
    assert [order.epoch for order in taken] == sorted(order.epoch for order in taken)


@given(heard=HEARD)
def test_a_pod_ends_with_the_newest_policy_of_the_newest_leader_it_heard(heard):
    taken, pod = carried_out(heard)
    for order in heard:
        assert pod.judge(order, NOW) != "accepted"
    assert pod.policy == max([(0, 0), *((p.epoch, p.revision) for p in taken if isinstance(p, Policy))])


@given(heard=HEARD, again=st.data())
def test_what_was_carried_out_is_never_carried_out_again(heard, again):
    taken, pod = carried_out(heard)
    if taken:
        assert pod.judge(again.draw(st.sampled_from(taken)), NOW) in ("stale", "expired")


@given(heard=HEARD)
def test_nothing_foreign_or_late_is_taken(heard):
    for order in carried_out(heard)[0]:
        assert order.pipeline_uid == "pipeline"
        assert getattr(order, "pod_uid", "pod") == "pod"
        assert order.expires_at > NOW


def test_fields_of_a_newer_version_are_ignored():
    body = policy().model_dump_json(by_alias=True)
    assert ORDER.validate_json(body) == policy()
    assert ORDER.validate_json(body[:-1] + ', "newer": 1}') == policy()


@pytest.mark.parametrize(
    "broken", [{"kind": "prayer"}, {"epoch": -1}, {"epoch": 2**53 + 1}, {"expiresAt": float("inf")}]
)
def test_a_malformed_order_is_none(broken):
    with pytest.raises(ValidationError):
        ORDER.validate_python(policy().model_dump(by_alias=True) | broken)
