"""Everything about one pipeline's objects and pods, in any situation."""

from dataclasses import replace

import pytest
from hypothesis import given
from situations import NOW, SITE, SITUATIONS, UID, A, B, carried_out, of_kind, pod_of, seen, settled, spec_of

from weir_api.changes import revision_of
from weir_operator import names
from weir_operator.actions import Apply, CreateKey, CreatePod, DeleteChild, DeletePod, Drain, Plan, Remember, Scale
from weir_operator.observed import Child, Site
from weir_operator.plan import plan


@given(SITUATIONS)
def test_when_a_plan_is_carried_out_the_next_one_is_empty_but_for_what_follows_from_pods_that_are_gone_or_marked(
    observed,
):
    after, first = settled(observed, NOW)
    rest, second = settled(after, NOW)
    assert {action.name for action in of_kind(second, DeletePod)} <= {action.name for action in of_kind(first, Drain)}
    forced = any(action.force for action in of_kind(first, DeletePod))
    # A pod that failed young holds back the next one, until it is gone; a revision without pods goes.
    follows = {DeletePod} | ({DeleteChild, CreatePod} if forced else set())
    follows |= {Remember} if of_kind(first, Drain) else set()
    assert {type(action) for action in second.actions} <= follows
    for action in of_kind(second, Remember):  # a pod on trial that was marked is on trial no more
        assert action.memory.model_copy(
            update={"canary_revision": "", "canary_since": None}
        ) == after.memory.model_copy(update={"canary_revision": "", "canary_since": None})
    assert plan(rest, SITE, NOW).actions == ()


@given(SITUATIONS)
def test_the_same_sight_gives_the_same_plan(observed):
    assert plan(observed, SITE, NOW) == plan(replace(observed), SITE, NOW)


@given(SITUATIONS)
def test_never_more_pods_count_than_replicas_and_surge_unless_there_were_more(observed):
    after, done = settled(observed, NOW)
    before = sum(pod.counts for pod in observed.pods)
    most = after.spec.replicas + after.spec.rollout.max_surge
    assert sum(pod.counts for pod in after.pods) <= max(before, most)
    if of_kind(done, CreatePod):
        assert sum(pod.counts for pod in after.pods) <= most


@given(SITUATIONS)
def test_a_ready_pod_is_drained_only_while_enough_others_are_ready(observed):
    after, _ = settled(observed, NOW)
    ready = [sum(pod.counts and pod.ready for pod in each.pods) for each in (observed, after)]
    least = after.spec.replicas - (after.spec.rollout.max_surge == 0)
    assert ready[1] >= min(ready[0], least)


@given(SITUATIONS)
def test_each_pod_gets_one_thing_done_and_what_drains_is_not_drained_again(observed):
    done = plan(observed, SITE, NOW)
    pods = {pod.name: pod for pod in observed.pods}
    touched = [action.name for action in of_kind(done, (Drain, DeletePod))]
    assert len(touched) == len(set(touched))
    for drain in of_kind(done, Drain):
        assert (drain.since is None) == (pods[drain.name].draining_since is not None)
        assert drain.uid == pods[drain.name].uid


@given(SITUATIONS)
def test_no_pod_that_may_have_streams_is_deleted_before_it_is_drained_or_its_time_is_over(observed):
    pods = {pod.name: pod for pod in observed.pods}
    for deletion in of_kind(plan(observed, SITE, NOW), DeletePod):
        pod = pods[deletion.name]
        if not pod.node_ready:
            assert deletion.force
            assert NOW - pod.lost_since >= 300
        elif pod.phase in ("Running", "Pending"):
            assert not deletion.force
            assert pod.draining_since is not None
            said = pod.fresh(NOW)
            nobody = not pod.ready and (pod.phase == "Pending" or pod.waiting)
            assert nobody or pod.draining_since + 330 <= NOW or said.state in ("drained", "loading")


@given(SITUATIONS)
def test_a_revision_on_trial_gets_one_pod_and_a_failed_one_none(observed):
    after, done = settled(observed, NOW)
    failed = {name for name, each in after.revisions.items() if each.failed}
    good = after.memory.good_revision
    made = [action.manifest["metadata"]["labels"][names.REVISION_LABEL] for action in of_kind(done, CreatePod)]
    if good in after.revisions:
        unproven = [name for name in made if name != good]
        assert len(unproven) <= 1
        assert not failed & set(unproven)


