"""The operator's drain: nobody in, everybody out with all that was said, and back again."""

import json
from contextlib import contextmanager
from time import monotonic

import httpx
import pytest
from operated import operated
from talk import events, of_type, send, transcript, until_event
from websockets.exceptions import InvalidStatus


@pytest.fixture
def own(serve, tmp_path):
    return operated(serve, tmp_path)


@contextmanager
def speaking(served, pcm):
    with served.connect("class=interactive") as socket:
        until_event(socket, "ready")
        socket.send(pcm)
        yield socket


def readyz(served):
    answer = httpx.get(f"{served.url}/readyz")
    return answer.status_code, answer.json()["status"]


def test_streams_go_on_until_they_end_and_the_pod_comes_back(own, clips):
    served, orders = own
    clip = clips("coffee")[3]
    assert readyz(served) == (200, "ready")
    with speaking(served, clip.pcm[:32_000]) as socket:
        report = orders.drain(60).json()
        assert (report["state"], report["streams"]) == ("draining", 1)
        warning = until_event(socket, "warning")[-1]
        assert (warning["code"], warning["grace_s"]) == ("draining", 60)
        assert readyz(served) == (503, "draining")
        with pytest.raises(InvalidStatus) as caught:
            served.connect("class=interactive")
        assert json.loads(caught.value.response.body)["reason"] == "draining"
        socket.send(clip.pcm[32_000:])
        send(socket, "close")
        found = events(socket)
        assert (found[-1]["reason"], socket.close_code) == ("close", 1000)
    orders.until(lambda report: report.state == "drained")
    assert readyz(served) == (503, "draining")
    assert orders.drain(kind="undrain").json()["state"] == "ready"
    assert readyz(served) == (200, "ready")
    with speaking(served, clip.pcm) as socket:
        send(socket, "close")
        assert transcript(events(socket)) == transcript(found) != ""


def test_who_stays_too_long_gets_every_word_and_1001(own, clips):
    served, orders = own
    clip = clips("coffee")[3]
    with speaking(served, clip.pcm) as socket:
        send(socket, "close")
        whole = transcript(events(socket))
    with speaking(served, clip.pcm) as socket:
        orders.drain(1)
        found = events(socket)
        assert [event["code"] for event in of_type(found, "warning")] == ["draining"]
        assert (found[-1]["type"], found[-1]["reason"]) == ("closed", "drain")
        assert (socket.close_code, transcript(found)) == (1001, whole)
    assert orders.until(lambda report: report.state == "drained").streams == 0


def test_an_undrain_stops_the_clock_and_leaves_streams_alone(own, clips):
    served, orders = own
    with speaking(served, clips("coffee")[3].pcm) as socket:
        orders.drain(1)
        over = monotonic() + 1.2
        assert orders.drain(kind="undrain").json()["state"] == "ready"
        while monotonic() < over:  # others come and go for longer than the drain would have taken
            with speaking(served, clips("coffee")[4].pcm) as other:
                send(other, "close")
                assert events(other)[-1]["reason"] == "close"
        send(socket, "close")
        assert events(socket)[-1]["reason"] == "close"


def test_a_second_drain_sets_the_clock_anew(own):
    served, orders = own
    with served.connect("class=interactive") as socket:
        until_event(socket, "ready")
        orders.drain(3600)
        orders.drain(0)
        found = events(socket)
        assert [event["grace_s"] for event in of_type(found, "warning")] == [3600, 0]
        assert (found[-1]["reason"], socket.close_code) == ("drain", 1001)
