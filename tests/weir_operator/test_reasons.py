"""Every reason of the catalogue: reached by a situation below, and explained in docs/operations.md."""

import re
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from crew import NOW, REVISION, SPEC, STEPS, THREE, observed_of, pod_of, report_of

from weir_api.exposure import Gateway, ParentRef
from weir_api.report import PolicyReport
from weir_api.status import CONDITIONS
from weir_operator.actions import Plan
from weir_operator.book import Entry
from weir_operator.conditions import PRECEDENCE
from weir_operator.memory import Memory
from weir_operator.observed import PodReport, Revision
from weir_operator.reasons import BY_WORD, DEEDS, FAILURES, REASONS
from weir_operator.scrape import Scraper, control_session
from weir_operator.status import status

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
OLD = "0ld0ld00"
OLD_PODS = tuple(replace(pod, name=f"captions-{OLD}-{pod.name[-5:]}", revision=OLD) for pod in THREE)
UNBORN = {"ready": False, "phase": "Pending", "report": None, "ip": None}
RUNNING_OUT = pod_of("zzzzz", draining_since=NOW - 5)
NEW = pod_of("nnnnn")
NO_ROOM = pod_of("nnnnn", **UNBORN, waiting="Unschedulable", message="0/3 nodes: Insufficient nvidia.com/gpu")
TRIAL = Memory(good_revision=OLD, canary_revision=REVISION, canary_since=NOW - 10)
FAILED = {REVISION: Revision(REVISION, SPEC, "i", NOW, failed="fails 9 of 10 engine calls")}
REFUSED = PolicyReport(
    in_force=[place for place, step in enumerate(STEPS) if step.action in ("refuse", "refuseAll")],
    rung=STEPS[-2].rung,
    rung_name="all refused",
)
BENT = PolicyReport(in_force=[0], rung=1, rung_name="interims at 2 Hz")


def waiting(why, message="", **fields):
    return [*THREE[:2], pod_of("ddddd", **UNBORN | {"waiting": why, "message": message} | fields)]


def paused(spec=SPEC):
    return spec.model_copy(update={"rollout": spec.rollout.model_copy(update={"paused": True})})


def every(report):
    return [replace(pod, report=PodReport(NOW, report)) for pod in THREE]


def unheard(problem, answered=True):
    return [replace(pod, report=PodReport(NOW, None, problem, answered=answered)) for pod in THREE]


