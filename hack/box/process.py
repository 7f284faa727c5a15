"""Processes that outlive the command that starts them: `up` starts, `down` ends, and a file in between says which.

The file holds the process id and its start time, so that an id that the kernel gave away again is never killed.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from box.place import Place
from box.waiting import wait_for

END_S = 15.0


def start(place: Place, name: str, command: Sequence[str | Path]) -> None:
    """Start in a session of its own; its output goes to log/NAME.log."""
    place.run.mkdir(parents=True, exist_ok=True)
    place.logs.mkdir(parents=True, exist_ok=True)
    argv = [str(word) for word in command]
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    files = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log(place, name)), flags, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=files, setsid=True)
    pid_file(place, name).write_text(f"{pid} {start_time(pid)}")


def log(place: Place, name: str) -> Path:
    return place.logs / f"{name}.log"


def pid_file(place: Place, name: str) -> Path:
    return place.run / f"{name}.pid"


def started(place: Place) -> list[str]:
    """Names of everything that was started and not ended, oldest first; what died on its own is among them."""
    files = sorted(place.run.glob("*.pid"), key=lambda file: file.stat().st_mtime_ns)
    return [file.stem for file in files]


def pid_of(place: Place, name: str) -> int | None:
    """The process id while it runs, else None."""
    try:
        pid, since = pid_file(place, name).read_text().split()
    except FileNotFoundError:
        return None
    with contextlib.suppress(ChildProcessError):
        os.waitpid(int(pid), os.WNOHANG)  # a child of ours would stay a zombie
    return int(pid) if start_time(int(pid)) == since else None


def start_time(pid: int) -> str | None:
    """Clock ticks since boot at which a process began, from /proc; None if it is gone. A zombie is gone once all its
    threads are: until then it may still hold its port."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    over = fields[0] in "ZX" and int(fields[17]) <= 1
    return None if over else fields[19]


def end(place: Place, name: str, how: signal.Signals = signal.SIGTERM) -> None:
    """End it and wait until it is gone; after 15 s by force."""
    pid = pid_of(place, name)
    if pid is not None:
        os.kill(pid, how)
        try:
            wait_for(f"the end of {name}", lambda: pid_of(place, name) is None, END_S)
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            wait_for(f"the end of {name}", lambda: pid_of(place, name) is None, END_S)
    pid_file(place, name).unlink(missing_ok=True)


def output(command: Sequence[str | Path], stdin: str | None = None) -> str:
    """Run to the end and return what it printed. Raises RuntimeError with what it said on stderr."""
    argv = [str(word) for word in command]
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv[:6])}: exit {done.returncode}\n{done.stderr[-4000:]}")
    return done.stdout