@given(SITUATIONS)
def test_missing_reports_never_drain_or_delete_a_pod_that_is_wanted(observed):
    deaf = replace(observed, pods=tuple(replace(pod, report=None) for pod in observed.pods))
    after, done = settled(deaf, NOW)
    wanted = revision_of(observed.spec)
    here = [pod for pod in deaf.pods if pod.counts]
    failed = wanted in after.revisions and after.revisions[wanted].failed
    if not failed and len(here) <= after.spec.replicas and all(pod.revision == wanted for pod in here):
        assert not {pod.name for pod in here} & {action.name for action in of_kind(done, (Drain, DeletePod))}


@given(SITUATIONS)
def test_objects_of_somebody_else_are_never_touched(observed):
    _, first = settled(observed, NOW)
    foreign = {
        (each.manifest["kind"], each.manifest["metadata"]["name"]): Child(
            each.manifest["kind"], each.manifest["metadata"]["name"], "theirs", "somebody"
        )
        for each in of_kind(first, Apply)
    }
    done = plan(replace(observed, children=foreign), SITE, NOW)
    assert not of_kind(done, (Apply, DeleteChild))
    assert set(done.conflicts) == {f"{kind} {name}" for kind, name in foreign}
    assert not of_kind(done, CreatePod)


@given(SITUATIONS)
def test_memory_comes_first_and_the_next_look_is_in_the_future(observed):
    done = plan(observed, SITE, NOW)
    assert all(isinstance(action, Remember) for action in done.actions[: len(of_kind(done, Remember))])
    assert done.again_at is None or done.again_at > NOW


def test_a_new_pipeline_gets_its_revision_its_service_and_then_its_pods():
    _, done = settled(seen(spec_of("a", replicas=2), known=()), NOW)
    assert (type(done.actions[0]), done.actions[0].manifest["kind"]) == (Apply, "ConfigMap")
    assert [type(action) for action in done.actions[-3:]] == [CreateKey, CreatePod, CreatePod]
    made = [action.manifest for action in of_kind(done, (Apply, CreatePod))]
    assert len({manifest["metadata"]["name"] for manifest in made}) == len(made) - 1


def test_a_key_that_is_gone_is_made_again_and_one_of_somebody_else_is_given_to_no_pod():
    rest, _ = settled(seen(spec_of("a", replicas=0)), NOW)
    secret = ("Secret", "captions-resume")
    assert secret in rest.children
    without = {place: child for place, child in rest.children.items() if place != secret}
    assert plan(replace(rest, children=without), SITE, NOW).actions == (
        CreateKey("captions-resume", "Secret captions-resume is missing"),
    )
    theirs = {**rest.children, secret: Child(*secret, "theirs", "somebody")}
    done = plan(replace(rest, children=theirs, spec=spec_of("a", replicas=2)), SITE, NOW)
    assert not of_kind(done, (CreateKey, CreatePod))
    assert done.conflicts == ("Secret captions-resume",)


def test_a_pipeline_at_rest_has_an_empty_plan_and_needs_no_look():
    pods = [pod_of("captions-x-1", streams=3), pod_of("captions-x-2", streams=0)]
    rest, _ = settled(seen(spec_of("a", replicas=2), pods, good=A), NOW)
    assert plan(rest, SITE, NOW + 100_000) == Plan()


def test_a_pipeline_that_is_deleted_is_left_to_the_garbage_collector():
    assert plan(replace(seen(spec_of()), deleting=True), SITE, NOW) == Plan()


def test_a_spec_that_is_not_valid_leaves_everything_as_it_is():
    done = plan(replace(seen(None, [pod_of("captions-x-1")]), spec_problem="spec.replicas: too many"), SITE, NOW)
    assert done.actions == ()
    assert "spec.replicas: too many" in done.details[0]


def test_another_default_image_of_the_operator_rolls_nothing():
    spec = spec_of().model_copy(update={"runtime": spec_of().runtime.model_copy(update={"image": None})})
    made, _ = settled(seen(spec, known=()), NOW)
    other = Site(default_image="weir/runtime:2", public_key="a2V5")
    assert plan(made, other, NOW).actions == ()
    assert {revision.image for revision in made.revisions.values()} == {"weir/runtime:1"}


def test_what_somebody_changed_is_applied_again():
    rest, _ = settled(seen(spec_of("a", replicas=0)), NOW)
    key = ("Service", "captions")
    changed = replace(rest, children={**rest.children, key: replace(rest.children[key], applied="")})
    done = plan(changed, SITE, NOW)
    assert [(action.manifest["kind"], action.reason) for action in done.actions] == [
        ("Service", "Service captions differs")
    ]


