"""What an idle server makes of the tapes: the transcripts that those under load are held against."""

import asyncio

from weir_runtime.bench.speech import Tape
from weir_runtime.bench.target import Target
from weir_runtime.client import AsyncClient, AsyncStream
from weir_runtime.client.events import Final

Reference = dict[int, list[tuple[int, int, str]]]  # by tape: start_ms, end_ms, text of each final
AT_ONCE = 2  # streams, each as fast as it is read
PATIENCE_S = 60.0


async def hear(target: Target, tapes: list[Tape]) -> Reference:
    """Every tape whole, faster than real time: what is recognised does not depend on when it arrives."""
    client, turn = AsyncClient(target.url, target.key, patience_s=PATIENCE_S), asyncio.Semaphore(AT_ONCE)

    async def one(tape: Tape) -> list[tuple[int, int, str]]:
        async with turn, client.stream(interim=False, words=False) as stream:
            sending = asyncio.create_task(_send(stream, tape))
            try:
                return [(one.start_ms, one.end_ms, one.text) async for one in stream if isinstance(one, Final)]
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    return dict(enumerate(await asyncio.gather(*(one(tape) for tape in tapes))))


async def _send(stream: AsyncStream, tape: Tape) -> None:
    await stream.send(b"".join(tape.frames))
    await stream.close()
