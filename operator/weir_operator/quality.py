"""Rules of the conditions about load: reports, capacity, the ladder, the policy. What no pod has said is Unknown. Pure;
see conditions.py for how they are used.
"""

from weir_api.policy import refuses, steps_of
from weir_api.report import LoadReport
from weir_operator.facts import SHOWN, Facts
from weir_operator.observed import Pod

ENOUGH = 0.05  # of all places that must be free again before capacity counts as available: it must not flicker


def no_ready_pods(facts: Facts) -> str:
    return "" if facts.serving else "no pod is ready"


def reports_pending(facts: Facts) -> str:
    pending = facts.blind and not facts.silent
    return f"{len(facts.serving)} ready pods have not been asked yet" if pending else ""


def blind(facts: Facts) -> str:
    return f"none of {len(facts.serving)} ready pods reports" if facts.blind else ""


def report_invalid(facts: Facts) -> str:
    found = [f"{pod.name}: {pod.report.problem}" for pod in facts.silent
             if pod.report is not None and pod.report.report is None and pod.report.answered]  # fmt: skip
    return "; ".join(found[:SHOWN])


def reports_missing(facts: Facts) -> str:
    silent = facts.silent
    if not silent:
        return ""
    problems = ((pod.name, pod.report.problem if pod.report is not None else "") for pod in silent[:SHOWN])
    named = ", ".join(f"{name} ({problem})" if problem else name for name, problem in problems)
    named += ", …" if len(silent) > SHOWN else ""
    return f"{len(silent)} of {len(facts.serving)} ready pods do not report: {named}"


def reports_fresh(facts: Facts) -> str:
    return f"{len(facts.reports)} of {len(facts.serving)} ready pods report"


def places(facts: Facts) -> tuple[int, int]:
    """Places for streams in all serving pods, and how many of them are known to be free."""
    known = {pod.uid: report for pod, report in facts.reports}
    total = sum(known[pod.uid].slots_total if pod.uid in known else _places_of(facts, pod) for pod in facts.serving)
    return total, sum(report.slots_total - report.slots_used for report in known.values())


def _places_of(facts: Facts, pod: Pod) -> int:
    """By the spec that the pod was started with."""
    revision = facts.observed.revisions.get(pod.revision)
    return revision.spec.admission.max_streams if revision is not None else 0


def capacity_exhausted(facts: Facts) -> str:
    """Once exhausted, it is so until some more places are free."""
    if not facts.reports:
        return ""
    total = sum(report.slots_total for _, report in facts.reports)
    free, before = places(facts)[1], facts.before("CapacityAvailable")
    was = before is not None and before.reason == "CapacityExhausted"
    return f"all {total} places are taken" if free == 0 or (was and free < ENOUGH * total) else ""


def all_classes_refused(facts: Facts) -> str:
    refused = facts.reports and all(_refuses_all(facts, pod, report) for pod, report in facts.reports)
    return f"new streams of all classes are refused by {len(facts.reports)} pods" if refused else ""


def _refuses_all(facts: Facts, pod: Pod, report: LoadReport) -> bool:
    revision = facts.observed.revisions.get(pod.revision)
    if revision is None or not report.policy.in_force:
        return False
    steps = steps_of(revision.spec.ladder, revision.spec.classes)
    in_force = [steps[place] for place in report.policy.in_force if place < len(steps)]
    return all(refuses(in_force, name) is not None for name in revision.spec.classes)


def capacity_left(facts: Facts) -> str:
    total, pods = places(facts)[0], len(facts.serving)
    return f"{pods} ready pods have {total} places"


def rung(facts: Facts) -> tuple[int, str]:
    """Number and name of the highest rung in force in any serving pod that reports."""
    policies = [report.policy for _, report in facts.reports]
    return max(((each.rung, each.rung_name) for each in policies if each.in_force), default=(0, "full quality"))


def rung_in_force(facts: Facts) -> str:
    number, name = rung(facts)
    if not number:
        return ""
    bent = sum(bool(report.policy.in_force) for _, report in facts.reports)
    held = f"; the policy holds {', '.join(facts.memory.floor)}: {facts.memory.reason}" if facts.memory.floor else ""
    return f"rung {number}, {name}; {bent} of {len(facts.serving)} ready pods bend{held}"


def full_quality(facts: Facts) -> str:
    return f"{len(facts.reports)} of {len(facts.serving)} ready pods say so"


def applied(facts: Facts) -> int:
    """Serving pods that have acknowledged the policy."""
    memory = facts.memory
    said = [(report.policy.epoch, report.policy.revision) for _, report in facts.reports]
    return sum(each >= (memory.epoch, memory.revision) for each in said)


def config_pending(facts: Facts) -> str:
    n, pods = applied(facts), len(facts.serving)
    return f"{n} of {pods} ready pods have acknowledged policy {facts.memory.revision}" if n < pods else ""


def config_applied(facts: Facts) -> str:
    return f"{len(facts.serving)} ready pods have acknowledged policy {facts.memory.revision}"
