"""Pods' control ports for kwok's pods, which run nothing: thousands in one process for `make bench-operator`, and a
handful for the tests of tests/cluster/operated.

They say what real pods would: load reports that are plausible, and orders are verified and judged by the runtime's own
rules (weir_api.control, weir_api.signing). A pod under `overload` reports twice what its device can do until its floor
spares enough of it. Standard input: one JSON object a line, {"key": …}, {"pods": {address: pipeline uid}, "spec": …},
{"overload": [addresses]}, {"calm": [addresses]}. Standard output: one line for each policy that a pod took.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf
from typing import Protocol, cast

import uvloop
from pydantic import ValidationError

from weir_api.changes import revision_of, with_live_part
from weir_api.control import ORDER, SIGNATURE_HEADER, Drain, Orders, Policy
from weir_api.forecast import Costs, forecast
from weir_api.load import ClassLoad, Demand, LoadWindow
from weir_api.policy import shown, steps_of
from weir_api.report import LATENCY_BUCKETS_S, ClassReport, DemandReport, LoadReport, PolicyReport, State
from weir_api.signing import verify
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator.names import CONTROL_PORT
from weir_operator.plausible import plausible

SPEC = StreamingPipelineSpec()
COSTS = Costs({"large": {2: 0.004, 7: 0.008, 14: 0.014}, "small": {2: 0.001, 7: 0.002, 14: 0.004}})
IDLE, CALM, OVERLOADED = 0, 8, 60  # streams
FRAMES_PER_S = 12.5
HEADER = SIGNATURE_HEADER.lower().encode()


@dataclass(slots=True)
class FakePod:
    """One pod's control port."""

    orders: Orders
    spec: StreamingPipelineSpec = SPEC
    streams: int = IDLE
    state: State = "ready"
    ends_at: float = inf  # Unix seconds: a pod that drains has no streams any more
    stay_s: float = inf  # streams of a pod that drains end by themselves after this time
    policy: PolicyReport = field(default_factory=PolicyReport)
    body: bytes = b""

    def report(self, now: float) -> LoadReport:
        """What it says of itself at `now`, Unix seconds."""
        if self.state != "ready":
            self.streams = self.streams if now < self.ends_at else 0
            self.state = "draining" if self.streams else "drained"
        return report(self)

    def render(self) -> None:
        self.body = answer(200, self.report(time.time()).model_dump_json(by_alias=True).encode())

    def take(self, order: Policy | Drain, now: float) -> tuple[int, dict[str, object]]:
        """HTTP status and why not: 200 where it obeys."""
        verdict = self.orders.judge(order, now)
        if verdict not in ("accepted", "renewed"):
            told = self.orders
            numbers = {
                "epoch": max(told.policy[0], told.drain[0]),
                "revision": told.policy[1],
                "counter": told.drain[1],
            }
            return {"foreign": 403, "stale": 409}.get(verdict, 410), {"error": verdict, **numbers}
        if isinstance(order, Drain):
            self._drain(order, now)
        else:
            try:
                self.spec = with_live_part(self.spec, spec_of(json.dumps(order.spec, sort_keys=True)))
            except ValueError:
                return 409, {"error": "other_revision"}
            floor = list(order.floor)
            steps = steps_of(self.spec.ladder, self.spec.classes)
            rung, name = shown([steps[place] for place in floor])
            held = {"floor": floor, "in_force": floor, "rung": rung, "rung_name": name}
            self.policy = PolicyReport(epoch=order.epoch, revision=order.revision, valid=True, **held)
        self.orders = self.orders.after(order)
        return 200, {"verdict": verdict}

    def _drain(self, order: Drain, now: float) -> None:
        self.state = "draining" if order.kind == "drain" else "ready"
        self.ends_at = now + min(order.drain_seconds, self.stay_s)


@lru_cache(maxsize=64)
def spec_of(text: str) -> StreamingPipelineSpec:
    return StreamingPipelineSpec.model_validate(json.loads(text), extra="ignore")


