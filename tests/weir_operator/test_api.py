"""Requests to an API server that misbehaves: whatever goes wrong is an ApiError in time, and everything is counted."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.api_client import ApiClient

from weir_api.signing import public_key
from weir_operator import names
from weir_operator.api import KubernetesCluster
from weir_operator.cluster import ApiError
from weir_operator.kinds import CHILDREN, KINDS, OPTIONAL, path
from weir_operator.signing_key import BrokenKeyError, signing_key
from weir_operator.transport import Request, Transport


@asynccontextmanager
async def serving(handler) -> AsyncIterator[tuple[Transport, list[tuple[str, str]]]]:
    """A server with one handler for everything, and the requests that were counted."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    counted: list[tuple[str, str]] = []
    configuration = Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
    configuration.api_key["BearerToken"] = "bearer token-of-the-pod"
    try:
        async with ApiClient(configuration) as client:
            yield Transport(client, lambda verb, kind: counted.append((verb, kind))), counted
    finally:
        await runner.cleanup()


def status(code, reason, message=""):
    return web.json_response({"kind": "Status", "code": code, "reason": reason, "message": message}, status=code)


@pytest.mark.parametrize(
    ("code", "passing"),
    [(401, False), (403, False), (404, False), (409, False), (422, False), (429, True), (500, False), (502, True),
     (503, True), (504, True)],
)  # fmt: skip
async def test_a_refusal_has_the_servers_words_and_says_whether_waiting_helps(code, passing):
    async def handler(_):
        return status(code, "Because", "it is so")

    async with serving(handler) as (transport, counted):
        with pytest.raises(ApiError, match="it is so") as refused:
            await transport.ask(Request("get", "Pod", "GET", "/api/v1/pods"))
    assert (refused.value.status, refused.value.reason, refused.value.passing) == (code, "Because", passing)
    assert counted == [("get", "Pod")]


@pytest.mark.parametrize("body", [b"<html>bad gateway</html>", b"", b"[1]", b"\xff\xfe"])
async def test_what_is_no_status_object_is_an_error_all_the_same(body):
    async def handler(_):
        return web.Response(status=502, body=body)

    async with serving(handler) as (transport, _):
        with pytest.raises(ApiError) as refused:
            await transport.ask(Request("get", "Pod", "GET", "/api/v1/pods"))
    assert refused.value.status == 502


async def test_an_answer_that_is_no_json_is_no_answer():
    async def handler(_):
        return web.Response(body=b"<html>log in first</html>")

    async with serving(handler) as (transport, _):
        with pytest.raises(ApiError, match="log in first") as refused:
            await transport.ask(Request("get", "Pod", "GET", "/api/v1/pods"))
    assert refused.value.passing


async def test_a_server_that_hangs_is_no_answer_in_time_in_the_head_and_in_the_body():
    async def handler(request):
        response = web.StreamResponse()
        if "body" in request.path:
            await response.prepare(request)
            await response.write(b"{")
        await asyncio.Event().wait()

    async with serving(handler) as (transport, _):
        for where in ("/head", "/body"):
            with pytest.raises(ApiError) as refused:
                await transport.ask(Request("get", "Pod", "GET", where, timeout_s=0.2))
            assert (refused.value.status, refused.value.passing) == (0, True)


async def test_no_server_is_no_answer():
    async with ApiClient(Configuration(host="http://127.0.0.1:1")) as client:
        with pytest.raises(ApiError) as refused:
            await Transport(client, lambda *_: None).ask(Request("get", "Pod", "GET", "/api/v1/pods"))
    assert refused.value.status == 0


async def test_requests_carry_the_token_the_content_type_and_the_query():
    seen = {}

    async def handler(request):
        seen.update(headers=request.headers.copy(), path=request.path_qs, body=await request.json())
        return web.json_response({"kind": "ConfigMap", "metadata": {}})

    async with serving(handler) as (transport, _):
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "n", "name": "a"}}
        await KubernetesCluster(transport, "me").apply(manifest)
    assert seen["headers"]["Authorization"] == "bearer token-of-the-pod"
    assert seen["headers"]["Content-Type"] == "application/apply-patch+yaml"
    assert seen["path"] == "/api/v1/namespaces/n/configmaps/a?fieldManager=weir-operator&force=true"
    assert seen["body"] == manifest


async def test_a_watch_gives_whole_lines_however_they_arrive():
    lines = [json.dumps({"n": n, "fill": "ö" * 70_000 * n}, ensure_ascii=False).encode() for n in range(4)]
    whole = b"\n".join(lines) + b"\n"

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for start in range(0, len(whole), 30_011):
            await response.write(whole[start : start + 30_011])
        return response

    async with (
        serving(handler) as (transport, counted),
        transport.watch("Pod", "/api/v1/pods", {"watch": "true"}, 5.0) as found,
    ):
        assert [line async for line in found] == lines
    assert counted == [("watch", "Pod")]


async def test_a_watch_that_falls_silent_and_one_that_breaks_are_errors():
    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"n": 1}\n')
        if "silent" in request.path:
            await asyncio.Event().wait()
        request.transport.abort()
        return response

    async with serving(handler) as (transport, _):
        for where in ("/silent", "/broken"):
            heard = []
            with pytest.raises(ApiError) as refused:
                async with transport.watch("Pod", where, {}, 0.2) as lines:
                    async for line in lines:
                        heard.append(line)
            assert refused.value.status == 0
            assert heard == [b'{"n": 1}']


async def test_a_watch_that_is_refused_says_so():
    async def handler(_):
        return status(410, "Expired", "too old resource version")

    async with serving(handler) as (transport, _):
        with pytest.raises(ApiError) as refused:
            async with transport.watch("Pod", "/", {}, 1.0):
                pass
    assert (refused.value.status, refused.value.reason) == (410, "Expired")


async def test_the_signing_key_is_made_once_though_two_operators_start_at_once():
    stored = {}

    async def handler(request):
        await asyncio.sleep(0)
        if request.method == "GET":
            return web.json_response(stored["secret"]) if stored else status(404, "NotFound")
        if stored:
            return status(409, "AlreadyExists")
        sent = await request.json()
        data = {key: base64.b64encode(value.encode()).decode() for key, value in sent["stringData"].items()}
        stored["secret"] = {"kind": "Secret", "metadata": sent["metadata"], "data": data}
        return web.json_response(stored["secret"])

    async with serving(handler) as (transport, _):
        api = KubernetesCluster(transport, "me")
        keys = await asyncio.gather(*(signing_key(api, "weir-system") for _ in range(5)))
        assert len(set(keys)) == 1
        assert public_key(keys[0])
        stored["secret"]["data"] = {"private": "c2hvcnQ="}
        with pytest.raises(BrokenKeyError, match="delete it"):
            await signing_key(api, "weir-system")


def test_paths_are_where_the_api_server_has_them():
    assert path("Pod", "n", "a") == "/api/v1/namespaces/n/pods/a"
    assert path("Pod", None) == "/api/v1/pods"
    assert path("Node", None, "a") == "/api/v1/nodes/a"
    assert path("Node", "ignored", "a") == "/api/v1/nodes/a"
    assert path(names.KIND, "n", "a", "status") == "/apis/weir.dev/v1alpha1/namespaces/n/streamingpipelines/a/status"
    assert path("ConfigMap", "n", "../secrets/x") == "/api/v1/namespaces/n/configmaps/..%2Fsecrets%2Fx"


def test_every_kind_that_is_watched_is_known():
    assert {*CHILDREN, *OPTIONAL} <= KINDS.keys()
