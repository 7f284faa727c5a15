"""What a run found, as a person reads it: a line while it happens, and docs/e2e-report.md. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from endtoend.judged import Result

HEAD = ("scenario", "what happens", "streams", "moved", "words sent", "words lost", "announced", "without resume", "s")


@dataclass(frozen=True, slots=True)
class Number:
    """Something measured, and the bar that it must hold, if there is one."""

    what: str
    measured: str
    bar: str = ""
    held: bool = True


@dataclass(slots=True)
class Report:
    command: str
    head: list[str] = field(default_factory=list)  # machine, versions
    results: list[Result] = field(default_factory=list)
    numbers: list[Number] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)  # scenario, why

    @property
    def good(self) -> bool:
        """Nothing was lost, all bars were held, and something ran."""
        clean = all(not one.complaints and not one.lost for one in self.results)
        return bool(self.results or self.numbers) and clean and all(number.held for number in self.numbers)

    def markdown(self) -> str:
        parts = [
            "# The whole product, end to end",
            f"Written by `{self.command}` ([hack/e2e](../hack/e2e)). " + " ".join(self.head),
            EXPLAINED,
            table(HEAD, [cells(one) for one in self.results]),
            "## Numbers",
            table(("what", "measured", "bar"), [(each.what, each.measured, each.bar) for each in self.numbers]),
        ]
        if failed := [f"- {one.name}: {each}" for one in self.results for each in one.complaints]:
            parts += ["## What went wrong", "\n".join(failed)]
        if self.left_out:
            parts += ["## Left out", "\n".join(f"- {name}: {why}" for name, why in self.left_out)]
        return "\n\n".join(parts) + "\n"


EXPLAINED = """\
In each line people speak recordings in real time through the ingress while one thing happens. What they were given back
is compared, word by word, with what an undisturbed stream of the same recording is given. *Words lost* are missing,
changed or doubled words of the shipped client, which resumes, and of any stream that was not cut. *Moved* streams went
on at another pod. *Announced* words differ where the server had told the stream that it bends (only a missing segment
is a loss there). *Without resume*: cut streams of clients that do not resume, and the words of the segment that was
open."""


def cells(one: Result) -> tuple[str, ...]:
    plain = f"{one.broken} cut, {one.lost_plain} words" if one.broken else "–"
    counted = (one.streams, one.moved, one.sent, one.lost, one.announced)
    failed = " (failed)" if one.complaints else ""
    return (one.name + failed, one.says, *map(str, counted), plain, f"{one.seconds:.0f}")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def line(one: Result) -> str:
    """For the terminal."""
    plain = f"; without resume {one.broken} cut, {one.lost_plain} words" if one.broken else ""
    more = f", {one.announced} announced" if one.announced else ""
    mark = "FAILED" if one.complaints else "ok"
    return (
        f"{mark:6} {one.name:14} {one.streams} streams, {one.moved} moved, {one.sent} words sent, {one.lost} lost{more}"
        f"{plain}; {one.seconds:.0f} s" + "".join(f"\n         {each}" for each in one.complaints)
    )
