"""API keys: who may open streams, up to which class, within which quota (docs/keys.md).

Rules: the file holds SHA-256 digests, never keys; neither is logged or shown in an error. Keys are 256 random bits, so
a plain digest is as good as a slow one, and what is looked up is the digest of what a client sent: the time that takes
tells a stranger nothing about the keys. A tenant's quota is stated on one of its keys, or the same on several.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from secrets import token_urlsafe
from typing import Annotated

from pydantic import Field, TypeAdapter

from weir_api.base import ApiModel
from weir_api.degradation import CLASSES, ClassName
from weir_api.manifest import Place, parse, read
from weir_runtime.front.quota import UNLIMITED, Quota

SHAPE = "a keys file is a list of entries with sha256, tenant and class ([] for none)"
ANONYMOUS = "anonymous"
Tenant = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]


class Key(ApiModel):
    """One entry of the file."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the key, in hex.")
    tenant: Tenant = Field(description="Whose key it is: what fairness, quotas and logs go by.")
    class_: ClassName = Field(alias="class", description="The highest class that streams with this key may ask for.")
    max_streams: int | None = Field(None, ge=1, description="Streams that the tenant may have open at once.")
    audio_seconds_per_day: int | None = Field(None, ge=1, description="Audio that the tenant may send in a UTC day.")


KEYS = TypeAdapter(list[Key])


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key allows, or having none. `classes` are those that may be asked for, in the manifest's order."""

    tenant: str
    classes: tuple[ClassName, ...]
    quota: Quota = UNLIMITED


Keyring = Mapping[str, Grant]  # by digest


def digest(key: str) -> str:
    return sha256(key.encode()).hexdigest()


def new_key() -> str:
    """The prefix lets people, and scanners of repositories, see what it is."""
    return f"weir_{token_urlsafe(32)}"


def up_to(highest: ClassName, offered: Sequence[ClassName]) -> tuple[ClassName, ...]:
    """Of `offered`, in their order, what is not above `highest`."""
    return tuple(name for name in offered if CLASSES.index(name) >= CLASSES.index(highest))


def read_keys(path: Path, offered: Sequence[ClassName]) -> Keyring:
    """The keys in a file, for a pipeline with these classes; raises ManifestError with all that is wrong."""
    return parse_keys(read(path), str(path), offered)


def parse_keys(text: str, name: str, offered: Sequence[ClassName]) -> Keyring:
    """The same of a text; an empty one is an error, since a file that is just being written is empty too."""
    keys = parse(text, name, KEYS, SHAPE, check=lambda keys: _problems(keys, offered))
    quotas = {key.tenant: _quota(key.tenant, keys) for key in keys}
    return {key.sha256: Grant(key.tenant, up_to(key.class_, offered), quotas[key.tenant]) for key in keys}


def _problems(keys: Sequence[Key], offered: Sequence[ClassName]) -> Iterator[tuple[Place, str]]:
    digests: dict[str, int] = {}
    limits: dict[tuple[str, str], tuple[int, int]] = {}
    for place, key in enumerate(keys):
        if key.class_ not in offered:
            yield (place, "class"), f"{key.class_} is not among the pipeline's priorityClasses ({', '.join(offered)})"
        if key.tenant == ANONYMOUS:
            yield (place, "tenant"), f"{ANONYMOUS} is who comes without a key; choose another name"
        if digests.setdefault(key.sha256, place) != place:
            yield (place, "sha256"), f"the same key as in [{digests[key.sha256]}]; remove one"
        for field, limit in (("maxStreams", key.max_streams), ("audioSecondsPerDay", key.audio_seconds_per_day)):
            if limit is None:
                continue
            first, stated = limits.setdefault((key.tenant, field), (place, limit))
            if limit != stated:
                said = f"{limit}, but [{first}] states {stated} for the same tenant; state it once, or the same"
                yield (place, field), said


def _quota(tenant: str, keys: Sequence[Key]) -> Quota:
    """A tenant's quota: what any of its keys states."""
    own = [key for key in keys if key.tenant == tenant]
    return Quota(_stated(key.max_streams for key in own), _stated(key.audio_seconds_per_day for key in own))


def _stated(limits: Iterable[int | None]) -> int | None:
    return next((limit for limit in limits if limit is not None), None)


Signature = tuple[int, int, int] | None


class KeyFile:
    """A file of keys that may change while it is used. What is wrong with a new one keeps the old keys."""

    def __init__(self, path: Path, offered: Sequence[ClassName]) -> None:
        """Raises ManifestError: a server does not start without its keys."""
        self._path, self._offered = path, tuple(offered)
        self._seen = self._signature()
        self.keyring = read_keys(path, offered)

    def look(self) -> bool:
        """Read the file again if it changed: True if it did. Raises ManifestError, once for each change to the bad."""
        signature = self._signature()
        if signature == self._seen:
            return False
        self._seen = signature
        self.keyring = read_keys(self._path, self._offered)  # one assignment: readers see the old keys or the new ones
        return True

    def _signature(self) -> Signature:
        """What changes with the file. Links are followed: Kubernetes swaps one to change a mounted Secret."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size
