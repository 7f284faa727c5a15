"""How the front reaches the core: today in the same process, later over ZeroMQ. Nothing else is shared."""

from collections.abc import Callable, Mapping
from typing import Protocol

from weir_api.degradation import ClassName
from weir_api.report import LoadReport
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_runtime.core.rungs import Moved
from weir_runtime.core.values import DeviceCosts, Load, VariantInfo
from weir_runtime.messages import Open, Refused, ToCore, ToFront

Deliver = Callable[[ToFront], None]


class CoreLink(Protocol):
    """Sending never blocks; what bounds it is the front, which stops reading a socket that is too far ahead."""

    variants: Mapping[str, VariantInfo]  # by name, best first
    costs: DeviceCosts

    def clock(self) -> float:
        """Monotonic seconds; the clock of every time in a message."""

    def open(self, message: Open, deliver: Deliver) -> None:
        """Send `message`; from now on `deliver` is called, on the event loop, with each of the stream's events."""

    def send(self, message: ToCore) -> None:
        """Send one message of an open stream; ignored once the stream is closed."""

    def load(self) -> Load:
        """The newest snapshot."""

    def refusal(self, priority: ClassName, existing: bool) -> Refused | None:
        """What such an `Open` would be told now: None if it would be taken."""

    def report(self) -> LoadReport:
        """The newest load report, as far as the core knows it."""

    def obey(self, spec: StreamingPipelineSpec, floor: tuple[int, ...], until: float) -> Moved:
        """The operator's policy: what is live in `spec` holds from now on, the steps of the floor until `until`."""

    def broken(self) -> bool:
        """Whether the engine fails, so that its breaker lets nobody in."""

    def crowded(self) -> bool:
        """Whether the audio that waits takes up the memory that it may: read more slowly."""

    def turned_away(self, priority: ClassName) -> None:
        """An opening was refused: the ladder must know what waits outside."""

    def answered(self, priority: ClassName, seconds: float) -> None:
        """A result was written, so long after its audio had come: what the ladder watches."""
