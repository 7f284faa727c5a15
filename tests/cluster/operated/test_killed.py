"""An operator that is killed in the middle of a rollout, at each of its steps: the next one goes on."""

from collections.abc import Callable
from contextlib import ExitStack

import pytest
from box.waiting import wait_for
from released import Operator, Pipeline, Release
from stage import serves

pytestmark = pytest.mark.cluster
Step = Callable[[Pipeline, set[str], str], object]  # of the pipeline, its old pods and its old revision


def leaving(captions: Pipeline, old: set[str]) -> list[str]:
    return [uid for pod in captions.pods() if not serves(pod) and (uid := pod["metadata"]["uid"]) in old]


STEPS: dict[str, Step] = {
    "the revision has its ConfigMap": lambda captions, old, was: captions.revisions() - {was},
    "its first pod is made": lambda captions, old, was: captions.uids() - old,
    "its trial is remembered": lambda captions, old, was: captions.memory().get("canaryRevision"),
    "it is found good": lambda captions, old, was: captions.memory().get("goodRevision", was) != was,
    "the first old pod is marked": lambda captions, old, was: leaving(captions, old),
    "it was told": lambda captions, old, was: any(captions.stage.played[uid].state != "ready" for uid in old),
    "it is deleted": lambda captions, old, was: old - captions.uids(),
    "the last new pod is made": lambda captions, old, was: len(captions.uids() - old) == 2,
    "the last old pod is deleted": lambda captions, old, was: not old & captions.uids(),
}


def test_a_rollout_ends_well_wherever_in_it_the_operator_is_killed(release: Release, captions: Pipeline):
    with ExitStack() as operators:
        operator = operators.enter_context(release.operator("first")).wait_ready()
        captions.apply(replicas=2, rollout={"canarySeconds": 1})
        captions.wait_settled(2)
        for number, (name, step) in enumerate(STEPS.items()):
            operator = one_rollout(release, captions, operator, operators, (number, name, step))
        started = [
            line for log in release.logs.glob("*.log") for line in Operator(operator.process, log).lines("CreatePod")
        ]
        assert len({line["object"] for line in started}) == 2 + 2 * len(STEPS)


def one_rollout(
    release: Release, captions: Pipeline, operator: Operator, operators: ExitStack, at: tuple[int, str, Step]
) -> Operator:
    """Kills `operator` at the step; returns the one that takes its place and has ended the rollout."""
    number, name, step = at
    for pod in captions.pods():
        captions.stage.player(pod).streams, captions.stage.player(pod).stay_s = 2, 1.0
    since, old, was = captions.moment(), captions.uids(), captions.status["revision"]
    ended = set(captions.stage.ended)
    captions.stage.kill_when(operator.process.pid, lambda: step(captions, old, was))
    captions.patch(runtime={"env": [{"name": "OTHER", "value": str(number)}]})
    wait_for(name, lambda: operator.process.poll() is not None, log=operator.log)
    release.forget_lease()
    following = operators.enter_context(release.operator(f"after-{number}")).wait_ready()
    captions.wait_settled(2)
    assert not captions.uids() & old, name
    assert captions.always_ready(since, pods=2), name
    assert not captions.cut_off(), name
    assert len(set(captions.stage.ended) - ended) == 2, name  # the old ones, and no other pod
    return following
