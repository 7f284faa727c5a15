"""The stage `numbers`: spoken English numbers become digits, by text2num. Pure.

Rules: the words are cut into runs of number words and everything else; a run is rewritten alone, so what stands before
it never depends on what follows it. A run that reaches the end may still grow ("two", "two hundred"), so nothing from
its first word on is settled. Spoken digits are written as one string ("three zero three" is 303, as numbers are
dictated); a lone zero to three stays a word, being often no count ("no one"); what touches an ordinal ("one third",
"thirty second") or begins with a bare "hundred" ("a hundred and five") stays as it was spoken.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from text_to_num import alpha2digit

ALONE = 3.0  # a number by itself becomes digits only above this
DIGITS = {
    "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4",
    "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
}  # fmt: skip
OH = "oh"  # a zero between digits, and at the edge of at least LONG of them; else an interjection
LONG = 3
SCALES = frozenset(["hundred", "thousand", "million", "billion"])
TEENS_AND_TENS = (
    "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen "
    "twenty thirty forty fifty sixty seventy eighty ninety"
)
CARDINALS = frozenset([*SCALES, *DIGITS, *TEENS_AND_TENS.split()])
ORDINALS_TO_TWENTY = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
LATER_ORDINALS = (
    "thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth hundredth thousandth millionth billionth"
)
ORDINALS = frozenset([*ORDINALS_TO_TWENTY.split(), *LATER_ORDINALS.split()])
MARKS = ",.;:!?"  # behind a word they end its run; a checkpoint may write them


@dataclass(frozen=True, slots=True)
class Rewritten:
    """`text`, whose first `settled` code points stay whatever words follow; `settled` ends before or behind a word."""

    text: str
    settled: int


def numbers(words: tuple[str, ...]) -> Rewritten:
    """The text of all words, with digits."""
    pieces, settled = [], 0
    length = -1  # of the pieces joined by spaces
    for piece, open_ in _pieces(words):
        pieces.append(piece)
        length += 1 + len(piece)
        settled = settled if open_ else length
    return Rewritten(" ".join(pieces), settled)


def _pieces(words: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    """Words and rewritten runs, each with whether it reaches the end and may still grow."""
    run: list[str] = []
    for word in words:
        kind = _kind(word)
        if run and not _continues(run, kind):
            yield _rewrite(tuple(run)), False
            run = []
        if not (run or kind.begins):
            yield word, False
            continue
        run.append(word)
        if kind.ends:
            yield _rewrite(tuple(run)), False
            run = []
    if run:
        yield _rewrite(tuple(run)), True


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a word is to a run: `key` is the word in small letters without the mark that ends the run."""

    key: str
    begins: bool
    ends: bool


@lru_cache(maxsize=4096)
def _kind(word: str) -> _Kind:
    lower = word.lower()
    key = lower.rstrip(MARKS)
    parts = key.split("-")
    begins = key == OH or all(part in CARDINALS or part in ORDINALS for part in parts)
    return _Kind(key, begins, key != lower)


def _continues(run: list[str], kind: _Kind) -> bool:
    """Whether a word belongs to the run before it: "and" only within "two hundred and ten"."""
    before = _kind(run[-1]).key
    if kind.key == "and":
        return before in SCALES
    return kind.begins or (kind.key == "point" and before not in ("and", "point"))


@lru_cache(maxsize=4096)
def _rewrite(run: tuple[str, ...]) -> str:
    """One run's text. The mark behind its last word stays."""
    keys = [_kind(word).key for word in run]
    if keys[0] in SCALES or any(not ORDINALS.isdisjoint(key.split("-")) for key in keys):
        return " ".join(run)
    mark = run[-1][len(keys[-1]) :]
    first, last = 0, len(keys)
    while last and keys[last - 1] in ("and", "point"):
        last -= 1
    if not _is_string(keys[first:last], LONG):
        while first < last and keys[first] == OH:
            first += 1
        while first < last and keys[last - 1] == OH and keys[last - 2] != "point":
            last -= 1
    spoken = keys[first:last]
    if len(spoken) == 0 or (len(spoken) == 1 and spoken[0] in ("zero", "one", "two", "three")):
        return " ".join(run)
    return " ".join([*run[:first], _digits(spoken), *run[last:]]) + (mark if last == len(run) else "")


def _is_string(keys: list[str], at_least: int) -> bool:
    return len(keys) >= at_least and all(key == OH or key in DIGITS for key in keys)


def _digits(keys: list[str]) -> str:
    if _is_string(keys, 2):
        return "".join(DIGITS.get(key, "0") for key in keys)
    written: str = alpha2digit(" ".join("zero" if key == OH else key for key in keys), "en", ALONE)
    return written
