"""An operator that is killed between any two writes, in a cluster that changes under its hands, loses nothing.

Each step is one thing that happens: the operator decides and acts, on what it has seen so far; it dies before or behind
a write; another one takes over; spec changes; pods, nodes and streams come and go. In the end everybody leaves the
pipeline alone, and it has to become what spec says.
"""

import pytest
import simulated_kubelet
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from simulated_cluster import Crash, SimulatedCluster
from situations import SITE, of_kind

from weir_api.changes import revision_of
from weir_operator import names, orders, unwatched
from weir_operator.actions import Scale
from weir_operator.apply import Hands, apply
from weir_operator.book import Book
from weir_operator.caches import Caches
from weir_operator.cluster import ApiError
from weir_operator.observe import observe
from weir_operator.plan import plan
from weir_operator.references import THERE_S

KEY = ("shop", "captions")
KEY_SECRET = ("Secret", names.resume_secret("captions"))
QUIET_S, LONGEST_S = 200.0, 4000.0


def finished(work):
    """Its result; nothing in here ever waits."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits for something")


class Operator:
    """One process of the operator: what it has seen, what it remembers."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.due = True
        self.again_at = None
        self.heard = len(cluster.events)
        self.book = Book()
        self.caches = Caches(cluster, (), self._due, lambda: cluster.now)
        for informer in (*self.caches.pipelines, *self.caches.running):
            finished(informer.list())

    def _due(self, key):
        self.due = True

    def hear(self, most):
        for event in self.cluster.events[self.heard : self.heard + most]:
            for informer in (*self.caches.pipelines, *self.caches.running):
                if informer.kind == event["object"]["kind"]:
                    informer.hear(event)
            self.heard += 1

    @property
    def entry(self):
        return self.book.entry(KEY, self.caches.pipeline(KEY).uid)

    def reconcile(self):
        """What was planned; raises Crash where the cluster says so."""
        self.due = False
        pipeline, pods = self.caches.pipeline(KEY), self.caches.pods(KEY)
        finished(unwatched.look_for(pipeline, pods, self.entry, self.cluster, self.cluster.now))
        seen = observe(pipeline, self.caches, self.entry)
        self.entry.memory = seen.memory
        wanted = plan(seen, SITE, self.cluster.now)
        asked = wanted.again_at, unwatched.again_at(self.entry, seen.pods)
        self.again_at = min((at for at in asked if at is not None), default=None)
        scaled = [action.replicas for action in of_kind(wanted, Scale)]
        self.cluster.allowed = max([seen.spec.replicas, *scaled]) + seen.spec.rollout.max_surge
        hands = Hands(self.cluster, self.caches, lambda: True, lambda: self.cluster.now, "key of {}".format)
        try:
            outcome = finished(apply(wanted, seen, self.entry, hands))
        except ApiError as error:
            if not error.passing:
                raise
            outcome = "again"
        self.due = self.due or outcome == "again"
        return wanted

    def scrape(self):
        """Ask every pod, and tell it what it has to do."""
        for pod in self.caches.pods(KEY):
            before = self.entry.reports.get(pod.uid)
            told = simulated_kubelet.told(self.cluster, pod) if orders.reachable(pod) else None
            if told is None:
                continue
            self.entry.reports[pod.uid] = told
            self.due = self.due or before is None or before.report.state != told.report.state
            container = self.cluster.containers[pod.uid]
            order = orders.drain_wanted(self.entry, pod)
            if order == "drain":
                container.draining_since = min(self.cluster.now, pod.draining_since)  # with what is left of its time
            if order == "undrain":
                container.draining_since = None


