"""Quotas: what a tenant may have open, and may send in a day."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from weir_runtime.front.quota import DAY_S, STREAMS_RETRY_S, UNLIMITED, Exceeded, Quota, Usage

NOON = 20_000.5 * DAY_S
TENANTS = st.sampled_from(["acme", "globex", ""])
SECONDS = st.floats(0, 1000)


class Tenants(RuleBasedStateMachine):
    """A front that asks before it opens, in any order of openings, audio, closings and days."""

    def __init__(self):
        super().__init__()
        self.usage, self.now = Usage(), NOON
        self.quotas = {"acme": Quota(2, 500), "globex": Quota(3, None), "": UNLIMITED}
        self.open, self.heard = [], Counter()

    @rule(tenant=TENANTS)
    def ask(self, tenant):
        quota = self.quotas[tenant]
        exceeded = self.usage.exceeded(tenant, quota, self.now)
        if exceeded is None:
            self.usage.opened(tenant)
            self.open.append(tenant)
        else:
            full = exceeded.reason == "streams"
            assert (self.open.count(tenant) >= quota.max_streams) if full else (self.heard[tenant] >= 500)

    @precondition(lambda self: self.open)
    @rule(place=st.integers(0, 100))
    def close(self, place):
        tenant = self.open.pop(place % len(self.open))
        self.usage.closed(tenant)
        refused = self.usage.exceeded(tenant, self.quotas[tenant], self.now)
        assert refused is None or refused.reason == "audio_seconds"  # what is closed is given back

    @precondition(lambda self: self.open)
    @rule(place=st.integers(0, 100), seconds=SECONDS)
    def send(self, place, seconds):
        tenant = self.open[place % len(self.open)]
        self.heard[tenant] += seconds
        self.usage.heard(tenant, seconds, self.now)

    @rule(later=st.floats(0, 2 * DAY_S))
    def wait(self, later):
        if (self.now + later) // DAY_S > self.now // DAY_S:
            self.heard.clear()
        self.now += later

    @rule(back=st.floats(0, DAY_S))
    def set_the_clock_back(self, back):
        """What was used stays used: the day that comes again is not a new one."""
        for tenant in self.quotas:
            self.usage.exceeded(tenant, self.quotas[tenant], self.now - back)

    @invariant()
    def no_more_is_open_than_the_quota_and_all_is_counted(self):
        for tenant, quota in self.quotas.items():
            assert self.usage.streams(tenant) == self.open.count(tenant)
            assert quota.max_streams is None or self.open.count(tenant) <= quota.max_streams
            assert self.usage.audio_s(tenant, self.now) == pytest.approx(self.heard[tenant])


TestTenants = Tenants.TestCase


@given(st.integers(1, 5), st.integers(1, 500), st.integers(0, 8), SECONDS, st.integers(0, 3), SECONDS)
def test_who_uses_more_is_never_let_in_for_it(streams, audio, opened, heard, more_streams, more_audio):
    less, more = Usage(), Usage()
    for usage, n, seconds in ((less, opened, heard), (more, opened + more_streams, heard + more_audio)):
        for _ in range(n):
            usage.opened("acme")
        usage.heard("acme", seconds, NOON)
    quota = Quota(streams, audio)
    assert not (less.exceeded("acme", quota, NOON) and more.exceeded("acme", quota, NOON) is None)


@given(st.integers(0, 1000 * DAY_S - 1))
def test_used_up_audio_comes_back_at_midnight_utc_and_not_before(ms_since_midnight):
    usage, now = Usage(), 20_000 * DAY_S + ms_since_midnight / 1000
    usage.heard("acme", 60.0, now)
    exceeded = usage.exceeded("acme", Quota(None, 60), now)
    assert exceeded == Exceeded("audio_seconds", 20_001 * DAY_S - now)
    assert usage.exceeded("acme", Quota(None, 60), 20_001 * DAY_S - 0.001) is not None
    assert usage.exceeded("acme", Quota(None, 60), 20_001 * DAY_S) is None


def test_a_day_does_not_give_back_streams():
    usage = Usage()
    usage.opened("acme")
    assert usage.exceeded("acme", Quota(1, None), NOON) == Exceeded("streams", STREAMS_RETRY_S)
    assert usage.exceeded("acme", Quota(1, None), NOON + DAY_S) == Exceeded("streams", STREAMS_RETRY_S)


def test_the_longer_wait_is_told():
    usage = Usage()
    usage.opened("acme")
    usage.heard("acme", 60.0, NOON)
    assert usage.exceeded("acme", Quota(1, 60), NOON).reason == "audio_seconds"


def test_a_quota_that_was_lowered_cuts_nothing_and_lets_nobody_in():
    usage = Usage()
    for _ in range(3):
        usage.opened("acme")
    for left in (2, 1):
        usage.closed("acme")
        assert (usage.streams("acme"), usage.exceeded("acme", Quota(1, None), NOON) is None) == (left, False)
    usage.closed("acme")
    assert usage.exceeded("acme", Quota(1, None), NOON) is None


def test_what_was_not_opened_cannot_be_closed():
    with pytest.raises(AssertionError, match="more often"):
        Usage().closed("acme")
