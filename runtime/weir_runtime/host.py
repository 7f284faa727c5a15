"""What only the operating system knows: how much of a core the event loop's thread needs, and how much memory is left.

Linux says how long a thread ran and how long it waited for a core (schedstat); both together are what it needed, also
on a machine that others keep busy. Elsewhere the CPU time alone has to do.
"""

import os
import resource
import sys
import time
from collections import deque
from pathlib import Path

from weir_runtime.core.scheduler import Host

SCHEDSTAT = Path("/proc/thread-self/schedstat")
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
STATM = Path("/proc/self/statm")
WINDOW = 12  # readings


class HostGauge:
    """To be read on the thread that it measures, at a steady pace."""

    def __init__(self) -> None:
        self._limit = memory_limit()
        self._readings: deque[tuple[float, float]] = deque(maxlen=WINDOW + 1)  # wall clock, needed so far
        self._readings.append((time.monotonic(), _needed_s()))

    def read(self) -> Host:
        self._readings.append((time.monotonic(), _needed_s()))
        (began, before), (now, after) = self._readings[0], self._readings[-1]
        front = (after - before) / (now - began) if now > began else 0.0
        return Host(front=front, memory=resident_bytes() / self._limit)


def memory_limit() -> int:
    """Bytes that this process may hold: of its control group, else of the machine."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(machine, int(CGROUP_LIMIT.read_text()))
    except (OSError, ValueError):  # no control group, or one without a limit
        return machine


def resident_bytes() -> int:
    try:
        return int(STATM.read_text().split()[1]) * resource.getpagesize()
    except OSError:
        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def _needed_s() -> float:
    """Seconds that this thread ran or waited for a core."""
    try:
        ran_ns, waited_ns, _ = SCHEDSTAT.read_text().split()
        return (int(ran_ns) + int(waited_ns)) / 1e9
    except (OSError, ValueError):
        return time.thread_time()
