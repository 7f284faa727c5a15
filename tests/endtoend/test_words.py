"""Words that a stream missed are found, wherever they went, and none that it has."""

import pytest
from endtoend.words import Count, Reference, Segment, Span, count, count_cut, differing, numbering, reference
from hypothesis import given
from hypothesis import strategies as st

ROUND_MS = 5000
RIGHT = Reference(ROUND_MS, (Segment(0, 500, 1500, "one two"), Segment(1, 2500, 3500, "three")))


def spoken(rounds: int) -> list[Segment]:
    """What an undisturbed stream hears."""
    return [
        Segment(2 * index + one.seg, index * ROUND_MS + one.start_ms, index * ROUND_MS + one.end_ms, one.text)
        for index in range(rounds)
        for one in RIGHT.segments
    ]


def test_a_reference_is_one_round_of_those_that_were_heard_alike():
    found = reference(spoken(3), ROUND_MS, 3)
    assert (found.round_ms, found.text) == (ROUND_MS, "one two three")
    assert [(one.start_ms, one.end_ms) for one in found.segments] == [(500, 1500), (2500, 3500)]


@pytest.mark.parametrize("finals", [[], spoken(3)[:-1], [*spoken(3)[:-1], Segment(5, 12_500, 13_500, "tree")]])
def test_a_recording_that_is_heard_differently_each_time_is_no_reference(finals: list[Segment]):
    with pytest.raises(ValueError, match="heard differently"):
        reference(finals, ROUND_MS, 3)


@given(st.integers(1, 6))
def test_a_whole_stream_has_lost_nothing(rounds: int):
    assert count(RIGHT, spoken(rounds), rounds) == Count(sent=3 * rounds)


@given(st.integers(1, 5), st.data())
def test_a_segment_that_is_missing_is_lost(rounds: int, data: st.DataObject):
    finals = spoken(rounds)
    gone = finals.pop(data.draw(st.integers(0, len(finals) - 1)))
    assert count(RIGHT, finals, rounds).lost == len(gone.text.split())


@given(st.integers(1, 5), st.data())
def test_a_segment_that_came_twice_counts_as_lost_words(rounds: int, data: st.DataObject):
    finals = spoken(rounds)
    again = data.draw(st.sampled_from(finals))
    assert count(RIGHT, [*finals, again], rounds).lost == len(again.text.split())


def test_words_beyond_what_was_said_count():
    assert count(RIGHT, [*spoken(2), Segment(4, 10_500, 11_000, "four")], 2).lost == 1


def test_words_that_differ_are_lost_unless_the_server_said_that_it_bends():
    finals = spoken(3)
    finals[2] = Segment(2, 5500, 6500, "one too")
    assert count(RIGHT, finals, 3) == Count(sent=9, lost=1)
    assert count(RIGHT, finals, 3, [Span(4000)]) == Count(sent=9, announced=1)
    assert count(RIGHT, finals, 3, [Span(9000, 9999)]) == Count(sent=9, announced=1)
    assert count(RIGHT, finals, 3, [Span(0, 4999), Span(10_000)]) == Count(sent=9, lost=1)


def test_a_segment_that_is_missing_is_lost_whatever_was_said():
    finals = spoken(2)
    del finals[2]
    assert count(RIGHT, finals, 2, [Span(0)]) == Count(sent=6, lost=2)


def test_a_stream_that_broke_misses_what_was_open():
    assert count_cut(RIGHT, spoken(2)[:3], 7600) == Count(sent=6, cut=1, cut_segments=1)
    assert count_cut(RIGHT, spoken(2)[:3], 7400) == Count(sent=5)
    assert count_cut(RIGHT, [], 6000) == Count(sent=5, cut=5, cut_segments=3)


def test_what_a_broken_stream_was_given_must_be_right():
    wrong = Segment(0, 500, 1500, "one too")
    assert count_cut(RIGHT, [wrong, spoken(1)[1]], 4000) == Count(sent=3, lost=1)
    assert count_cut(RIGHT, [*spoken(1), *spoken(1)], 4000) == Count(sent=3, lost=3)


def test_the_last_segment_of_a_broken_stream_may_be_cut_short():
    assert count_cut(RIGHT, [spoken(1)[0], Segment(1, 2500, 2900, "th")], 2900) == Count(sent=3, cut=1, cut_segments=1)


def test_what_was_heard_wrongly_is_shown_by_round():
    finals = spoken(3)
    del finals[3]
    assert differing(RIGHT, spoken(3), 3) == []
    assert differing(RIGHT, finals, 3) == ["round 2 of 3: 'one two'"]


def test_numbers_of_segments_count_on():
    assert numbering([]) == numbering(spoken(3)) == numbering(spoken(3)[1:]) == ""
    assert numbering([*spoken(1), spoken(1)[1]]) == "finals are numbered [0, 1, 1]"
    assert "[0, 2, 3]" in numbering([spoken(1)[0], *spoken(2)[2:]])
