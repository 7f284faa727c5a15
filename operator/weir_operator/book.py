"""What the operator knows of each pipeline between two looks: the load reports, the memory, the ladder's state.

Rules: a pipeline's entry is changed under its lock only, so reconciling and bending never cross; what must survive the
process is in Memory, which is written to the cluster before it is acted upon.
"""

import asyncio
from dataclasses import dataclass, field

from weir_api.ladder import LadderState
from weir_operator.memory import Memory
from weir_operator.observed import Key, PodReport


@dataclass(slots=True)
class Entry:
    """One pipeline."""

    uid: str
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    memory: Memory | None = None  # None: not read yet
    reports: dict[str, PodReport] = field(default_factory=dict)  # by uid of the pod
    ladder: LadderState = field(default_factory=LadderState)
    acknowledged: dict[str, tuple[int, int]] = field(default_factory=dict)  # epoch and policy revision, by pod uid


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
