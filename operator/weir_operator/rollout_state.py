"""Rules of the conditions about a pipeline that is being changed: rollout, canary, rollback, drain. They tell it from
the pods that are there; rollout.py decides. Pure; see conditions.py for how they are used.
"""

from datetime import UTC, datetime

from weir_operator.facts import SHOWN, Facts
from weir_operator.readiness import told


def rollback_in_progress(facts: Facts) -> str:
    if not facts.failed or not (facts.replaced or facts.short):
        return ""
    return f"revision {facts.revision} failed: {facts.failed}; going back to {facts.target}: {_progress(facts)}"


def rolled_back(facts: Facts) -> str:
    return f"revision {facts.revision} failed: {facts.failed}; {facts.target} serves" if facts.failed else ""


def no_room_to_surge(facts: Facts) -> str:
    """A new pod that finds no node, while old ones serve."""
    stuck = [pod for pod in facts.replacing if pod.waiting == "Unschedulable"] if facts.replaced else []
    return f"{stuck[0].name}: {' '.join(stuck[0].message.split()) or stuck[0].waiting}" if stuck else ""


def rollout_paused(facts: Facts) -> str:
    paused = facts.spec is not None and facts.spec.rollout.paused and facts.replaced
    return f"rollout.paused holds it: {_progress(facts)}" if paused else ""


def canary_running(facts: Facts) -> str:
    since, spec = facts.memory.canary_since, facts.spec
    if since is None or spec is None or not facts.replaced or facts.memory.canary_revision != facts.target:
        return ""
    until = since + spec.rollout.canary_seconds
    if facts.now >= until:
        return ""
    return f"revision {facts.target} is on trial until {datetime.fromtimestamp(until, UTC):%H:%M:%S} UTC"


def rollout_in_progress(facts: Facts) -> str:
    return _progress(facts) if facts.replaced else ""


def draining(facts: Facts) -> str:
    going = sorted(pod.name for pod in facts.observed.pods if pod.state in ("draining", "drained"))
    more = ", …" if len(going) > SHOWN else ""
    return f"{len(going)} pods on their way out: {', '.join(going[:SHOWN])}{more}" if going else ""


def _progress(facts: Facts) -> str:
    ready = sum(pod.ready for pod in facts.replacing)
    old = ", ".join(sorted({pod.revision for pod in facts.replaced})) or "none"
    troubles = told(pod for pod in facts.replacing if not pod.ready)
    text = f"{ready} pods of revision {facts.target} ready, {len(facts.replaced)} to be replaced (of {old})"
    return f"{text}; {troubles}" if troubles else text
