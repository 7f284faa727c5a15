"""The text of one segment so far: tokens become words, complete words become the committed prefix.

Rules: a piece that starts with "▁" begins a word and completes the one before; a greedy cache-aware decoder never
takes a token back, so the committed prefix (`stable`) reaches to the last complete word and only grows; where a cut
may still come (`hold`), words that end behind it are not committed. The final starts with what was committed.
"""

from dataclasses import dataclass, field
from math import exp

from weir_runtime.core.grid import FRAME
from weir_runtime.messages import Word

UNKNOWN = "⁇"  # what SentencePiece writes for <unk>


@dataclass(slots=True)
class _Spoken:
    text: str
    start: int
    end: int
    probs: list[float] = field(default_factory=list)


class Hypothesis:
    def __init__(self, vocabulary: tuple[str, ...]) -> None:
        self.stable = 0  # code points
        self.n_committed = 0  # words in them
        self._vocabulary = vocabulary
        self._words: list[_Spoken] = []

    def add(self, token: int, position: int, log_prob: float) -> None:
        """The next token, heard in the frame that begins at sample `position` of the stream."""
        piece = self._vocabulary[token]
        if piece == "<unk>":
            piece = "▁" + UNKNOWN
        if piece.startswith("▁") or not self._words:
            self._words.append(_Spoken("", position, position))
        word = self._words[-1]
        word.text += piece.removeprefix("▁")
        word.end = position + FRAME
        word.probs.append(exp(log_prob))

    def commit(self, hold: int | None) -> None:
        """Let `stable` grow to the last complete word, or to the last that ends before `hold`."""
        complete = [word for word in self._words[:-1] if hold is None or word.end <= hold]
        if len(complete) > self.n_committed:
            self.n_committed, self.stable = len(complete), len(_join(complete))

    def cut(self, position: int) -> None:
        """Forget the words that do not end before `position`: their audio is recognised again."""
        kept = 0
        while kept < len(self._words) and self._words[kept].end <= position:
            kept += 1
        del self._words[kept:]

    @property
    def text(self) -> str:
        return _join(self._words)

    def spoken(self, committed: bool = False) -> tuple[str, ...]:
        """The words as they were heard, all or those in the committed prefix."""
        words = self._words[: self.n_committed] if committed else self._words
        return tuple(word.text for word in words if word.text)

    @property
    def stability(self) -> float:
        """How sure the words behind `stable` are: their mean confidence."""
        last = self._words[-1:]
        return sum(last[0].probs) / len(last[0].probs) if last else 1.0

    @property
    def confidence(self) -> float:
        """Mean probability of all tokens, 0 for no text."""
        probs = [p for word in self._words for p in word.probs]
        return sum(probs) / len(probs) if probs else 0.0

    def words(self, limit: int) -> tuple[Word, ...]:
        """The words, none reaching behind sample `limit`."""
        return tuple(
            Word(word.text, min(word.start, limit), min(word.end, limit), sum(word.probs) / len(word.probs))
            for word in self._words
            if word.text
        )


def _join(words: list[_Spoken]) -> str:
    return " ".join(word.text for word in words if word.text)
