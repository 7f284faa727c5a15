from hypothesis import given
from hypothesis import strategies as st

from weir_runtime.word_errors import WordErrors, count_errors

WORDS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=7).map(" ".join)


def test_each_kind_of_error():
    assert count_errors("one two three", "one two three") == WordErrors(0, 0, 0, 3)
    assert count_errors("one two three", "one too three") == WordErrors(1, 0, 0, 3)
    assert count_errors("one two three", "one three") == WordErrors(0, 1, 0, 3)
    assert count_errors("one two three", "one two and three") == WordErrors(0, 0, 1, 3)
    assert count_errors("", "one") == WordErrors(0, 0, 1, 0)
    assert count_errors("one two", "").rate == 1.0
    assert count_errors("", "").rate == 0.0


@given(WORDS, WORDS)
def test_the_count_is_the_edit_distance(said, heard):
    found = count_errors(said, heard)
    assert found.errors == distance(tuple(said.split()), tuple(heard.split()))
    assert len(heard.split()) == found.words - found.deletions + found.insertions
    assert found.errors == count_errors(heard, said).errors


def distance(one, two):
    if not one or not two:
        return len(one) + len(two)
    same = distance(one[1:], two[1:]) + (one[0] != two[0])
    return same if one[0] == two[0] else min(same, 1 + distance(one[1:], two), 1 + distance(one, two[1:]))
