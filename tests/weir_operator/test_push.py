"""Signed orders on their way to pods that judge them as the contract says."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from time import monotonic

import pytest
from control_port import ControlPort, WallClock, ip_of, serving, until
from crew import NOW, SPEC, observed_of, pod_of, report_of

from weir_api.control import Policy
from weir_api.signing import new_key, public_key
from weir_operator.book import Entry, Trouble
from weir_operator.memory import Memory
from weir_operator.observed import PodReport
from weir_operator.orders import LATEST_S, SOONEST_S, TTL_S, after_trouble, drain, drain_wanted, due, numbered, policy
from weir_operator.push import Authority, Parcel, Pushed, Pusher, seal
from weir_operator.scrape import REQUEST_S, control_session

KEY = new_key()
MEMORY = Memory(epoch=3, revision=7, floor=["interims at 2 Hz"])


class Lease:
    """Held until so many requests have been looked at."""

    def __init__(self, lasts=10**9):
        self.lasts, self.looks, self.newer = lasts, 0, []

    def valid(self):
        self.looks += 1
        return self.looks <= self.lasts


class Crew:
    """Some pods with their control ports, and a pusher."""

    def __init__(self, n, lease, key=KEY):
        self.clock, self.lease, self.entry = WallClock(), lease, Entry("uid")
        self.pods = [replace(pod_of(f"{place:05}", report=None), ip=ip_of(place)) for place in range(n)]
        self.ports = {pod.ip: ControlPort(pod.uid, "uid", public_key(KEY), self.clock) for pod in self.pods}
        self.observed = observed_of(self.pods)
        self.key, self.pusher = key, None

    async def push(self, order, pods=None):
        parcels = [Parcel(pod, seal(order, self.key)) for pod in pods or self.pods]
        return await self.pusher.push(self.entry, parcels, {pod.revision: SPEC for pod in self.pods})

    def policy(self, memory=MEMORY):
        return policy(self.observed, memory, SPEC, self.clock())

    def verdicts(self):
        return sum((port.verdicts for port in self.ports.values()), start=type(self.ports[ip_of(0)].verdicts)())


@pytest.fixture
async def crew():
    """`await crew(3)`: three pods."""
    async with AsyncExitStack() as stack:

        async def make(n, lease=None, key=KEY):
            made = Crew(n, lease or Lease(), key)
            number = await stack.enter_async_context(serving(made.ports))
            session = await stack.enter_async_context(control_session())
            authority = Authority(key, lambda: 3, made.lease.valid, made.lease.newer.append)
            made.pusher = Pusher(session, authority, made.clock, number)
            return made

        yield make


async def test_a_policy_reaches_every_pod_and_what_they_acknowledge_is_written_down(crew):
    made = await crew(5)
    assert await made.push(made.policy()) == Pushed(taken=5)
    assert made.entry.acknowledged == {pod.uid: (3, 7) for pod in made.pods}
    assert all(made.entry.reports[pod.uid].report.policy.valid for pod in made.pods)
    port = made.ports[ip_of(0)]
    assert (port.floor, port.orders.policy_expires_at) == ([0], NOW + TTL_S)
    assert port.spec == SPEC.model_dump(mode="json", by_alias=True, exclude_defaults=True)


async def test_what_is_forged_expired_or_for_others_is_refused_and_counted(crew):
    made = await crew(2)
    told = made.policy()
    forger = await crew(1, key=new_key())
    assert await forger.push(forger.policy()) == Pushed(refused=1)
    assert forger.verdicts() == {"forged": 1}
    foreign = told.model_copy(update={"pipeline_uid": "another"})
    assert await made.push(foreign) == Pushed(refused=2)
    late = told.model_copy(update={"expires_at": NOW})
    assert await made.push(late) == Pushed(refused=2)
    assert made.verdicts() == {"foreign": 2, "expired": 2}
    assert all(trouble.answered and trouble.times == 2 for trouble in made.entry.troubles.values())
    assert await made.push(told) == Pushed(taken=2)
    assert made.entry.troubles == {}


async def test_a_policy_that_is_older_than_the_pods_is_refused_and_a_newer_epoch_is_told_on(crew):
    made = await crew(2)
    newest = made.policy(MEMORY.model_copy(update={"revision": 8}))
    assert await made.push(newest, made.pods[:1]) == Pushed(taken=1)
    assert await made.push(made.policy()) == Pushed(taken=1, refused=1)
    assert made.lease.newer == []
    for port in made.ports.values():
        port.orders = replace(port.orders, policy=(5, 1))
    assert await made.push(newest) == Pushed(refused=2)
    assert made.verdicts()["stale"] == 3
    assert made.lease.newer == [5, 5]


async def test_a_later_time_renews_a_policy_and_the_same_again_is_no_trouble(crew):
    made = await crew(1)
    told = made.policy()
    await made.push(told)
    made.clock.now += 5
    assert await made.push(made.policy()) == Pushed(taken=1)
    assert await made.push(told) == Pushed(taken=1), "two rounds met: it has what it should have"
    assert made.verdicts() == {"accepted": 1, "renewed": 1, "stale": 1}


async def test_a_lost_lease_stops_the_round_before_the_next_request(crew):
    made = await crew(200, lease=Lease(lasts=20))
    became = await made.push(made.policy())
    assert became == Pushed(taken=20, unsent=180)
    assert sum(made.verdicts().values()) == 20
    assert made.lease.looks == 200, "it is looked at for each"


async def test_a_pod_that_hangs_delays_none_of_fifty_others(crew):
    made = await crew(51)
    made.ports[ip_of(50)].open.clear()
    began = monotonic()
    pushing = asyncio.create_task(made.push(made.policy()))
    await until(lambda: len(made.entry.acknowledged) == 50)
    assert not pushing.done()
    assert monotonic() - began < REQUEST_S
    made.ports[ip_of(50)].open.set()
    assert await pushing == Pushed(taken=51)


async def test_a_pod_that_says_nothing_is_trouble_and_no_answer(crew):
    made = await crew(1)
    made.pods = [replace(made.pods[0], ip="::1")]  # nobody listens there
    assert await made.push(made.policy()) == Pushed(unanswered=1)
    assert made.entry.troubles[made.pods[0].uid] == Trouble(1, NOW, NOW + SOONEST_S, False)


@pytest.mark.parametrize(
    ("status", "became"), [(503, Pushed(unanswered=1)), (409, Pushed(refused=1)), (404, Pushed(refused=1))]
)
async def test_who_cannot_judge_an_order_has_not_refused_it(crew, status, became):
    made = await crew(1)
    made.ports[ip_of(0)].refuses = status
    assert await made.push(made.policy()) == became
    assert made.entry.troubles[made.pods[0].uid].answered == bool(became.refused)


async def test_a_pod_is_drained_and_taken_back_by_orders_with_growing_numbers(crew):
    made = await crew(2)
    pod, other = made.pods
    leaving = replace(pod, draining_since=NOW - 100)
    order = drain(made.observed, 3, leaving, ("drain", 1), 300, NOW)
    assert await made.push(order, [pod]) == Pushed(taken=1)
    assert made.entry.reports[pod.uid].report.state == "draining"
    assert made.ports[pod.ip].drained.drain_seconds == 200, "of its time is left"
    assert await made.push(order, [other]) == Pushed(refused=1), "it names the pod"
    assert await made.push(order, [pod]) == Pushed(taken=1), "two rounds met: it does what it should"
    assert made.entry.troubles.keys() == {other.uid}
    back = drain(made.observed, 3, pod, ("undrain", 2), 300, NOW)
    assert await made.push(back, [pod]) == Pushed(taken=1)
    assert await made.push(order, [pod]) == Pushed(refused=1), "a replay"
    assert made.entry.reports[pod.uid].report.state == "ready"


# ---- which orders are due


def told(*, state="ready", **fields):
    """An entry with one pod that has said `state`."""
    entry, pod = Entry("uid"), pod_of(**fields)
    entry.reports[pod.uid] = PodReport(NOW, report_of(state=state))
    entry.acknowledged[pod.uid] = 3, 7
    return entry, pod


@pytest.mark.parametrize(
    ("state", "fields", "wanted"),
    [
        ("ready", {}, None),
        ("ready", {"draining_since": NOW}, "drain"),
        ("draining", {"draining_since": NOW}, None),
        ("drained", {"draining_since": NOW}, None),
        ("loading", {"draining_since": NOW}, None),
        ("draining", {}, "undrain"),
        ("drained", {}, "undrain"),
        ("draining", {"deleting": True}, None),
        ("ready", {"draining_since": NOW, "deleting": True}, None),
    ],
)
def test_orders_to_drain_follow_from_what_is_asked_and_what_is_said(state, fields, wanted):
    assert drain_wanted(*told(state=state, **fields)) == wanted


def test_a_pod_that_has_said_nothing_is_not_drained():
    assert drain_wanted(Entry("uid"), pod_of(draining_since=NOW)) is None
    entry, pod = told(draining_since=NOW)
    entry.reports[pod.uid] = PodReport(NOW, None, "no answer")
    assert drain_wanted(entry, pod) is None


def test_an_order_that_is_repeated_keeps_its_number_and_another_gets_the_next():
    first = numbered({}, {"a": "drain", "b": "drain"}, 4)
    assert first == {"a": ("drain", 5), "b": ("drain", 6)}
    assert numbered(first, {"a": "drain"}, 6) == {"a": ("drain", 5)}
    assert numbered(first, {"a": "undrain", "b": "drain"}, 6) == {"a": ("undrain", 7), "b": ("drain", 6)}
    assert numbered(first, {}, 6) == {}


def test_a_refusal_is_repeated_ever_later_and_silence_as_soon_as_the_pod_speaks():
    entry, pod = told()
    assert due(entry, pod, NOW)
    trouble, pauses = None, []
    for _ in range(8):
        trouble = after_trouble(trouble, True, NOW)
        pauses.append(trouble.again_at - NOW)
    assert pauses == [SOONEST_S, 4, 8, 16, LATEST_S, LATEST_S, LATEST_S, LATEST_S]
    entry.troubles[pod.uid] = trouble
    entry.reports[pod.uid] = PodReport(NOW + 1, report_of())
    assert not due(entry, pod, NOW + 1)
    assert due(entry, pod, NOW + LATEST_S)
    entry.troubles[pod.uid] = replace(trouble, answered=False)
    assert due(entry, pod, NOW + 1), "it has spoken since"
    entry.reports[pod.uid] = PodReport(NOW + 1, None, "no answer")
    assert not due(entry, pod, NOW + 1)


def test_a_pod_that_loads_is_not_told_anything_yet():
    assert not due(*told(state="loading"), NOW)


@pytest.mark.parametrize("fields", [{"phase": "Pending"}, {"ip": None}, {"node_ready": False}])
def test_a_pod_that_cannot_be_reached_is_told_nothing(fields):
    assert not due(*told(**fields), NOW)


def test_a_pod_is_told_something_once_its_control_port_has_answered():
    assert not due(Entry("uid"), pod_of(), NOW)


def test_a_policy_names_the_steps_by_their_places_in_the_spec_of_its_pods():
    shorter = SPEC.model_copy(
        update={"degradation": SPEC.degradation.model_copy(update={"ladder": [*SPEC.ladder[1:]]})}
    )
    memory = Memory(epoch=1, revision=2, floor=["sample rate 16 kHz"])
    orders = [policy(observed_of(), memory, spec, NOW) for spec in (SPEC, shorter)]
    assert [order.floor for order in orders] == [[1], [0]]
    assert all(isinstance(order, Policy) and (order.epoch, order.revision) == (1, 2) for order in orders)
