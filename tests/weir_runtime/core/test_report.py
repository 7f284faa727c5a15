"""The core's part of the load report: always valid, and the sums agree with what happened."""

from bisect import bisect_left
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from machine import CLASSES, Machine, speech
from test_scheduler import scheduler
from test_vitals import TICK, lived, within

from weir_api.degradation import CLASSES as NAMES
from weir_api.report import LATENCY_BUCKETS_S, LoadReport
from weir_runtime.core.report import report_of
from weir_runtime.core.scheduler import Host
from weir_runtime.core.vitals import TICKS
from weir_runtime.messages import Close

ODD = st.floats(allow_nan=True, allow_infinity=True)


def through(report):
    """Written and read again, as the operator does it; checked as if it were somebody else's."""
    return LoadReport.model_validate_json(report.model_dump_json(by_alias=True))


@given(st.lists(TICK, max_size=40))
def test_latencies_are_counted_by_bucket_over_the_last_ticks(ticks):
    vitals, counted = lived(ticks), 0
    for name in NAMES:
        seconds = [s for priority, s in within(ticks, TICKS, "latency") if priority == name]
        buckets = Counter(bisect_left(LATENCY_BUCKETS_S, s) for s in seconds)
        assert vitals.latencies(name) == [buckets[n] for n in range(len(LATENCY_BUCKETS_S) + 1)]
        counted += len(seconds)
    assert sum(sum(vitals.latencies(name)) for name in NAMES) == counted


@given(ODD, ODD, st.lists(ODD, max_size=3), st.integers(0, 10**9))
def test_whatever_was_measured_the_report_is_valid(front, memory, took, frames):
    scheduled = scheduler()
    for seconds in took:
        scheduled.vitals.called(seconds, 1.0, 1.0)
    scheduled.vitals.demand(("standard", "v", 2), frames)
    scheduled.host = Host(front, memory)
    scheduled.vitals.tick(3, 4)
    report = report_of(scheduled, 0.0)
    assert through(report) == report


def test_a_core_that_has_nothing_to_say_says_it():
    report = through(report_of(scheduler(), 0.0))
    assert (report.streams, report.calls, report.slowdown, report.demand) == (0, 0, 1.0, [])
    assert {name: sum(entry.latency) for name, entry in report.classes.items()} == dict.fromkeys(NAMES, 0)
    assert report.policy.in_force == []
    assert report.chunk_s["v"].keys() == {2, 7}


def test_what_streams_did_is_in_it():
    machine = Machine()
    for name, priority in (("a", "interactive"), ("b", "interactive"), ("c", "batch")):
        machine.open(name, priority, stages=("numbers",) if name == "a" else ())
        machine.audio(name, speech(16_000))
    machine.run()
    machine.core.scheduler.turned_away("standard")
    machine.core.tick(Host(front=0.5, memory=0.25), machine.now)
    report = through(report_of(machine.core.scheduler, machine.now))
    assert [report.classes[c.name].streams for c in CLASSES] == [2, 0, 1]
    assert [report.classes[c.name].staged for c in CLASSES] == [1, 0, 0]
    assert report.classes["standard"].refused == 1
    assert (report.streams, report.slots_used, report.slots_total) == (3, 3, 8)
    assert (report.front, report.memory, report.variant) == (0.5, 0.25, "v")
    assert sum(report.classes["interactive"].latency) == sum(t.priority == "interactive" for t in machine.timings)
    assert {(row.class_, row.variant, row.chunk_ms) for row in report.demand} == {
        ("interactive", "v", 160), ("batch", "v", 160),
    }  # fmt: skip
    for name in "abc":
        machine.send(Close(name))
    machine.run()
    assert report_of(machine.core.scheduler, machine.now).streams == 0


def test_calls_and_those_that_failed_are_counted_once_each():
    machine = Machine()
    machine.open("s")
    machine.audio("s", speech(16_000))
    heard = machine.work()
    machine.core.on_failure(heard, "Broken", 0.0)
    assert (machine.core.scheduler.calls, machine.core.scheduler.failed_calls) == (1, 1)
    machine.core.on_failure(machine.work(), "Broken", 0.0)
    assert (machine.core.scheduler.calls, machine.core.scheduler.failed_calls) == (2, 2)
    machine.do(machine.work())
    report = report_of(machine.core.scheduler, 0.0)
    assert (report.calls, report.failed_calls) == (3, 2)


def test_the_variant_is_the_one_that_the_highest_class_gets_now():
    scheduled = scheduler()
    places = [n for n, step in enumerate(scheduled.plan.steps) if step.action == "smallerVariant"]
    found = []
    for place in places:
        scheduled.rungs.obey(scheduled.plan, (place,), float("inf"), 0.0)
        found.append(report_of(scheduled, 0.0).variant)
    assert found == ["v", "v", "w"], "class by class, the highest last"
    assert np.isfinite(report_of(scheduled, 0.0).usual_streams)
