"""Asking pods for their load: whatever comes back is a report, or a problem in words."""

import asyncio
from dataclasses import replace

import pytest
from control_port import ControlPort, WallClock, ip_of, serving
from crew import NOW, SPEC, pod_of, report_of

from weir_operator.book import Entry
from weir_operator.scrape import MOST_BYTES, Scraper, address, control_session

UID = pod_of().uid


@pytest.fixture
async def asking():
    """A pod, its control port, an entry, and a scraper that knows where it is."""
    clock = WallClock()
    port = ControlPort(UID, "uid", "", clock)
    async with serving({ip_of(0): port}) as number, control_session() as session:
        yield replace(pod_of(report=None), ip=ip_of(0)), port, Entry("uid"), Scraper(session, clock, number)


async def test_a_report_is_written_down_with_its_moment_and_the_policy_that_the_pod_has(asking):
    pod, port, entry, scraper = asking
    port.orders = replace(port.orders, policy=(4, 9))
    await scraper.ask(entry, pod, SPEC)
    heard = entry.reports[UID]
    assert (heard.at, heard.report.streams, heard.problem) == (NOW, 10, "")
    assert entry.acknowledged == {UID: (4, 9)}


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "no load report: body: "),
        (b"{}", "no load report: state: "),
        (b"<html>", "no load report: body: "),
        (b'{"state": "ready", "streams": -1}', "no load report: streams: "),
        (b" " * (MOST_BYTES + 1), "no answer: ClientPayloadError"),
        (report_of(pod_uid="another").model_dump_json(by_alias=True).encode(), "another pod answers at its address"),
    ],
)
async def test_what_is_no_load_report_of_this_pod_is_told_in_words(asking, body, problem):
    pod, port, entry, scraper = asking
    port.answers = lambda: body
    await scraper.ask(entry, pod, SPEC)
    assert entry.reports[UID].report is None
    assert entry.reports[UID].problem.startswith(problem)
    assert entry.acknowledged == {}


async def test_a_report_that_cannot_be_true_is_none_but_the_policy_in_it_counts(asking):
    """A pod whose ladder was shortened is not believed until it was told; so it has to be told."""
    pod, port, entry, scraper = asking
    port.report = report_of(pod_uid=UID, slots_total=10**6)
    await scraper.ask(entry, pod, SPEC)
    assert (entry.reports[UID].report, entry.acknowledged) == (None, {UID: (0, 0)})
    assert "slotsTotal is 1000000" in entry.reports[UID].problem
    await scraper.ask(entry, pod, None)
    assert entry.reports[UID].report is not None, "without a spec there is nothing to compare with"


async def test_a_pod_that_hangs_or_is_not_there_is_no_answer(asking):
    pod, port, entry, scraper = asking
    port.open.clear()
    async with control_session(0.05) as impatient:
        await Scraper(impatient, WallClock(), scraper.port).ask(entry, pod, SPEC)
        assert entry.reports[UID].problem == "no answer: TimeoutError"
        await Scraper(impatient, WallClock(), 1).ask(entry, pod, SPEC)
        assert entry.reports[UID].problem == "no answer: ClientConnectorError"


async def test_another_status_is_no_answer_to_build_on(asking):
    pod, port, entry, scraper = asking
    port.status = 503
    await scraper.ask(entry, pod, SPEC)
    assert entry.reports[UID].problem == "answered 503"


async def test_connections_are_kept(asking):
    pod, port, entry, scraper = asking
    for _ in range(5):
        await scraper.ask(entry, pod, SPEC)
    assert (port.asked, len(port.peers)) == (5, 1)


async def test_a_pod_that_hangs_delays_no_other():
    clock = WallClock()
    pods = [replace(pod_of(f"{n:05}", report=None), ip=ip_of(n)) for n in range(20)]
    ports = {pod.ip: ControlPort(pod.uid, "uid", "", clock) for pod in pods}
    ports[ip_of(7)].open.clear()
    entry = Entry("uid")
    async with serving(ports) as number, control_session() as session:
        scraper = Scraper(session, clock, number)
        asks = {pod.uid: asyncio.create_task(scraper.ask(entry, pod, SPEC)) for pod in pods}
        for uid, ask in asks.items():
            if uid != pods[7].uid:
                await ask
        assert not asks[pods[7].uid].done()
        assert len(entry.reports) == 19
        ports[ip_of(7)].open.set()
        await asks[pods[7].uid]
    assert all(entry.reports[pod.uid].report is not None for pod in pods)


def test_an_address_may_be_of_either_family():
    assert address(pod_of(ip="10.1.2.3"), 9000, "/control/load") == "http://10.1.2.3:9000/control/load"
    assert address(pod_of(ip="fd00::7"), 9000, "/control/load") == "http://[fd00::7]:9000/control/load"
