"""Outbox, origin rule and timers: pure parts of the front that a few lines each describe."""

import asyncio

import pytest

from weir_api.v1alpha1 import Admission
from weir_runtime.front.events import Heartbeat
from weir_runtime.front.origin import origin_allowed
from weir_runtime.front.outbox import ENOUGH, Outbox
from weir_runtime.front.timers import Timers
from weir_runtime.messages import Final, Interim


def interim(seg, rev):
    return Interim("s", 0, seg, rev, "text", 0, 1.0, 0, 0, 0.0, 0.0, 0.0)


def final(seg):
    return Final("s", 0, seg, 9, "text", "text", "v", (), "", 0, 0, (), 1.0, "endpoint", 0.0, 0.0, 0.0)


async def drain(outbox):
    return [await outbox.get() for _ in range(len(outbox))]


async def test_an_interim_that_waits_gives_way_to_a_newer_one_and_to_its_final():
    outbox = Outbox()
    for event in (interim(0, 1), Heartbeat(0), interim(0, 2), final(0), interim(1, 1), interim(1, 2)):
        outbox.put(event)
    assert await drain(outbox) == [Heartbeat(0), final(0), interim(1, 2)]


async def test_finals_are_never_dropped_and_a_full_outbox_says_so():
    outbox = Outbox()
    for seg in range(ENOUGH):
        outbox.put(final(seg))
    assert outbox.full
    assert [event.seg for event in await drain(outbox)] == list(range(ENOUGH))


async def test_a_reader_is_woken_by_the_next_event():
    outbox = Outbox()
    reading = asyncio.create_task(outbox.get())
    await asyncio.wait([reading], timeout=0)
    outbox.put(Heartbeat(7))
    assert await asyncio.wait_for(reading, 5) == Heartbeat(7)


@pytest.mark.parametrize(
    ("origin", "host", "allowed", "loopback", "passes"),
    [
        (None, "127.0.0.1:8000", [], True, True),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", [], True, True),
        ("http://localhost:8000", "localhost:8000", [], True, True),
        ("http://[::1]:8000", "[::1]:8000", [], True, True),
        ("http://localhost:3000", "localhost:8000", [], True, False),
        ("https://evil.example", "127.0.0.1:8000", [], True, False),
        ("http://evil.example:8000", "evil.example:8000", [], True, False),
        ("https://asr.example", "asr.example", [], False, True),
        ("https://app.example", "asr.example", ["https://app.example/"], False, True),
        ("https://app.example", "asr.example", ["*"], False, True),
        ("null", "127.0.0.1:8000", [], True, False),
        ("http://[", "127.0.0.1:8000", [], True, False),
        ("http://127.0.0.1:8000", None, [], True, False),
    ],
)
def test_origins(origin, host, allowed, loopback, passes):
    assert origin_allowed(origin, host, allowed, loopback) is passes


LIMITS = Admission(idle_seconds=30, max_session_seconds=1000, send_timeout_seconds=10)


def due(timers, now, lead_s=0.0, slowed=False, closing=False):
    return timers.due(now, lead_s, slowed, closing)


def test_an_idle_stream_is_warned_once_and_then_closed():
    timers = Timers(LIMITS, 0.0)
    timers.written(19.0)
    assert due(timers, 19.0) == []
    assert due(timers, 20.0) == ["idle_warning"]
    assert due(timers, 21.0) == []
    timers.written(29.0)
    assert timers.idle_left_s(25.0) == 5.0
    assert due(timers, 30.0) == ["idle"]


def test_audio_and_keepalive_reset_the_idle_clock_and_its_warning():
    timers = Timers(LIMITS, 0.0)
    timers.written(20.0)
    assert due(timers, 20.0) == ["idle_warning"]
    timers.heard(21.0)
    timers.written(40.0)
    assert due(timers, 40.0) == []
    assert due(timers, 41.5) == ["idle_warning"]


def test_a_client_that_we_slow_or_that_is_closing_is_not_idle():
    timers = Timers(LIMITS, 0.0)
    timers.written(100.0)
    assert due(timers, 100.0, slowed=True) == []
    assert due(timers, 101.0, closing=True) == []


def test_silence_of_ours_is_broken_within_five_seconds():
    timers = Timers(LIMITS, 0.0)
    assert due(timers, 3.0) == []
    assert due(timers, 4.0) == ["heartbeat"]


def test_the_end_of_the_longest_session_is_told_before():
    timers = Timers(LIMITS, 0.0)
    for at, expected in ((939.0, []), (940.0, ["session_warning"]), (941.0, []), (1000.0, ["session_limit"])):
        timers.heard(at)
        timers.written(at)
        assert due(timers, at) == expected


def test_audio_that_waits_and_does_not_move_is_a_stall():
    timers = Timers(LIMITS, 0.0)
    timers.heard(25.0)
    timers.written(30.0)
    assert due(timers, 19.0, lead_s=5.0) == []
    timers.moved(10.0)
    assert due(timers, 25.0, lead_s=5.0) == []
    assert due(timers, 30.0, lead_s=5.0) == ["stalled"]
    assert due(timers, 31.0, lead_s=0.5) == []


def test_a_write_that_does_not_end_is_given_up():
    timers = Timers(LIMITS, 0.0)
    timers.heard(9.0)
    timers.writing(1.0)
    assert due(timers, 9.0) == []
    assert due(timers, 11.0) == ["send_timeout"]
