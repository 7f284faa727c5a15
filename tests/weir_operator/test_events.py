"""Events: one for each reason that is new, what the operator did, and nothing while nothing changes."""

from dataclasses import replace

from crew import NOW, THREE, observed_of, pod_of, report_of

from weir_api.report import PolicyReport
from weir_api.status import StreamingPipelineStatus
from weir_operator.actions import Apply, CreatePod, DeleteChild, DeletePod, Drain, Plan, Remember, Scale
from weir_operator.events import Event, deeds, events, refused
from weir_operator.memory import Memory
from weir_operator.observed import PodReport
from weir_operator.reasons import BY_WORD, DEEDS, FAILURES
from weir_operator.status import status

NOTHING = StreamingPipelineStatus()


def of(pods=THREE, old=None, plan=None, **fields):
    return status(observed_of(pods, status=old, **fields), plan or Plan(), NOW)


def bent(rung):
    policy = PolicyReport(in_force=[0], rung=rung, rung_name=f"step {rung}")
    return [pod_of("aaaaa", report_of(policy=policy)), *THREE[1:]]


def words(old, new):
    return [(event.kind, event.reason) for event in events(old, new)]


def test_nothing_new_is_no_event():
    assert events(of(), of(old=of())) == []


def test_a_pipeline_that_comes_up_says_so_and_not_that_all_else_is_well_too():
    waiting = of(pods=[])
    assert words(NOTHING, waiting) == [("Normal", "WaitingForPods")]
    assert words(waiting, of(old=waiting)) == [("Normal", "AllPodsReady"), ("Normal", "CapacityLeft")]


def test_a_reason_that_several_conditions_take_is_told_once():
    old = [replace(pod, revision="0ld0ld00") for pod in THREE]
    found = events(of(), of(pods=[*old, pod_of("nnnnn")]))
    assert [event.reason for event in found] == ["RolloutInProgress"]
    assert found[0].message.startswith("4 pods ready, 3 wanted; ")


def test_an_overload_is_told_as_it_rises_and_when_it_is_over():
    calm, first, higher = of(), of(bent(1)), of(bent(4))
    assert words(calm, first) == [("Warning", "RungInForce")]
    assert [event.message.split(";")[0] for event in events(first, higher)] == ["rung 4, step 4"]
    assert events(higher, first) == []
    assert words(first, calm) == [("Normal", "AllPodsReady"), ("Normal", "FullQuality")]


def test_reports_that_stay_away_are_a_warning_and_their_return_is_told():
    silent = of([replace(pod, report=PodReport(NOW, None, "no answer: TimeoutError", answered=False)) for pod in THREE])
    assert words(of(), silent) == [("Warning", "ReportsMissing")]
    assert words(silent, of()) == [("Normal", "AllPodsReady"), ("Normal", "ReportsFresh")]


def test_what_comes_with_every_change_of_policy_is_no_event():
    pending = of(memory=Memory(epoch=1, revision=3, good_revision=THREE[0].revision))
    assert pending != of()
    assert events(of(), pending) == []


def test_what_the_operator_did_is_told_with_its_reason():
    done = [
        Remember(Memory()),
        Apply({"kind": "Service", "metadata": {"name": "captions"}}, "it is missing"),
        CreatePod({"metadata": {"name": "captions-1-a"}}, "2 pods are wanted"),
        Drain("captions-1-b", "u", 5.0, "it has 3 streams"),
        Drain("captions-1-b", "u", None, "it is needed again"),
        DeletePod("captions-1-c", "u", "it is drained"),
        DeleteChild("Ingress", "captions", "u", "nothing asks for it any more"),
        Scale(4, "90 streams"),
    ]
    assert deeds(done) == [
        Event("Normal", "PodCreated", "captions-1-a: 2 pods are wanted"),
        Event("Normal", "PodDraining", "captions-1-b: it has 3 streams"),
        Event("Normal", "PodKept", "captions-1-b: it is needed again"),
        Event("Normal", "PodDeleted", "captions-1-c: it is drained"),
        Event("Normal", "ObjectDeleted", "Ingress captions: nothing asks for it any more"),
        Event("Normal", "Scaled", "replicas 4: 90 streams"),
    ]
    assert {event.reason for event in deeds(done)} == set(DEEDS)
    assert not (set(DEEDS) | set(FAILURES)) & set(BY_WORD)
    assert {refused("exceeded quota").reason} == set(FAILURES)
