"""A stream that is cut anywhere and goes on elsewhere says the same as one that never was."""

import numpy as np
from bending import Bending, rungs
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from machine import Machine, heard, silence, speech
from resuming import MARKS, Mark, essence, spoken

from weir_runtime.core.pace import Pace
from weir_runtime.messages import (
    BEGINNING,
    Checkpoint,
    Clear,
    Cleared,
    Close,
    Closed,
    Configure,
    Configured,
    Final,
    Finalize,
    Finalized,
    Open,
    ResumePoint,
    SpeechStarted,
    StreamOptions,
)

S = 16_000
OPTIONS = st.builds(
    StreamOptions,
    interim=st.just(False),
    latency=st.sampled_from([None, "low", "balanced"]),
    endpointing=st.sampled_from(["server", "server", "manual"]),
    silence_ms=st.sampled_from([64, 300, 1000]),
    max_segment_s=st.sampled_from([2.0, 3.5, 7.0]),
)
LEVELS = st.sampled_from([0.0, 0.2, 0.45, 0.55, 0.9])
SOUND = st.lists(
    st.tuples(
        LEVELS,
        st.one_of(st.integers(1, 20_000), st.integers(80_000, 96_000), st.integers(1, 110_000)),
        st.integers(0, 8),
    ).map(lambda part: speech(part[1], part[2] if part[0] == 0.9 else 0, part[0])),
    min_size=1,
    max_size=6,
).map(np.concatenate)
QUIET = np.concatenate([speech(84_000, 0, 0.45), speech(40_000)])
FADING = np.concatenate([speech(40_000), speech(60_000, 0, 0.45)])
SUDDEN = np.concatenate([silence(80_500), speech(40_000)])
DIPPING = np.concatenate([speech(28_000), speech(1000, 0, 0.5), speech(51_000)])
TO_AND_FRO = [
    Mark(29_700, Configure, StreamOptions(silence_ms=64, max_segment_s=2.0)),
    Mark(31_000, Configure, StreamOptions(silence_ms=1000, max_segment_s=2.0)),
]
FRAMES = st.lists(st.sampled_from([160, 1600, 2777, 16_000, 400_000]), min_size=1, max_size=3)


@st.composite
def sessions(draw):
    pcm = draw(SOUND)
    places = st.integers(0, len(pcm))
    marks = [
        Mark(position, kind, draw(OPTIONS) if kind is Configure else None)
        for position, kind in draw(st.lists(st.tuples(places, st.sampled_from(MARKS)), max_size=6))
    ]
    cuts = sorted(draw(st.lists(places, min_size=1, max_size=3)))
    return pcm, sorted(marks, key=lambda mark: mark.position), draw(OPTIONS), draw(FRAMES), cuts, draw(st.booleans())


