"""What is decided before the upgrade, so that a refusal is real HTTP and never an accept followed by an error."""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from weir_runtime.core.values import VariantInfo
from weir_runtime.front.adapters.native import SUBPROTOCOL
from weir_runtime.front.door import Door, Rejection
from weir_runtime.front.options import BEFORE_UPGRADE, OptionError, Options, change
from weir_runtime.front.origin import origin_allowed
from weir_runtime.messages import ClassName


@dataclass(frozen=True, slots=True)
class Request:
    """A stream that may be opened."""

    priority: ClassName
    variant: VariantInfo
    options: Options
    ignored: tuple[str, ...]  # options that nobody knows
    subprotocol: str | None
    traceparent: str | None


def read_request(asked: HTTPConnection, door: Door) -> Request | Rejection:
    """What the client wants, or why it cannot have it (400, 403, 404, 503)."""
    headers, query = asked.headers, asked.query_params
    if not origin_allowed(headers.get("origin"), headers.get("host"), door.spec.serving.allowed_origins, door.loopback):
        fix = "add it to spec.serving.allowedOrigins"
        return Rejection(403, "origin", "this page's Origin may not connect", fix, {})
    offered = asked.scope.get("subprotocols", [])
    if offered and SUBPROTOCOL not in offered:
        return _invalid("subprotocol", f"{SUBPROTOCOL} is not among those offered", f"offer {SUBPROTOCOL}")
    priority = _priority(query.get("class") or headers.get("weir-class"), door)
    variant = _variant(query.get("model") or headers.get("weir-model"), door.link.variants)
    for found in (priority, variant):
        if isinstance(found, Rejection):
            return found
    assert not isinstance(priority, Rejection)
    assert not isinstance(variant, Rejection)
    if "resume" in query or "weir-resume" in headers or any(name.startswith("resume.") for name in offered):
        return _invalid("resume", "sessions cannot be resumed on this server", "leave it out", "unsupported_option")
    wanted = {name: value for name, value in query.items() if name not in BEFORE_UPGRADE}
    try:
        options, ignored = change(door.defaults, wanted, language=variant.language)
    except OptionError as error:
        return _invalid(error.field, error.message, error.fix, error.code)
    protocol = SUBPROTOCOL if offered else None
    return Request(priority, variant, options, ignored, protocol, headers.get("traceparent"))


def _priority(name: str | None, door: Door) -> ClassName | Rejection:
    known = [entry.name for entry in door.spec.priority_classes]
    if name is None:
        return "standard" if "standard" in known else known[0]
    for priority in known:
        if priority == name:
            return priority
    return _invalid("class", f"class: {name[:64]!r} is unknown", f"one of {', '.join(known)}")


def _variant(name: str | None, variants: Mapping[str, VariantInfo]) -> VariantInfo | Rejection:
    if name is None:
        return next(iter(variants.values()))
    if name in variants:
        return variants[name]
    fix = f"one of {', '.join(variants)}"
    return Rejection(404, "unknown_model", f"model: {name[:64]!r} is not served here", fix, {"field": "model"})


def _invalid(field: str, message: str, fix: str, code: str = "invalid_option") -> Rejection:
    return Rejection(400, code, message, fix, {"field": field})
