"""The stages that rewrite text on its way out, by the names of the manifest. Pure.

Rules: a stage is local: with more words behind them, the words that it called settled keep their text. A stage that
raises fails alone: it is passed over and named, and the text goes on as it was.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from weir_runtime.stages.spoken_numbers import Rewritten, numbers

Stage = Callable[[tuple[str, ...]], Rewritten]
STAGES: Mapping[str, Stage] = {"numbers": numbers}


@dataclass(frozen=True, slots=True)
class Processed:
    """`settled` code points of `text` stay whatever words follow; `skipped` names the stages that failed."""

    text: str
    settled: int
    skipped: tuple[str, ...]


def apply(names: Sequence[str], words: tuple[str, ...], stages: Mapping[str, Stage] = STAGES) -> Processed:
    """`words` through the named stages, in this order.

    Where the last words may still change (a word that grows), what is settled is that of the words before them:
    `apply(names, complete).settled` holds for `apply(names, words).text` too.
    """
    skipped = []
    fixed = len(words)  # of `words`, from the first on, that the stages so far will not change
    for name in names:
        try:
            words, fixed = _through(stages[name], words, fixed)
        except Exception:  # whatever is wrong with an optional stage, the words are not
            skipped.append(name)
    return Processed(" ".join(words), len(" ".join(words[:fixed])), tuple(skipped))


def _through(stage: Stage, words: tuple[str, ...], fixed: int) -> tuple[tuple[str, ...], int]:
    """What a stage makes of the words, and how many of those are settled."""
    whole = stage(words)
    certain = whole if fixed == len(words) else stage(words[:fixed])
    return _words(whole.text), len(_words(certain.text[: certain.settled]))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(" ")) if text else ()
