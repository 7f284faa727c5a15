"""What the operator knows of each pipeline between two looks: the load reports, the memory, the ladder's state.

Rules: what is decided (memory, ladder, specs, drains) is changed under the entry's lock only, so that reconciling and
bending never cross; what is heard (reports, acknowledged, troubles) is written down whenever it comes; what must
survive the process is in Memory, which is written to the cluster before it is acted upon.
"""

import asyncio
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Literal

from weir_api.ladder import LadderState
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator.memory import Memory
from weir_operator.observed import Child, Key, PodReport

DrainKind = Literal["drain", "undrain"]
Told = tuple[DrainKind, int]  # an order and its counter


@dataclass(frozen=True, slots=True)
class Trouble:
    """A pod that did not take an order."""

    times: int  # in a row
    at: float  # Unix seconds
    again_at: float
    answered: bool  # and said no; else it said nothing


@dataclass(frozen=True, slots=True)
class Looked:
    """What there was under a name, and when it was looked for."""

    child: Child | None
    at: float  # Unix seconds


@dataclass(slots=True)
class Entry:
    """One pipeline."""

    uid: str
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    memory: Memory | None = None  # None: not read yet
    resume: Looked | None = None  # the Secret of resume tokens (unwatched.py); None: not looked for yet
    reports: dict[str, PodReport] = field(default_factory=dict)  # by uid of the pod
    ladder: LadderState = field(default_factory=LadderState)
    acknowledged: dict[str, tuple[int, int]] = field(default_factory=dict)  # epoch and policy revision, by pod uid
    specs: dict[str, StreamingPipelineSpec] = field(default_factory=dict)  # that the policy carries, by pods' revision
    asked: StreamingPipelineSpec | None = None  # of the pipeline, when `specs` were made
    drains: dict[str, Told] = field(default_factory=dict)  # last order to drain or undrain, by pod uid
    troubles: dict[str, Trouble] = field(default_factory=dict)  # by pod uid
    renewed_at: float = float("-inf")  # when the policy last went to all pods, Unix seconds

    def forget_all_but(self, uids: Set[str]) -> None:
        """Of pods that are gone nothing is kept."""
        for known in (self.reports, self.acknowledged, self.drains, self.troubles):
            for uid in known.keys() - uids:
                del known[uid]


class Book:
    """All pipelines by namespace and name."""

    def __init__(self) -> None:
        self.entries: dict[Key, Entry] = {}

    def entry(self, key: Key, uid: str) -> Entry:
        """The pipeline's entry; a pipeline that was made anew under the same name starts with a new one."""
        found = self.entries.get(key)
        if found is None or found.uid != uid:
            found = self.entries[key] = Entry(uid)
        return found

    def forget(self, key: Key) -> None:
        self.entries.pop(key, None)
