"""Resume tokens: all that a server must know to go on with a stream that it may never have seen (docs/protocol.md).

Rules: a token is Fernet (AES-128-CBC, HMAC-SHA256) over JSON, so a client can neither read nor change it; who has the
key reads those of any server with that key. It is as old as its making and is taken for `WINDOW_S`. No token is logged.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Literal

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from weir_api.degradation import ClassName
from weir_api.manifest import ManifestError
from weir_runtime.front.options import Options
from weir_runtime.messages import ResumePoint, StreamOptions
from weir_runtime.wav import Encoding

WINDOW_S = 600
HEADER, QUERY, PROTOCOL = "weir-resume", "resume", "resume."  # where a client names its token
LONGEST = 8192  # characters; ours have less than a thousand
MAKING = "make one with `openssl rand -base64 32 | tr '+/' '-_'`"


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """What a token holds: one stream at one point, and the options in force there."""

    version: Literal[1] = 1
    session: str
    tenant: str
    priority: ClassName
    model: str
    point: ResumePoint
    seq: int  # of the next event
    shed: bool  # sent away under load: comes back as a new one
    encoding: Encoding
    sample_rate: int
    channels: int
    words: bool
    revisions: Literal["full", "delta"]
    recognition: StreamOptions

    def options(self, offered: Sequence[str]) -> Options:
        """Those of the stream, as far as a server has them that offers these stages."""
        stages = tuple(stage for stage in offered if stage in self.recognition.stages)
        recognition = msgspec.structs.replace(self.recognition, stages=stages)
        return Options(
            self.encoding, self.sample_rate, self.channels, self.words, self.revisions, recognition, tuple(offered)
        )


@dataclass(frozen=True, slots=True)
class Ticket:
    """Makes one stream's tokens."""

    tokens: "Tokens"
    session: str
    tenant: str
    priority: ClassName
    model: str

    def issue(self, point: ResumePoint, options: Options, seq: int, shed: bool) -> str:
        saved = Saved(
            session=self.session,
            tenant=self.tenant,
            priority=self.priority,
            model=self.model,
            point=point,
            seq=seq,
            shed=shed,
            encoding=options.encoding,
            sample_rate=options.sample_rate,
            channels=options.channels,
            words=options.words,
            revisions=options.revisions,
            recognition=options.recognition,
        )
        return self.tokens.seal(saved)


class Tokens:
    """Seals and opens with keys of 32 bytes in url-safe base64: the first seals, all open. Without any, resuming works
    in this process alone. `wall` are Unix seconds."""

    def __init__(self, keys: Sequence[str] = (), wall: Callable[[], float] = time) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys or (Fernet.generate_key(),)])
        self._wall = wall

    def seal(self, saved: Saved) -> str:
        sealed = self._fernet.encrypt_at_time(msgspec.json.encode(saved), int(self._wall()))
        return sealed.decode().rstrip("=")

    def open(self, token: str) -> Saved | Literal["invalid", "expired"]:
        if not token.isascii() or len(token) > LONGEST:
            return "invalid"
        sealed = token.encode() + b"=" * (-len(token) % 4)
        try:
            saved = msgspec.json.decode(self._fernet.decrypt(sealed), type=Saved)
            made = self._fernet.extract_timestamp(sealed)
        except (InvalidToken, msgspec.DecodeError):
            return "invalid"
        return saved if self._wall() - made <= WINDOW_S else "expired"


def read_resume_keys(path: Path) -> list[str]:
    """The keys in `path`, one a line; raises ManifestError."""
    try:
        keys = path.read_text(encoding="ascii").split()
        for key in keys:
            Fernet(key)
    except (OSError, ValueError) as error:
        told = "a key is 32 bytes in url-safe base64" if isinstance(error, ValueError) else error
        raise ManifestError(f"{path}: cannot be read as keys of resume tokens: {told}; {MAKING}") from None
    if not keys:
        raise ManifestError(f"{path}: holds no key of resume tokens; {MAKING}")
    return keys


def token_of(headers: Mapping[str, str], query: Mapping[str, str], offered: Sequence[str]) -> str | None:
    """The token of a request, None without one."""
    for found in (headers.get(HEADER), query.get(QUERY)):
        if found is not None:
            return found
    return next((name.removeprefix(PROTOCOL) for name in offered if name.startswith(PROTOCOL)), None)
