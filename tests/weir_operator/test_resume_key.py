"""The key of a pipeline's resume tokens: the same from every leader, another for every pipeline, made once."""

import asyncio
import base64

import pytest
from cryptography.fernet import Fernet
from existing import Existing
from hypothesis import given
from hypothesis import strategies as st

from weir_api.signing import new_key
from weir_api.status import StreamingPipelineStatus
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator import unwatched
from weir_operator.book import Entry, Looked
from weir_operator.observed import Child, Pod
from weir_operator.references import MISSING_S, THERE_S
from weir_operator.resume_key import resume_key
from weir_operator.trimmed import Pipeline

SIGNING = base64.b64encode(bytes(range(32))).decode()
PLACE = ("Secret", "captions-resume")
PIPELINE = Pipeline(("n", "captions"), "uid-p", 1, False, StreamingPipelineSpec(), "", StreamingPipelineStatus())
WAITING = Pod("captions-a", "uid-a", "a", 0.0, node="node")


def test_the_key_is_what_it_always_was_for_this_signing_key_and_pipeline():
    """Pods made by an older operator and by a newer one take each other's tokens: this text never changes."""
    assert resume_key(SIGNING, "0b6f3bd8-5f9b-4a86-9f6e-3d1a5d2c7e10") == "3RBN7wC112EtJFPx0Qcp0Kzekjz68zYydup5b7nhpKA="


@given(st.text(max_size=40), st.text(max_size=40))
def test_it_is_a_key_of_tokens_and_no_two_pipelines_have_the_same(one, other):
    Fernet(resume_key(SIGNING, one))
    assert (resume_key(SIGNING, one) == resume_key(SIGNING, other)) == (one == other)


def test_another_signing_key_gives_another_key_and_none_is_the_signing_key():
    assert resume_key(SIGNING, "uid") != resume_key(new_key(), "uid")
    assert base64.urlsafe_b64decode(resume_key(SIGNING, "uid")) != base64.b64decode(SIGNING)


class Scene:
    def __init__(self, owner="uid-p"):
        owners = [{"uid": owner, "controller": True}]
        found = {"kind": "Secret", "metadata": {"name": PLACE[1], "uid": "uid-s", "ownerReferences": owners}}
        self.cluster, self.entry = Existing(objects={PLACE: found}), Entry("uid-p")

    def look(self, now, *pods):
        asyncio.run(unwatched.look_for(PIPELINE, pods, self.entry, self.cluster, now))
        return len(self.cluster.asked)


def test_it_is_looked_for_at_first_sight_and_again_after_ten_minutes():
    scene = Scene()
    assert scene.look(5.0) == 1
    assert scene.entry.resume == Looked(Child(*PLACE, "uid-s", "uid-p"), 5.0)
    assert scene.look(5.0 + THERE_S - 0.1) == 1
    assert scene.look(5.0 + THERE_S) == 2
    assert unwatched.again_at(scene.entry, ()) is None


def test_while_a_pod_waits_for_what_it_mounts_it_is_looked_for_every_ten_seconds():
    scene = Scene()
    scene.look(5.0, WAITING)
    assert unwatched.again_at(scene.entry, [WAITING]) == 5.0 + MISSING_S
    del scene.cluster.objects[PLACE]
    assert scene.look(5.0 + MISSING_S - 0.1, WAITING) == 1
    assert scene.look(5.0 + MISSING_S, WAITING) == 2
    assert scene.entry.resume == Looked(None, 5.0 + MISSING_S)


@pytest.mark.parametrize(
    "fields", [{"phase": "Running"}, {"node": None}, {"deleting": True}], ids=["runs", "has no node", "is going"]
)
def test_a_pod_that_waits_for_something_else_makes_nobody_look(fields):
    scene, pod = Scene(), Pod("captions-a", "uid-a", "a", 0.0, **{"node": "node"} | fields)
    scene.look(5.0, pod)
    assert scene.look(5.0 + MISSING_S, pod) == 1
    assert unwatched.again_at(scene.entry, [pod]) is None


def test_one_of_somebody_else_may_go_and_is_looked_for_again_soon():
    scene = Scene(owner="uid-other")
    assert scene.look(5.0) == 1
    assert unwatched.again_at(scene.entry, ()) == 5.0 + MISSING_S
    assert scene.look(5.0 + MISSING_S) == 2
