"""How a pipeline bends as a whole: its pods' reports, merged, go through the ladder; what comes out is the floor.

Pure. The pods run the same ladder on what each sees, four times a second (ADR 7): the floor makes all of them alike.
Rules: one step per decision; the floor is remembered by the steps' names, so it survives a restart and a ladder that
was rewritten; on absent data nothing changes; closeLongest is never in the floor, since each pod guards its own memory
and none has to close streams for another's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from weir_api.ladder import Decision, LadderState, Plan, decide
from weir_api.policy import Step, steps_of
from weir_api.report import LoadReport
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator.memory import Memory
from weir_operator.pressure import costs, merged

MOST_STEPS = 64  # that a policy can name
REASON_LENGTH = 512
REWRITTEN = "the ladder was rewritten"


@dataclass(frozen=True, slots=True)
class Bent:
    memory: Memory
    ladder: LadderState
    policy_changed: bool = False
    reason: str = ""  # why it changed, or why nothing was decided


def bend(
    spec: StreamingPipelineSpec,
    memory: Memory,
    state: LadderState,
    reports: Sequence[LoadReport],
    ready: int,
    now: float,
) -> Bent:
    """The floor from `now` on (Unix seconds): `reports` are the fresh ones of the `ready` pods that take streams."""
    every = steps_of(spec.ladder, spec.classes)
    steps = tuple(step for step in every if step.action != "closeLongest")
    kept = tuple(place for place, step in enumerate(steps) if step.name in memory.floor)
    state = _clocked(state if state.in_force == kept else _resumed(state, kept, memory), now)
    plan = Plan(every, spec.degradation.signals, spec.degradation.dwell_seconds, costs(reports))
    window = merged(reports, plan, tuple(steps[place] for place in kept), spec)
    if window is None or 2 * len(reports) < ready:
        held = _with_floor(memory, steps, kept, REWRITTEN, now)
        return Bent(held, state, held is not memory, f"{len(reports)} of {ready} ready pods report their load: held")
    decision = decide(replace(plan, steps=steps), window, state, now)
    bent = _with_floor(memory, steps, decision.state.in_force, _why(decision), now)
    return Bent(bent, decision.state, bent is not memory, bent.reason if bent is not memory else "")


def floor_of(spec: StreamingPipelineSpec, memory: Memory) -> list[int]:
    """The floor as places in the ladder of pods that run `spec`."""
    steps = steps_of(spec.ladder, spec.classes)
    return [place for place, step in enumerate(steps) if step.name in memory.floor]


def _with_floor(memory: Memory, steps: Sequence[Step], in_force: Sequence[int], reason: str, now: float) -> Memory:
    """The same memory if it holds these steps already."""
    floor = [steps[place].name for place in in_force][:MOST_STEPS]
    if floor == memory.floor:
        return memory
    changed = {"floor": floor, "reason": reason[:REASON_LENGTH], "changed_at": now, "revision": memory.revision + 1}
    return memory.model_copy(update=changed)


def _why(decision: Decision) -> str:
    match decision:
        case Decision(entered=Step() as step):
            return f"entered {step.name}: {decision.reason}"
        case Decision(left=Step() as step):
            return f"left {step.name}: {decision.reason}"
        case _:
            return REWRITTEN


def _resumed(state: LadderState, in_force: tuple[int, ...], memory: Memory) -> LadderState:
    """After a restart of the operator, or of a ladder with other steps: a dwell since the last change is kept."""
    changed_at = max(state.changed_at, memory.changed_at)
    return replace(state, in_force=in_force, changed_at=changed_at, fits_since=float("inf"), left=None)


def _clocked(state: LadderState, now: float) -> LadderState:
    """The wall clock may be put back, and another leader's may have been ahead: nothing happened in the future."""
    return replace(state, changed_at=min(state.changed_at, now), seen_at=min(state.seen_at, now))
