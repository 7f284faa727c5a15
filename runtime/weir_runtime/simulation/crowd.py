"""The clients: each asks for a stream, streams to its end, pauses, and asks again, as bench/person.py's do.

A client that is refused waits as it is told, with the jitter that front/door.py adds, and asks again until it is not
wanted any more; one that the traffic does not let retry gives that stream up.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from weir_api.degradation import ClassName
from weir_runtime.bench.person import SPREAD_S
from weir_runtime.bench.plan import FRAME_S, Visit, class_at, turns, visits
from weir_runtime.bench.traffic import Traffic
from weir_runtime.front.door import jittered
from weir_runtime.messages import Refused
from weir_runtime.simulation.simulator import Simulator
from weir_runtime.simulation.stream import Wanted


@dataclass(frozen=True, slots=True)
class Wish:
    """A client's next stream: asked for `gap_s` after the one before, not before `at_s`; its class is that of the
    moment, unless it is told."""

    seconds: float
    speech_percent: int
    gap_s: float = 0.0
    at_s: float = 0.0
    priority: ClassName | None = None


class Client:
    """One visit."""

    def __init__(
        self, simulator: Simulator, traffic: Traffic, visit: Visit, wishes: Iterable[Wish], chance: random.Random
    ) -> None:
        self._simulator, self._traffic, self._visit, self._chance = simulator, traffic, visit, chance
        self._wishes: Iterator[Wish] = iter(wishes)
        simulator.timeline.at(visit.begin_s, self._go_on)

    def _go_on(self, _: None, now: float) -> None:
        wish = next(self._wishes, None)
        if wish is not None:
            self._simulator.timeline.at(max(now + wish.gap_s, wish.at_s), self._begin, wish)

    def _begin(self, wish: Wish, now: float) -> None:
        if self._visit.end_s - now >= FRAME_S:
            client = self._visit.client
            priority = wish.priority or class_at(self._traffic, client, now)
            self._ask((wish, Wanted(client, priority, wish.seconds)), now)

    def _ask(self, asked: tuple[Wish, Wanted], now: float) -> None:
        wish, wanted = asked
        left_s = self._visit.end_s - now
        seconds = min(wish.seconds, left_s)
        refused = self._simulator.ask(
            replace(wanted, seconds=seconds), wish.speech_percent, lambda at: self._go_on(None, at)
        )
        if refused is None:
            return
        totals = self._simulator.recorder.totals[wanted.priority]
        wait_s = min(left_s, self._wait_s(refused))
        if self._traffic.stream.retry and left_s - wait_s >= FRAME_S:
            totals.retries += 1
            self._simulator.timeline.at(now + wait_s, self._ask, asked)
            return
        totals.given_up += 1
        if not self._traffic.stream.retry:
            self._simulator.timeline.at(now + wait_s, self._go_on)

    def _wait_s(self, refused: Refused) -> float:
        """Retry-After as the door states it, and the client's own patience."""
        stated_s = jittered(refused.retry_after_s, self._chance.uniform)
        return max(1, round(stated_s)) + self._chance.uniform(0.0, SPREAD_S)


def invite(simulator: Simulator, traffic: Traffic, seed: int) -> None:
    """All clients of a traffic."""
    percent = traffic.stream.speech_percent
    for visit in visits(traffic):
        wishes = (Wish(turn.seconds, percent, gap_s=turn.gap_s) for turn in turns(traffic, visit))
        Client(simulator, traffic, visit, wishes, random.Random(f"{seed} {visit.client} {visit.begin_s}"))
