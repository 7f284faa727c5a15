"""A client whose server drains leaves it, and not before another takes the stream."""

import asyncio

from client.lost import (
    FULL,
    SPEECH,
    S,
    goes_on,
    hear,
    kinds,
)
from client.scripted import scripted

from weir_runtime.client import AsyncClient
from weir_runtime.client.events import Closed, Final, Heartbeat
from weir_runtime.client.events import Warning as Notice


async def test_a_stream_leaves_a_server_that_drains_at_its_next_final_and_not_before_another_takes_it():
    old_is_left = asyncio.Event()

    async def old(taken):
        await taken.ready()
        await taken.until_bytes(S)
        await taken.say("speech_started", seg=0, at_ms=0)
        await taken.say("warning", code="draining", grace_s=300)
        await taken.say("heartbeat")
        await taken.final(0, "t1", 250)  # refused
        await taken.say("speech_started", seg=1, at_ms=0)
        await taken.say("heartbeat")
        await taken.final(1, "t2", 500)  # taken
        await taken.final(2, "t3", 750)
        await taken.say("heartbeat")
        await taken.until_message("cancel")
        old_is_left.set()

    async def new(taken):
        await taken.ready("t2", 500)
        await old_is_left.wait()
        await taken.until_bytes(S // 2)
        await taken.final(2, "t4", 800)
        await taken.until_closed()

    async with scripted(old, FULL, new) as (url, taken):
        found = await hear(url, then=lambda _: old_is_left.wait())
    shown = [event for event in found if not isinstance(event, Heartbeat)]
    assert [event.text for event in shown if isinstance(event, Final)] == ["w0", "w1", "w2"]
    assert kinds(found) == ["Ready", "SpeechStarted", "Warning", "Heartbeat", "Final", "SpeechStarted", "Heartbeat",
                            "Final", "Ready", "Final", "Closed"]  # fmt: skip
    assert isinstance(found[2], Notice)
    assert (taken[1].token, taken[1].heard[0]) == ("t2", SPEECH[S // 2 : S])


async def test_in_silence_a_stream_leaves_at_once_and_what_is_said_meanwhile_is_heard_by_the_new_server():
    asked, said = asyncio.Event(), asyncio.Event()

    async def old(taken):
        await taken.ready()
        await taken.until_bytes(S)
        await taken.say("warning", code="draining", grace_s=300)
        await taken.until_message("cancel")

    async def new(taken):
        asked.set()
        await said.wait()
        await taken.ready("t1", 0)
        await taken.until_closed()

    async with scripted(old, new) as (url, taken), AsyncClient(url).stream() as stream:
        await stream.send(SPEECH[:S])
        await asked.wait()
        await stream.finalize("f")
        await stream.send(SPEECH[S : 2 * S])
        await stream.close()
        said.set()
        assert kinds([event async for event in stream]) == ["Ready", "Warning", "Ready", "Closed"]
    sent = [SPEECH[:S], {"type": "finalize", "id": "f"}, SPEECH[S : 2 * S], {"type": "close"}]
    assert taken[1].heard == sent
    assert taken[0].heard == [*sent, {"type": "cancel"}]


async def test_a_stream_that_no_other_server_takes_stays_to_the_end_and_goes_on_from_there():
    gone = asyncio.Event()

    async def old(taken):
        await taken.ready()
        await taken.until_bytes(S)
        await taken.say("warning", code="draining", grace_s=300)
        await taken.say("heartbeat")
        await taken.final(0, "t1", 1000, reason="drain")
        await taken.closed(reason="drain", resume="t2", from_ms=1000)
        await taken.socket.close(1001, "drain: this server ends")
        gone.set()

    async with scripted(old, FULL, FULL, FULL, FULL, goes_on(1000)) as (url, taken):
        found = await hear(url, then=lambda _: gone.wait())
    assert [event.reason for event in found if isinstance(event, Final | Closed)] == ["drain", "close"]
    assert (taken[1].token, taken[1].heard) == ("t2", [{"type": "close"}])


async def test_a_stream_that_is_closed_already_does_not_move():
    async def old(taken):
        await taken.ready()
        await taken.until_message("close")
        await taken.say("warning", code="draining", grace_s=300)
        await taken.final(0, "t1", 1000)
        await taken.closed()

    async with scripted(old) as (url, taken):
        assert kinds(await hear(url)) == ["Ready", "Warning", "Final", "Closed"]
    assert len(taken) == 1