# name of the situation: what is observed, what is planned, the reasons that it gives
SITUATIONS = {
    "all is well": ({}, Plan(), {
        "Ready": "AllPodsReady", "Progressing": "AllPodsReady", "Degraded": "FullQuality",
        "ConfigSynced": "ConfigApplied", "MetricsAvailable": "ReportsFresh", "CapacityAvailable": "CapacityLeft"}),
    "spec not valid": ({"spec": None, "spec_problem": "spec.replicas: must be 0 or more"}, Plan(), {
        "Ready": "InvalidSpec", "Progressing": "InvalidSpec", "ConfigSynced": "InvalidSpec"}),
    "foreign Service": ({}, Plan(conflicts=("Service captions",)), {"Ready": "NameConflict"}),
    "no Gateway API": ({"spec": SPEC.model_copy(update={"gateway": Gateway(parent_refs=[ParentRef(name="web")])})},
                       Plan(), {"Ready": "RouteKindMissing", "Progressing": "AllPodsReady"}),
    "no Secret": ({"pods": [], "missing": ("Secret captions-keys",)}, Plan(), {
        "Ready": "SecretMissing", "Degraded": "NoReadyPods", "ConfigSynced": "NoReadyPods",
        "MetricsAvailable": "NoReadyPods", "CapacityAvailable": "NoReadyPods"}),
    "no claim": ({"pods": [], "missing": ("PersistentVolumeClaim models",)}, Plan(), {"Ready": "ClaimMissing"}),
    "no account": ({"pods": [], "missing": ("ServiceAccount bot",)}, Plan(), {"Ready": "ReferenceMissing"}),
    "nobody wanted": ({"pods": [], "spec": SPEC.model_copy(update={"replicas": 0})}, Plan(), {
        "Ready": "ScaledToZero", "Progressing": "ScaledToZero"}),
    "no image": ({"pods": waiting("ImagePullBackOff")}, Plan(), {
        "Ready": "ImagePullFailed", "Progressing": "WaitingForPods"}),
    "crash loop": ({"pods": waiting("CrashLoopBackOff")}, Plan(), {"Ready": "PodsFailing"}),
    "between two crashes": ({"pods": waiting("", phase="Running", restarts=4)}, Plan(), {"Ready": "PodsFailing"}),
    "pod has ended": ({"pods": [*THREE[:2], pod_of("ddddd", ready=False, phase="Failed")]}, Plan(), {
        "Ready": "PodsFailing"}),
    "no room": ({"pods": waiting("Unschedulable")}, Plan(), {"Ready": "Unschedulable"}),
    "node away": ({"pods": [*THREE[:2], replace(THREE[2], node_ready=False)]}, Plan(), {"Ready": "NodesUnreachable"}),
    "models load": ({"pods": waiting("", phase="Running")}, Plan(), {
        "Ready": "WaitingForPods", "Progressing": "WaitingForPods"}),
    "no pod yet": ({"pods": []}, Plan(), {"Ready": "WaitingForPods"}),
    "rollout": ({"pods": [*OLD_PODS, NEW]}, Plan(), {
        "Ready": "RolloutInProgress", "Progressing": "RolloutInProgress"}),
    "rollout held": ({"pods": OLD_PODS, "spec": paused()}, Plan(), {
        "Ready": "RolloutPaused", "Progressing": "RolloutPaused"}),
    "trial": ({"pods": [*OLD_PODS, NEW], "memory": TRIAL}, Plan(), {
        "Ready": "CanaryRunning", "Progressing": "CanaryRunning"}),
    "trial is over": ({"pods": [*OLD_PODS, NEW],
                       "memory": TRIAL.model_copy(update={"canary_since": NOW - 31})}, Plan(), {
        "Ready": "RolloutInProgress"}),
    "no room for the first": ({"pods": [*OLD_PODS, NO_ROOM]}, Plan(), {
        "Ready": "NoRoomToSurge", "Progressing": "NoRoomToSurge"}),
    "going back": ({"pods": [*OLD_PODS, NEW], "revisions": FAILED, "memory": Memory(good_revision=OLD)}, Plan(), {
        "Ready": "RollbackInProgress", "Progressing": "RollbackInProgress"}),
    "gone back": ({"pods": OLD_PODS, "revisions": FAILED, "memory": Memory(good_revision=OLD)}, Plan(), {
        "Ready": "RolledBack", "Progressing": "RolledBack"}),
    "one too many": ({"pods": [*THREE, RUNNING_OUT]}, Plan(), {
        "Ready": "AllPodsReady", "Progressing": "Draining"}),
    "nobody asked yet": ({"pods": [replace(pod, report=None) for pod in THREE]}, Plan(), {
        "Ready": "AllPodsReady", "Degraded": "ReportsPending", "ConfigSynced": "ReportsPending",
        "MetricsAvailable": "ReportsPending", "CapacityAvailable": "ReportsPending"}),
    "no answer": ({"pods": unheard("no answer: TimeoutError", False)}, Plan(), {
        "Ready": "ReportsMissing", "Degraded": "ReportsMissing", "ConfigSynced": "ReportsMissing",
        "MetricsAvailable": "ReportsMissing", "CapacityAvailable": "ReportsMissing"}),
    "old answers": ({"pods": [replace(pod, report=PodReport(NOW - 11, report_of())) for pod in THREE]}, Plan(), {
        "MetricsAvailable": "ReportsMissing"}),
    "a lie": ({"pods": unheard("slotsUsed 900 is more than such a pod can have (100)")}, Plan(), {
        "Ready": "ReportInvalid", "MetricsAvailable": "ReportInvalid"}),
    "full": ({"pods": every(report_of(100))}, Plan(), {
        "Ready": "CapacityExhausted", "CapacityAvailable": "CapacityExhausted"}),
    "all refused": ({"pods": every(report_of(policy=REFUSED))}, Plan(), {
        "Ready": "AllClassesRefused", "CapacityAvailable": "AllClassesRefused", "Degraded": "RungInForce"}),
    "bent": ({"pods": [pod_of("aaaaa", report_of(policy=BENT)), *THREE[1:]]}, Plan(), {
        "Ready": "RungInForce", "Degraded": "RungInForce", "CapacityAvailable": "CapacityLeft"}),
    "policy on its way": ({"memory": Memory(epoch=2, revision=5, good_revision=REVISION)}, Plan(), {
        "ConfigSynced": "ConfigPending"}),
}  # fmt: skip


