"""When a status is worth a write: news at once, load seldom, nothing at rest, and nothing that a moment will change."""

from dataclasses import replace

import pytest
from crew import NOW, REVISION, THREE, observed_of, report_of, saying

from weir_api.report import PolicyReport
from weir_api.status import StreamingPipelineStatus
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator.actions import Plan
from weir_operator.memory import Memory
from weir_operator.observed import PodReport
from weir_operator.status import status, worth_writing

BENT = PolicyReport(in_force=[0, 1], rung=2, rung_name="sample rate 16 kHz")


def of(now=NOW, plan=None, **fields):
    return status(observed_of(**fields), plan or Plan(), now)


def test_a_pipeline_at_rest_writes_nothing():
    old = of()
    later = [replace(pod, report=PodReport(NOW + 3600, report_of())) for pod in THREE]
    new = of(now=NOW + 3600, status=old, pods=later)
    assert new == old
    assert not worth_writing(old, new, NOW, NOW + 3600)


@pytest.mark.parametrize("streams", [11, 40])
def test_load_alone_is_written_every_two_minutes(streams):
    old, new = of(), of(pods=saying(report_of(streams), report_of(), report_of()))
    assert not worth_writing(old, new, NOW, NOW + 119)
    assert worth_writing(old, new, NOW, NOW + 120)


def test_while_it_bends_or_is_full_load_is_written_more_often():
    for old, new in [
        (saying(report_of(50, policy=BENT)), saying(report_of(70, policy=BENT))),
        (saying(report_of(100)), saying(report_of(99))),
    ]:
        before = of(pods=old)
        after = of(pods=new, status=before)
        assert not worth_writing(before, after, NOW, NOW + 14)
        assert worth_writing(before, after, NOW, NOW + 15)


NEWS = {
    "a pipeline that is new": ({"status": None}, None),
    "a rung": ({}, {"pods": saying(report_of(policy=BENT), report_of(), report_of())}),
    "a pod that is lost": ({}, {"pods": THREE[:2]}),
    "another generation": ({}, {"generation": 8}),
    "a floor": ({}, {"memory": Memory(floor=["interims at 2 Hz"], good_revision=REVISION)}),
    "a name that is taken": ({}, {"plan": Plan(conflicts=("Service captions",))}),
    "another spec": ({}, {"spec": StreamingPipelineSpec.model_validate({"replicas": 3})}),
}


@pytest.mark.parametrize("name", NEWS)
def test_news_is_written_at_once(name):
    old, new = NEWS[name]
    before = StreamingPipelineStatus() if "status" in old else of()
    assert worth_writing(before, of(**new or {}), NOW, NOW)


@pytest.mark.parametrize(
    "pods",
    [
        [replace(pod, report=None) for pod in THREE],
        [replace(pod, report=PodReport(NOW, None, "no answer: TimeoutError", answered=False)) for pod in THREE],
        [THREE[0], THREE[1], replace(THREE[2], report=PodReport(NOW, None, "chunkS names no variant"))],
    ],
)
def test_a_leader_that_has_just_come_asks_before_it_writes_that_nothing_is_known(pods):
    old = of()
    new = of(status=old, pods=pods)
    assert not worth_writing(old, new, NOW, NOW + 29)
    assert worth_writing(old, new, NOW, NOW + 30)


def test_what_may_pass_holds_no_news_up():
    old = of()
    new = of(status=old, pods=[replace(pod, report=None) for pod in THREE[:2]])
    assert worth_writing(old, new, NOW, NOW + 1)


def test_a_new_leaders_epoch_alone_is_never_written():
    told = saying(*[report_of(policy=PolicyReport(epoch=9, revision=1))] * 3)
    old = of(pods=told, memory=Memory(epoch=8, revision=1, good_revision=REVISION))
    new = of(pods=told, memory=Memory(epoch=9, revision=1, good_revision=REVISION), status=old)
    assert old != new
    assert not worth_writing(old, new, NOW, NOW + 3600)
