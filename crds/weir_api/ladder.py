"""The degradation ladder: (plan, load, state, now) -> state and reason. Pure; runtime, simulator and operator share it.

Rules: a signal presses from `enter` on; then the lowest step that is not in force and relieves a pressed resource is
entered. When all signals are below `recover` the highest step in force is left, if what it spares still fits then. One
step per decision, a dwell between two, less while it is steep; closeLongest, the memory guard, waits for no dwell.
What was overload once is remembered (`limit`), since a cost that was measured wrongly must not make the ladder swing.
Steps of the floor (ADR 7) are in force at once, all of them, and stay; without it the ladder goes on from where it is.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from weir_api.degradation import Signals
from weir_api.forecast import Costs, Forecast, forecast, with_openings
from weir_api.load import LoadWindow
from weir_api.policy import Step

Resource = Literal["device", "front", "slots", "memory"]
MARGIN = 0.1  # below `enter` that a forecast must stay for a step to be left
STEEP = 1.3  # times `enter`
RUSH = 0.05  # of a dwell, while the steps in force do not suffice for what is asked
HURRY = 0.2  # of a dwell, while it is steep
ALIKE = 0.7  # of the fullest resource's share: one that is as full is at fault too
GENTLY = 0.1  # of the streams, that a refused class may add per decision
TELLING = 0.01  # of a load: what a step must spare to be worth entering
RELAX = 0.02  # that a remembered limit grows by per dwell of calm; half of it after each further overload
LEAST_LIMIT = 0.1
SURGE = 1.25  # times what was forecast: so much more is another load
UNLIMITED = Forecast(float("inf"), float("inf"))


@dataclass(frozen=True, slots=True)
class Plan:
    """What does not change while a pipeline runs."""

    steps: tuple[Step, ...]
    signals: Signals
    dwell_s: float
    costs: Costs


@dataclass(frozen=True, slots=True)
class LadderState:
    in_force: tuple[int, ...] = ()  # places in Plan.steps, ascending
    changed_at: float = float("-inf")
    seen_at: float = float("-inf")
    fits_since: float = float("inf")  # without the highest step
    left: Forecast | None = None  # what was forecast when a step was left, if that was the last change
    limit: Forecast = UNLIMITED
    overloads: int = 0  # that set a limit

    def steps(self, plan: Plan) -> tuple[Step, ...]:
        return tuple(plan.steps[place] for place in self.in_force)


@dataclass(frozen=True, slots=True)
class Decision:
    state: LadderState
    entered: Step | None = None
    left: Step | None = None
    held: tuple[Step, ...] = ()  # entered since they are of the floor
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Signal:
    name: str
    value: float
    unit: str  # of all three numbers
    enter: float
    recover: float
    speaks_of: tuple[Resource, ...]

    @property
    def presses(self) -> bool:
        return self.value >= self.enter

    def __str__(self) -> str:
        return f"{self.name} {self.value:.0f} {self.unit} (enter {self.enter:g}, recover {self.recover:g})"


def decide(plan: Plan, window: LoadWindow, state: LadderState, now: float, floor: Collection[int] = ()) -> Decision:
    """What to do at `now`, seconds on a clock that never goes back; asked a few times a second. `floor` are the places
    of steps that somebody else holds in force."""
    held = hold(plan, state, floor, now)
    if held.held:
        return held
    steps = state.steps(plan)
    signals = list(read_signals(plan, window, steps))
    pressing = [signal for signal in signals if signal.presses]
    calm = all(signal.value < signal.recover for signal in signals)
    state = _remember(plan, state, calm, now)
    if pressing:
        return _climb(plan, window, replace(state, fits_since=float("inf")), pressing, now)
    if calm and state.in_force:
        return _descend(plan, window, state, now, floor)
    return Decision(replace(state, fits_since=float("inf")))


def hold(plan: Plan, state: LadderState, floor: Collection[int], now: float) -> Decision:
    """Put the steps of the floor in force that are not; what the load is then has to show before the next change."""
    missing = sorted(set(floor) - set(state.in_force))
    if not missing:
        return Decision(state)
    in_force = tuple(sorted((*state.in_force, *missing)))
    after = replace(state, in_force=in_force, changed_at=now, fits_since=float("inf"), left=None)
    return Decision(after, held=tuple(plan.steps[place] for place in missing), reason="the operator's policy")


def carry(old: Plan, new: Plan, state: LadderState, now: float) -> LadderState:
    """The state under another ladder: what is in force goes on by its name, what has none there is left."""
    places = {step.name: place for place, step in enumerate(new.steps)}
    in_force = tuple(sorted(places[step.name] for step in state.steps(old) if step.name in places))
    if len(in_force) == len(state.in_force):
        return replace(state, in_force=in_force)
    return replace(state, in_force=in_force, changed_at=now, fits_since=float("inf"), left=None)


def read_signals(plan: Plan, window: LoadWindow, steps: Sequence[Step]) -> Iterator[Signal]:
    """Every signal in the manifest's units."""
    want = plan.signals
    load = forecast(plan.costs, window, steps, steps)
    queue, p95, slots, memory = want.queue_depth, want.latency_p95, want.slots_used, want.host_memory
    yield Signal("queueDepth", window.queue_chunks, "chunks", queue.enter, queue.recover, ("device", "front"))
    for name, entry in window.classes.items():
        if entry.latency_p95_s is not None and entry.promise_s is not None:
            percent, limits = 100 * entry.latency_p95_s / entry.promise_s, (p95.enter_percent, p95.recover_percent)
            yield Signal(f"latencyP95 of {name}", percent, "% of its promise", *limits, ("device", "front"))
    device, front = want.device_utilization, want.front_utilization
    yield Signal("deviceUtilization", 100 * load.device, "%", device.enter, device.recover, ("device",))
    yield Signal("frontUtilization", 100 * load.front, "%", front.enter, front.recover, ("front",))
    used = 100 * window.slots_used / window.slots_total
    yield Signal("slotsUsed", used, "%", slots.enter, slots.recover, ("slots",))
    yield Signal("hostMemory", 100 * window.memory, "%", memory.enter, memory.recover, ("memory",))


