"""`weir serve` as a pod runs it: a process of its own, a control port that answers before the models are there."""

import json
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic

import httpx
import pytest
from operated import PIPELINE, POD, Orders
from talk import events, until_event
from websockets.sync.client import connect

from weir_api.signing import new_key, public_key

WEIR = str(Path(sys.executable).with_name("weir"))
# Four times the large one, so that loading takes its time.
SLOW = {"model": {"variants": [{"name": f"v{n}", "source": "embedded://large"} for n in range(4)]}}
QUICK = {"model": {"variants": [{"name": "small", "source": "embedded://small"}]}, "rollout": {"drainSeconds": 30}}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return bound.getsockname()[1]


@pytest.fixture
def start(tmp_path, monkeypatch):
    """`weir serve` with two ports and an operator's key: the process, the public address and the operator."""
    running = []
    monkeypatch.setenv("WEIR_PIPELINE_UID", PIPELINE)
    monkeypatch.setenv("WEIR_POD_UID", POD)

    def run(spec):
        key, ports = new_key(), (free_port(), free_port())
        (tmp_path / "operator.key").write_text(public_key(key))
        (tmp_path / "pipeline.json").write_text(json.dumps({"spec": spec}))
        command = [WEIR, "serve", "-f", "pipeline.json", "--operator-key", "operator.key", "--log-level", "error"]
        command += ["--port", str(ports[0]), "--control-port", str(ports[1])]
        running.append(subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True))
        public, control = (f"http://127.0.0.1:{port}" for port in ports)
        return running[-1], public, Orders(control, key, spec)

    yield run
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def answers(process, url, limit_s=120.0):
    """Of a server that may not listen yet: its answers, one after another, while it lives."""
    ends = monotonic() + limit_s
    while monotonic() < ends:
        with suppress(httpx.ConnectError):
            yield httpx.get(url, timeout=30)
        with suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"it ended with {process.wait(0.05)}")


def until_ready(process, orders):
    assert any(answer.status_code == 200 for answer in answers(process, f"{orders.url}/readyz"))


def test_probes_are_answered_while_models_are_loaded_and_orders_are_not(start):
    process, public, orders = start(SLOW)
    answer = next(answers(process, f"{orders.url}/readyz"))
    assert (answer.status_code, answer.json()) == (503, {"status": "loading"})
    assert httpx.get(f"{orders.url}/livez").json() == {"status": "ok"}
    report = orders.report()
    assert (report.state, report.pod_uid, report.slots_total, report.streams) == ("loading", POD, 64, 0)
    assert sorted(report.classes) == ["batch", "interactive", "standard"]
    assert (orders.policy().status_code, httpx.get(f"{orders.url}/metrics").status_code) == (503, 503)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{public}/v1/load")
    revision = report.revision
    until_ready(process, orders)
    report = orders.report()
    assert (report.state, report.revision, report.load_s > 0) == ("ready", revision, True)
    assert orders.policy().status_code == 200
    for path in ("/livez", "/readyz", "/metrics", "/control/load"):
        assert httpx.get(public + path).status_code == 404
    assert httpx.post(f"{public}/control/policy", content=b"{}").status_code in (404, 405)
    assert process.poll() is None


def test_sigterm_while_models_are_loaded_ends_at_once(start):
    process, _, orders = start(SLOW)
    assert next(answers(process, f"{orders.url}/readyz")).json() == {"status": "loading"}
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM


def test_sigterm_after_a_drain_goes_by_the_live_drain_seconds_and_nothing_takes_it_back(start):
    process, public, orders = start(QUICK)
    until_ready(process, orders)
    assert orders.policy(spec=QUICK | {"rollout": {"drainSeconds": 2}}).status_code == 200
    with connect(f"{public.replace('http', 'ws')}/v1/stream", compression=None, ping_interval=None) as stream:
        until_event(stream, "ready")
        assert orders.drain(3600).json()["state"] == "draining"
        assert until_event(stream, "warning")[-1]["grace_s"] == 3600
        process.send_signal(signal.SIGTERM)
        assert until_event(stream, "warning")[-1]["grace_s"] == 2
        answer = orders.drain(kind="undrain")
        assert (answer.status_code, answer.json()["error"]) == (409, "leaving")
        assert orders.drain(3600).status_code == 200, "which changes nothing any more"
        found = events(stream)
        assert [event["type"] for event in found if event["type"] in ("warning", "closed")] == ["closed"]
        assert (found[-1]["reason"], stream.close_code) == ("drain", 1001)
    assert process.wait(30) == 0
