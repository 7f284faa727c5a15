"""Who starts when, with which class and for how long: a traffic's schedule. Pure, and the same for the same seed.

A client has a number; the traffic wants those below `clients_at(t)`. So the last to come go first, and since classes
are dealt by number, the clients of any moment are mixed as asked for, within one client of each class. What the server
refuses shifts what follows, so a player walks `visits` and `turns`; `plan` is the schedule where nobody is refused.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from weir_api.degradation import CLASSES, ClassName
from weir_runtime.bench.traffic import Mix, Phase, Traffic

FRAME_S = 0.1  # a client sends its audio in pieces of this
GAP_S = 1.0  # at most, between two streams of a client


@dataclass(frozen=True, slots=True)
class Visit:
    """A client is wanted from `begin_s` until `end_s`; then it closes, in mid-stream too."""

    client: int
    begin_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Turn:
    """A client's next stream: asked for `gap_s` after the one before, of `seconds`; `tape` chooses what it says."""

    gap_s: float
    seconds: float
    tape: int


@dataclass(frozen=True, slots=True)
class PlannedStream:
    client: int
    priority: ClassName
    start_s: float
    seconds: float
    tape: int


def plan(traffic: Traffic) -> list[PlannedStream]:
    """All streams in the order of their start, were every one taken at once."""
    planned = []
    for visit in visits(traffic):
        at_s = visit.begin_s
        for turn in turns(traffic, visit):
            at_s += turn.gap_s
            seconds = min(turn.seconds, visit.end_s - at_s)
            if seconds < FRAME_S:
                break
            planned.append(PlannedStream(visit.client, class_at(traffic, visit.client, at_s), at_s, seconds, turn.tape))
            at_s += seconds
    return sorted(planned, key=lambda stream: (stream.start_s, stream.client))


def visits(traffic: Traffic) -> list[Visit]:
    """When each client is wanted, in the order of arrival."""
    found: list[Visit] = []
    for client in range(traffic.most_clients):
        open_: Visit | None = None
        for begin_s, phase in traffic.spans():
            inside = _inside(phase, client)
            if inside is None:
                continue
            first, last = begin_s + inside[0], begin_s + inside[1]
            if open_ is not None and open_.end_s == first:
                open_ = Visit(client, open_.begin_s, last)
                found[-1] = open_
            else:
                open_ = Visit(client, first, last)
                found.append(open_)
    return sorted(found, key=lambda visit: (visit.begin_s, visit.client))


def turns(traffic: Traffic, visit: Visit) -> Iterator[Turn]:
    """What the client does during its visit, without an end; the gap before its first stream spreads the starts."""
    chance = random.Random(f"{traffic.seed} {visit.client} {visit.begin_s}")
    length = traffic.stream.seconds
    while True:
        yield Turn(chance.uniform(0.0, GAP_S), chance.uniform(length.from_, length.to), chance.getrandbits(31))


def class_at(traffic: Traffic, client: int, at_s: float) -> ClassName:
    """The class that client number `client` asks for if its stream begins at `at_s`."""
    return deal(traffic.mix_at(at_s), client)


def deal(mix: Mix, client: int) -> ClassName:
    """Classes in turn so that the first n clients, for any n, have each class within one of its share."""
    given = dict.fromkeys(CLASSES, 0)
    for n in range(1, client % 100 + 2):
        # of those that may get one more without going a whole client past their share, who must soonest
        open_ = [name for name in CLASSES if given[name] * 100 < n * mix.percent(name)]
        name = min(open_, key=lambda name: (given[name] + 1) / mix.percent(name))
        given[name] += 1
    return name


def _inside(phase: Phase, client: int) -> tuple[float, float] | None:
    """From when until when in the phase there are more than `client` clients."""
    first, last, wanted = phase.first, phase.streams, client + 1
    if max(first, last) < wanted:
        return None
    if min(first, last) >= wanted:
        return 0.0, phase.seconds
    crossing = phase.seconds * (wanted - first) / (last - first)
    return (crossing, phase.seconds) if last > first else (0.0, crossing)
