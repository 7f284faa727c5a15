"""What steps in force mean for a stream: more of them never make it gentler."""

from hypothesis import given
from hypothesis import strategies as st

from weir_api.degradation import CLASSES, Rung
from weir_api.policy import (
    Treatment,
    larger_mode,
    refuses,
    shown,
    smaller_variant,
    steps_of,
    treatment_of,
)

NAMES = st.sampled_from(CLASSES)
RUNGS = st.one_of(
    st.builds(Rung, action=st.just("interimRate"), max_hz=st.none() | st.integers(1, 50)),
    st.builds(Rung, action=st.just("lowerSampleRate"), hz=st.sampled_from([None, 16000, 8000])),
    st.builds(Rung, action=st.just("largerChunks"), chunk_ms=st.sampled_from([None, 160, 560, 1120])),
    st.builds(Rung, action=st.sampled_from(["optionalStages", "smallerVariant", "refuseAll"])),
    st.builds(Rung, action=st.sampled_from(["refuse", "closeLongest"]), class_=NAMES),
)
LADDERS = st.lists(RUNGS, max_size=10)
OFFERED = st.sets(NAMES, min_size=1).map(lambda names: tuple(name for name in CLASSES if name in names))
VARIANTS = ("large", "medium", "small")


def ladder(*actions):
    return [Rung(action=action) for action in actions]


def test_a_rung_that_goes_class_by_class_has_a_step_for_each_and_the_lowest_class_goes_first():
    steps = steps_of(ladder("largerChunks", "smallerVariant", "optionalStages", "refuseAll"), CLASSES)
    assert [(step.rung, step.name, step.classes) for step in steps] == [
        (1, "chunks of 560 ms", CLASSES),
        (2, "smaller model: batch", ("batch",)),
        (2, "smaller model: standard", ("batch", "standard")),
        (2, "smaller model: interactive", ("batch", "standard", "interactive")),
        (3, "optional stages off: batch", ("batch",)),
        (3, "optional stages off: standard", ("batch", "standard")),
        (3, "optional stages off: interactive", ("batch", "standard", "interactive")),
        (4, "all refused", CLASSES),
    ]


def test_what_a_rung_does_not_say_has_a_default():
    steps = steps_of([*ladder("interimRate", "lowerSampleRate"), Rung(action="lowerSampleRate", hz=8000)], CLASSES)
    assert [step.name for step in steps] == ["interims at 2 Hz", "sample rate 16 kHz", "sample rate 8 kHz"]
    assert treatment_of(steps, "batch") == Treatment(
        max_interim_hz=2, send_rate=8000, names=tuple(step.name for step in steps)
    )


@given(LADDERS, OFFERED)
def test_steps_lie_in_the_order_of_their_rungs_and_each_has_a_name_of_its_own(rungs, offered):
    steps = steps_of(rungs, offered)
    assert [step.rung for step in steps] == sorted(step.rung for step in steps)
    assert {step.rung for step in steps} == set(range(1, len(rungs) + 1))
    assert len({step.name for step in steps}) == len(steps)
    assert all(step.action == rungs[step.rung - 1].action for step in steps)


@given(LADDERS, OFFERED, st.data())
def test_more_steps_never_make_it_gentler(rungs, offered, data):
    steps = steps_of(rungs, offered)
    more = [step for step in steps if data.draw(st.booleans())]
    fewer = [step for step in more if data.draw(st.booleans())]
    priority = data.draw(st.sampled_from(offered))
    gentle, harsh = treatment_of(fewer, priority), treatment_of(more, priority)
    assert harsh.max_interim_hz <= gentle.max_interim_hz
    assert harsh.send_rate is not None or gentle.send_rate is None
    assert (harsh.send_rate or 10**6) <= (gentle.send_rate or 10**6)
    assert harsh.stages <= gentle.stages
    assert harsh.chunk_ms >= gentle.chunk_ms
    assert harsh.smaller >= gentle.smaller
    assert len(harsh.names) >= len(gentle.names), "one for each rung that touches it"
    assert refuses(fewer, priority) is None or refuses(more, priority) is not None
    assert shown(fewer)[0] <= shown(more)[0]
    own, modes = data.draw(st.sampled_from(VARIANTS)), (1, 2, 7, 14)
    better, worse = (smaller_variant(VARIANTS, own, t.smaller) for t in (gentle, harsh))
    assert VARIANTS.index(own) <= VARIANTS.index(better) <= VARIANTS.index(worse)
    mode = data.draw(st.sampled_from(modes))
    assert mode <= larger_mode(modes, mode, gentle.chunk_ms) <= larger_mode(modes, mode, harsh.chunk_ms)


@given(LADDERS, NAMES)
def test_nothing_in_force_is_full_quality(rungs, priority):
    assert treatment_of((), priority) == Treatment()
    assert refuses((), priority) is None
    assert shown(()) == (0, "full quality")


def test_a_step_touches_its_classes_only():
    steps = steps_of([*ladder("optionalStages", "smallerVariant"), Rung(action="refuse", class_="batch")], CLASSES)
    batch_first = [step for step in steps if step.classes == ("batch",)]
    assert treatment_of(batch_first, "interactive") == Treatment()
    assert refuses(batch_first, "interactive") is None
    treatment = treatment_of(batch_first, "batch")
    assert (treatment.stages, treatment.smaller) == (False, 1)
    assert treatment.names == ("optional stages off: batch", "smaller model: batch"), "refusals touch nobody who is in"
    assert shown(batch_first) == (3, "batch refused")


def test_who_is_refused_is_told_the_lowest_step_that_does_it():
    steps = steps_of([Rung(action="refuse", class_="standard"), *ladder("refuseAll")], CLASSES)
    assert refuses(steps, "standard") is steps[0]
    assert refuses(steps, "interactive") is steps[1]


def test_a_second_rung_of_smaller_models_goes_further_down_the_list():
    steps = steps_of(ladder("smallerVariant", "smallerVariant"), ("standard",))
    assert [step.name for step in steps] == ["smaller model: standard", "smaller model: standard (2)"]
    smaller = [smaller_variant(VARIANTS, "large", treatment_of(steps[:n], "standard").smaller) for n in range(3)]
    assert smaller == ["large", "medium", "small"]
    assert smaller_variant(VARIANTS, "medium", 2) == "small", "at most the end of the list"


@given(st.sets(st.sampled_from([1, 2, 7, 14]), min_size=1), st.sampled_from([2, 7, 14]), st.integers(0, 2000))
def test_a_chunk_is_one_that_the_model_was_trained_for(known, own, chunk_ms):
    modes = tuple(sorted(known))
    mode, wanted = larger_mode(modes, own, chunk_ms), max(own, chunk_ms // 80)
    assert mode in modes
    assert mode <= wanted or mode == modes[0]
    assert not any(mode < other <= wanted for other in modes)
