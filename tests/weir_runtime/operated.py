"""A server that takes orders, and whoever gives them."""

import json
from collections.abc import Callable
from pathlib import Path
from time import monotonic, time
from typing import Any

import httpx

from weir_api.control import SIGNATURE_HEADER
from weir_api.report import LoadReport
from weir_api.signing import new_key, public_key, sign
from weir_runtime.front.station import Station

PIPELINE, POD = "pipeline-1", "pod-1"
SMALL = {"variants": [{"name": "small", "source": "embedded://small"}]}
NEVER = {"enter": 100_000, "recover": 99_999}
CALM = {name: NEVER for name in ("queueDepth", "deviceUtilization", "frontUtilization", "slotsUsed", "hostMemory")} | {
    "latencyP95": {"enterPercent": 1000, "recoverPercent": 999}
}
LADDER = [{"action": "interimRate"}, {"action": "largerChunks"}, {"action": "refuse", "class": "batch"}]
BENDING = {"signals": CALM, "dwellSeconds": 1, "ladder": LADDER}


class Orders:
    """Signs and sends; every order has the next number."""

    def __init__(self, url: str, key: str, spec: dict[str, Any]) -> None:
        self.url, self.key, self.spec = url, key, spec
        self.epoch, self.number = 1, 0

    def policy(self, *floor: int, lives_s: float = 60.0, **other: Any) -> httpx.Response:
        return self.post("policy", self.next("policy", lives_s) | {"floor": floor, "spec": self.spec} | other)

    def drain(self, seconds: int = 60, kind: str = "drain", **other: Any) -> httpx.Response:
        return self.post("drain", self.next(kind, 60.0) | {"podUid": POD, "drainSeconds": seconds} | other)

    def next(self, kind: str, lives_s: float) -> dict[str, Any]:
        self.number += 1
        number = {"revision" if kind == "policy" else "counter": self.number}
        expires = time() + lives_s
        return {"kind": kind, "pipelineUid": PIPELINE, "epoch": self.epoch, "expiresAt": expires} | number

    def post(self, path: str, order: Any, key: str | None = None) -> httpx.Response:
        body = json.dumps(order).encode()
        return self.send(path, body, sign(key or self.key, body))

    def send(self, path: str, body: bytes, signature: str) -> httpx.Response:
        return httpx.post(f"{self.url}/control/{path}", content=body, headers={SIGNATURE_HEADER: signature})

    def report(self) -> LoadReport:
        return LoadReport.model_validate_json(httpx.get(f"{self.url}/control/load").content)

    def until(self, holds: Callable[[LoadReport], bool], limit_s: float = 15.0) -> LoadReport:
        """Ask for the report until it is as wished; the question itself is the pause."""
        began = monotonic()
        while not holds(report := self.report()):
            assert monotonic() - began < limit_s, report
        return report


def operated(serve: Callable[..., Any], folder: Path, **spec: Any) -> tuple[Any, Orders]:
    """A server of one's own, and its operator, whose public key is in the file `operator.key`."""
    spec = {"model": SMALL, "degradation": {"ladder": []}} | spec
    key, file = new_key(), folder / "operator.key"
    file.write_text(public_key(key) + "\n")
    own = serve(Station(PIPELINE, POD, file), **spec)
    return own, Orders(own.url, key, spec)
