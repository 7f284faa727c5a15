"""What probes are told of a broken engine, and what an order's slow or keyless sender is."""

import socket
from time import monotonic
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx
import pytest
from machine import COSTS, MODEL, VARIANT, VARIANTS
from operated import operated

from weir_api.manifest import ManifestError
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_runtime.core.pipeline import Pipeline
from weir_runtime.front import control
from weir_runtime.front.app import make_app
from weir_runtime.front.orders import OrderDesk
from weir_runtime.front.station import Station
from weir_runtime.pump import LocalLink


@pytest.fixture
def core():
    spec = StreamingPipelineSpec.model_validate({"degradation": {"breaker": {"minimumCalls": 1}}})
    return Pipeline(spec.model_copy(update={"model": MODEL}), VARIANTS, COSTS)


async def probes(core, beat=None):
    door = SimpleNamespace(link=LocalLink(core, {VARIANT.name: VARIANT}), state="ready")
    app = make_app(control.control_routes(door, None, lambda: beat), pages=False)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pod") as client:
        answers = [await client.get(path) for path in ("/livez", "/readyz")]
    return [(answer.status_code, answer.json()["status"]) for answer in answers]


async def test_an_engine_that_fails_is_broken_and_alive(core):
    assert await probes(core) == [(200, "ok"), (200, "ready")]
    core.scheduler.call_failed(monotonic())
    assert await probes(core) == [(200, "ok"), (503, "broken")]


async def test_an_engine_that_hangs_is_neither_ready_nor_alive(core):
    assert await probes(core, monotonic() - control.STUCK_S + 10) == [(200, "ok"), (200, "ready")]
    assert await probes(core, monotonic() - control.STUCK_S - 1) == [(503, "stuck"), (503, "broken")]


def test_an_order_that_does_not_come_is_not_waited_for(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(control, "BODY_S", 0.1)
    own, _ = operated(serve, tmp_path)
    address = urlsplit(own.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as sender:
        sender.sendall(b"POST /control/policy HTTP/1.1\r\nHost: pod\r\nContent-Length: 9\r\n\r\n{")
        answer = sender.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert own.load()["state"] == "ready"


@pytest.mark.parametrize("text", [None, "", "not base64", "AAAA"])
def test_a_server_does_not_start_without_the_key_that_it_was_told_of(tmp_path, text):
    file = tmp_path / "operator.key"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ManifestError, match=r"operator\.key: cannot be read as a public key"):
        OrderDesk(None, Station(operator_key=file))
