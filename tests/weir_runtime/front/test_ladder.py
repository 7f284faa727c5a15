"""A real server that bends: thresholds so low that any speech presses, so that a few words climb the whole ladder."""

import json

import pytest
from talk import events, send, until_event
from websockets.exceptions import InvalidStatus

# The large model is said to be far too dear, so that it is the device which a late result is blamed on.
COSTS = {"large": 300_000, "small": 20_000}
BOTH = {
    "variants": [
        {
            "name": name,
            "source": f"embedded://{name}",
            "cost": [{"chunkMs": ms, "stepUs": 0, "rowUs": row_us} for ms in (160, 560)],
        }
        for name, row_us in COSTS.items()
    ]
}
PRESSED_BY_ANY_SPEECH = {"latencyP95": {"enterPercent": 2, "recoverPercent": 1}}
CLASSES = [{"name": name, "weight": 1, "latencyMs": 20} for name in ("interactive", "standard", "batch")]
LADDER = [
    {"action": "largerChunks"},
    {"action": "smallerVariant"},
    {"action": "refuse", "class": "batch"},
    {"action": "refuseAll"},
]
BURST = 32_000 * 9 // 10  # bytes of speech that a network may deliver at once


def say(own, pcm, query="class=interactive"):
    """A few words on a stream of their own: the finals."""
    with own.connect(query) as socket:
        socket.send(pcm[:BURST])
        send(socket, "close")
        return [event for event in events(socket) if event["type"] == "final"]


def climb(own, pcm, rung):
    while own.load()["rung"] < rung:
        say(own, pcm)


@pytest.fixture
def bending(serve):
    degradation = {"dwellSeconds": 1, "signals": PRESSED_BY_ANY_SPEECH, "ladder": LADDER}
    return serve(model=BOTH, priorityClasses=CLASSES, degradation=degradation)


def test_the_ladder_is_climbed_told_and_left(bending, clips):
    words = clips("digits_theo")[0].pcm[32_000 // 2 :]
    with bending.connect("class=batch") as watcher:
        assert until_event(watcher, "ready")[-1]["degraded"] is False
        climb(bending, words, 2)
        load = bending.load()
        assert load["in_force"][0] == "chunks of 560 ms"
        assert load["rung_name"] == "smaller model: interactive", "nobody else speaks, so nothing else would help"
        told = [until_event(watcher, "warning")[-1] for _ in range(2)]
        assert [warning["code"] for warning in told] == ["degraded"] * 2
        assert [warning["rung"] for warning in told] == [1, 2]
        assert told[-1]["in_force"] == load["in_force"][:2]
        back = [until_event(watcher, "warning")[-1] for _ in range(2)]
        assert [warning["code"] for warning in back] == ["recovered"] * 2
        assert (back[-1]["rung"], back[-1]["rung_name"], back[-1]["in_force"]) == (0, "full quality", [])
        assert bending.load()["rung"] == 0
    text = bending.metrics()
    assert 'weir_rung_changes_total{action="largerChunks",direction="entered"} 1.0' in text
    assert 'weir_rung_changes_total{action="largerChunks",direction="left"} 1.0' in text


def test_who_comes_under_load_is_told_at_once_and_heard_by_the_smaller_model(bending, clips):
    words = clips("digits_theo")[0].pcm[32_000 // 2 :]
    assert {final["model"] for final in say(bending, words)} == {"large"}
    while "smaller model: interactive" not in bending.load()["in_force"]:
        say(bending, words)
    with bending.connect("class=interactive") as socket:
        assert until_event(socket, "ready")[-1]["degraded"] is True
        warning = until_event(socket, "warning")[-1]
        assert (warning["code"], warning["in_force"][-1]) == ("degraded", "smaller model: interactive")
        socket.send(words[:BURST])
        send(socket, "close")
        assert {event["model"] for event in events(socket) if event["type"] == "final"} == {"small"}


def test_the_ladders_end_refuses_by_class_and_then_all(bending, clips):
    words = clips("digits_theo")[0].pcm[32_000 // 2 :]
    with bending.connect("class=batch") as before:
        token = until_event(before, "ready")[-1]["resume"]
        climb(bending, words, 3)
        with pytest.raises(InvalidStatus) as refused:
            bending.connect("class=batch")
        body = json.loads(refused.value.response.body)
        assert (refused.value.response.status_code, body["error"], body["reason"]) == (503, "overloaded", "rung")
        assert "batch refused (rung 3)" in body["message"]
        assert int(refused.value.response.headers["Retry-After"]) >= 2
        with bending.connect("class=batch", additional_headers={"Weir-Resume": token}) as again:
            assert until_event(again, "ready")[-1]["resumed"], "who goes on is no new stream"
        before.send(words[:BURST])
        send(before, "close")
        assert [event["type"] for event in events(before)][-1] == "closed", "who is in is served"
    bending.until(lambda load: load["rung"] == 0, limit_s=30)
