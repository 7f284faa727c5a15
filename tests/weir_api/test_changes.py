"""Which changes restart pods, and that the revision says exactly that."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from specs import specs

from weir_api.changes import change_of, revision_of, with_live_part
from weir_api.crd import spec_schema
from weir_api.v1alpha1 import StreamingPipelineSpec

DEFAULT = revision_of(StreamingPipelineSpec())
CLASSES = [
    {"name": "interactive", "weight": 8, "latencyMs": 300},
    {"name": "standard", "weight": 3, "latencyMs": 1000},
    {"name": "batch", "weight": 1},
]


def revision(spec):
    return revision_of(StreamingPipelineSpec.model_validate(spec))


def others(schema, place=()):
    """A place and another value than the default, for each number, choice, switch and list of choices of its own."""
    for name, part in schema["properties"].items():
        here = (*place, name)
        if part["type"] == "object" and "properties" in part:
            yield from others(part, here)
            continue
        default = part.get("default")
        choices = part.get("enum") or {"boolean": [True, False], "string": ["a", "1Gi", "http://a"]}.get(
            part["type"], []
        )
        if part["type"] == "integer" and not choices:
            choices = [part["maximum"], part["minimum"], part["maximum"] - 1]
        yield from ((here, value) for value in choices if value != default)


def nested(place, value):
    for step in reversed(place):
        value = {step: value}
    return value


def possible(place, value):
    """Some are not alone, such as an enter below the default recover."""
    try:
        return bool(StreamingPipelineSpec.model_validate(nested(place, value)))
    except ValidationError:
        return False


SINGLE = [(place, value) for place, value in others(spec_schema()) if possible(place, value)]


def test_many_fields_are_tried():
    assert len({place for place, _ in SINGLE}) > 40
    assert {change_of(place) for place, _ in SINGLE} == {"live", "restart"}


@pytest.mark.parametrize(
    ("place", "value"), SINGLE, ids=lambda case: ".".join(case) if isinstance(case, tuple) else case
)
def test_a_field_changes_the_revision_exactly_if_it_restarts(place, value):
    assert (revision(nested(place, value)) != DEFAULT) == (change_of(place) == "restart")


@pytest.mark.parametrize(
    ("spec", "change"),
    [
        ({"runtime": {"env": [{"name": "A"}]}}, "restart"),
        ({"runtime": {"labels": {"maxStepMs": "b"}}}, "restart"),
        ({"model": {"variants": [{"name": "a", "source": "embedded://small"}]}}, "restart"),
        ({"model": {"maxStepMs": 20}}, "live"),
        ({"stages": {"postprocess": [{"name": "numbers"}]}}, "restart"),
        ({"priorityClasses": CLASSES}, "live"),
        ({"priorityClasses": [*CLASSES[:2], {"name": "batch", "weight": 2}]}, "live"),
        ({"priorityClasses": CLASSES[:2]}, "restart"),
        ({"auth": {"apiKeysSecretRef": {"name": "a"}}}, "restart"),
        ({"admission": {"maxStreams": 64}}, "live"),
        ({"degradation": {"ladder": []}}, "live"),
        ({"ingress": {"host": "a"}}, "live"),
        ({"httpProxy": {"host": "a"}}, "live"),
    ],
    ids=lambda case: json.dumps(case)[:60],
)
def test_whole_parts(spec, change):
    assert (revision(spec) != DEFAULT) == (change == "restart")


def test_an_operator_that_knows_more_fields_rolls_no_pipeline():
    """These must never change: pods run under such names."""
    assert DEFAULT == "44136fa3"
    one = {"model": {"variants": [{"name": "a", "source": "embedded://small"}]}, "admission": {"maxStreams": 8}}
    assert revision(one) == "f89e37a1"


@given(spec=specs())
def test_saying_a_default_changes_nothing(spec):
    try:
        model = StreamingPipelineSpec.model_validate(spec)
    except ValidationError:
        return
    said = StreamingPipelineSpec.model_validate(model.model_dump(by_alias=True))
    assert revision_of(said) == revision_of(model)


def test_a_spec_for_other_pods_is_refused():
    running = StreamingPipelineSpec()
    wanted = StreamingPipelineSpec.model_validate({"rollout": {"drainSeconds": 5}})
    assert with_live_part(running, wanted) == wanted
    other = StreamingPipelineSpec.model_validate({"runtime": {"image": "weir:2"}})
    with pytest.raises(ValueError, match=f"revision {revision_of(other)} is not the running one \\({DEFAULT}\\)"):
        with_live_part(running, other)


@given(place=st.lists(st.text(), max_size=3).map(tuple))
def test_a_field_that_nobody_knows_is_live(place):
    assert change_of(("unheard of", *place)) == "live"
