"""Who may open a stream: what its key allows, and what its tenant's quota still does.

Rules: without `spec.auth` everybody may come and is nobody's tenant. Both are looked at only when a stream asks to be
let in: one that is open stays open when its key goes or its quota is used up.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from weir_api.manifest import ManifestError
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_runtime.front.keys import ANONYMOUS, Grant, KeyFile, digest, up_to
from weir_runtime.front.observer import Observer
from weir_runtime.front.quota import Exceeded, Usage

LOOK_EVERY_S = 1.0
BEARER = "bearer."  # of the subprotocol in which a browser sends a key
JITTER_S = {"streams": 5.0, "audio_seconds": 60.0}  # later, never earlier: midnight would bring everybody back at once


def key_of(headers: Mapping[str, str], offered: Sequence[str]) -> str | None:
    """The key of a request, None without one. The header goes before the subprotocol."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    return next((name.removeprefix(BEARER) for name in offered if name.startswith(BEARER) and name != BEARER), None)


class Access:
    """What a front asks before it opens a stream, and tells of those that it opened."""

    def __init__(self, spec: StreamingPipelineSpec, observer: Observer, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives seconds since the epoch. Raises ManifestError: no server starts without its keys."""
        self._usage = Usage()
        self._observer, self._clock = observer, clock
        self._chance: Callable[[float, float], float] = random.SystemRandom().uniform
        offered = tuple(entry.name for entry in spec.priority_classes)
        self._file: KeyFile | None = None
        self._stranger: Grant | None = Grant("", offered)
        if spec.auth is not None:
            self._file = KeyFile(Path(spec.auth.path), offered)
            self._stranger = Grant(ANONYMOUS, up_to("standard", offered)) if spec.auth.anonymous else None

    def grant(self, key: str | None) -> Grant | Literal["unauthenticated", "unknown_key"]:
        """What this key allows, or why it allows nothing. Where no keys are asked for, none is looked at."""
        if self._file is not None and key is not None:
            return self._file.keyring.get(digest(key), "unknown_key")
        return self._stranger or "unauthenticated"

    def exceeded(self, grant: Grant) -> Exceeded | None:
        """Why this tenant may open no stream now, the wait jittered; None: it may."""
        found = self._usage.exceeded(grant.tenant, grant.quota, self._clock())
        if found is None:
            return None
        return replace(found, retry_after_s=found.retry_after_s + self._chance(1.0, JITTER_S[found.reason]))

    def opened(self, tenant: str) -> None:
        self._usage.opened(tenant)

    def heard(self, tenant: str, seconds: float) -> None:
        self._usage.heard(tenant, seconds, self._clock())

    def closed(self, tenant: str) -> None:
        self._usage.closed(tenant)

    async def watch(self, every_s: float = LOOK_EVERY_S) -> None:
        """Keep the keys as the file has them, until cancelled."""
        while self._file is not None:
            await asyncio.sleep(every_s)
            await self.look()

    async def look(self) -> None:
        """Take over what changed in the keys file; what is wrong with it is logged and counted, and changes nothing."""
        if self._file is None:
            return
        try:
            changed = await asyncio.to_thread(self._file.look)  # its disk may be slow
        except ManifestError as error:
            self._observer.keys_not_reloaded(str(error))
        else:
            if changed:
                self._observer.keys_reloaded(len(self._file.keyring))