def room(plan: Plan, window: LoadWindow, state: LadderState) -> int:
    """How many streams a refused class may still open before the next decision: a server that refuses a class keeps
    itself as full as it can be, or those who leave would leave it empty.
    """
    steps, usual = state.steps(plan), window.usual_streams
    if not all(signal.value < signal.recover or signal.name == "slotsUsed"
               for signal in read_signals(plan, window, steps)):  # fmt: skip
        return 0
    free = int(window.slots_total * plan.signals.slots_used.enter / 100 - window.slots_used - 1e-9)
    if usual < 1:
        return max(0, min(1, free))
    load, most = forecast(plan.costs, window, steps, steps), _most(plan, state)
    share = max(load.device / most.device, load.front / most.front)
    streams = usual / share if share > 0 else float("inf")
    return max(0, min(free, max(1, int(usual * GENTLY)), int(min(streams, 1e9)) - window.streams))


def _remember(plan: Plan, state: LadderState, calm: bool, now: float) -> LadderState:
    """Calm lets a remembered limit grow, slowly, and more slowly each time that it proved right."""
    passed = 0.0 if state.seen_at == float("-inf") else now - state.seen_at
    if not calm:
        return replace(state, seen_at=now)
    grown = 1 + RELAX * passed / plan.dwell_s / 2 ** min(state.overloads, 30)
    limit = Forecast(state.limit.device * grown, state.limit.front * grown)
    return replace(state, seen_at=now, limit=limit)


def _climb(plan: Plan, window: LoadWindow, state: LadderState, pressing: list[Signal], now: float) -> Decision:
    steps = state.steps(plan)
    load = forecast(plan.costs, window, steps, steps)
    busiest = _busiest(plan, load)
    resources = {resource for signal in pressing for resource in signal.speaks_of
                 if len(signal.speaks_of) == 1 or resource in busiest}  # fmt: skip
    place = next((n for n, step in enumerate(plan.steps) if n not in state.in_force
                  and _relieves(plan, window, steps, step, resources)), None)  # fmt: skip
    if place is None or now - state.changed_at < _pause(plan, window, state, plan.steps[place], pressing):
        return Decision(state)
    state = _learn(state, load, busiest)
    in_force = tuple(sorted((*state.in_force, place)))
    after = replace(state, in_force=in_force, changed_at=now, left=None)
    return Decision(after, entered=plan.steps[place], reason="; ".join(str(signal) for signal in pressing))


