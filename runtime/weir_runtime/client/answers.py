"""Which events of one connection the caller is to see: what it was told on an earlier one is not told again. Pure.

Rules: of two answers to one message the first counts. A segment that `clear` threw away, as the caller knows, is not
shown once more on the way to the second `clear`. Ids that the client made up are taken off.
"""

import msgspec

from weir_runtime.client.events import (
    Cleared,
    Configured,
    Endpoint,
    Error,
    Finalized,
    Interim,
    Pong,
    ServerEvent,
    SpeechStarted,
)
from weir_runtime.client.replay import OWN, Log, Mark

KINDS = {Finalized: "finalize", Cleared: "clear", Configured: "configure", Pong: "ping"}


class Answers:
    """Of a connection that is sent `log`."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._sent: list[Mark] = []  # not answered on this connection
        self._repeated = log.answered  # messages whose second answer is to come

    def sent(self, mark: Mark) -> None:
        if mark.id is not None:
            self._sent.append(mark)

    def heard(self, event: ServerEvent) -> ServerEvent | None:
        """What the caller is told of `event`; None: nothing."""
        match event:
            case Finalized() | Cleared() | Configured() | Pong() | Error() if event.id is not None:
                return self._answer(event)
            case SpeechStarted() | Interim() | Endpoint() if self._repeats("clear"):
                return None
            case Error(code="unknown_option") if self._repeats("configure"):
                return None
        return event

    def _repeats(self, kind: str) -> bool:
        return any(mark.kind == kind for mark in self._repeated)

    def _answer(self, event: Finalized | Cleared | Configured | Pong | Error) -> ServerEvent | None:
        kind = KINDS.get(type(event))
        fits = (mark for mark in self._sent if mark.id == event.id and kind in (None, mark.kind))
        mark = next(fits, None)
        if mark is None:
            return event
        self._sent.remove(mark)
        again = mark.answered
        self._log.answer(mark)
        if isinstance(event, Error):  # it did nothing
            self._log.drop(mark)
        if again:
            self._repeated = [other for other in self._repeated if other is not mark]
            return None
        return msgspec.structs.replace(event, id=None) if mark.id is not None and mark.id.startswith(OWN) else event
