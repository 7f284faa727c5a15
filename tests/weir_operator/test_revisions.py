"""Revisions in their ConfigMaps: what is written is read, what runs stays, what is live follows."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from weir_api.changes import revision_of
from weir_api.manifest import parse_manifest
from weir_api.status import StreamingPipelineStatus
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator import names, revisions
from weir_operator.memory import Memory
from weir_operator.observed import Observed, Pod, Revision, Site

SITE = Site(default_image="weir/runtime:1", public_key="a2V5")
WORDS = st.text(max_size=20)
NAMES = st.text("abc-", min_size=1, max_size=6).filter(lambda name: name.strip("-") == name)
CLASSES = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["interactive", "standard", "batch"])},
        optional={"weight": st.integers(1, 100), "latencyMs": st.integers(100, 5000)},
    ),
    min_size=1, max_size=3, unique_by=lambda entry: entry["name"],
)  # fmt: skip
PARTS: dict[str, st.SearchStrategy[Any]] = {
    "replicas": st.integers(0, 9),
    "runtime": st.fixed_dictionaries(
        {},
        optional={
            "image": NAMES,
            "labels": st.dictionaries(NAMES, NAMES, max_size=3),
            "env": st.lists(st.fixed_dictionaries({"name": st.just("A"), "value": WORDS}), max_size=2),
            "affinity": st.just({"nodeAffinity": {}}),
        },
    ),
    "model": st.fixed_dictionaries(
        {},
        optional={
            "maxStepMs": st.integers(5, 2000),
            "variants": st.lists(
                st.fixed_dictionaries({"name": NAMES, "source": st.just("embedded://small")}),
                min_size=1, max_size=3, unique_by=lambda variant: variant["name"],
            ),
        },
    ),
    "priorityClasses": CLASSES,
    "admission": st.fixed_dictionaries(
        {}, optional={"maxStreams": st.integers(1, 99), "idleSeconds": st.integers(5, 60)}
    ),
    "degradation": st.fixed_dictionaries(
        {"ladder": st.sampled_from([[], [{"action": "refuse", "class": "batch"}], [{"action": "smallerVariant"}]])}
    ),
    "scaling": st.fixed_dictionaries({}, optional={"maxReplicas": st.integers(1, 9)}),
    "rollout": st.fixed_dictionaries({}, optional={"drainSeconds": st.integers(0, 900)}),
    "ingress": st.just({"host": "a.b", "annotations": {"long": "yes"}}),
    "auth": st.just({"apiKeysSecretRef": {"name": "keys"}}),
    "tracing": st.fixed_dictionaries({"samplePermille": st.integers(0, 1000)}),
}  # fmt: skip


def valid(spec: dict[str, Any]) -> StreamingPipelineSpec | None:
    try:
        return StreamingPipelineSpec.model_validate(spec)
    except ValidationError:
        return None


SPECS = st.fixed_dictionaries({}, optional=PARTS).map(valid).filter(lambda spec: spec is not None)
REVISIONS = SPECS.flatmap(
    lambda spec: st.builds(
        Revision, st.just(revision_of(spec)), st.just(spec), NAMES, st.floats(0, 1e11, allow_nan=False), WORDS
    )
)


def observed(spec: StreamingPipelineSpec, *known: Revision, good: str = "", of_pods: tuple[str, ...] = ()) -> Observed:
    pods = tuple(Pod(f"pod-{place}", f"uid-{place}", name, 0.0) for place, name in enumerate(of_pods))
    memory = Memory(good_revision=good)
    by_name = {revision.name: revision for revision in known}
    status = StreamingPipelineStatus()
    return Observed("shop", "captions", "uid", 1, spec, status, pods, revisions=by_name, memory=memory)


def written(revision: Revision) -> dict[str, Any]:
    return revisions.config_map(observed(revision.spec), revision, SITE)


@given(REVISIONS)
def test_what_is_written_is_read(revision: Revision):
    through_json = json.loads(json.dumps(written(revision)))
    assert revisions.read_revision(through_json) == revision


@given(REVISIONS)
def test_the_runtime_reads_the_file_as_the_manifest_of_that_revision(revision: Revision):
    pipeline = parse_manifest(written(revision)["data"]["pipeline.json"], "pipeline.json")
    assert (pipeline.metadata.name, pipeline.spec) == ("captions", revision.spec)
    assert revision_of(pipeline.spec) == revision.name


@given(SPECS, SPECS)
def test_todays_live_part_never_makes_another_revision(was: StreamingPipelineSpec, wanted: StreamingPipelineSpec):
    running = Revision(revision_of(was), was, "image", 0.0)
    live = revisions.live(running, wanted)
    assert revision_of(live.spec) == running.name
    assert revisions.live(live, wanted) == live
    if revision_of(was) == revision_of(wanted):
        assert live.spec == wanted
    elif live != running:
        assert (live.spec.replicas, live.spec.rollout) == (wanted.replicas, wanted.rollout)


def test_classes_keep_their_names_and_take_todays_weights():
    was, wanted = (
        StreamingPipelineSpec.model_validate({"priorityClasses": classes})
        for classes in (
            [{"name": "standard", "weight": 1}, {"name": "batch", "weight": 2}],
            [{"name": "standard", "weight": 5}, {"name": "interactive", "weight": 9}],
        )
    )
    live = revisions.live(Revision(revision_of(was), was, "image", 0.0), wanted)
    assert [(entry.name, entry.weight) for entry in live.spec.priority_classes] == [("standard", 5), ("batch", 2)]


def test_a_live_part_that_does_not_fit_an_old_revision_leaves_it_as_it_is():
    one = [{"name": "only", "source": "embedded://small"}]
    was = StreamingPipelineSpec.model_validate({"model": {"variants": one}})
    wanted = StreamingPipelineSpec.model_validate({"degradation": {"ladder": [{"action": "smallerVariant"}]}})
    running = Revision(revision_of(was), was, "image", 0.0)
    assert revisions.live(running, wanted) == running


def test_a_new_operators_default_image_rolls_nothing():
    spec = StreamingPipelineSpec()
    first = revisions.current(spec, observed(spec), SITE, 5.0)
    assert first == Revision(revision_of(spec), spec, "weir/runtime:1", 5.0)
    later = Site(default_image="weir/runtime:2", public_key="a2V5")
    assert revisions.current(spec, observed(spec, first), later, 9.0) == first


def test_an_image_of_the_users_is_taken_and_is_a_revision_of_its_own():
    own = StreamingPipelineSpec.model_validate({"runtime": {"image": "mine:3"}})
    made = revisions.current(own, observed(own), SITE, 5.0)
    assert made.image == "mine:3"
    assert made.name != revision_of(StreamingPipelineSpec())


def test_why_a_revision_failed_stays_known_while_it_is_asked_for():
    spec = StreamingPipelineSpec()
    failed = Revision(revision_of(spec), spec, "image", 1.0, "the canary was not ready within 900 s")
    seen = observed(spec, failed)
    assert revisions.kept(seen, revisions.current(spec, seen, SITE, 9.0)) == (failed,)


def test_the_current_the_last_good_and_those_with_pods_are_kept():
    specs = [StreamingPipelineSpec.model_validate({"runtime": {"image": f"image:{n}"}}) for n in range(4)]
    wanted, good, running, gone = (Revision(revision_of(spec), spec, "image", 0.0) for spec in specs)
    seen = observed(specs[0], good, running, gone, good=good.name, of_pods=(running.name,))
    kept = {revision.name for revision in revisions.kept(seen, wanted)}
    assert kept == {wanted.name, good.name, running.name}
    assert gone.name not in kept


@pytest.mark.parametrize(
    "broken",
    [
        {"metadata": {"labels": {}}},
        {"metadata": {"labels": None, "annotations": None}},
        {"data": {}},
        {"data": {"pipeline.json": "{"}},
        {"data": {"pipeline.json": "[]"}},
        {"data": {"pipeline.json": '{"spec": {"fieldOfTomorrow": 1}}'}},
    ],
)
def test_what_holds_no_revision_is_refused_with_a_reason(broken: dict[str, Any]):
    spec = StreamingPipelineSpec()
    good = written(Revision(revision_of(spec), spec, "image", 1.0))
    with pytest.raises(ValueError, match=r"."):
        revisions.read_revision(good | broken)


def test_a_mark_that_is_gone_is_gone_from_the_manifest_too():
    spec = StreamingPipelineSpec()
    failed = Revision(revision_of(spec), spec, "image", 1.0, "broken")
    assert names.FAILED in written(failed)["metadata"]["annotations"]
    assert names.FAILED not in written(replace(failed, failed=""))["metadata"]["annotations"]


@pytest.mark.parametrize("value", ["𝄞 and 🎤", "\x7f\x85\u2028\ufffe", 'a "quoted" \\ud83d'])
def test_no_character_is_lost_on_the_way_to_the_runtime(value: str):
    spec = StreamingPipelineSpec.model_validate({"runtime": {"env": [{"name": "A", "value": value}]}})
    revision = Revision(revision_of(spec), spec, "image", 0.0)
    assert parse_manifest(written(revision)["data"]["pipeline.json"], "pipeline.json").spec == spec
    assert revisions.read_revision(written(revision)) == revision
