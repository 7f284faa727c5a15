"""Word errors by the usual alignment (Levenshtein over words)."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WordErrors:
    """Counts over one or more utterances; `words` are those of the references."""

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    words: int = 0

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors per word of the reference."""
        return self.errors / self.words if self.words else float(self.errors > 0)

    def __add__(self, other: "WordErrors") -> "WordErrors":
        return WordErrors(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.words + other.words,
        )


def count_errors(said: str, heard: str) -> WordErrors:
    """Errors of `heard` against the reference `said`; both are compared word by word as they stand."""
    reference, hypothesis = said.split(), heard.split()
    row = [WordErrors(insertions=n) for n in range(len(hypothesis) + 1)]
    for deleted, word in enumerate(reference, 1):
        row = _next_row(row, word, hypothesis, deleted)
    best = row[-1]
    return WordErrors(best.substitutions, best.deletions, best.insertions, len(reference))


def _next_row(above: list[WordErrors], word: str, hypothesis: Sequence[str], deleted: int) -> list[WordErrors]:
    row = [WordErrors(deletions=deleted)]
    for place, other in enumerate(hypothesis):
        if word == other:
            row.append(above[place])
            continue
        one = above[place] + WordErrors(substitutions=1)
        two = above[place + 1] + WordErrors(deletions=1)
        three = row[place] + WordErrors(insertions=1)
        row.append(min(one, two, three, key=lambda found: found.errors))
    return row
