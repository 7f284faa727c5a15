"""What is said while there is no connection, and what becomes of it."""

import asyncio

import pytest
from client.lost import (
    SPEECH,
    S,
    cut,
    goes_on,
    hear,
    kinds,
    lost_by,
)
from client.scripted import scripted

from weir_runtime.client import AsyncClient, ConnectionLost, Transcript
from weir_runtime.client.events import Final


async def test_what_is_said_in_an_outage_is_kept_and_sent_behind_it():
    back = asyncio.Event()

    async def later(taken):
        await back.wait()
        await goes_on()(taken)

    async with scripted(lost_by(cut), later) as (url, taken), AsyncClient(url).stream() as stream:
        await stream.send(SPEECH[:S])
        while not isinstance(await anext(stream), Final):
            pass
        await asyncio.wait_for(stream.send(SPEECH[S : 9 * S]), 5)
        await stream.finalize("f")
        await stream.send(SPEECH[9 * S :])
        await stream.close()
        back.set()
        assert kinds([event async for event in stream]) == ["Ready", "Closed"]
    assert taken[1].heard == [SPEECH[S // 4 : 9 * S], {"type": "finalize", "id": "f"}, SPEECH[9 * S :],
                              {"type": "close"}]  # fmt: skip


async def test_more_than_an_outage_may_last_is_not_kept():
    back = asyncio.Event()

    async def later(taken):
        await back.wait()
        await goes_on()(taken)

    async with scripted(lost_by(cut), later) as (url, taken), AsyncClient(url, resume_s=4.0).stream() as stream:
        await stream.send(SPEECH[:S])
        while not isinstance(await anext(stream), Final):
            pass
        sending = asyncio.create_task(stream.send(SPEECH[S:]))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(sending), 0.3)
        assert 4 * S <= stream._session.log.end - S <= 4 * S + (1 << 15)
        back.set()
        await asyncio.wait_for(sending, 5)
        await stream.close()
        assert kinds([event async for event in stream]) == ["Ready", "Closed"]
    assert taken[1].heard[0] == SPEECH[S // 4 :]


async def test_a_lost_stream_can_be_cancelled():
    asked = asyncio.Event()

    async def say_nothing(taken):
        asked.set()
        await taken.socket.wait_closed()

    async with scripted(lost_by(cut), say_nothing) as (url, _), AsyncClient(url).stream() as stream:
        await stream.send(SPEECH[:S])
        while not isinstance(await anext(stream), Final):
            pass
        hearing = asyncio.create_task(anext(stream))
        await asked.wait()
        await stream.cancel()
        for saying in (hearing, stream.send(b"ab"), stream.cancel()):
            with pytest.raises(ConnectionLost, match="cancelled"):
                await saying


async def test_text_of_an_open_segment_is_void_when_the_stream_goes_on():
    transcript = Transcript()
    interim = {"seg": 0, "rev": 1, "offset": 0, "stable": 0, "stability": 0, "start_ms": 0, "end_ms": 0}

    async def first(taken):
        await taken.ready()
        await taken.say("interim", text="half a wo", **interim)
        taken.cut()

    async with scripted(first, goes_on(0)) as (url, _):
        for event in await hear(url):
            transcript.apply(event)
            if getattr(event, "text", ""):
                assert transcript.tail == "half a wo"
    assert (transcript.tail, transcript.text) == ("", "")
