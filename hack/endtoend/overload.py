"""More than the pods can do: the rung rises, `kubectl get spl` shows it, and it falls when the crowd has gone.

All of the box is one small machine, where an overload in earnest would be one of the nodes and of the clients as well.
So the signals are lowered, live, until a crowd of a few streams is an overload.
"""

from dataclasses import replace
from time import monotonic

from box.waiting import wait_for
from endtoend.heard import Heard, Voice
from endtoend.judged import Result, judge
from endtoend.product import CLIPS, RESUME_S, Product
from endtoend.report import Number
from endtoend.speakers import Speakers

from weir_runtime.bench.quantiles import rank

ACKNOWLEDGED_S = 3.0  # the bar
NAME, SAYS = "overload", "a crowd speaks: the rung rises in `kubectl get spl`, and falls"
NEVER = {"enter": 100_000, "recover": 99_999}
SIGNALS = {name: NEVER for name in ("queueDepth", "frontUtilization", "slotsUsed", "hostMemory")} | {
    "latencyP95": {"enterPercent": 1000, "recoverPercent": 999},
    "deviceUtilization": {"enter": 2, "recover": 1},
}
LADDER = [{"action": "interimRate", "maxHz": 2}, {"action": "largerChunks"}, {"action": "smallerVariant"},
          {"action": "refuse", "class": "batch"}]  # fmt: skip
BENDING = {"dwellSeconds": 1, "signals": SIGNALS, "ladder": LADDER}
CROWD = [Voice(clip, priority, RESUME_S) for clip in CLIPS for priority in ("interactive", "standard", "batch")] * 2


def overload(product: Product, tries: int) -> tuple[Result, list[Number]]:
    captions = product.captions
    before = captions.get()["spec"]["degradation"]
    captions.patch(degradation=BENDING)
    captions.wait("ConfigSynced", "ConfigApplied", 30)
    began, acknowledged, shown, calm, heard = monotonic(), [], [], [], []
    try:
        for _ in range(tries):
            acknowledged_s, shown_s, calm_s, crowd = once(product)
            acknowledged.append(acknowledged_s)
            shown.append(shown_s)
            calm.append(calm_s)
            heard += crowd
    except (TimeoutError, RuntimeError, OSError) as error:
        return Result(NAME, SAYS, seconds=monotonic() - began, complaints=(str(error),)), []
    finally:
        captions.patch(degradation=dict.fromkeys(BENDING) | before)
    captions.wait("ConfigSynced", "ConfigApplied", 30)
    p95_s = rank(sorted(acknowledged), 0.95)
    numbers = [
        Number(
            f"overload at the pods → policy acknowledged by all of them, p95 of {tries}",
            f"{p95_s:.1f} s",
            f"≤ {ACKNOWLEDGED_S:.0f} s",
            p95_s <= ACKNOWLEDGED_S,
        ),
        Number("overload at the pods → rung in `kubectl get spl`, most", f"{max(shown):.1f} s"),
        Number("end of the crowd → rung 0, most", f"{max(calm):.1f} s"),
    ]
    result = judge(NAME, SAYS, heard, product.right, monotonic() - began)
    if not all("degraded" in one.warnings for one in heard):
        result = replace(result, complaints=(*result.complaints, "not every stream was told that the server bends"))
    return result, numbers


def once(product: Product) -> tuple[float, float, float, list[Heard]]:
    """Seconds from the first pod's own bending until all have the policy, until it is shown, and from the end of the
    crowd to full quality."""
    captions = product.captions
    with Speakers(product.door.url, CROWD, loop=product.door.loop) as crowd:
        wait_for("a pod to bend", lambda: any(one.policy.in_force for one in captions.reports().values()), 30)
        began = monotonic()
        captions.until("the policy in all pods", lambda report: bool(report.policy.floor))
        acknowledged_s = monotonic() - began
        wait_for("the rung to be shown", lambda: int(captions.row()["RUNG"]) > 0, 30)
        shown_s = monotonic() - began
        captions.wait("Degraded", "RungInForce", 30)
        heard = crowd.finish()
    ended = monotonic()
    wait_for("full quality", lambda: captions.row()["RUNG"] == "0", 60)
    captions.wait("Degraded", "FullQuality", 60)
    return acknowledged_s, shown_s, monotonic() - ended, heard