class CrashAnywhere(RuleBasedStateMachine):
    @initialize(replicas=st.integers(0, 3), surge=st.integers(0, 2), scaled=st.booleans())
    def start(self, replicas, surge, scaled):
        self.cluster = SimulatedCluster()
        for node in ("node-0", "node-1", "node-2"):
            self.cluster.put_node(node, "True")
        spec = {
            "replicas": replicas,
            "runtime": {"image": "weir/runtime:1"},
            "rollout": {"maxSurge": surge, "drainSeconds": 60, "canarySeconds": 10, "progressDeadlineSeconds": 60},
        }
        if scaled:
            spec["scaling"] = {"minReplicas": 1, "maxReplicas": 3, "scaleDownStabilizationSeconds": 30}
        self.cluster.add({"kind": names.KIND, "metadata": {"name": "captions"}, "spec": spec})
        self.operator = Operator(self.cluster)

    # --- the operator ---

    @rule()
    def decide(self):
        self.operator.reconcile()

    @rule(events=st.integers(1, 12))
    def hear(self, events):
        self.operator.hear(events)

    @rule()
    def hear_all_and_decide(self):
        self.operator.hear(10_000)
        self.operator.reconcile()

    @rule()
    def scrape(self):
        self.operator.scrape()

    @rule(writes=st.integers(0, 6), fault=st.sampled_from(["before", "behind", "silence", "refused"]))
    def decide_with_a_fault(self, writes, fault):
        self.cluster.fault = (writes, fault)
        try:
            self.operator.reconcile()
        except Crash:
            self.operator = Operator(self.cluster)
        self.cluster.fault = (0, "")

    @rule()
    def another_operator_takes_over(self):
        self.operator = Operator(self.cluster)

    @rule(steps=st.integers(1, 12))
    def all_goes_well_for_a_while(self, steps):
        for _ in range(steps):
            self._step()

    # --- the world ---

    @rule(seconds=st.integers(1, 40))
    def advance(self, seconds):
        simulated_kubelet.advance(self.cluster, seconds)

    @rule(version=st.sampled_from(["1", "2", "3", "broken", "bad"]))
    def change_the_image(self, version):
        self.cluster.change_spec(runtime={"image": f"weir/runtime:{version}"})

    @rule(replicas=st.integers(0, 4))
    def scale(self, replicas):
        self.cluster.change_spec(replicas=replicas)

    @rule(paused=st.booleans(), surge=st.integers(0, 2))
    def change_the_rollout(self, paused, surge):
        rollout = self.cluster.objects[names.KIND, "captions"]["spec"]["rollout"]
        self.cluster.change_spec(rollout=rollout | {"paused": paused, "maxSurge": surge})

    @rule(streams=st.integers(1, 12))
    def streams_come(self, streams):
        simulated_kubelet.come(self.cluster, streams)

    @rule(streams=st.integers(1, 12))
    def streams_end(self, streams):
        simulated_kubelet.end(self.cluster, streams)

    @precondition(lambda self: self.cluster.pods())
    @rule(place=st.integers(0, 9), how=st.sampled_from(["kill", "crash", "delete"]))
    def somebody_ends_a_pod(self, place, how):
        pods = self.cluster.pods()
        pod = pods[place % len(pods)]
        if how == "delete":
            self.cluster.terminate(pod)
        elif how == "crash":
            self.cluster.container(pod).crash(self.cluster.now)
        elif pod["status"]["phase"] in ("Pending", "Running"):
            self.cluster.kill(pod)

    @rule(whose=st.sampled_from(["nobody", "somebody"]))
    def somebody_deletes_the_key(self, whose):
        """And may put one of their own in its place, for a while."""
        found = self.cluster.objects.get(KEY_SECRET)
        if found is not None:
            self.cluster.remove(found)
        if whose == "somebody":
            self.cluster.add({"kind": "Secret", "metadata": {"name": KEY_SECRET[1]}})

    @rule(node=st.sampled_from(["node-0", "node-1"]))
    def a_node_is_lost_or_comes_back(self, node):
        if node in self.cluster.nodes_lost:
            self.cluster.give_back(node)
        else:
            self.cluster.lose(node)

    # --- what always holds ---

    @invariant()
    def nothing_wrong_was_done(self):
        wrongs = self.cluster.wrongs if hasattr(self, "cluster") else []
        assert wrongs == []

    def teardown(self):
        if not hasattr(self, "cluster"):
            return
        self.cluster.fault = (0, "")
        for node in list(self.cluster.nodes_lost):
            self.cluster.give_back(node)
        key = self.cluster.objects.get(KEY_SECRET)
        if key is not None and "ownerReferences" not in key["metadata"]:
            self.cluster.remove(key)
        rollout = self.cluster.objects[names.KIND, "captions"]["spec"]["rollout"]
        self.cluster.change_spec(rollout=rollout | {"paused": False})
        simulated_kubelet.advance(self.cluster, int(THERE_S))  # what is not watched is looked for again
        self.operator.due = True
        started = acted = self.cluster.now
        while self.cluster.now - acted < QUIET_S:
            acted = self.cluster.now if self._step() else acted
            assert self.cluster.now - started < LONGEST_S, "it does not come to rest"
        self.nothing_wrong_was_done()
        self._is_what_spec_says()

    def _step(self):
        """Five seconds in which nothing goes wrong; whether the operator did anything."""
        simulated_kubelet.advance(self.cluster, 5)
        self.operator.hear(10_000)
        self.operator.scrape()
        late = self.operator.again_at is not None and self.operator.again_at <= self.cluster.now
        return bool((self.operator.due or late) and self.operator.reconcile().actions)

    def _is_what_spec_says(self):
        seen = observe(self.operator.caches.pipeline(KEY), self.operator.caches, self.operator.entry)
        wanted = revision_of(seen.spec)
        failed = wanted in seen.revisions and bool(seen.revisions[wanted].failed)
        expected = seen.memory.good_revision if failed else wanted
        assert [(pod.revision, pod.state) for pod in seen.pods] == [
            (expected, "loading" if expected == wanted and self._broken(seen) else "ready")
        ] * seen.spec.replicas
        configs = {names.revision_config("captions", name) for name in {wanted, seen.memory.good_revision} if name}
        left = {(kind, name) for kind, name in self.cluster.objects if kind not in ("Pod", "Node", names.KIND)}
        assert left - {("ConfigMap", names.policy_config("captions"))} == {
            ("Service", "captions"),
            ("PodDisruptionBudget", "captions"),
            KEY_SECRET,
            *(("ConfigMap", name) for name in configs),
        }

    def _broken(self, seen):
        return seen.spec.runtime.image.endswith(":broken")


TestCrashAnywhere = CrashAnywhere.TestCase
# A failure is told with all its steps: to find the fewest takes minutes, so whoever wants them adds Phase.shrink.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
TestCrashAnywhere.settings = settings(max_examples=40, stateful_step_count=40, phases=PHASES)


@pytest.mark.parametrize("version", ["2", "broken", "bad"])
def test_a_rollout_with_live_streams_loses_none_and_goes_where_it_should(version):
    machine = CrashAnywhere()
    machine.start(replicas=2, surge=1, scaled=False)
    machine.all_goes_well_for_a_while(20)
    machine.streams_come(8)
    machine.change_the_image(version)
    machine.all_goes_well_for_a_while(10)
    machine.teardown()
    assert sum(container.streams for container in machine.cluster.containers.values()) + machine.cluster.ended == 8


def test_what_is_left_of_a_deleted_pipeline_is_collected():
    machine = CrashAnywhere()
    machine.start(replicas=2, surge=1, scaled=False)
    machine.all_goes_well_for_a_while(20)
    machine.cluster.remove(machine.cluster.objects[names.KIND, "captions"])
    machine.cluster.collect()
    assert {kind for kind, _ in machine.cluster.objects} == {"Node"}
