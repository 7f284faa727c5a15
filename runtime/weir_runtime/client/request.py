"""What both clients say to open a stream, and what they make of a refusal. Pure."""

import random
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from weir_runtime.client.errors import Refused

SUBPROTOCOL = Subprotocol("weir.v1")
PATH = "/v1/stream"
RESUME = "Weir-Resume"
OPEN_S = 10.0
DEAD_S = 10.0  # the server says something every five seconds
BLOCK = 1 << 15  # bytes of audio in one frame
Options = Mapping[str, Any]


def stream_url(url: str, options: Options) -> str:
    """http(s) or ws(s) base address -> address of a stream with these options, nested ones dotted."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    path = parts.path if parts.path.rstrip("/").endswith(PATH) else parts.path.rstrip("/") + PATH
    flat = {name: _text(value) for name, value in _flatten(options)}
    return urlunsplit((scheme, parts.netloc, path, urlencode(flat), ""))


def headers(key: str | None) -> dict[str, str]:
    """A key goes into a header: query strings end up in the logs of proxies."""
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def reach(url: str, headers: Mapping[str, str]) -> tuple[str, dict[str, str], dict[str, Any]]:
    """What to ask for, with which headers, and where if not there: a `Host` among the headers is what is asked for at
    the address of `url`, as through an ingress whose name is not known here."""
    rest = {name: value for name, value in headers.items() if name.lower() != "host"}
    host = next((value for name, value in headers.items() if name.lower() == "host"), None)
    if host is None:
        return url, rest, {}
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    return urlunsplit(parts._replace(netloc=host)), rest, {"host": parts.hostname, "port": port}


def refusal(error: InvalidStatus) -> Refused:
    """A refused handshake in the server's own words."""
    response = error.response
    try:
        body = msgspec.json.decode(response.body or b"{}", type=dict[str, Any])
    except msgspec.DecodeError:
        body = {}
    try:
        after: float | None = float(response.headers.get("Retry-After", ""))
    except ValueError:
        after = None
    message = str(body.get("message", "the server refused the stream"))
    fix = f"; {body['fix']}" if body.get("fix") else ""
    error_word, reason = str(body.get("error", "refused")), str(body.get("reason", ""))
    return Refused(response.status_code, error_word, message + fix, after, reason)


def wait_s(refused: Refused, attempt: int, patience_s: float) -> float | None:
    """How long to wait before another try; None: give up. Jittered, so that clients do not come back together.

    A quota is waited for too: of streams it is a matter of seconds, of audio one of hours, longer than patience lasts.
    """
    if refused.status not in (429, 503) or refused.retry_after_s is None:
        return None
    wait = refused.retry_after_s * random.uniform(1.0, 1.0 + 0.2 * (attempt + 1))
    return wait if wait <= patience_s else None


def message(kind: str, fields: Mapping[str, Any]) -> str:
    """A client message; fields that are None are left out."""
    given = {name: value for name, value in fields.items() if value is not None}
    return msgspec.json.encode({"type": kind} | given).decode()


def _text(value: Any) -> str:
    """One option's value as a query writes it."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _flatten(options: Options) -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in options.items():
        if isinstance(value, Mapping):
            flat += [(f"{name}.{inner}", deep) for inner, deep in value.items()]
        elif value is not None:
            flat.append((name, value))
    return flat
