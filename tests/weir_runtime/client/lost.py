"""Ways to lose a connection, and a caller who says something and hears all that comes back."""

import asyncio

from weir_runtime.client import AsyncClient

S = 32_000  # bytes of a second
SPEECH = bytes(n % 251 for n in range(10 * S))
FULL = (503, [("Retry-After", "0")], {"error": "overloaded", "reason": "slots", "message": "no slot"})


async def hear(url, audio=SPEECH[:S], then=None, key=None, resume_s=60.0, **options):
    """All events of a stream that says `audio`, then what `then(stream)` says, then `close`."""
    async with AsyncClient(url, key, resume_s=resume_s).stream(**options) as stream:

        async def speak():
            await stream.send(audio)
            if then is not None:
                await then(stream)
            await stream.close()

        speaking = asyncio.create_task(speak())
        try:
            return [event async for event in stream]
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)


def kinds(found):
    return [type(event).__name__ for event in found]


async def whole(taken):
    await taken.ready("t9", 0)
    await taken.until_closed()


def lost_by(breaks, token="t1", from_ms=250):
    """A script that gives a token and then goes away."""

    async def script(taken):
        await taken.ready()
        await taken.until_bytes(S)
        await taken.final(0, token, from_ms)
        await breaks(taken)

    return script


def goes_on(from_ms=250):
    async def script(taken):
        await taken.ready("t2", from_ms)
        await taken.until_closed()

    return script


async def cut(taken):
    taken.cut()


async def cut_in_a_frame(taken):
    taken.socket.transport.write(b'\x81\x7e\x02\x00{"type": "fin')
    taken.cut()


async def fall_silent(taken):
    await taken.socket.wait_closed()


def close_with(code):
    return lambda taken: taken.socket.close(code, "why: because")


LOSSES = {"cut": cut, "cut in a frame": cut_in_a_frame, "silent": fall_silent}
LOSSES |= {str(code): close_with(code) for code in (1001, 1011, 1012, 1013)}
