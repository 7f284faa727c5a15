"""A client whose connection is cut and who goes on elsewhere, as docs/protocol.md asks it to; in virtual time.

Its detector remembers what it heard, as a real one does: who starts it anew in another place hears something else.
"""

from dataclasses import dataclass

from machine import Machine
from msgspec.structs import replace

from weir_runtime.messages import (
    BEGINNING,
    Audio,
    Checkpoint,
    Clear,
    Close,
    Closed,
    Configure,
    Configured,
    Final,
    Finalize,
    Open,
    StreamOptions,
)

MEMORY = 0.9  # of the windows before


class Remembering(Machine):
    def detect(self, batch):
        prob = super().detect(batch)
        for row, slot in enumerate(batch.slots.tolist()):
            level = 0.0 if batch.first[row] else self.state[slot]
            for window in range(batch.n_windows[row]):
                prob[row, window] = level = MEMORY * level + (1 - MEMORY) * float(prob[row, window])
            self.state[slot] = level
        return prob


@dataclass(frozen=True)
class Mark:
    """What the client says at a sample of its audio."""

    position: int
    kind: type
    options: StreamOptions | None = None

    def message(self, stream, name):
        return Configure(stream, name, self.options) if self.kind is Configure else self.kind(stream, name)


def told(events, marks, point, options):
    """The last point that was told, and the options in force there (front/session.py does the same)."""
    in_force = options
    for event in events:
        if isinstance(event, Configured):
            in_force = marks[int(event.id)].options
        elif isinstance(event, Final | Checkpoint) and event.point != point:
            point, options = event.point, in_force
    return point, options


def spoken(pcm, marks, options, frames, cuts=(), hasty=False):
    """What the stream says all in all, cut at the samples `cuts`; `frames` are the sizes in which each connection
    sends, `hasty` connections end before the last frame is worked off."""
    point, finals = BEGINNING, []
    for n, cut in enumerate([*cuts, None]):
        machine = Remembering(n_slots=1)
        resume = None if n == 0 else point
        machine.send(Open("s", "standard", "", "v", options, False, resume, resume is not None))
        send(machine, pcm, marks, point.from_, len(pcm) if cut is None else cut, frames[n % len(frames)], hasty)
        if cut is None:
            machine.run()
            machine.send(Close("s"))
            machine.run()
        events = machine.events["s"]
        assert all(event.point.from_ % 16 == 0 for event in events if isinstance(event, Final | Checkpoint))
        finals += [event for event in events if isinstance(event, Final)]
        point, options = told(events, marks, point, options)
        assert point.segment == len(finals), "all finals lie before the last point"
    (closed,) = [event for event in events if isinstance(event, Closed)]
    return finals, closed


def send(machine, pcm, marks, begin, end, frame, hasty=False):
    """Audio from `begin` to `end`, and what the client says there and said before."""
    at = begin
    waiting = [(mark.position, str(n), mark) for n, mark in enumerate(marks) if begin <= mark.position <= end]
    while True:
        while waiting and waiting[0][0] <= at:
            _, name, mark = waiting.pop(0)
            machine.send(mark.message("s", name))
        if at >= end:
            return
        upto = min([at + frame, end, *(position for position, _, _ in waiting[:1])])
        machine.send(Audio("s", pcm[at:upto], machine.now))
        at = upto
        if not (hasty and at >= end):
            machine.run()


def essence(finals, closed):
    """All that must be the same. What is cut for its length is heard as far as it was given by then to the engine,
    which depends on the machine: there the text may differ by what lies at the cut, and be the first or not."""
    told, cut = [], False
    for final in finals:
        here = final.reason == "max_segment" and final.point.speaking
        cut = cut or here
        text = None if here else (final.text, final.words, final.start, final.end, final.confidence)
        joins = None if cut else (final.lead, final.point.said)
        told.append((final.seg, final.reason, text, joins, replace(final.point, said=False)))
    return told, closed.segments, closed.last_final


MARKS = (Finalize, Clear, Configure)
