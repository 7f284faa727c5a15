"""Whose web pages may open a stream. Any site that a person visits can reach a server on the same machine, so a
browser's Origin header is checked; programs send none and pass.

Rules: the server's own origin passes, and what the manifest lists. On a loopback address the own origin counts only
by address or as `localhost`: a foreign name that was made to point at 127.0.0.1 is a foreign site.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit


def origin_allowed(origin: str | None, host: str | None, allowed: Sequence[str], loopback: bool) -> bool:
    """Whether a request with these Origin and Host headers may pass."""
    if origin is None or "*" in allowed or origin.rstrip("/") in [entry.rstrip("/") for entry in allowed]:
        return True
    try:
        parts = urlsplit(origin)
        name = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and parts.netloc == host and (not loopback or _local(name))


def _local(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    return True
