"""The circuit breaker against its rules, in virtual time."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from weir_api.degradation import Breaker
from weir_runtime.core.breaker import CircuitBreaker

LIMITS = st.builds(
    Breaker,
    error_percent=st.integers(1, 100),
    minimum_calls=st.integers(1, 6),
    window_seconds=st.integers(1, 10),
    open_seconds=st.integers(1, 10),
    probes=st.integers(1, 4),
)


class Fuse(RuleBasedStateMachine):
    @initialize(limits=LIMITS)
    def begins(self, limits):
        self.limits, self.breaker = limits, CircuitBreaker(limits)
        self.now, self.before = 0.0, "closed"
        self.calls = []  # (when, failed) since it was closed last
        self.let_in = []  # when, while half-open

    def state(self):
        return self.breaker.state(self.now)

    @rule(seconds=st.sampled_from([0.0, 0.125, 0.5, 1.0, 5.0]))
    def waits(self, seconds):
        before = self.state()
        self.now += seconds
        after = self.state()
        assert after == before or (before, after) == ("open", "half-open"), "time alone only makes it try again"

    @rule(failed=st.booleans())
    def calls_the_engine(self, failed):
        before = self.state()
        self.breaker.called(failed, self.now)
        after = self.state()
        if before == "closed":
            self.calls.append((self.now, failed))
            recent = [bad for at, bad in self.calls if at > self.now - self.limits.window_seconds]
            too_many = 100 * sum(recent) >= self.limits.error_percent * len(recent)
            assert (after == "open") == (too_many and len(recent) >= self.limits.minimum_calls)
        elif before == "half-open":
            assert after == "open" if failed else after in ("half-open", "closed")
        else:
            assert after == "open"
        if after != "closed" or before != "closed":
            self.calls = []
        if after != "half-open":
            self.let_in = []

    @rule()
    def knocks(self):
        if not self.breaker.refuses(self.now):
            if self.state() == "half-open":
                self.let_in.append(self.now)
            self.breaker.opened(self.now)

    @invariant()
    def lets_in_whom_it_may(self):
        state = self.state()
        assert state in ("closed", "open", "half-open")
        if state == "closed":
            assert not self.breaker.refuses(self.now)
        if state == "open":
            assert self.breaker.refuses(self.now)
        recent = [at for at in self.let_in if at > self.now - self.limits.open_seconds]
        assert len(recent) <= 2 * self.limits.probes, "no period, wherever it begins, has more than two periods' probes"
        assert 1.0 <= self.breaker.wait_s(self.now) <= max(1.0, self.limits.open_seconds)

    def teardown(self):
        """From wherever it is: where calls work, it closes."""
        if not hasattr(self, "limits"):
            return
        for _ in range(4 * self.limits.open_seconds + 4 * self.limits.probes):
            self.now += 0.5
            if not self.breaker.refuses(self.now):
                self.breaker.opened(self.now)
            if self.state() != "open":
                self.breaker.called(False, self.now)
        assert self.state() == "closed"


Fuse.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
test_fuse = Fuse.TestCase


def opened(**limits):
    breaker = CircuitBreaker(Breaker(minimum_calls=2, open_seconds=5, **limits))
    for _ in range(2):
        breaker.called(True, 0.0)
    return breaker


def test_it_opens_waits_probes_and_closes():
    breaker = opened(probes=2)
    assert (breaker.state(0.0), breaker.wait_s(1.0), breaker.wait_s(4.9)) == ("open", 4.0, 1.0)
    breaker.called(False, 1.0)
    assert breaker.state(4.9) == "open", "what was on its way says nothing"
    assert (breaker.state(5.0), breaker.refuses(5.0), breaker.wait_s(5.0)) == ("half-open", False, 1.0)
    breaker.opened(5.0)
    breaker.opened(5.0)
    assert breaker.refuses(5.0)
    breaker.called(False, 5.1)
    breaker.called(False, 5.2)
    assert (breaker.state(5.2), breaker.refuses(5.2)) == ("closed", False)


def test_the_first_failure_of_a_probe_opens_it_again():
    breaker = opened(probes=2)
    breaker.called(False, 5.0)
    breaker.called(True, 5.1)
    assert (breaker.state(10.0), breaker.state(10.1)) == ("open", "half-open")


def test_probes_that_came_to_nothing_are_followed_by_others():
    breaker = opened(probes=1)
    breaker.state(5.0)
    breaker.opened(5.0)
    assert breaker.refuses(9.9)
    assert not breaker.refuses(10.0)


@given(st.integers(2, 100), st.floats(0.2, 4))
def test_calls_that_work_close_it_though_they_are_rarer_than_a_period_has_probes(probes, every):
    breaker = opened(probes=probes)
    for n in range(probes):
        breaker.called(False, 5.0 + n * every)
    assert breaker.state(5.0 + probes * every) == "closed"
