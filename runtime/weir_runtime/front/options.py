"""What a client may ask for: read from a query (dotted names, text values) or from `start` and `configure` (JSON).

Rules: a value that cannot be is `invalid_option`, one that this server cannot do is `unsupported_option`, and either
refuses the whole request; a name that nobody knows is reported and passed over. Nothing is applied halfway.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from weir_api.v1alpha1 import Stages
from weir_runtime.messages import ErrorCode, Latency, StreamOptions
from weir_runtime.wav import Encoding

ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
RATES = (4000, 192_000)
BEFORE_UPGRADE = ("class", "model", "resume")
START_ONLY = ("encoding", "channels")


class OptionError(ValueError):
    """One option that cannot be had."""

    def __init__(self, code: ErrorCode, field: str, message: str, fix: str) -> None:
        super().__init__(f"{field}: {message}; {fix}")
        self.code, self.field, self.fix = code, field, fix
        self.message = f"{field}: {message}"


@dataclass(frozen=True, slots=True)
class Options:
    """All that a client chose: the form of its audio, the form of our answers, and what recognition shall do.

    `offered` are the manifest's stages, which no client changes.
    """

    encoding: Encoding = "pcm_s16le"
    sample_rate: int = 16_000
    channels: int = 1
    words: bool = True
    revisions: Literal["full", "delta"] = "full"
    recognition: StreamOptions = field(default_factory=StreamOptions)
    offered: tuple[str, ...] = ()


def default_options(stages: Stages) -> Options:
    """What holds where a client says nothing."""
    vad, offered = stages.vad, tuple(stage.name for stage in stages.postprocess)
    recognition = StreamOptions(silence_ms=vad.silence_ms, max_segment_s=float(vad.max_segment_seconds), stages=offered)
    return Options(recognition=recognition, offered=offered)


def flatten(message: Mapping[str, Any]) -> dict[str, Any]:
    """Nested options by their dotted names: {"endpointing": {"mode": x}} -> {"endpointing.mode": x}."""
    flat: dict[str, Any] = {}
    for name, value in message.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": deep for inner, deep in value.items()}
        else:
            flat[name] = value
    return flat


def change(options: Options, wanted: Mapping[str, Any], *, language: str) -> tuple[Options, tuple[str, ...]]:
    """`options` with what `wanted` (dotted names) asks for, and the names nobody knows; raises OptionError."""
    unknown = []
    for name, value in wanted.items():
        rule = RULES.get(name)
        if name == "language":
            _language(value, language)
        elif rule is not None:
            options = rule(options, name, value)
        elif name in BEFORE_UPGRADE:
            raise OptionError("invalid_option", name, "chosen before the upgrade only", "put it into the query")
        else:
            unknown.append(name)
    return options, tuple(unknown)


Rule = Callable[[Options, str, Any], Options]


def _language(value: Any, language: str) -> None:
    if value not in (language, "auto", None):
        raise OptionError(
            "unsupported_option", "language", f"{value!r} is not what this model speaks", f"ask for {language!r}"
        )


def _choice(name: str, value: Any, known: Iterable[Any]) -> Any:
    known = tuple(known)
    if not isinstance(value, str) or value not in known:
        raise OptionError("invalid_option", name, f"{value!r} is unknown", f"one of {', '.join(known)}")
    return value


def _number(name: str, value: Any, low: float, high: float) -> float:
    try:
        number = float(value) if not isinstance(value, bool) else float("nan")
    except (TypeError, ValueError):
        number = float("nan")
    if not low <= number <= high:
        raise OptionError("invalid_option", name, f"{value!r} is out of range", f"a number from {low:g} to {high:g}")
    return number


def _whole(name: str, value: Any, low: int, high: int) -> int:
    number = _number(name, value, low, high)
    if number != int(number):
        raise OptionError("invalid_option", name, f"{value!r} is no whole number", f"from {low} to {high}")
    return int(number)


def _flag(name: str, value: Any) -> bool:
    match value.lower() if isinstance(value, str) else value:
        case "true" | "1" | True:
            return True
        case "false" | "0" | False:
            return False
    raise OptionError("invalid_option", name, f"{value!r} is neither true nor false", "true or false")


def _recognition(options: Options, **changes: Any) -> Options:
    old = {name: getattr(options.recognition, name) for name in StreamOptions.__struct_fields__}
    return replace(options, recognition=StreamOptions(**(old | changes)))


def _latency(options: Options, name: str, value: Any) -> Options:
    return _recognition(options, latency=_choice(name, value, get_args(Latency)))


def _stages(options: Options, name: str, value: Any) -> Options:
    """Those wanted, in the manifest's order; a query names them in one text with commas."""
    wanted = [] if value in (None, "") else value.split(",") if isinstance(value, str) else value
    if not isinstance(wanted, list) or not all(isinstance(stage, str) for stage in wanted):
        raise OptionError("invalid_option", name, f"{value!r} is no list of names", "a list of stages")
    for stage in wanted:
        if stage not in options.offered:
            fix = f"of {', '.join(options.offered)}" if options.offered else "leave it out"
            raise OptionError("unsupported_option", name, f"{stage[:64]!r} is not offered by this server", fix)
    return _recognition(options, stages=tuple(stage for stage in options.offered if stage in wanted))


def _without(*harmless: Any) -> Rule:
    """An option of the protocol that this server does not offer yet: only its "off" is taken."""

    def rule(options: Options, name: str, value: Any) -> Options:
        if (value.lower() if isinstance(value, str) else value) not in harmless:
            raise OptionError("unsupported_option", name, f"{value!r} is not offered by this server", "leave it out")
        return options

    return rule


RULES: dict[str, Rule] = {
    "encoding": lambda o, n, v: replace(o, encoding=_choice(n, v, ENCODINGS)),
    "sample_rate": lambda o, n, v: replace(o, sample_rate=_whole(n, v, *RATES)),
    "channels": lambda o, n, v: replace(o, channels=_whole(n, v, 1, 8)),
    "words": lambda o, n, v: replace(o, words=_flag(n, v)),
    "revisions": lambda o, n, v: replace(o, revisions=_choice(n, v, ("full", "delta"))),
    "interim": lambda o, n, v: _recognition(o, interim=_flag(n, v)),
    "max_interim_hz": lambda o, n, v: _recognition(o, max_interim_hz=_number(n, v, 0.1, 50)),
    "latency": _latency,
    "endpointing.mode": lambda o, n, v: _recognition(o, endpointing=_choice(n, v, ("server", "manual"))),
    "endpointing.silence_ms": lambda o, n, v: _recognition(o, silence_ms=_whole(n, v, 64, 10_000)),
    "endpointing.max_segment_s": lambda o, n, v: _recognition(o, max_segment_s=_number(n, v, 2, 600)),
    "punctuate": _without("false", "0", False, None),
    "stages": _stages,
    "keyterms": _without("", None, []),
    "on_overload": _without("degrade", None),
}
