"""What a page can ask for besides a stream: the sample recordings, and whether a stream would be let in."""

import io

import httpx
import pytest
import soundfile


def test_each_sample_is_there_lasts_as_long_as_said_and_says_whose_it_is(server):
    listed = httpx.get(f"{server.url}/v1/samples").json()
    assert len(listed) >= 2
    for sample in listed:
        sound = httpx.get(server.url + sample["url"])
        assert sound.headers["content-type"] in ("audio/flac", "audio/x-flac")
        assert soundfile.info(io.BytesIO(sound.content)).duration == pytest.approx(sample["seconds"], abs=0.01)
        assert sample["name"]
        assert sample["text"]
        assert sample["attribution"]
        assert sample["licence"] in ("CC BY-SA 4.0", "Apache-2.0")
        assert sample["source"].startswith("https://")


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [("model=nope", 404, "model"), ("encoding=opus", 400, "encoding"), ("class=vip", 400, "class")],
)
def test_admission_is_refused_as_the_stream_would_be(server, query, status, field):
    refused = httpx.get(f"{server.url}/v1/admission?{query}")
    assert refused.status_code == status
    assert refused.json()["field"] == field


def test_admission_takes_the_options_of_a_stream(server):
    asked = httpx.get(f"{server.url}/v1/admission?class=batch&model=small&sample_rate=8000&revisions=delta")
    assert asked.json() == {"admitted": True, "class": "batch"}
