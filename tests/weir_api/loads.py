"""Load windows, costs and plans for the tests of ladder and forecast."""

from dataclasses import replace

from hypothesis import strategies as st

from weir_api.degradation import CLASSES, PercentThreshold, Rung, Signals, Threshold
from weir_api.forecast import Costs
from weir_api.ladder import LadderState, Plan, decide
from weir_api.load import ClassLoad, Demand, LoadWindow
from weir_api.policy import steps_of

MODES = (2, 7, 14)
VARIANTS = ("large", "small")
DEFAULT = [
    Rung(action="interimRate"), Rung(action="lowerSampleRate"), Rung(action="optionalStages"),
    Rung(action="largerChunks"), Rung(action="smallerVariant"), Rung(action="refuse", class_="batch"),
    Rung(action="refuse", class_="standard"), Rung(action="refuseAll"), Rung(action="closeLongest", class_="batch"),
]  # fmt: skip
SECONDS = st.floats(1e-5, 0.05)
COSTS = st.builds(
    Costs, st.fixed_dictionaries({name: st.fixed_dictionaries(dict.fromkeys(MODES, SECONDS)) for name in VARIANTS})
)
# What a frame takes never grows with the chunk, nor with a smaller model.
SANE_COSTS = st.tuples(SECONDS, *[st.floats(0.2, 1)] * 4).map(
    lambda c: Costs(
        {
            "large": {2: 2 * c[0], 7: 7 * c[0] * c[1], 14: 14 * c[0] * c[1] * c[2]},
            "small": {2: 2 * c[0] * c[3], 7: 7 * c[0] * c[1] * c[3], 14: 14 * c[0] * c[1] * c[2] * c[3] * c[4]},
        }
    )
)
DEMAND = st.builds(
    Demand,
    priority=st.sampled_from(CLASSES),
    variant=st.sampled_from(VARIANTS),
    mode=st.sampled_from(MODES[:2]),
    frames_per_s=st.floats(0, 2000),
)
CLASS = st.builds(
    ClassLoad,
    streams=st.integers(0, 200),
    latency_p95_s=st.none() | st.floats(0, 3),
    promise_s=st.none() | st.floats(0.02, 2),
    refused=st.integers(0, 100),
    staged=st.integers(0, 200),
)
WINDOWS = st.builds(
    LoadWindow,
    classes=st.fixed_dictionaries(dict.fromkeys(CLASSES, CLASS)),
    demand=st.lists(DEMAND, max_size=5).map(tuple),
    detector=st.floats(0, 0.3),
    slowdown=st.floats(1, 4),
    queue_chunks=st.integers(0, 1000),
    queue_slope=st.floats(-200, 200),
    front=st.floats(0, 2),
    memory=st.floats(0, 1),
    slots_used=st.integers(0, 100),
    slots_total=st.just(100),
    high_rate_streams=st.integers(0, 100),
)
THRESHOLD = st.integers(2, 150).flatmap(
    lambda enter: st.builds(Threshold, enter=st.just(enter), recover=st.integers(1, enter - 1))
)
PERCENT = THRESHOLD.map(lambda t: PercentThreshold(enter_percent=t.enter, recover_percent=t.recover))
SIGNALS = st.builds(
    Signals, queue_depth=THRESHOLD, latency_p95=PERCENT, device_utilization=THRESHOLD, front_utilization=THRESHOLD,
    slots_used=THRESHOLD, host_memory=THRESHOLD,
)  # fmt: skip
LADDERS = st.permutations(DEFAULT).flatmap(lambda rungs: st.integers(0, len(rungs)).map(lambda n: rungs[:n]))
DWELL = st.integers(1, 20)


def plans(costs=COSTS):
    return st.builds(
        lambda rungs, signals, dwell, costs: Plan(steps_of(rungs, CLASSES), signals, dwell, costs),
        st.just(DEFAULT) | LADDERS, SIGNALS, DWELL, costs,
    )  # fmt: skip


def calm(window):
    """Nobody there."""
    nobody = {name: ClassLoad(0, None, load.promise_s, 0) for name, load in window.classes.items()}
    return replace(
        window, classes=nobody, demand=(), detector=0.0, queue_chunks=0, queue_slope=0.0, front=0.0, memory=0.0,
        slots_used=0, high_rate_streams=0,
    )  # fmt: skip


def window_of(demand=(), **fields):
    """Ten interactive streams, and nothing that presses but what is named."""
    classes = {
        "interactive": ClassLoad(10, None, 0.3, 0),
        "standard": ClassLoad(0, None, 1.0, 0),
        "batch": ClassLoad(0, None, None, 0),
    }
    plain = LoadWindow(classes, tuple(demand), 0.0, 1.0, 0, 0.0, 0.0, 0.0, 10, 100, 0)
    return replace(plain, **fields)


def walk(plan, windows):
    """(window, state before, decision, now) of each (window, seconds since the one before)."""
    state, now = LadderState(), 0.0
    for window, passed in windows:
        now += passed
        decision = decide(plan, window, state, now)
        yield window, state, decision, now
        state = decision.state
