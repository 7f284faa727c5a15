"""API keys on a real server: who is let in, up to which class, how often; and what is told of it."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from socket import SHUT_RDWR
from time import time

import httpx
import pytest
from api_keys import KEY, OTHER, entry, write
from talk import events, of_type, send, until_event
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

from weir_runtime.client import AsyncClient, Client, Refused
from weir_runtime.front.access import JITTER_S
from weir_runtime.front.keys import digest
from weir_runtime.front.quota import DAY_S, STREAMS_RETRY_S
from weir_runtime.pump import LocalLink


@pytest.fixture
def keys(tmp_path) -> Path:
    path = tmp_path / "keys.yaml"
    write(path, entry(KEY))
    return path


@pytest.fixture
def keyed(serve, keys):
    """A server with these entries: `keyed(entry(KEY), anonymous=True)`."""

    def start(*entries, anonymous=False, **spec):
        write(keys, *entries)
        return serve(auth={"keysFile": str(keys), "anonymous": anonymous}, **spec)

    return start


def value(text, name):
    """Of the metric in an exposition; 0 where it has not been counted yet."""
    found = re.search(rf"^{re.escape(name)} (\S+)", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def bearer(key):
    return {"additional_headers": {"Authorization": f"Bearer {key}"}}


def refused(own, query="", **options):
    """What a stream is told that is not taken: (status, body, headers); `/v1/admission` says the same."""
    with pytest.raises(InvalidStatus) as caught:
        own.connect(query, **options)
    response = caught.value.response
    body = json.loads(response.body)
    asked = httpx.get(f"{own.url}/v1/admission?{query}", headers=options.get("additional_headers", {}))
    assert asked.status_code == response.status_code
    assert {k: v for k, v in asked.json().items() if k != "retry_after_s"} == {
        k: v for k, v in body.items() if k != "retry_after_s"
    }
    assert asked.headers.get("www-authenticate") == response.headers.get("WWW-Authenticate")
    return response.status_code, body, response.headers


# ---- who may come


def test_a_key_is_asked_for_before_anything_else(keyed):
    own = keyed(entry(KEY))
    for query in ("", "class=none", "model=none", "class=batch"):
        status, body, headers = refused(own, query)
        assert (status, body["error"], headers["WWW-Authenticate"]) == (401, "unauthenticated", "Bearer")
    with own.connect(**bearer(KEY)) as socket:
        until_event(socket, "ready")
    assert value(own.metrics(), 'weir_refusals_total{class="standard",reason="unauthenticated"}') == 3
    assert value(own.metrics(), 'weir_refusals_total{class="batch",reason="unauthenticated"}') == 1
    assert own.load()["refused"] == 4


def test_an_unknown_key_is_refused_also_where_anybody_may_come(keyed):
    own = keyed(entry(KEY), anonymous=True)
    status, body, headers = refused(own, "class=batch", **bearer("weir_guessed"))
    assert (status, body["error"], headers["WWW-Authenticate"]) == (401, "unknown_key", "Bearer")
    status, body, _ = refused(own, **bearer(digest(KEY)))
    assert (status, body["error"]) == (401, "unknown_key")  # who steals the file has no key
    assert value(own.metrics(), 'weir_refusals_total{class="batch",reason="unknown_key"}') == 1


def test_a_browser_sends_its_key_as_a_subprotocol_that_is_never_echoed(keyed):
    own = keyed(entry(KEY))
    for offered in (["weir.v1", f"bearer.{KEY}"], [f"bearer.{KEY}", "weir.v1"]):
        with own.connect(subprotocols=offered) as socket:
            assert socket.subprotocol == "weir.v1"
    with pytest.raises(InvalidStatus, match="401"):
        own.connect(subprotocols=["weir.v1", "bearer.weir_guessed"])
    with pytest.raises(InvalidStatus, match="400"):
        own.connect(subprotocols=[f"bearer.{KEY}"])


def test_without_spec_auth_no_key_is_looked_at(server):
    for options in ({}, bearer("anything")):
        with server.connect("class=interactive", **options) as socket:
            until_event(socket, "ready")


# ---- up to which class


def opened(own, query="", **options):
    """The class of a stream that is taken."""
    with own.connect(query, **options) as socket:
        until_event(socket, "ready")
        (name,) = [name for name, n in own.load()["classes"].items() if n]
    own.until(lambda load: load["streams"] == 0)
    return name


def test_a_key_allows_classes_up_to_its_own(keyed):
    own = keyed(entry(KEY, highest="standard"), entry(OTHER, highest="batch"))
    assert [opened(own, query, **bearer(KEY)) for query in ("", "class=standard", "class=batch")] == [
        "standard", "standard", "batch",
    ]  # fmt: skip
    assert opened(own, **bearer(OTHER)) == "batch"
    status, body, _ = refused(own, "class=interactive", **bearer(KEY))
    assert (status, body["error"], body["field"]) == (403, "class_not_allowed", "class")
    assert body["fix"] == "one of standard, batch"
    status, body, _ = refused(own, "class=none", **bearer(KEY))
    assert (status, body["error"]) == (400, "invalid_option")
    assert value(own.metrics(), 'weir_refusals_total{class="interactive",reason="class_not_allowed"}') == 1


def test_nobody_in_particular_may_be_standard_at_most(keyed):
    own = keyed(entry(KEY, highest="interactive"), anonymous=True)
    assert opened(own) == "standard"
    assert opened(own, "class=batch") == "batch"
    assert refused(own, "class=interactive")[0] == 403
    assert opened(own, "class=interactive", **bearer(KEY)) == "interactive"


def test_nobody_in_particular_is_told_to_send_a_key_where_no_class_is_low_enough(keyed):
    own = keyed(entry(KEY, highest="interactive"), anonymous=True,
                priorityClasses=[{"name": "interactive", "weight": 1}])  # fmt: skip
    status, body, _ = refused(own)
    assert (status, body["error"], body["fix"]) == (403, "class_not_allowed", "send a key")
    assert opened(own, **bearer(KEY)) == "interactive"


# ---- how often


def test_never_more_streams_than_the_quota_and_what_is_closed_is_given_back(keyed):
    own = keyed(entry(KEY, maxStreams=2), entry(OTHER, "globex"))

    with ExitStack() as stack, ThreadPoolExecutor(8) as pool:

        def attempt(_):
            try:
                return stack.enter_context(own.connect(**bearer(KEY)))
            except InvalidStatus as error:
                return error.response

        answers = list(pool.map(attempt, range(8)))
        taken = [answer for answer in answers if not isinstance(answer, Response)]
        turned_away = [answer for answer in answers if isinstance(answer, Response)]
        assert (len(taken), len(turned_away)) == (2, 6)
        for response in turned_away:
            body = json.loads(response.body)
            assert (response.status_code, body["error"], body["reason"]) == (429, "quota", "streams")
            assert STREAMS_RETRY_S < int(response.headers["Retry-After"]) <= STREAMS_RETRY_S + JITTER_S["streams"]
            assert body["retry_after_s"] == int(response.headers["Retry-After"])
        assert value(own.metrics(), 'weir_refusals_total{class="standard",reason="streams"}') == 6
        stack.enter_context(own.connect(**bearer(OTHER)))  # nobody else's quota
        send(taken[0], "close")
        events(taken[0])
        taken[1].socket.shutdown(SHUT_RDWR)  # without a word
        own.until(lambda load: load["streams"] == 1)
        for _ in range(2):
            stack.enter_context(own.connect(**bearer(KEY)))
        assert refused(own, **bearer(KEY))[0] == 429


def test_the_days_audio_is_counted_as_it_comes_and_a_running_stream_is_not_cut(keyed, clips):
    clip = clips("coffee")[3]
    own = keyed(entry(KEY, audioSecondsPerDay=1), entry(OTHER, "globex", audioSecondsPerDay=1))
    with own.connect("endpointing.mode=manual", **bearer(KEY)) as socket:
        socket.send(clip.pcm)  # some seconds
        until_event(socket, "interim")
        status, body, headers = refused(own, **bearer(KEY))
        assert (status, body["reason"]) == (429, "audio_seconds")
        midnight = DAY_S - time() % DAY_S
        assert -2 < int(headers["Retry-After"]) - midnight < JITTER_S["audio_seconds"] + 2
        send(socket, "close")
        (final,) = of_type(events(socket), "final")
        assert final["text"] == clip.text
    assert refused(own, **bearer(KEY))[0] == 429
    assert opened(own, **bearer(OTHER)) == "standard"


@pytest.mark.parametrize(
    ("key", "status", "error"),
    [(None, 401, "unauthenticated"), ("k", 401, "unknown_key"), (KEY, 403, "class_not_allowed")],
)
def test_the_client_is_refused_at_once_where_waiting_would_not_help(keyed, key, status, error):
    own = keyed(entry(KEY))
    client = Client(own.url, key=key, patience_s=60)
    with pytest.raises(Refused) as caught, client.stream(**{"class": "interactive"}):
        pass
    assert (caught.value.status, caught.value.error, caught.value.retry_after_s) == (status, error, None)


async def test_the_client_is_told_of_its_quota(keyed):
    own = keyed(entry(KEY, maxStreams=1))
    with Client(own.url, key=KEY).stream() as stream:
        assert next(iter(stream)).model == "small"
        with pytest.raises(Refused, match="close one") as caught:
            async with AsyncClient(own.url, KEY).stream():
                pass
    assert (caught.value.status, caught.value.reason) == (429, "streams")
    assert caught.value.retry_after_s > STREAMS_RETRY_S


# ---- what is told, and what is not


def test_the_tenant_is_in_the_log_and_nowhere_a_stranger_looks(keyed, caplog):
    caplog.set_level("INFO", "weir")
    own = keyed(entry(KEY, "acme-secret"), anonymous=True)
    with own.connect(**bearer(KEY)) as socket, own.connect() as stranger:
        until_event(socket, "ready")
        until_event(stranger, "ready")
        assert "acme" not in json.dumps(own.load()) + own.metrics()
    own.until(lambda load: load["streams"] == 0)
    for event in ("stream opened", "stream closed"):
        said = [record.fields["tenant"] for record in caplog.records if record.getMessage() == event]
        assert sorted(said) == ["acme-secret", "anonymous"]
    everything = str([vars(record) for record in caplog.records])
    assert KEY not in everything
    assert digest(KEY) not in everything


def test_the_core_is_told_whose_stream_it_is(keyed, monkeypatch):
    told, really = [], LocalLink.open

    def listen_in(link, message, deliver):
        told.append((message.tenant, message.priority))
        really(link, message, deliver)

    monkeypatch.setattr(LocalLink, "open", listen_in)
    own = keyed(entry(KEY), entry(OTHER, "globex", "batch"), anonymous=True)
    for options in (bearer(KEY), bearer(OTHER), {}):
        opened(own, **options)
    assert told == [("acme", "standard"), ("globex", "batch"), ("anonymous", "standard")]


# ---- the file of a server


def test_no_server_starts_without_its_keys(serve, tmp_path):
    with pytest.raises(AssertionError, match=r"absent\.yaml: cannot be read"):
        serve(auth={"keysFile": str(tmp_path / "absent.yaml")})


def test_a_running_server_takes_new_keys_and_leaves_open_streams_alone(keyed, keys, clips, caplog):
    clip = clips("coffee")[3]
    own = keyed(entry(KEY))
    write(keys, entry("bad"), entry("bad"))
    own.until(lambda _: value(own.metrics(), 'weir_key_reloads_total{result="failed"}') == 1)
    (said,) = [record.fields["error"] for record in caplog.records if "not reloaded" in record.getMessage()]
    assert said.endswith("[1].sha256: the same key as in [0]; remove one")
    with own.connect("endpointing.mode=manual", **bearer(KEY)) as socket:
        write(keys, entry(OTHER))
        own.until(lambda _: value(own.metrics(), 'weir_key_reloads_total{result="ok"}') == 1)
        assert refused(own, **bearer(KEY))[1]["error"] == "unknown_key"
        assert opened_beside(own, OTHER)
        socket.send(clip.pcm)
        send(socket, "close")
        assert of_type(events(socket), "final")[0]["text"] == clip.text


def opened_beside(own, key):
    with own.connect(**bearer(key)) as socket:
        return until_event(socket, "ready")
