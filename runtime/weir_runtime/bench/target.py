"""The server under load, as the bench sees it: its address, /metrics, /v1/load, and its memory where it is here."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from weir_runtime.client.request import headers

PATIENCE_S = 10.0
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
SAMPLE = re.compile(r"^(\w+(?:\{.*?\})?) ([\d.e+-]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Target:
    """`control_url` has /metrics where that is on another port; `pid` is set where the process is on this machine."""

    url: str
    key: str | None = None
    control_url: str | None = None
    pid: int | None = None

    async def scrape(self) -> dict[str, float]:
        """Samples of /metrics by name and labels; nothing where the server does not show them."""
        return await asyncio.to_thread(self._scrape)

    async def reports(self) -> AsyncIterator[dict[str, Any]]:
        """/v1/load, once a second for as long as the server sends it; the run goes on without it."""
        try:
            response = await asyncio.to_thread(self._open, self.url, "/v1/load", "text/event-stream")
            with response:
                while line := await asyncio.to_thread(response.readline):
                    if line.startswith(b"data: "):
                        yield json.loads(line[6:])
        except (OSError, ValueError, HTTPException):
            return

    def usage(self) -> tuple[int, float, float] | None:
        """Resident bytes, seconds of CPU so far, and those of its first thread; None where there is no such process."""
        if self.pid is None:
            return None
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
            rss = int(status.partition("VmRSS:")[2].split()[0]) * 1024
            return rss, _cpu_s(f"/proc/{self.pid}/stat"), _cpu_s(f"/proc/{self.pid}/task/{self.pid}/stat")
        except (OSError, IndexError):
            return None

    def _scrape(self) -> dict[str, float]:
        try:
            with self._open(self.control_url or self.url, "/metrics", "text/plain") as response:
                return {key: float(value) for key, value in SAMPLE.findall(response.read().decode())}
        except (OSError, ValueError, HTTPException):
            return {}

    def _open(self, base: str, path: str, accept: str) -> Any:
        address = re.sub("^ws", "http", base if "://" in base else f"http://{base}").removesuffix("/")
        asked = Request(address + path, headers=headers(self.key) | {"Accept": accept})
        return urlopen(asked, timeout=PATIENCE_S)


def _cpu_s(path: str) -> float:
    """User and system time; the name in brackets before them may hold spaces."""
    fields = Path(path).read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S