def report(pod: FakePod) -> LoadReport:
    """What a pod with its streams says while the steps of its policy are in force."""
    spec, streams, policy = pod.spec, pod.streams, pod.policy
    slots, steps = spec.admission.max_streams, steps_of(spec.ladder, spec.classes)
    busy = next(iter(spec.classes))
    demand = Demand(busy, "large", 2, streams * FRAMES_PER_S)
    by_class = dict.fromkeys(spec.classes, 0) | {busy: streams}
    classes = {name: ClassLoad(n, None, None, 0) for name, n in by_class.items()}
    window = LoadWindow(classes, (demand,), 0.0, 1.0, 0, 0.0, 0.05, 0.2, streams, slots, 0, float(streams))
    load = forecast(COSTS, window, (), [steps[place] for place in policy.in_force]).device
    told = LoadReport(
        pod_uid=pod.orders.pod_uid,
        revision=revision_of(spec),
        state=pod.state,
        streams=streams,
        slots_used=streams,
        slots_total=slots,
        classes={
            name: ClassReport(streams=n, refused=0, latency=latencies(10 * n, load)) for name, n in by_class.items()
        },
        demand=[DemandReport(class_=busy, variant="large", chunk_ms=160, frames_per_s=demand.frames_per_s)],
        queue_chunks=min(slots, int(20 * load)) if load > 1 else 0,
        front=window.front,
        memory=window.memory,
        usual_streams=window.usual_streams,
        chunk_s={name: dict(modes) for name, modes in COSTS.chunk_s.items()},
        policy=policy,
        calls=1000,
        load_s=2.0,
        variant="large",
    )
    assert not plausible(told, spec)
    return told


def latencies(results: int, load: float) -> list[int]:
    """As many results, all in one bucket: the later, the more is asked of the device."""
    counts = [0] * (len(LATENCY_BUCKETS_S) + 1)
    counts[min(len(LATENCY_BUCKETS_S), round(10 * load))] = results
    return counts


def answer(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body,
    )


class Answers(Protocol):
    """What stands behind a port, by the address that was asked."""

    def load(self, address: str) -> bytes: ...

    def order(self, address: str, signature: str, body: bytes) -> bytes: ...


def obeyed(pod: FakePod, key: str, signature: str, body: bytes, taken: Callable[[Policy | Drain, str], None]) -> bytes:
    """What a pod answers to a POST; `taken` is told the orders that it obeys, and the verdict."""
    if not verify(key, body, signature):
        return answer(403, b'{"error":"forged"}')
    try:
        order = ORDER.validate_json(body)
    except ValidationError:
        return answer(422, b'{"error":"not an order"}')
    status, said = pod.take(order, time.time())
    if status != 200:
        return answer(status, json.dumps(said).encode())
    taken(order, str(said["verdict"]))
    pod.render()
    return pod.body


class Fleet:
    def __init__(self) -> None:
        self.pods: dict[str, FakePod] = {}
        self.key = ""

    def obey(self, line: str) -> None:
        """One line of standard input."""
        told = json.loads(line)
        self.key = told.get("key", self.key)
        spec = spec_of(json.dumps(told.get("spec", {}), sort_keys=True))
        for address, uid in told.get("pods", {}).items():
            self.pods[address] = FakePod(Orders(uid, ""), spec)
            self.pods[address].render()
        for word, streams in (("overload", OVERLOADED), ("calm", CALM)):
            for address in told.get(word, ()):
                self.pods[address].streams = streams
                self.pods[address].render()

    def load(self, address: str) -> bytes:
        return self.pods[address].body if address in self.pods else answer(404, b"{}")

    def order(self, address: str, signature: str, body: bytes) -> bytes:
        def taken(order: Policy | Drain, verdict: str) -> None:
            if isinstance(order, Policy) and verdict == "accepted":
                told = {"at": time.time(), "pod": address, "revision": order.revision, "floor": list(order.floor)}
                print(json.dumps(told), flush=True)

        if address not in self.pods:
            return answer(404, b"{}")
        return obeyed(self.pods[address], self.key, signature, body, taken)


class Port(asyncio.Protocol):
    """As much of HTTP/1.1 as one client on a kept connection needs."""

    def __init__(self, pods: Answers) -> None:
        self._pods, self._read = pods, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self._address = transport.get_extra_info("sockname")[0]

    def data_received(self, data: bytes) -> None:
        self._read += data
        while b"\r\n\r\n" in self._read:
            head, rest = self._read.split(b"\r\n\r\n", 1)
            lines = (line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
            fields = {name.lower(): value for name, value in lines}
            length = int(fields.get(b"content-length", 0))
            if len(rest) < length:
                return
            self._read = rest[length:]
            if head.startswith(b"POST"):
                signature = fields.get(HEADER, b"").decode()
                self.transport.write(self._pods.order(self._address, signature, rest[:length]))
            else:
                self.transport.write(self._pods.load(self._address))


async def main() -> None:
    fleet, loop = Fleet(), asyncio.get_running_loop()
    await loop.create_server(lambda: Port(fleet), "0.0.0.0", CONTROL_PORT, backlog=4096)
    lines = asyncio.StreamReader(limit=1 << 26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print(json.dumps({"listening": CONTROL_PORT}), flush=True)
    while line := await lines.readline():
        fleet.obey(line.decode())


if __name__ == "__main__":
    uvloop.run(main())
