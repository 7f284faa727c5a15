"""What the commands share: where a stream goes, and one clear line for whatever goes wrong."""

import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable

import click
import uvloop

from weir_api.logs import configure_logs
from weir_runtime.client import ClientError
from weir_runtime.client.files import UndecodableFile

FAILURES = (ClientError, UndecodableFile, ValueError, OSError)


@contextlib.asynccontextmanager
async def server_at(url: str | None) -> AsyncIterator[str]:
    """`url`, or the address of a server in this process where none is named."""
    if url is not None:
        yield url
        return
    import torch  # here, since a client alone should not load it

    from weir_api.v1alpha1 import StreamingPipeline
    from weir_runtime.commands.serve import default_threads
    from weir_runtime.front.watched_socket import silence_uvicorn
    from weir_runtime.wiring import serving

    configure_logs("error")
    silence_uvicorn()
    torch.set_num_threads(default_threads())
    async with serving(StreamingPipeline()) as here:
        yield here


def run(work: Awaitable[int]) -> None:
    """Run to the end and exit with its code; a failure is one line on stderr and code 1, Ctrl-C is 130."""

    async def main() -> int:
        return await work

    try:
        code = uvloop.run(main())
    except FAILURES as error:
        click.echo(f"weir: {error}", err=True)
        code = 1
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
