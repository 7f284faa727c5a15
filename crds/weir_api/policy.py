"""The ladder's rungs as steps, and what the steps in force mean for a stream. Pure.

Rules: a rung that goes class by class (optionalStages, smallerVariant) is one step per class, the lowest first, and a
higher class never has it without the lower ones; no two steps have one name; a policy is the set of steps in force,
named by their places; the rung that is shown is that of the highest step.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from weir_api.degradation import Action, ClassName, Rung

FRAME_MS = 80
MAX_HZ, SEND_HZ, CHUNK_MS = 2, 16_000, 560  # of rungs that do not say
FULL_QUALITY = "full quality"


@dataclass(frozen=True, slots=True)
class Step:
    rung: int  # place in the ladder, from 1
    name: str
    action: Action
    classes: tuple[ClassName, ...]  # whom it touches
    amount: int = 0  # of interimRate in Hz, lowerSampleRate in Hz, largerChunks in ms


@dataclass(frozen=True, slots=True)
class Treatment:
    """What the steps in force do to the streams of one class."""

    max_interim_hz: float = float("inf")
    send_rate: int | None = None  # Hz; None: as the client likes
    stages: bool = True
    chunk_ms: int = 0  # at least
    smaller: int = 0  # variants further down the list
    names: tuple[str, ...] = ()  # of the steps


def steps_of(ladder: Sequence[Rung], classes: Sequence[ClassName]) -> tuple[Step, ...]:
    """All steps in order; `classes` are those of the pipeline, highest first."""
    steps: list[Step] = []
    times: Counter[str] = Counter()  # that a rung stands in the ladder, as smallerVariant may with three variants
    for step in (step for place, rung in enumerate(ladder, 1) for step in _steps(place, rung, tuple(classes))):
        times[step.name] += 1
        again = f" ({times[step.name]})" if times[step.name] > 1 else ""
        steps.append(replace(step, name=step.name + again))
    return tuple(steps)


def _steps(place: int, rung: Rung, classes: tuple[ClassName, ...]) -> Iterable[Step]:
    action = rung.action
    match action:
        case "interimRate":
            hz = rung.max_hz or MAX_HZ
            return (Step(place, f"interims at {hz} Hz", action, classes, hz),)
        case "lowerSampleRate":
            hz = rung.hz or SEND_HZ
            return (Step(place, f"sample rate {hz / 1000:g} kHz", action, classes, hz),)
        case "optionalStages":
            return tuple(
                Step(place, f"optional stages off: {touched[-1]}", action, touched) for touched in _growing(classes)
            )
        case "largerChunks":
            ms = rung.chunk_ms or CHUNK_MS
            return (Step(place, f"chunks of {ms} ms", action, classes, ms),)
        case "smallerVariant":
            return tuple(Step(place, f"smaller model: {touched[-1]}", action, touched) for touched in _growing(classes))
        case "refuse":
            assert rung.class_ is not None
            return (Step(place, f"{rung.class_} refused", action, (rung.class_,)),)
        case "refuseAll":
            return (Step(place, "all refused", action, classes),)
        case "closeLongest":
            assert rung.class_ is not None
            return (Step(place, f"longest {rung.class_} closed", action, (rung.class_,)),)
        case other:
            assert_never(other)


def _growing(classes: tuple[ClassName, ...]) -> Iterable[tuple[ClassName, ...]]:
    """The lowest class, the two lowest, and so on."""
    lowest_first = classes[::-1]
    return (lowest_first[: n + 1] for n in range(len(lowest_first)))


def treatment_of(in_force: Iterable[Step], priority: str) -> Treatment:
    """What these steps do to an open stream of class `priority`."""
    treatment, seen = Treatment(), set()
    for step in in_force:
        if priority in step.classes and step.rung not in seen:
            seen.add(step.rung)  # the steps of one rung add up to more classes, not to more for each
            treatment = _under(treatment, step)
    return treatment


def _under(treatment: Treatment, step: Step) -> Treatment:
    names = (*treatment.names, step.name)
    match step.action:
        case "interimRate":
            return replace(treatment, names=names, max_interim_hz=min(treatment.max_interim_hz, step.amount))
        case "lowerSampleRate":
            return replace(treatment, names=names, send_rate=min(treatment.send_rate or step.amount, step.amount))
        case "optionalStages":
            return replace(treatment, names=names, stages=False)
        case "largerChunks":
            return replace(treatment, names=names, chunk_ms=max(treatment.chunk_ms, step.amount))
        case "smallerVariant":
            return replace(treatment, names=names, smaller=treatment.smaller + 1)
        case "refuse" | "refuseAll" | "closeLongest":
            return treatment  # nothing changes for who is in
        case other:
            assert_never(other)


def refuses(in_force: Iterable[Step], priority: str) -> Step | None:
    """The lowest step in force that lets no new stream of this class in."""
    return next((s for s in in_force if s.action in ("refuse", "refuseAll") and priority in s.classes), None)


def shown(in_force: Sequence[Step]) -> tuple[int, str]:
    """Number and name of the highest rung in force."""
    return (in_force[-1].rung, in_force[-1].name) if in_force else (0, FULL_QUALITY)


def smaller_variant(variants: Sequence[str], own: str, smaller: int) -> str:
    """The variant that serves a stream of variant `own`: further down the list, at most its end."""
    return variants[min(variants.index(own) + smaller, len(variants) - 1)]


def larger_mode(modes: Sequence[int], own: int, chunk_ms: int) -> int:
    """Frames per chunk: what the stream has by itself, at least `chunk_ms`, as far as the model was trained for it."""
    wanted = max(own, chunk_ms // FRAME_MS)
    return max((mode for mode in modes if mode <= wanted), default=min(modes))
