"""What a simulated machine takes for its work: the device, the sockets' thread, the memory. All figures are here.

A manifest that states `cost` (`weir bench --calibrate` writes it) is simulated with it. Where it does not, variants are
taken for the embedded models on one core of an AMD EPYC (docs/bench.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from weir_api.forecast import CHUNK_S, INTERIM_S
from weir_api.policy import FRAME_MS, larger_mode
from weir_api.v1alpha1 import StepCost, StreamingPipelineSpec, Variant
from weir_runtime.core.values import CallCost, DeviceCosts, VariantInfo

SMALL = {1: CallCost(1400e-6, 85e-6), 2: CallCost(1500e-6, 140e-6), 7: CallCost(1800e-6, 390e-6),
         14: CallCost(2000e-6, 680e-6)}  # fmt: skip
LARGE = {1: CallCost(2500e-6, 130e-6), 2: CallCost(2750e-6, 212e-6), 7: CallCost(3000e-6, 630e-6),
         14: CallCost(3500e-6, 1110e-6)}  # fmt: skip
EMBEDDED = {"embedded://small": SMALL}  # by source; any other is taken for the large one
DETECTOR = CallCost(400e-6, 12e-6)


@dataclass(frozen=True, slots=True)
class FrontCosts:
    """Seconds of the sockets' thread. All in, a stream takes a thousandth of a core (docs/overload.md)."""

    frame_s: float = 60e-6  # of 100 ms
    chunk_s: float = CHUNK_S
    interim_s: float = INTERIM_S


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes."""

    base: float = 450e6  # models, interpreter
    stream: float = 0.32e6
    limit: float = 4e9


@dataclass(frozen=True, slots=True)
class Machine:
    costs: DeviceCosts  # what the scheduler is told
    slower: float = 1.0  # what calls really take, by that
    noise: float = 0.05  # standard deviation of a call's time, by the time
    front: FrontCosts = field(default_factory=FrontCosts)
    memory: Memory = field(default_factory=Memory)


def machine_of(spec: StreamingPipelineSpec) -> Machine:
    engine = {variant.name: _engine(variant) for variant in spec.model.variants}
    stated = spec.stages.vad.cost
    return Machine(DeviceCosts(engine, DETECTOR if stated is None else _cost(stated)))


def variants_of(spec: StreamingPipelineSpec, engine: Mapping[str, Mapping[int, CallCost]]) -> list[VariantInfo]:
    """What the core must know of the variants; they have no words here."""
    infos = []
    for variant in spec.model.variants:
        modes = tuple(sorted(engine[variant.name]))
        mode = larger_mode(modes, variant.chunk_ms // FRAME_MS, 0)
        infos.append(VariantInfo(variant.name, modes, mode, (), variant.language))
    return infos


def _engine(variant: Variant) -> dict[int, CallCost]:
    """A manifest that states some chunk sizes is taken at its word: the model knows no others."""
    stated = {cost.chunk_ms // FRAME_MS: _cost(cost) for cost in variant.cost}
    return stated or EMBEDDED.get(variant.source, LARGE)


def _cost(stated: StepCost) -> CallCost:
    return CallCost(stated.step_us / 1e6, stated.row_us / 1e6)
