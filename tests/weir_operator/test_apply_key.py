"""The Secret of resume tokens: made without being read, never changed, never taken from anybody."""

import pytest
from carried_out import OBSERVED, Scene

from weir_operator.actions import CreateKey, Scale
from weir_operator.cluster import ApiError
from weir_operator.owned import metadata

KEY = CreateKey("captions-resume", "missing")
PLACE = ("Secret", "captions-resume")


def test_the_key_is_made_without_being_read_and_known_at_once():
    scene = Scene()
    assert scene.apply(KEY) == "done"
    assert scene.cluster.calls == [("create", "captions-resume")]
    made = scene.cluster.objects[PLACE]
    assert (made["stringData"], made["immutable"]) == ({"key": "key of uid-p"}, True)
    assert scene.observe().children[PLACE].owner_uid == "uid-p"


def test_a_key_that_is_there_already_stays_as_it_is_and_its_owner_is_known():
    scene = Scene()
    ours = scene.cluster.put({"kind": "Secret", "metadata": metadata(OBSERVED, "captions-resume")})
    assert scene.apply(KEY, Scale(2, "")) == "done"
    assert [call[0] for call in scene.cluster.calls] == ["create", "metadata", "scale"]
    assert scene.cluster.objects[PLACE] == ours


def test_a_key_of_somebody_else_is_for_planning_anew():
    scene = Scene()
    scene.cluster.put({"kind": "Secret", "metadata": {"name": "captions-resume"}})
    assert scene.apply(KEY, Scale(2, "")) == "again"
    assert scene.observe().children[PLACE].owner_uid is None
    assert [call[0] for call in scene.cluster.calls] == ["create", "metadata"]


@pytest.mark.parametrize(("when", "outcome"), [("before", None), ("after", "done")])
def test_a_key_whose_making_got_no_answer_is_looked_for(when, outcome):
    scene = Scene()
    scene.cluster.faults[1] = when, ApiError(0, "NoAnswer", "")
    if outcome is None:
        with pytest.raises(ApiError):
            scene.apply(KEY)
        assert scene.entry.resume is None
    else:
        assert scene.apply(KEY) == outcome


def test_a_key_that_may_not_be_made_stops_the_plan():
    scene = Scene()
    scene.cluster.faults[1] = "before", ApiError(403, "Forbidden", "secrets")
    with pytest.raises(ApiError):
        scene.apply(KEY, Scale(2, ""))
    assert scene.cluster.calls == [("create", "captions-resume")]
