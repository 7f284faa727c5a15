"""Which steps of the ladder are in force in this process: by its own judgement (weir_api/ladder.py), and because the
operator's policy holds them (ADR 7). A policy ends by itself; what it brought is left when it is calm, as any step is.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from weir_api.degradation import ClassName
from weir_api.ladder import Decision, LadderState, Plan, carry, decide, hold, room
from weir_api.load import LoadWindow
from weir_api.policy import Step, Treatment, refuses, shown, treatment_of

REFUSALS = ("refuse", "refuseAll")


@dataclass(frozen=True, slots=True)
class Moved:
    """What an order changed at once."""

    entered: tuple[Step, ...]
    left: tuple[Step, ...]


class Rungs:
    def __init__(self, plan: Plan, classes: Iterable[ClassName]) -> None:
        self.plan, self.state = plan, LadderState()
        self._floor: tuple[int, ...] = ()
        self._until = float("-inf")
        self._room = 0  # streams of the highest refused class that may still be let in
        self._treatments = {name: Treatment() for name in classes}

    @property
    def in_force(self) -> tuple[Step, ...]:
        return self.state.steps(self.plan)

    @property
    def shown(self) -> tuple[int, str]:
        return shown(self.in_force)

    def treatment(self, priority: ClassName) -> Treatment:
        """What the steps in force do to streams of this class."""
        return self._treatments[priority]

    # ---- who is let in

    def refuses(self, priority: ClassName) -> Step | None:
        """The step that lets no stream of this class in now."""
        step = refuses(self.in_force, priority)
        return None if step is None or (self._room and self._is_next(step)) else step

    def let_in(self, priority: ClassName) -> None:
        if refuses(self.in_force, priority) is not None:
            self._room -= 1

    def _is_next(self, step: Step) -> bool:
        """Whether room goes to the class that `step` refuses: the highest that is refused."""
        return step == next(s for s in reversed(self.in_force) if s.action in REFUSALS)

    # ---- what changes

    def floor(self, now: float) -> tuple[int, ...]:
        """Places of the steps that the policy holds in force."""
        return self._floor if self.valid(now) else ()

    def valid(self, now: float) -> bool:
        """Whether there is a policy whose time has not run out."""
        return now < self._until

    def tick(self, window: LoadWindow, now: float) -> Decision:
        """Climb, stay or descend, not below the floor."""
        decision = decide(self.plan, window, self.state, now, self.floor(now))
        self.state = decision.state
        self._room = room(self.plan, window, self.state)
        if decision.entered or decision.left:
            self._treat()
        return decision

    def obey(self, plan: Plan, floor: tuple[int, ...], until: float, now: float) -> Moved:
        """A policy came: another ladder perhaps, and the steps that are in force until `until` at least."""
        before = self.in_force
        self.state = carry(self.plan, plan, self.state, now)
        self.plan, self._floor, self._until = plan, floor, until
        self.state = hold(plan, self.state, self.floor(now), now).state
        self._treat()
        return Moved(_new(self.in_force, before), _new(before, self.in_force))

    def _treat(self) -> None:
        self._treatments = {name: treatment_of(self.in_force, name) for name in self._treatments}


def _new(steps: Iterable[Step], others: Iterable[Step]) -> tuple[Step, ...]:
    known = {step.name for step in others}
    return tuple(step for step in steps if step.name not in known)
