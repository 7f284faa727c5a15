"""Wait for a real condition, with a limit: the one place of the cluster in a box that looks at a clock."""

import time
from collections.abc import Callable

EVERY_S = 0.05


def wait_for(what: str, check: Callable[[], object], limit_s: float = 60.0, log: object = None) -> None:
    """Return once `check` says yes. Raises TimeoutError that names `what` and, where given, the log to read."""
    end = time.monotonic() + limit_s
    while not check():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {limit_s:.0f} s" + (f"; see {log}" if log else ""))
        time.sleep(EVERY_S)
