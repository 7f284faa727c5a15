"""From events to text: the revision rule of docs/protocol.md, T[rev] = T[rev - 1][:offset] + text. Pure."""

from weir_runtime.client.events import Cleared, Final, Interim, Ready, ServerEvent, Word


class Transcript:
    """`text` is final; `tail` is what the open segment says so far, of which `stable` code points will not change."""

    def __init__(self) -> None:
        self.text = ""
        self.tail = ""
        self.stable = 0
        self.words: list[Word] = []
        self._seg = -1

    def apply(self, event: ServerEvent) -> None:
        """Take one event; those that are no text change nothing."""
        match event:
            case Interim():
                known = self.tail if event.seg == self._seg else ""
                self.tail, self.stable, self._seg = known[: event.offset] + event.text, event.stable, event.seg
            case Final():
                self.text += event.lead + event.text
                self.words += event.words
                self.tail, self.stable, self._seg = "", 0, -1
            case Cleared() | Ready():  # what a resumed stream had said of an open segment comes again
                self.tail, self.stable, self._seg = "", 0, -1
            case _:
                pass
