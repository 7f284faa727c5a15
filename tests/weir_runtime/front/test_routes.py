"""What is refused before the upgrade, and the HTTP routes beside the stream."""

import json
from http import HTTPStatus

import httpx
import pytest
from websockets.exceptions import InvalidStatus


@pytest.mark.parametrize(
    "asked",
    [
        {"query": "resume=abc"},
        {"additional_headers": {"Weir-Resume": "abc"}},
        {"subprotocols": ["weir.v1", "resume.abc"]},
    ],
    ids=["query", "header", "subprotocol"],
)
def test_a_resume_that_cannot_be_is_refused_however_it_is_asked_for(server, asked):
    with pytest.raises(InvalidStatus) as caught:
        server.connect(**asked)
    assert caught.value.response.status_code == HTTPStatus.BAD_REQUEST
    assert json.loads(caught.value.response.body)["error"] == "resume_invalid"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_stream_without_an_upgrade_is_told_what_is_missing(server, method):
    answer = httpx.request(method, f"{server.url}/v1/stream")
    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
    assert answer.json()["error"] == "upgrade_required"
    assert "weir.v1" in answer.json()["fix"]


@pytest.mark.parametrize("path", ["/v1/load", "/v1/admission", "/v1/samples", "/livez", "/readyz", "/metrics", "/"])
def test_what_can_be_read_answers_get_and_head_and_nothing_else(server, path):
    assert httpx.get(server.url + path).status_code == 200
    head = httpx.head(server.url + path)
    assert (head.status_code, head.content) == (200, b"")
    assert httpx.post(server.url + path).status_code == 405


def test_the_load_comes_as_events_where_they_are_asked_for(server):
    with httpx.stream("GET", f"{server.url}/v1/load", headers={"Accept": "text/event-stream"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = (line for line in answer.iter_lines() if line)
        reports = [json.loads(next(lines).removeprefix("data: ")) for _ in range(2)]
    assert reports[0].keys() == reports[1].keys() == server.load().keys()


def test_metrics_come_in_the_format_that_is_asked_for(server):
    plain = httpx.get(f"{server.url}/metrics").headers["content-type"]
    asked = httpx.get(f"{server.url}/metrics", headers={"Accept": "application/openmetrics-text"})
    assert plain.startswith("text/plain; version=0.0.4")
    assert asked.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
