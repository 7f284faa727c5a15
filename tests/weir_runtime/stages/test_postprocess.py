import pytest
from hypothesis import given
from hypothesis import strategies as st

from weir_runtime.stages.postprocess import STAGES, Processed, apply
from weir_runtime.stages.spoken_numbers import Rewritten

WORDS = st.lists(st.sampled_from(["coffee", "five", "two", "hundred", "and", "oh", "point"]), max_size=10).map(tuple)


def shout(words):
    text = " ".join(words).upper()
    return Rewritten(text, len(text))


def hold_one(words):
    """Settles all but the last word."""
    return Rewritten(" ".join(words), len(" ".join(words[:-1])))


def broken(words):
    raise ValueError(words)


TRIED = {**STAGES, "shout": shout, "hold": hold_one, "broken": broken}


@given(WORDS)
def test_without_stages_the_words_are_the_text_and_all_is_settled(words):
    text = " ".join(words)
    assert apply((), words) == Processed(text, len(text), ())


def test_the_stages_of_the_manifest_are_known():
    assert apply(("numbers",), ("sixteen", "ounce")) == Processed("16 ounce", 8, ())


@pytest.mark.parametrize("names", [("broken", "numbers"), ("numbers", "broken")])
def test_a_stage_that_raises_fails_alone_and_is_named(names):
    assert apply(names, ("sixteen", "ounce"), TRIED) == Processed("16 ounce", 8, ("broken",))


def test_a_stage_works_on_what_the_one_before_it_wrote():
    assert apply(("shout", "numbers"), ("sixteen", "ounce"), TRIED).text == "16 OUNCE"
    assert apply(("numbers", "shout"), ("a", "sixteen"), TRIED) == Processed("A 16", 1, ())


@given(WORDS, st.permutations(["numbers", "shout", "hold"]), st.integers(0, 3))
def test_what_is_settled_stays_through_any_chain(words, chain, length):
    names, settled = chain[:length], 0
    whole = apply(names, words, TRIED).text
    for n in range(len(words) + 1):
        found = apply(names, words[:n], TRIED)
        assert whole.startswith(found.text[: found.settled])
        assert settled <= found.settled <= len(found.text)
        settled = found.settled
