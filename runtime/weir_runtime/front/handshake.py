"""What is decided before the upgrade, so that a refusal is real HTTP and never an accept followed by an error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from weir_api.degradation import ClassName
from weir_api.v1alpha1 import Admission
from weir_runtime.core.values import VariantInfo
from weir_runtime.front.access import key_of
from weir_runtime.front.adapters.native import SUBPROTOCOL
from weir_runtime.front.door import Door, Rejection
from weir_runtime.front.events import Ready
from weir_runtime.front.keys import ANONYMOUS, Grant
from weir_runtime.front.options import BEFORE_UPGRADE, OptionError, Options, change
from weir_runtime.front.origin import origin_allowed
from weir_runtime.front.resume import WINDOW_S, Saved, token_of
from weir_runtime.messages import BEGINNING, SAMPLE_RATE, Open, ResumePoint


@dataclass(frozen=True, slots=True)
class Request:
    """A stream that may be opened."""

    priority: ClassName
    tenant: str
    variant: VariantInfo
    options: Options
    ignored: tuple[str, ...]  # options that nobody knows
    subprotocol: str | None
    traceparent: str | None
    saved: Saved | None  # the stream that it goes on with

    @property
    def existing(self) -> bool:
        """Whether it counts as one of the streams that there are; one that was shed comes back as a new one."""
        return self.saved is not None and not self.saved.shed

    @property
    def point(self) -> ResumePoint:
        """Where it begins."""
        return BEGINNING if self.saved is None else self.saved.point

    @property
    def session(self) -> str:
        """The session that it goes on with; empty for a new one."""
        return "" if self.saved is None else self.saved.session

    @property
    def seq(self) -> int:
        """Number of its first event."""
        return 0 if self.saved is None else self.saved.seq

    def ready(self, session: str, limits: Admission, degraded: bool) -> Ready:
        """Its first event."""
        told = {
            "idle_s": limits.idle_seconds,
            "session_s": limits.max_session_seconds,
            "max_frame_bytes": limits.max_frame_bytes,
            "max_lead_s": limits.max_lead_seconds,
        }
        variant, point = self.variant, self.point
        return Ready(
            audio=point.from_,
            session=session,
            model=variant.name,
            language=variant.language,
            sample_rate=self.options.sample_rate,
            limits=told,
            degraded=degraded,
            point=point,
            resumed=self.saved is not None,
        )

    def opening(self, stream: str) -> Open:
        """What the core is told; it knows the stream by a name that is new for each connection, since the one before
        may not be gone yet."""
        high_rate = self.options.sample_rate > SAMPLE_RATE
        return Open(
            stream,
            self.priority,
            self.tenant,
            self.variant.name,
            self.options.recognition,
            high_rate,
            None if self.saved is None else self.saved.point,
            self.existing,
        )


def read_request(asked: HTTPConnection, door: Door) -> Request | Rejection:
    """What the client wants, or why it cannot have it (400, 401, 403, 404, 410, 429)."""
    headers, query = asked.headers, asked.query_params
    if not origin_allowed(headers.get("origin"), headers.get("host"), door.spec.serving.allowed_origins, door.loopback):
        fix = "add it to spec.serving.allowedOrigins"
        return Rejection(403, "origin", "this page's Origin may not connect", fix, {})
    offered = asked.scope.get("subprotocols", [])
    named = query.get("class") or headers.get("weir-class")
    grant = _grant(key_of(headers, offered), named, door)
    if isinstance(grant, Rejection):
        return grant
    if offered and SUBPROTOCOL not in offered:
        return _invalid("subprotocol", f"{SUBPROTOCOL} is not among those offered", f"offer {SUBPROTOCOL}")
    saved = _saved(token_of(headers, query, offered), grant, door)
    if isinstance(saved, Rejection):
        return saved
    if named is None and saved is not None:
        named = _offered(saved.priority, door)
    priority = _priority(named, grant, door)
    variant = _variant(query.get("model") or headers.get("weir-model"), saved, door.link.variants)
    for found in (priority, variant):
        if isinstance(found, Rejection):
            return found
    assert not isinstance(priority, Rejection)
    assert not isinstance(variant, Rejection)
    wanted = {name: value for name, value in query.items() if name not in BEFORE_UPGRADE}
    before = door.defaults if saved is None else saved.options(door.defaults.offered)
    try:
        options, ignored = change(before, wanted, language=variant.language)
    except OptionError as error:
        return _invalid(error.field, error.message, error.fix, error.code)
    over = _over_quota(grant, priority, door)
    if over is not None:
        return over
    protocol = SUBPROTOCOL if offered else None
    return Request(priority, grant.tenant, variant, options, ignored, protocol, headers.get("traceparent"), saved)


def _saved(token: str | None, grant: Grant, door: Door) -> Saved | Rejection | None:
    """The stream to go on with, None where a new one is wanted."""
    if token is None:
        return None
    again = "open a new stream without it"
    match door.tokens.open(token):
        case "invalid":
            return Rejection(400, "resume_invalid", "resume: no token of this server", again, {"field": "resume"})
        case "expired":
            message = f"resume: the token is older than {WINDOW_S} s"
            return Rejection(410, "resume_expired", message, again, {"field": "resume"})
        case saved if saved.tenant != grant.tenant:
            fix = "send the key that the stream was opened with, or another of its tenant"
            return Rejection(403, "resume_foreign", "resume: another tenant's stream", fix, {"field": "resume"})
        case saved:
            return saved


def _grant(key: str | None, named: str | None, door: Door) -> Grant | Rejection:
    """What the key allows. First of all, so that a stranger learns nothing else."""
    counted = _offered(named, door) or _default(door.classes)
    match door.access.grant(key):
        case "unauthenticated":
            fix = "send `Authorization: Bearer <key>`, or the subprotocol `bearer.<key>`"
            return Rejection(401, "unauthenticated", "a key is needed here", fix, {}, priority=counted)
        case "unknown_key":
            fix = "check it, or ask for another"
            return Rejection(401, "unknown_key", "this key is not known here", fix, {}, priority=counted)
        case grant:
            return grant


def _priority(named: str | None, grant: Grant, door: Door) -> ClassName | Rejection:
    if named is None and grant.classes:
        return _default(grant.classes)
    asked = _offered(named, door) or _default(door.classes)
    if named not in (None, asked):
        return _invalid("class", f"class: {named[:64]!r} is unknown", f"one of {', '.join(door.classes)}")
    if asked not in grant.classes:
        message = f"class: {asked} is more than {'goes without a key' if grant.tenant == ANONYMOUS else 'this key has'}"
        fix = f"one of {', '.join(grant.classes)}" if grant.classes else "send a key"
        return Rejection(403, "class_not_allowed", message, fix, {"field": "class"}, priority=asked)
    return asked


def _offered(named: str | None, door: Door) -> ClassName | None:
    return next((name for name in door.classes if name == named), None)


def _default(classes: Sequence[ClassName]) -> ClassName:
    return "standard" if "standard" in classes else classes[0]


def _over_quota(grant: Grant, priority: ClassName, door: Door) -> Rejection | None:
    exceeded = door.access.exceeded(grant)
    if exceeded is None:
        return None
    if exceeded.reason == "streams":
        message, fix = f"all {grant.quota.max_streams} streams of this tenant are open", "close one, or try later"
    else:
        message = f"the {grant.quota.audio_seconds_per_day} s of audio that this tenant has a day are used up"
        fix = "try again tomorrow (UTC)"
    more = {"reason": exceeded.reason}
    return Rejection(429, "quota", message, fix, more, exceeded.retry_after_s, priority)


def _variant(name: str | None, saved: Saved | None, variants: Mapping[str, VariantInfo]) -> VariantInfo | Rejection:
    """A stream that goes on here is heard by another model where its own is not served."""
    if name is None:
        default = next(iter(variants.values()))
        return default if saved is None else variants.get(saved.model, default)
    if name in variants:
        return variants[name]
    fix = f"one of {', '.join(variants)}"
    return Rejection(404, "unknown_model", f"model: {name[:64]!r} is not served here", fix, {"field": "model"})


def _invalid(field: str, message: str, fix: str, code: str = "invalid_option") -> Rejection:
    return Rejection(400, code, message, fix, {"field": field})