def test_a_plan_made_twice_from_a_late_sight_asks_for_the_same_pods():
    observed = seen(spec_of("a", replicas=2))
    first, again = (of_kind(plan(observed, SITE, NOW + late), CreatePod) for late in (0, 1))
    assert [each.manifest for each in first] == [each.manifest for each in again]


def test_a_name_that_somebody_else_has_is_in_the_way_for_a_minute_only():
    observed = seen(spec_of("a"))
    first, later = (of_kind(plan(observed, SITE, NOW + late), CreatePod) for late in (0, 60))
    assert first[0].manifest["metadata"]["name"] != later[0].manifest["metadata"]["name"]


def test_a_pod_that_failed_is_replaced_at_once_and_deleted():
    dead = pod_of("captions-x-1", phase="Failed", ready=False, message="evicted")
    done = plan(seen(spec_of(), [dead], good=A), SITE, NOW)
    assert len(of_kind(done, CreatePod)) == 1
    assert [(each.name, each.reason) for each in of_kind(done, DeletePod)] == [(dead.name, "it failed: evicted")]


def test_a_pod_that_fails_right_after_its_start_is_replaced_after_a_while():
    dead = pod_of("captions-x-1", phase="Failed", ready=False, created_at=NOW - 1)
    rest, done = settled(seen(spec_of(), [dead], good=A), NOW)
    assert not of_kind(done, (CreatePod, DeletePod))
    assert done.again_at == NOW + 29
    assert "right after its start" in " ".join(done.details)
    later = plan(rest, SITE, NOW + 29)
    assert len(of_kind(later, CreatePod)) == len(of_kind(later, DeletePod)) == 1


def test_a_pod_on_a_lost_node_is_replaced_at_once_and_forced_away_after_minutes():
    lost = pod_of("captions-x-1", streams=5, node_ready=False, lost_since=NOW - 10)
    rest, done = settled(seen(spec_of(), [lost], good=A), NOW)
    assert len(of_kind(done, CreatePod)) == 1
    assert not of_kind(done, DeletePod)
    assert done.again_at == NOW + 290
    assert [each.force for each in of_kind(plan(rest, SITE, NOW + 290), DeletePod)] == [True]


def test_a_pipeline_without_pods_forgets_its_good_revision_and_starts_anew():
    observed = seen(spec_of("b", replicas=0), good=A)
    after, _ = settled(observed, NOW)
    assert after.memory.good_revision == ""
    scaled_up = replace(after, spec=spec_of("b", replicas=3))
    made = of_kind(plan(scaled_up, SITE, NOW), CreatePod)
    assert [each.manifest["metadata"]["labels"][names.REVISION_LABEL] for each in made] == [B] * 3


def test_old_revisions_go_with_their_last_pod():
    old = pod_of("captions-x-1", A, deleting=True)
    observed = seen(spec_of("b"), [old, pod_of("captions-x-2", B)], good=B, known=(A, B))
    rest, done = settled(observed, NOW)
    assert not of_kind(done, DeleteChild)
    gone = plan(replace(rest, pods=rest.pods[1:]), SITE, NOW)
    assert [each.name for each in of_kind(gone, DeleteChild)] == [names.revision_config("captions", A)]


def test_a_scaled_pipeline_gets_its_number_and_its_pods_in_one_plan():
    scaling = {"minReplicas": 2, "maxReplicas": 4}
    after, done = settled(seen(spec_of("a", replicas=1, scaling=scaling), [pod_of("captions-x-1")], good=A), NOW)
    assert [each.replicas for each in of_kind(done, Scale)] == [2]
    assert len(of_kind(done, CreatePod)) == 1
    assert after.spec.replicas == 2


def test_carrying_out_forces_a_lost_pod_away():
    lost = pod_of("captions-x-1", node_ready=False, lost_since=0.0)
    observed = seen(spec_of("a", replicas=0), [lost])
    assert carried_out(observed, plan(observed, SITE, NOW), NOW).pods == ()


@pytest.mark.parametrize("conflict", ["Service", "PodDisruptionBudget"])
def test_a_conflict_elsewhere_does_not_stop_pods(conflict):
    observed = seen(spec_of("a"))
    children = {**observed.children, (conflict, "captions"): Child(conflict, "captions", "theirs", None)}
    done = plan(replace(observed, children=children), SITE, NOW)
    assert done.conflicts == (f"{conflict} captions",)
    assert len(of_kind(done, CreatePod)) == 1
    assert UID not in {child.owner_uid for child in children.values() if child.kind == conflict}
