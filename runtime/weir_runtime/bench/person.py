"""One client: it streams, pauses, streams again, as the traffic wants it, over a real socket at microphone speed.

The load is open-loop: a frame is due when a microphone would have filled it, whatever the server does, and every delay
counts from there. Where the server reads slowly, sending blocks and what was due meanwhile counts as waiting; where
the client itself comes late, the delay holds that too, and `Run.lag` says how much it was.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from weir_api.degradation import CLASSES, ClassName
from weir_runtime.bench.plan import FRAME_S, Turn, Visit, class_at, turns
from weir_runtime.bench.record import Notice, Refusal, Run, Series, StreamRecord
from weir_runtime.bench.speech import Tape
from weir_runtime.client import AsyncClient, AsyncStream, ClientError, Refused, events
from weir_runtime.client.events import Closed, Error, Final, Interim, ServerEvent

FRAME_MS = 100
WAIT_S = 1.0  # after a refusal that names no time
SPREAD_S = 0.5  # on top of Retry-After, so that clients do not come back together


@dataclass(slots=True)
class Stage:
    """What all clients of a run share. `now` is the run's clock: seconds since its start."""

    client: AsyncClient
    run: Run
    tapes: list[Tape]
    now: Callable[[], float]
    open: dict[ClassName, int] = field(default_factory=lambda: dict.fromkeys(CLASSES, 0))  # streams open now

    async def until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - self.now()))


async def visit(stage: Stage, when: Visit) -> None:
    """Be a client from the visit's begin to its end."""
    chance = random.Random(when.client)
    await stage.until(when.begin_s)
    for turn in turns(stage.run.traffic, when):
        await asyncio.sleep(turn.gap_s)
        if when.end_s - stage.now() < FRAME_S:
            return
        await _ask(stage, when, turn, chance)


async def _ask(stage: Stage, when: Visit, turn: Turn, chance: random.Random) -> None:
    """One stream, asked for until it is taken."""
    at_s = stage.now()
    priority = class_at(stage.run.traffic, when.client, at_s)
    record = StreamRecord(when.client, priority, turn.tape % len(stage.tapes), turn.seconds, at_s)
    stage.run.streams.append(record)
    while True:
        try:
            await _stream(stage, when, record)
        except Refused as refused:
            record.reason, record.end_s = refused.reason or refused.error, stage.now()
            after_s = WAIT_S if refused.retry_after_s is None else refused.retry_after_s
            took_s = record.end_s - at_s
            record.refusals.append(Refusal(at_s, took_s, refused.status, record.reason, refused.retry_after_s))
            await stage.until(min(when.end_s, record.end_s + after_s + chance.uniform(0.0, SPREAD_S)))
            at_s = stage.now()
            patient = stage.run.traffic.stream.retry and refused.retry_after_s is not None
            if patient and when.end_s - at_s >= FRAME_S:
                continue
        except ClientError as error:
            record.outcome, record.reason, record.end_s = "lost", type(error).__name__, stage.now()
            record.errors.append(str(error))
        return


async def _stream(stage: Stage, when: Visit, record: StreamRecord) -> None:
    asked_s = stage.now()
    async with stage.client.stream(**{"class": record.priority, "words": False}) as stream:
        begin_s = record.opened_s = stage.now()
        record.handshake_s = begin_s - asked_s
        n_frames = max(1, int(min(record.seconds, when.end_s - begin_s) / FRAME_S))
        stage.open[record.priority] += 1
        sending = asyncio.create_task(_send(stage, stream, record, begin_s, n_frames))
        try:
            await _listen(stage, stream, record, begin_s)
        finally:
            stage.open[record.priority] -= 1
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    record.end_s = stage.now()


async def _send(stage: Stage, stream: AsyncStream, record: StreamRecord, begin_s: float, n_frames: int) -> None:
    now, lag, due_s = stage.now, stage.run.lag, begin_s
    for frame in stage.tapes[record.tape].play(n_frames):
        due_s += FRAME_S
        wait_s = due_s - now()
        if wait_s > 0:  # else the server held the last frame back: not the client's own lateness
            await asyncio.sleep(wait_s)
            at_s = now()
            lag.add(at_s, at_s - due_s)
        await stream.send(frame)
        record.frames += 1
    await stream.close()


async def _listen(stage: Stage, stream: AsyncStream, record: StreamRecord, begin_s: float) -> None:
    """Everything that the server says, up to `closed`."""
    results, finals = stage.run.results[record.priority], stage.run.finals[record.priority]
    async for event in stream:
        at_s = stage.now()
        match event:
            case Interim(end_ms=end_ms):
                _delay(results, at_s, begin_s, end_ms)
            case Final(end_ms=end_ms):
                record.finals.append((event.start_ms, end_ms, event.text))
                if event.text:
                    _delay(finals, at_s, begin_s, end_ms)
            case _:
                _note(record, event, at_s)


def _delay(series: Series, at_s: float, begin_s: float, end_ms: int) -> None:
    """From when a microphone would have given the frame that holds the last sample before `end_ms`."""
    series.add(at_s, at_s - begin_s - -(-end_ms // FRAME_MS) * FRAME_S)


def _note(record: StreamRecord, event: ServerEvent, at_s: float) -> None:
    match event:
        case events.Warning(code=code, audio_ms=audio_ms, in_force=in_force):
            record.notices.append(Notice(at_s, audio_ms, code, tuple(in_force)))
        case Error(code=code):
            record.errors.append(code)
            if event.start_ms is not None and event.end_ms is not None:
                record.lost_ms += event.end_ms - event.start_ms
        case Closed(reason=reason):
            record.outcome, record.reason = "closed", reason
