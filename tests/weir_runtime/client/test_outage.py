"""Which endings interrupt a stream, and how long and how often it tries to come back."""

from weir_runtime.client.errors import ConnectionLost, Refused, StreamClosed
from weir_runtime.client.events import Ready, decode
from weir_runtime.client.outage import Outage, is_lost, may_come_later, outage_at


def test_tries_are_made_at_growing_intervals_until_the_time_is_up():
    outage, now, pauses = Outage(100.0, 60.0, 0), 100.0, []
    while (pause := outage.pause_s(now, lambda low, high: high)) is not None:
        pauses.append(pause)
        now += pause
    assert pauses[:8] == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert 158.0 <= now <= 160.0
    outage = Outage(100.0, 60.0, 0)
    outage.pause_s(100.0)
    assert 0.05 <= outage.pause_s(100.0) <= 0.1


def test_retry_after_is_obeyed_and_waited_for_only_if_it_is_worth_it():
    outage = Outage(100.0, 60.0, 0, after_s=5.0)
    assert 5.0 <= outage.pause_s(100.0) <= 6.0
    assert outage.pause_s(106.0) <= 0.1
    outage.after_s = 59.0
    assert outage.pause_s(107.0) is None


def test_a_stream_that_comes_back_and_shows_nothing_new_has_no_more_time_than_before():
    outage = outage_at(100.0, None, 60.0, 5000)
    outage.came_back(130.0)
    assert outage_at(140.0, outage, 60.0, 5000) is outage
    assert (outage.began, outage.left_s) == (140.0, 30.0)
    outage.came_back(150.0)
    assert outage_at(211.0, outage, 60.0, 5000).left_s == 60.0


def test_what_interrupts_a_stream_and_what_ends_it():
    assert [code for code in range(1000, 5000) if is_lost(StreamClosed(code, ""))] == [1001, 1006, 1011, 1012, 1013]
    assert is_lost(ConnectionLost("broke"))
    assert not is_lost(ConnectionLost("another protocol", for_good=True))
    assert [status for status in (400, 401, 403, 404, 410, 426, 429, 500, 502, 503, 504)
            if may_come_later(Refused(status, "", "", None))] == [429, 500, 502, 503, 504]  # fmt: skip


def test_ready_of_an_older_server_is_still_known():
    told = decode('{"type":"ready","seq":0,"session":"s","model":"m","language":"en","sample_rate":16000,"limits":{}}')
    assert isinstance(told, Ready)
    assert (told.resumed, told.from_ms, told.resume) == (False, 0, None)