def _relieves(plan: Plan, window: LoadWindow, steps: Sequence[Step], step: Step, resources: set[Resource]) -> bool:
    """Whether this step does anything for a pressed resource, now."""
    match step.action:
        case "refuse" | "refuseAll":
            return True
        case "closeLongest":
            return "memory" in resources
        case _:
            now = forecast(plan.costs, window, steps, steps)
            then = forecast(plan.costs, window, steps, (*steps, step))
            device = "device" in resources and then.device < now.device * (1 - TELLING)
            return device or ("front" in resources and then.front < now.front * (1 - TELLING))


def _learn(state: LadderState, load: Forecast, busiest: set[Resource]) -> LadderState:
    """After a step was left one has to be entered, and not since more is asked: what was forecast then is too much."""
    left = state.left
    if left is None:
        return state
    device = "device" in busiest and load.device <= SURGE * left.device
    front = "front" in busiest and load.front <= SURGE * left.front
    limit = Forecast(
        min(state.limit.device, max(left.device, LEAST_LIMIT)) if device else state.limit.device,
        min(state.limit.front, max(left.front, LEAST_LIMIT)) if front else state.limit.front,
    )
    return replace(state, limit=limit, overloads=state.overloads + (device or front))


def _busiest(plan: Plan, load: Forecast) -> set[Resource]:
    """Whose fault a queue or a late result is: the resource that is fullest, and the other if it is nearly as full."""
    want = plan.signals
    used: dict[Resource, float] = {
        "device": load.device / want.device_utilization.enter,
        "front": load.front / want.front_utilization.enter,
    }
    return {resource for resource, share in used.items() if share >= ALIKE * max(used.values())}


def _pause(plan: Plan, window: LoadWindow, state: LadderState, step: Step, pressing: list[Signal]) -> float:
    """How long after the last change this step may be entered. Signals remember the last seconds: where the load fits
    under the steps in force and the queue grows no more, what they tell is what was before the last change."""
    if step.action == "closeLongest":
        return 0.0
    if not _fits(plan, window, state, state.steps(plan)):
        return plan.dwell_s * RUSH
    growing = window.queue_slope * plan.dwell_s >= plan.signals.queue_depth.enter
    if not growing and window.queue_slope <= 0:
        return plan.dwell_s
    steep = growing or any(signal.value >= STEEP * signal.enter for signal in pressing)
    return plan.dwell_s * (HURRY if steep else 1.0)


def _most(plan: Plan, state: LadderState) -> Forecast:
    """Load that stays, with a margin, under `enter` and under what was overload once."""
    want = plan.signals
    device = min(want.device_utilization.enter / 100, state.limit.device)
    front = min(want.front_utilization.enter / 100, state.limit.front)
    return Forecast((1 - MARGIN) * device, (1 - MARGIN) * front)


def _fits(plan: Plan, window: LoadWindow, state: LadderState, then: Sequence[Step]) -> bool:
    """Whether the load has room under the steps `then`."""
    load, most = forecast(plan.costs, window, state.steps(plan), then), _most(plan, state)
    return load.device < most.device and load.front < most.front


def _descend(plan: Plan, window: LoadWindow, state: LadderState, now: float, floor: Collection[int]) -> Decision:
    """Leave the highest step that the floor does not hold, if the load still fits without it. Where it holds them all
    the calm counts for when it no longer does."""
    own = [place for place in state.in_force if place not in floor]
    leaving = (own or state.in_force)[-1]
    in_force = tuple(place for place in state.in_force if place != leaving)
    steps, step, rest = state.steps(plan), plan.steps[leaving], tuple(plan.steps[place] for place in in_force)
    if step.action in ("refuse", "refuseAll"):
        refused = {name for each in rest if each.action in ("refuse", "refuseAll") for name in each.classes}
        window = with_openings(window, [name for name in step.classes if name not in refused])
    then = forecast(plan.costs, window, steps, rest)
    slots = 100 * window.slots_used < plan.signals.slots_used.enter * window.slots_total
    if not slots or not _fits(plan, window, state, rest):
        return Decision(replace(state, fits_since=float("inf")))
    since = min(state.fits_since, now)
    if not own or now - max(since, state.changed_at) < plan.dwell_s:
        return Decision(replace(state, fits_since=since))
    after = replace(state, in_force=in_force, changed_at=now, fits_since=now, left=then)
    reason = f"calm; without it device {100 * then.device:.0f} %, front {100 * then.front:.0f} %"
    return Decision(after, left=step, reason=reason)
