"""A `weir serve` of the bench's own, in another process: here it would share the interpreter with the clients."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from weir_runtime.bench.target import Target

END_S = 30.0
ANNOUNCED = "weir: listening on "


@contextmanager
def serving(manifest: Path | None, *arguments: str) -> Iterator[Target]:
    """A server with this manifest on a free port. Raises OSError where it does not start; it has said why itself."""
    command = [str(Path(sys.executable).with_name("weir")), "serve", "--port", "0", "--log-level", "error", *arguments]
    if manifest is not None:
        command += ["-f", str(manifest)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line.startswith(ANNOUNCED):
                raise OSError("the server did not start")
            yield Target(line.removeprefix(ANNOUNCED).strip(), pid=process.pid)
        finally:
            _end(process)


def _end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
