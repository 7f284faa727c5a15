"""The traffic file and its schedule."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir_api.degradation import CLASSES
from weir_api.manifest import ManifestError
from weir_runtime.bench.plan import FRAME_S, GAP_S, class_at, deal, plan, visits
from weir_runtime.bench.traffic import Mix, Phase, Traffic, parse_traffic, read_traffic

WHOLE = """
phases:
  - {seconds: 30, streams: 100}
  - {seconds: 20, fromStreams: 100, streams: 300}
  - {seconds: 60, streams: 300, mix: {interactive: 50, standard: 50}}
mix: {interactive: 40, standard: 40, batch: 20}
stream: {seconds: {from: 10, to: 40}, speechPercent: 60, retry: true}
seed: 1
"""


@st.composite
def mixes(draw):
    one = draw(st.integers(0, 100))
    two = draw(st.integers(0, 100 - one))
    return Mix(interactive=one, standard=two, batch=100 - one - two)


phases = st.builds(
    Phase,
    seconds=st.floats(0.5, 60),
    streams=st.integers(0, 30),
    from_streams=st.none() | st.integers(0, 30),
    mix=st.none() | mixes(),
)
traffics = st.builds(Traffic, phases=st.lists(phases, min_size=1, max_size=5), mix=mixes(), seed=st.integers(0, 99))


def test_a_whole_file():
    traffic = parse_traffic(WHOLE, "t.yaml")
    assert traffic.seconds == 110
    assert traffic.most_clients == 300
    assert [traffic.clients_at(t) for t in (0, 29.9, 30, 40, 50, 109.9, 110, -1)] == [
        100,
        100,
        100,
        200,
        300,
        300,
        0,
        0,
    ]
    assert traffic.mix_at(10).batch == 20
    assert traffic.mix_at(60).batch == 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("phases: [{seconds: 0, streams: 1}]", "t.yaml:1: phases[0].seconds: Input should be greater than 0"),
        ("phases:\n- seconds: 1\n  streams: -1", "t.yaml:3: phases[0].streams: Input should be greater than or equal"),
        ("phases: [{streams: 1}]", "t.yaml:1: phases[0].seconds: Field required"),
        ("phases: []", "t.yaml:1: phases: List should have at least 1 item"),
        ("seed: 1", "t.yaml:1: phases: Field required"),
        (WHOLE.replace("batch: 20", "batch: 21"), "t.yaml:6: mix: the percentages must add up to 100"),
        (WHOLE.replace("standard: 50", "vip: 50"), "t.yaml:5: phases[2].mix.vip: Extra inputs are not permitted"),
        (WHOLE.replace("to: 40", "to: 4"), "t.yaml:7: stream.seconds: from (10) must not be above to (4)"),
        (WHOLE.replace("speechPercent: 60", "speechPercent: 0"), "t.yaml:7: stream.speechPercent: Input should"),
        (WHOLE.replace("seconds: 20", "seconds: .inf"), "t.yaml:4: phases[1].seconds: Input should be a finite number"),
        (WHOLE.replace("seed: 1", "sead: 1"), "t.yaml:8: sead: Extra inputs are not permitted"),
        ("[1]", "t.yaml:1: a traffic file is a mapping"),
        ("", "t.yaml:1: a traffic file is a mapping"),
        ("phases: [", "not YAML"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_with_its_field(text, problem):
    with pytest.raises(ManifestError) as told:
        parse_traffic(text, "t.yaml")
    assert problem in str(told.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ManifestError, match=r"none\.yaml: cannot be read"):
        read_traffic(tmp_path / "none.yaml")


@given(traffics, st.floats(0.001, 0.999))
def test_clients_stay_between_the_ends_of_their_phase_and_go_one_way(traffic, share):
    for begin_s, phase in traffic.spans():
        n = traffic.clients_at(begin_s + share * phase.seconds)
        assert min(phase.first, phase.streams) <= n <= max(phase.first, phase.streams)
        later = traffic.clients_at(begin_s + (share + 0.999) / 2 * phase.seconds)
        assert (later - n) * (phase.streams - phase.first) >= 0


@given(traffics, st.floats(0, 1))
def test_the_visits_are_the_clients_that_are_wanted(traffic, share):
    at_s = share * traffic.seconds
    present = sorted(visit.client for visit in visits(traffic) if visit.begin_s <= at_s < visit.end_s)
    edges = {visit.begin_s for visit in visits(traffic)} | {visit.end_s for visit in visits(traffic)}
    if min((abs(at_s - edge) for edge in edges), default=1.0) > 1e-6:
        assert present == list(range(traffic.clients_at(at_s)))


@given(traffics)
def test_a_client_is_never_in_two_streams_and_never_idle_for_longer_than_the_gap(traffic):
    planned = plan(traffic)
    assert planned == sorted(planned, key=lambda stream: (stream.start_s, stream.client))
    for visit in visits(traffic):
        mine = [s for s in planned if s.client == visit.client and visit.begin_s <= s.start_s < visit.end_s]
        ends = [visit.begin_s, *(s.start_s + s.seconds for s in mine)]
        for end_s, stream in zip(ends, mine, strict=False):
            assert -1e-9 <= stream.start_s - end_s <= GAP_S + 1e-9
        assert ends[-1] <= visit.end_s + 1e-9
        assert visit.end_s - ends[-1] <= GAP_S + FRAME_S + 1e-9
        assert all(one.start_s < other.start_s for one, other in pairwise(mine))


@given(traffics)
def test_the_same_seed_gives_the_same_schedule(traffic):
    again = Traffic.model_validate(traffic.model_dump())
    assert plan(traffic) == plan(again)
    other = plan(traffic.model_copy(update={"seed": traffic.seed + 1}))
    assert not plan(traffic) or [s.start_s for s in other] != [s.start_s for s in plan(traffic)]


@given(mixes(), st.integers(1, 400))
def test_any_number_of_clients_is_mixed_within_one_of_each_share(mix, n):
    given_ = [deal(mix, client) for client in range(n)]
    for name in CLASSES:
        assert abs(given_.count(name) - n * mix.percent(name) / 100) < 1


@given(traffics, st.floats(0, 1, exclude_max=True))
def test_a_streams_class_is_of_the_mix_in_which_it_begins(traffic, share):
    mix = traffic.mix_at(share * traffic.seconds)
    asked = {class_at(traffic, client, share * traffic.seconds) for client in range(100)}
    assert asked == {name for name in CLASSES if mix.percent(name) > 0}
