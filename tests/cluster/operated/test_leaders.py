"""Several operators, and one after another: who leads, whose orders count, and what a new version leaves as it is."""

import base64
import signal
import time
import urllib.error
import urllib.request

import pytest
from box.waiting import wait_for
from released import Operator, Pipeline, Release

from weir_api.control import SIGNATURE_HEADER, Policy
from weir_operator import names
from weir_operator.push import seal

pytestmark = pytest.mark.cluster


def forged(release: Release, captions: Pipeline, epoch: int) -> int:
    """HTTP status that a pod answers to an order of another epoch, signed with the operators' key."""
    secret = release.cluster.get("secret", names.SIGNING_SECRET, f"-n{release.namespace}")
    key = base64.b64decode(secret["data"]["private"]).decode()
    uid, soon = captions.found()["metadata"]["uid"], time.time() + 10.0
    order = seal(Policy(pipeline_uid=uid, epoch=epoch, revision=10**6, expires_at=soon, spec={}), key)
    where = f"http://{captions.pods()[0]['status']['podIP']}:{names.CONTROL_PORT}{order.path}"
    request = urllib.request.Request(where, order.body, {SIGNATURE_HEADER: order.signature})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def epochs(captions: Pipeline) -> list[int]:
    """Of all orders that its pods obeyed."""
    mine = {pod["metadata"]["name"] for pod in captions.pods()}
    return [order.epoch for name, order in captions.stage.orders if name in mine]


def acts(captions: Pipeline, operator: Operator, seconds: int) -> None:
    """A live field, written now, is told the pods by this operator."""
    captions.patch(degradation={"dwellSeconds": seconds})
    players = [captions.stage.player(pod) for pod in captions.pods()]
    captions.wait("the pods to obey", lambda: all(each.spec.degradation.dwell_seconds == seconds for each in players))
    assert {each.policy.epoch for each in players} == {operator.epoch}


def test_after_a_leaders_death_another_leads_within_20_s_and_the_dead_ones_orders_count_no_more(
    release: Release, captions: Pipeline
):
    with release.operator("one") as one:
        one.wait_ready()
        with release.operator("two") as two:
            wait_for("the second", lambda: two.lines("operator started"), log=two.log)
            captions.apply(replicas=2)
            captions.wait_settled(2)
            old = captions.uids()
            acts(captions, one, 6)
            first = one.epoch
            one.end()
            died = time.monotonic()
            wait_for("the second to lead", lambda: two.lines("leading"), 30.0, two.log)
            assert time.monotonic() - died <= 20.0
            two.wait_ready()
            second = two.epoch
            assert second > first
            acts(captions, two, 7)
            assert forged(release, captions, first) == 409
            assert captions.uids() == old
            captions.wait_settled(2)
            assert not two.lines("CreatePod")
            assert not two.lines("DeletePod")
            release.forget_lease()
            wait_for("the second to begin anew", lambda: len(two.lines("leading")) == 2, 60.0, two.log)
            assert two.lines("lease lost")  # whoever finds its Lease gone leads no more
            two.wait_ready()
            assert two.epoch > second  # though the Lease was gone: pipelines remember
            acts(captions, two, 8)
        assert epochs(captions) == sorted(epochs(captions))


def test_a_leader_that_stood_still_for_longer_than_its_lease_orders_nothing_when_it_goes_on(
    release: Release, captions: Pipeline
):
    with release.operator("four") as four, release.operator("five") as five:
        wait_for("one to lead", lambda: four.ready() or five.ready())
        first, second = (four, five) if four.ready() else (five, four)
        captions.apply(replicas=2)
        captions.wait_settled(2)
        first.process.send_signal(signal.SIGSTOP)
        captions.patch(replicas=3)
        captions.wait_settled(3, limit_s=90.0)
        acts(captions, second, 9)
        captions.patch(replicas=2)
        first.process.send_signal(signal.SIGCONT)
        wait_for("it to begin anew", lambda: len(first.lines("operator started")) == 2, 20.0, first.log)
        assert first.lines("lease lost")
        captions.wait_settled(2)
        acts(captions, second, 10)
        assert epochs(captions) == sorted(epochs(captions))
        assert [line["object"] for line in first.lines("DeletePod")] == []


def images(captions: Pipeline) -> list[str]:
    return [pod["spec"]["containers"][0]["image"] for pod in captions.pods()]


def test_a_new_operator_with_another_default_image_rolls_nothing_that_runs(release: Release, captions: Pipeline):
    fresh = Pipeline(captions.cluster, captions.stage, captions.namespace, "fresh")
    with release.operator("old") as old:
        old.wait_ready()
        captions.apply(replicas=2)
        captions.wait_settled(2)
        old.end(signal.SIGTERM)
    before, was = captions.uids(), images(captions)
    with release.operator("new", "--default-image=weir/runtime:9.9.9") as new:
        new.wait_ready()
        fresh.apply()
        fresh.wait_settled(1)
        assert images(fresh) == ["weir/runtime:9.9.9"]
        acts(captions, new, 11)
        assert captions.uids() == before
        captions.patch(replicas=3)  # nor does a pod more come as a stranger
        captions.wait_settled(3)
        assert set(images(captions)) == set(was) == {was[0]} != set(images(fresh))
