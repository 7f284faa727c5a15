"""The operator's floor on live streams: in force at once, told to them, and left as the ladder leaves its steps."""

import pytest
from operated import BENDING, LADDER, operated
from talk import until_event
from websockets.exceptions import InvalidStatus


@pytest.fixture
def own(serve, tmp_path):
    return operated(serve, tmp_path, degradation=BENDING)


def told(socket):
    warning = until_event(socket, "warning")[-1]
    return warning["code"], warning["rung"], warning["in_force"]


def test_the_floor_is_in_force_at_once_and_told_to_every_stream(own):
    served, orders = own
    with served.connect("class=interactive") as one, served.connect("class=batch") as other:
        until_event(one, "ready"), until_event(other, "ready")
        assert orders.policy(0, 1, 2).json()["policy"]["inForce"] == [0, 1, 2]
        for socket in (one, other):
            assert told(socket) == ("degraded", 3, ["interims at 2 Hz", "chunks of 560 ms"])
        with pytest.raises(InvalidStatus):
            served.connect("class=batch")
        assert served.load()["rung_name"] == "batch refused"
        with served.connect("class=interactive") as late:
            assert until_event(late, "ready")[-1]["degraded"] is True
            assert told(late)[0] == "degraded"
    assert 'weir_rung_changes_total{action="refuse",direction="entered"} 1.0' in served.metrics()


def test_a_floor_stays_though_it_is_calm_until_a_newer_policy_lifts_it(own):
    served, orders = own
    with served.connect("class=interactive") as socket:
        until_event(socket, "ready")
        orders.policy(0, 1)
        assert told(socket)[1] == 2
        report = orders.policy(0).json()
        assert report["policy"]["floor"] == [0]
        assert told(socket) == ("recovered", 1, ["interims at 2 Hz"])
        assert orders.report().policy.in_force == [0]
        orders.policy()
        assert told(socket) == ("recovered", 0, [])
    assert orders.report().policy.rung_name == "full quality"


def test_when_the_operator_falls_silent_the_pod_goes_on_from_where_it_is(own):
    served, orders = own
    with served.connect("class=interactive") as socket:
        until_event(socket, "ready")
        orders.policy(0, 1, lives_s=0.3)
        assert told(socket)[1] == 2
        report = orders.until(lambda report: not report.policy.valid)
        assert (report.policy.floor, report.policy.in_force) == ([], [0, 1])
        assert (report.policy.epoch, report.policy.revision) == (1, 1)
        assert told(socket) == ("recovered", 1, ["interims at 2 Hz"])
        assert told(socket) == ("recovered", 0, [])


def test_another_ladder_keeps_what_has_the_same_name_and_leaves_the_rest(own):
    served, orders = own
    with served.connect("class=interactive") as socket:
        until_event(socket, "ready")
        orders.policy(0, 1)
        assert told(socket)[1] == 2
        turned = orders.spec | {"degradation": BENDING | {"ladder": [LADDER[1], {"action": "interimRate", "maxHz": 1}]}}
        report = orders.policy(0, spec=turned).json()["policy"]
        assert (report["inForce"], report["rungName"]) == ([0], "chunks of 560 ms")
        assert told(socket) == ("recovered", 1, ["chunks of 560 ms"])
        orders.policy(0, 1, spec=turned)
        assert told(socket) == ("degraded", 2, ["chunks of 560 ms", "interims at 1 Hz"])
