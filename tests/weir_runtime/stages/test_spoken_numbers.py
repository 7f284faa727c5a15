import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from weir_runtime.stages.spoken_numbers import CARDINALS, ORDINALS, Rewritten, numbers

ODD = ["and", "point", "oh", "a", "coffee", "no", "Five", "six,", "twenty-three", "second.", "three:", "and,", "oh!"]
SPOKEN = st.sampled_from([*ODD, *sorted(CARDINALS | ORDINALS)])
WORDS = st.lists(SPOKEN, max_size=14).map(tuple)
PLAIN = st.lists(st.sampled_from(["can", "i", "and", "point", "a", "Have", "no.", "tens", "-", ","]), max_size=12)


def text(said: str) -> str:
    return numbers(tuple(said.split())).text


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("i want a sixteen ounce latte", "i want a 16 ounce latte"),
        ("three zero four two four four zero", "3042440"),
        ("nine two one oh and then", "9210 and then"),
        ("oh five five one", "0551"),
        ("two hundred ten", "210"),
        ("two thousand and one nights", "2001 nights"),
        ("five and six", "5 and 6"),
        ("three point one four", "3.14"),
        ("version two point oh", "version 2.0"),
        ("ten oh five", "10 05"),
        ("Twenty-three, please", "23, please"),
        ("four, five", "4, 5"),
        ("five point", "5 point"),
    ],
)
def test_spoken_numbers_become_digits(said, written):
    assert text(said) == written


@pytest.mark.parametrize("said", [
    "no one knows the two of us", "zero", "oh dear", "wait one second", "the thirty second video", "a hundred and five",
    "at this point", "one third and a half", "ask not what your country can do for you",
])  # fmt: skip
def test_what_is_no_plain_number_stays_as_it_was_spoken(said):
    assert text(said) == said


def test_an_interjection_is_no_zero():
    assert text("oh one more thing") == "oh one more thing"
    assert text("twenty five oh no") == "25 oh no"


@pytest.mark.parametrize(
    ("said", "settled"),
    [
        ("call me at five", "call me at"),
        ("two hundred and", ""),
        ("well oh", "well"),
        ("it is three point", "it is"),
        ("sixteen ounce", "16 ounce"),
        ("sixteen,", "16,"),
        ("bread and", "bread and"),
    ],
)
def test_a_number_at_the_end_is_not_settled(said, settled):
    found = numbers(tuple(said.split()))
    assert found.text[: found.settled] == settled


@given(WORDS)
@example(("two", "hundred", "and", "coffee"))
@example(("one", "second"))
@example(("oh", "five", "five"))
def test_what_is_settled_stays_and_grows_with_every_word(words):
    whole, settled = numbers(words).text, 0
    for n in range(len(words) + 1):
        found = numbers(words[:n])
        assert whole.startswith(found.text[: found.settled])
        assert settled <= found.settled <= len(found.text)
        settled = found.settled


@given(WORDS)
def test_what_is_settled_ends_with_a_word(words):
    found = numbers(words)
    assert found.text[found.settled : found.settled + 1] in ("", " ") or found.settled == 0


@given(PLAIN)
def test_words_that_are_no_numbers_are_left_alone(words):
    whole = " ".join(words)
    assert numbers(tuple(words)) == Rewritten(whole, len(whole))


@given(WORDS, WORDS)
def test_two_sides_of_a_plain_word_do_not_see_each_other(before, behind):
    both = numbers((*before, "coffee", *behind)).text
    assert both.startswith(numbers((*before, "coffee")).text)
    assert both.endswith(numbers(("coffee", *behind)).text)


def test_nothing_is_nothing():
    assert numbers(()) == Rewritten("", 0)
