import pytest

from weir_api.v1alpha1 import Postprocess, Stages
from weir_runtime.front.options import OptionError, Options, change, default_options, flatten


def changed(**wanted):
    return change(Options(), wanted, language="en")[0]


def test_a_query_and_a_message_say_the_same():
    texts = {"sample_rate": "8000", "interim": "False", "endpointing.silence_ms": "500", "words": "0", "latency": "low"}
    message = {
        "sample_rate": 8000, "interim": False, "endpointing": {"silence_ms": 500}, "words": False, "latency": "low"
    }  # fmt: skip
    assert change(Options(), texts, language="en") == change(Options(), flatten(message), language="en")


def test_what_is_not_named_stays():
    first = changed(**{"endpointing.mode": "manual", "channels": 2})
    second, _ = change(first, {"max_interim_hz": 2}, language="en")
    assert second.recognition.endpointing == "manual"
    assert second.recognition.max_interim_hz == 2
    assert second.channels == 2


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("encoding", "opus", "pcm_s16le, pcm_f32le, mulaw, alaw"),
        ("sample_rate", "fast", "from 4000 to 192000"),
        ("sample_rate", 16000.5, "from 4000"),
        ("sample_rate", True, "from 4000"),
        ("sample_rate", 1e400, "from 4000"),
        ("channels", 0, "from 1 to 8"),
        ("interim", "perhaps", "true or false"),
        ("endpointing.mode", "magic", "server, manual"),
        ("endpointing.mode", {"a": 1}, "server, manual"),
        ("endpointing.silence_ms", 3, "from 64 to 10000"),
        ("endpointing.max_segment_s", "nan", "from 2 to 600"),
        ("latency", None, "low, balanced, accurate"),
        ("stages", False, "a list of stages"),
        ("stages", [1], "a list of stages"),
        ("class", "batch", "query"),
    ],
)
def test_a_value_that_cannot_be_names_the_field_and_the_fix(name, value, fix):
    with pytest.raises(OptionError) as caught:
        changed(**{name: value})
    assert caught.value.code == "invalid_option"
    assert caught.value.field == name
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("punctuate", "true"),
        ("keyterms", "a,b"),
        ("stages", "x"),
        ("stages", ["numbers"]),
        ("stages", [""]),
        ("on_overload", "reject"),
        ("language", "de"),
    ],
)
def test_what_this_server_cannot_do_is_said(name, value):
    with pytest.raises(OptionError) as caught:
        changed(**{name: value})
    assert caught.value.code == "unsupported_option"


def test_asking_for_nothing_special_is_fine():
    assert changed(punctuate=False, keyterms=[], stages="", on_overload="degrade", language="en") == Options()


def test_unknown_names_are_told_and_passed_over():
    options, unknown = change(Options(), {"words": "false", "foo": "1", "bar.baz": 2}, language="en")
    assert unknown == ("foo", "bar.baz")
    assert options.words is False


OFFERED = default_options(Stages(postprocess=[Postprocess(name="numbers")]))


def test_all_stages_of_the_manifest_are_on_unless_a_client_says_otherwise():
    assert OFFERED.recognition.stages == ("numbers",)
    assert default_options(Stages()).recognition.stages == ()
    for nothing in ("", [], None):
        assert change(OFFERED, {"stages": nothing}, language="en")[0].recognition.stages == ()


@pytest.mark.parametrize(("wanted", "have"), [
    ("numbers", ("numbers",)), (["numbers"], ("numbers",)), ("names,numbers", ("numbers", "names")),
    (["names", "names"], ("names",)),
])  # fmt: skip
def test_stages_are_named_in_any_order_and_run_in_the_manifests(wanted, have):
    offers = Options(offered=("numbers", "redaction", "names"))
    assert change(offers, {"stages": wanted}, language="en")[0].recognition.stages == have


def test_a_stage_that_is_not_offered_names_those_that_are():
    with pytest.raises(OptionError) as caught:
        change(OFFERED, {"stages": ["numbers", "speakers"]}, language="en")
    assert (caught.value.code, caught.value.field, caught.value.fix) == ("unsupported_option", "stages", "of numbers")
