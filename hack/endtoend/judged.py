"""What a scenario did to the streams that were open: words and complaints. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from endtoend.heard import Heard
from endtoend.words import Count, Reference, count, count_cut, differing, numbering

SHOWN = 3  # rounds of a stream in a complaint


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the report. `moved` streams went on at another pod by resume, `broken` ones had none; `lost_plain` is
    what those missed. `complaints` is empty where all is as it should be."""

    name: str
    says: str
    streams: int = 0
    moved: int = 0
    sent: int = 0
    lost: int = 0
    announced: int = 0
    broken: int = 0
    lost_plain: int = 0
    seconds: float = 0.0
    complaints: tuple[str, ...] = ()


def judge(name: str, says: str, heard: Sequence[Heard], right: Mapping[str, Reference], seconds: float) -> Result:
    counts = [words(one, right[one.voice.clip]) for one in heard]
    total = sum(counts, Count())
    return Result(
        name,
        says,
        streams=len(heard),
        moved=sum(one.resumed > 0 for one in heard),
        sent=total.sent,
        lost=total.lost,
        announced=total.announced,
        broken=sum(is_broken(one) for one in heard),
        lost_plain=total.cut,
        seconds=seconds,
        complaints=tuple(
            f"{one.voice.priority} {one.voice.clip.partition('/')[2]}{'' if one.voice.resume_s else ' (plain)'}: {each}"
            for one, found in zip(heard, counts, strict=True)
            for each in complaints(one, found, right[one.voice.clip])
        ),
    )


def is_broken(one: Heard) -> bool:
    """A stream that was taken from a client that does not resume."""
    return not one.voice.resume_s and (bool(one.error) or one.closed == "drain")


def words(one: Heard, right: Reference) -> Count:
    if is_broken(one):
        return count_cut(right, one.finals, one.alive_ms)
    return count(right, one.finals, one.rounds, one.bent)


def complaints(one: Heard, found: Count, right: Reference) -> list[str]:
    said = []
    if found.lost:
        heard = "; ".join(differing(right, one.finals, one.rounds)[:SHOWN])
        said.append(f"{found.lost} words lost: {heard} for {right.text!r}")
    if is_broken(one):
        if found.cut_segments > 1:
            said.append(f"{found.cut_segments} segments lost without resume ({one.error or one.closed})")
    elif one.error:
        said.append(one.error)
    elif one.closed != "close":
        said.append(f"closed for {one.closed or 'no reason'}")
    if wrong := numbering(one.finals):
        said.append(wrong)
    return said