# What is found is not made smaller: that takes minutes, and the audio would still be seconds long.
@settings(max_examples=60, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(sessions())
@example((QUIET, [], StreamOptions(interim=False), [1600], [110_000], False))
@example((speech(80_000), [], StreamOptions(silence_ms=1000, max_segment_s=2.0), [1600], [50_000], False))
@example((FADING, [], StreamOptions(silence_ms=1000, max_segment_s=2.0), [1600], [52_000], False))
@example((SUDDEN, [Mark(79_000, Finalize)], StreamOptions(), [1600], [82_000], False))
@example((DIPPING, TO_AND_FRO, StreamOptions(silence_ms=1000, max_segment_s=2.0), [1600], [40_000], False))
@example((speech(60_000), [Mark(20_000, Finalize)], StreamOptions(interim=False), [1600], [40_000], False))
def test_a_stream_that_was_cut_says_the_same_as_one_that_was_not(session):
    pcm, marks, options, frames, cuts, hasty = session
    uncut = essence(*spoken(pcm, marks, options, frames))
    assert essence(*spoken(pcm, marks, options, frames, cuts, hasty)) == uncut


def resumed(point, existing=True, **options):
    machine = Machine(n_slots=1)
    machine.send(Open("s", "standard", "", "v", StreamOptions(**options), False, point, existing))
    return machine


def test_what_is_sent_again_from_before_the_point_is_answered_and_not_obeyed():
    machine = resumed(ResumePoint(from_=16_000, reset=20_800, floor=0, obeyed=20_800, segment=2))
    for message in (Finalize("s", "f"), Configure("s", "o", StreamOptions(endpointing="manual")), Clear("s", "c")):
        machine.send(message)
        machine.audio("s", silence(160))
    assert [event.empty for event in machine.of("s", Finalized)] == [True]
    assert [event.id for event in [*machine.of("s", Configured), *machine.of("s", Cleared)]] == ["o", "c"]
    machine.audio("s", speech(S))
    machine.audio("s", silence(S))
    machine.send(Close("s"))
    machine.run()
    assert [(final.seg, final.reason) for final in machine.of("s", Final)] == [(2, "endpoint")]


def test_a_stream_that_ends_before_it_has_come_to_its_point_ends_well():
    for speaking in (False, True):
        begin = 20_800 if speaking else 16_000
        machine = resumed(ResumePoint(begin, 20_808, begin, 20_808, speaking, 2, True, 15_000))
        machine.audio("s", silence(5))
        machine.send(Close("s"))
        machine.run()
        (closed,) = machine.of("s", Closed)
        assert closed.segments == 2 + speaking
        assert machine.core.load(0.0).queue_audio_s == 0


def test_speech_goes_on_though_the_client_first_changes_who_ends_segments():
    machine = resumed(ResumePoint(S, S, S, S, speaking=True), endpointing="manual")
    machine.send(Configure("s", None, StreamOptions()))
    machine.audio("s", speech(S, 0, 0.45))
    machine.run()
    assert [event.at for event in machine.of("s", SpeechStarted)] == [S]


def test_only_what_came_on_this_connection_is_counted():
    machine = resumed(ResumePoint(10 * S, 10 * S, 10 * S, 10 * S))
    machine.audio("s", silence(S))
    machine.send(Close("s"))
    machine.run()
    load = machine.core.load(0.0)
    assert (load.audio_s, load.silence_s) == (1.0, 1.0)
    assert machine.of("s", Closed)[0].audio == 11 * S


def test_who_is_sent_away_is_told_where_it_stands():
    for reason, told in (("drain", True), ("shed", True), ("close", False), ("idle", False)):
        machine = heard(silence(S), Close("s", reason, "close"))
        point = machine.of("s", Closed)[0].point
        assert (point == ResumePoint(S, S, S, S)) if told else point is None


def test_a_stream_that_speaks_on_is_told_its_last_point_again():
    machine = heard(np.concatenate([silence(S), speech(11 * S)]))
    points = [event.point for event in machine.of("s", Checkpoint)]
    assert points == [BEGINNING] * 2


def test_a_client_that_throws_all_away_gets_new_points_all_the_same():
    machine = Machine()
    machine.open("s", endpointing="manual")
    for n in range(4):
        machine.audio("s", speech(3 * S))
        machine.send(Clear("s", str(n)))
        machine.run()
    assert machine.of("s", Checkpoint)[-1].point.reset == 12 * S


def test_a_stream_that_goes_on_is_not_refused_as_new_ones_are_under_load():
    machine = Bending(*rungs("refuseAll"), n_slots=3)
    assert machine.press() == "all refused"
    refusal = machine.core.refusal
    assert refusal("s", "standard", machine.now).reason == "rung"
    assert refusal("s", "standard", machine.now, existing=True) is None
    machine.send(Open("s", "standard", "", "v", StreamOptions(), False, BEGINNING, True))
    assert machine.kinds("s") == ["Opened"]
    assert refusal("t", "standard", machine.now, existing=True).reason == "slots", "there is no room all the same"


def test_neither_do_they_wait_until_the_load_of_many_new_ones_shows():
    machine = Machine(n_slots=200)
    for n in range(128):
        machine.open(f"s{n}")
    assert machine.core.refusal("s", "standard", 0.0).reason == "ramp"
    assert machine.core.refusal("s", "standard", 0.0, existing=True) is None


def test_audio_that_is_sent_again_is_not_held_against_what_comes_then():
    for catching_up, held in ((True, False), (False, True)):
        pace, now = Pace(100.0, catching_up), 100.0
        assert pace.arrival(20 * S, now) > now + 10, "a file's"
        for _ in range(30):
            now += 0.1
            counted = pace.arrival(S // 10, now)
        assert (counted > now) is held


def test_every_kind_of_point_is_among_those_resumed_from():
    """So that the search above cannot pass for want of anything to find."""
    rng, kinds = np.random.default_rng(7), set()
    for _ in range(12):
        parts = [speech(int(rng.integers(1, 90_000)), 0, float(rng.choice([0.0, 0.55, 0.9]))) for _ in range(5)]
        machine = heard(np.concatenate(parts), Close("s"), max_segment_s=7.0)
        for event in machine.events["s"]:
            if isinstance(event, Final | Checkpoint):
                kinds.add((type(event), event.point.speaking, event.point.from_ < event.point.reset))
    assert {(Final, True, False), (Final, False, False), (Checkpoint, False, True), (Checkpoint, True, False)} <= kinds