def reasons_of(name):
    observed, plan, _ = SITUATIONS[name]
    return {each.type: each.reason for each in status(observed_of(**observed), plan, NOW).conditions}


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_situation_gives_its_reasons(name):
    found, expected = reasons_of(name), SITUATIONS[name][2]
    assert {kind: found[kind] for kind in expected} == expected


def test_every_reason_of_the_catalogue_is_reached_in_every_condition_that_may_have_it():
    reached = {(kind, word) for name in SITUATIONS for kind, word in reasons_of(name).items()}
    assert reached == {(kind, reason.word) for reason in REASONS for kind in reason.at}


def test_the_lists_of_precedence_name_what_the_catalogue_has_and_nothing_else():
    assert tuple(PRECEDENCE) == CONDITIONS
    listed = [(kind, word) for kind, rules in PRECEDENCE.items() for word, _ in rules]
    assert len(listed) == len(set(listed))
    assert set(listed) == {(kind, reason.word) for reason in REASONS for kind in reason.at}
    assert len(BY_WORD) == len(REASONS)


@pytest.mark.parametrize("answer", [None, 503])
async def test_a_pod_that_does_not_answer_is_told_from_one_that_answers_nonsense(answer):
    """The two are told apart by the first words of what scrape.py says."""
    async with one_port(answer) as port, control_session(request_s=5.0) as session:
        entry, pod = Entry("uid"), replace(THREE[0], ip="127.0.0.1")
        await Scraper(session, lambda: NOW, port).ask(entry, pod, SPEC)
    said = status(observed_of([replace(pod, report=entry.reports[pod.uid])]), Plan(), NOW)
    assert {each.type: each.reason for each in said.conditions}["MetricsAvailable"] == "ReportsMissing"


@asynccontextmanager
async def one_port(answer):
    """A port that answers every question with this status; None: nobody listens."""

    async def refuse(_):
        return web.Response(status=answer)

    runner = web.AppRunner(web.Application())
    runner.app.router.add_get("/control/load", refuse)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    if answer is None:
        await site.stop()
    yield port
    await runner.cleanup()


def rows(heading):
    """Cells of the first table behind a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_the_page_explains_every_reason_in_the_words_of_the_catalogue():
    expected = [
        [f"`{r.word}`", ", ".join(f"{kind} {r.at[kind]}" for kind in CONDITIONS if kind in r.at), r.means, r.do]
        for r in REASONS
    ]
    assert rows("Reasons") == expected
    assert all(means and do for _, _, means, do in expected)


def test_the_page_explains_every_event():
    told = {row[0].strip("`"): row[2] for row in rows("Events")}
    others = DEEDS | FAILURES
    assert {word: told.pop(word) for word in others} == others
    kinds = {row[0].strip("`"): row[1] for row in rows("Events")}
    assert {word: kinds[word] for word in told} == {r.word: r.event for r in REASONS if r.event is not None}


def test_the_page_names_no_reason_that_is_none():
    words = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+)`", PAGE))
    kubernetes = {"LoadReport", "StreamingPipeline", "PersistentVolumeClaim", "NetworkPolicy"}
    assert words - kubernetes - set(BY_WORD) - set(DEEDS) - set(CONDITIONS) == set()
