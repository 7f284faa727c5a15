"""Requests to the API server through the official asyncio client, as plain JSON.

Rules: every request has a time-out and is counted; whatever goes wrong is an ApiError; bodies stay dicts, since the
client's models cost four times the processor time.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from kubernetes.aio.client.api_client import ApiClient

from weir_operator.cluster import ApiError

TIMEOUT_S = 4.0  # with it a request of a leader who loses the lease is over before the next one leads (lease.py)
JSON, APPLY, MERGE = "application/json", "application/apply-patch+yaml", "application/merge-patch+json"
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"  # a Secret's content stays away
PAGE = 500

Count = Callable[[str, str], None]  # verb, kind
Lines = AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Request:
    verb: str  # as RBAC and the metric name it
    kind: str
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    content: str = JSON
    accept: str = JSON
    timeout_s: float = TIMEOUT_S


class Transport:
    """One API server. `count` is told of every request."""

    def __init__(self, client: ApiClient, count: Count) -> None:
        self._client, self._count = client, count

    async def ask(self, request: Request) -> dict[str, Any]:
        """The answer's JSON. Raises ApiError."""
        try:
            response = await self._send(request, aiohttp.ClientTimeout(total=request.timeout_s))
            body = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise no_answer(error) from error
        if response.status >= 300:
            raise refusal(response.status, body)
        return parsed(body)

    @asynccontextmanager
    async def watch(self, kind: str, path: str, query: Mapping[str, str], quiet_s: float) -> AsyncIterator[Lines]:
        """The lines of a watch; a silence of `quiet_s` seconds ends it with ApiError, as every other trouble does."""
        limits = aiohttp.ClientTimeout(total=None, connect=TIMEOUT_S, sock_read=quiet_s)
        response = None
        try:
            response = await self._send(Request("watch", kind, "GET", path, query), limits)
            if response.status >= 300:
                raise refusal(response.status, await response.read())
            yield _lines(response.content)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise no_answer(error) from error
        finally:
            if response is not None:
                response.close()

    async def pages(self, kind: str, path: str, selector: str, page: int = PAGE) -> AsyncIterator[dict[str, Any]]:
        """A whole list, page by page; ApiError 410 where it took longer than the server remembers."""
        query = {"limit": str(page)} | ({"labelSelector": selector} if selector else {})
        while True:
            answer = await self.ask(Request("list", kind, "GET", path, query, timeout_s=30.0))
            yield answer
            following = answer["metadata"].get("continue")
            if not following:
                return
            query = query | {"continue": following}

    async def _send(self, request: Request, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        self._count(request.verb, request.kind)
        headers = {"Content-Type": request.content, "Accept": request.accept}
        method, url, headers, *_ = await self._client.param_serialize(
            request.method, request.path, query_params=list(request.query.items()), header_params=headers,
            auth_settings=["BearerToken"],
        )  # fmt: skip
        answer = await self._client.call_api(method, url, headers, request.body, _request_timeout=limits)
        response: aiohttp.ClientResponse = answer.response
        return response


async def _lines(content: aiohttp.StreamReader) -> Lines:
    """Not `readline`: an object may be longer than the reader's buffer."""
    rest = b""
    while chunk := await content.readany():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line


def parsed(body: bytes) -> dict[str, Any]:
    """The object in `body`. Raises ApiError: something between us and the API server may answer in its own words."""
    try:
        found: dict[str, Any] = json.loads(body)
    except ValueError as error:
        raise ApiError(0, "NoAnswer", f"not JSON: {body[:200].decode(errors='replace')}") from error
    return found


def no_answer(error: Exception) -> ApiError:
    return ApiError(0, "NoAnswer", ": ".join(filter(None, (type(error).__name__, str(error)))))


def refusal(status: int, body: bytes) -> ApiError:
    """What the API server says in its Status object; something between us and it says it otherwise."""
    try:
        said = json.loads(body)
        return ApiError(status, str(said.get("reason", "")), str(said.get("message", "")))
    except (ValueError, AttributeError):
        return ApiError(status, "", body[:200].decode(errors="replace"))
