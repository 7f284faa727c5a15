"""Who is obeyed: a real server, and orders that it must and must not take."""

import json
from time import time

import httpx
import pytest
from operated import BENDING, PIPELINE, POD, operated
from talk import events, send, until_event

from weir_api.changes import revision_of
from weir_api.report import LoadReport
from weir_api.signing import new_key, public_key, sign
from weir_api.v1alpha1 import StreamingPipelineSpec


@pytest.fixture
def own(serve, tmp_path):
    """A server whose ladder has three steps, and its operator."""
    return operated(serve, tmp_path, degradation=BENDING)


def refused(answer, status, error):
    told = answer.json()
    assert (answer.status_code, told["error"]) == (status, error), told
    assert told["message"]
    assert told["fix"]
    return told


def test_a_server_that_was_given_no_key_takes_no_orders_and_reports_all_the_same(server):
    for path in ("policy", "drain"):
        answer = httpx.post(f"{server.url}/control/{path}", content=b"{}")
        assert "--operator-key" in refused(answer, 404, "no_operator")["fix"]
    report = LoadReport.model_validate_json(httpx.get(f"{server.url}/control/load").content)
    assert (report.state, report.policy.epoch, report.policy.valid) == ("ready", 0, False)
    assert httpx.head(f"{server.url}/control/load").content == b""


def test_an_order_is_answered_with_the_report_that_it_made_true(own):
    _, orders = own
    answer = orders.policy(0, 2)
    assert answer.status_code == 200
    policy = LoadReport.model_validate_json(answer.content).policy
    assert (policy.epoch, policy.revision, policy.valid) == (1, 1, True)
    assert (policy.floor, policy.in_force, policy.rung, policy.rung_name) == ([0, 2], [0, 2], 3, "batch refused")


def test_what_is_forged_changes_nothing(own):
    _, orders = own
    order = orders.next("policy", 60.0) | {"floor": [0], "spec": orders.spec}
    body = json.dumps(order).encode()
    good = sign(orders.key, body)
    forgeries = [(body, ""), (body, "AAAA"), (body, sign(new_key(), body)), (body.replace(b"[0]", b"[1]"), good)]
    for forged in forgeries:
        refused(orders.send("policy", *forged), 403, "forged")
    assert orders.report().policy.in_force == []
    assert orders.send("policy", body, good).status_code == 200


def test_a_replay_and_a_former_leader_are_told_where_things_stand(own):
    _, orders = own
    order = orders.next("policy", 60.0) | {"floor": [], "spec": orders.spec}
    assert orders.post("policy", order).status_code == 200
    assert refused(orders.post("policy", order), 409, "stale")["revision"] == 1
    later = order | {"expiresAt": order["expiresAt"] + 1}
    assert orders.post("policy", later).status_code == 200, "the same with a later end renews it"
    drain = orders.next("undrain", 60.0) | {"podUid": POD}
    assert orders.post("drain", drain).status_code == 200
    assert refused(orders.post("drain", drain), 409, "stale")["counter"] == 2
    orders.epoch = 3
    assert orders.policy().status_code == 200
    orders.epoch = 2
    for answer in (orders.policy(), orders.drain()):
        told = refused(answer, 409, "stale")
        assert (told["epoch"], told["revision"]) == (3, 3)
    assert orders.report().state == "ready"


def test_orders_for_others_and_orders_of_yesterday_are_not_obeyed(own):
    _, orders = own
    refused(orders.policy(pipelineUid="another"), 403, "foreign")
    refused(orders.drain(podUid="another"), 403, "foreign")
    told = refused(orders.policy(lives_s=-0.1), 410, "expired")
    assert told["now"] == pytest.approx(time(), abs=5)
    refused(orders.drain(expiresAt=1.0), 410, "expired")
    assert (orders.report().state, orders.report().policy.epoch) == ("ready", 0)


@pytest.mark.parametrize(
    ("path", "order", "says"),
    [
        ("policy", {"kind": "policy"}, "pipelineUid: Field required"),
        ("policy", {"kind": "drain"}, "kind: "),
        ("policy", [], "order: "),
        ("drain", {"kind": "drain", "pipelineUid": PIPELINE, "podUid": POD, "epoch": -1}, "epoch: "),
    ],
)
def test_what_is_no_order_is_told_by_field(own, path, order, says):
    _, orders = own
    assert refused(orders.post(path, order), 422, "not_an_order")["message"].startswith(says)


def test_a_spec_that_is_wrong_is_told_by_field_and_changes_nothing(own):
    _, orders = own
    signals = {"queueDepth": {"enter": 5, "recover": 5}}
    spec = orders.spec | {"degradation": {"signals": signals}}
    told = refused(orders.policy(0, spec=spec), 422, "invalid_spec")
    assert told["message"].startswith("spec.degradation.signals.queueDepth.recover: must be below enter (5)")
    told = refused(orders.policy(3), 422, "invalid_floor")
    assert (told["steps"], "no step 3" in told["message"]) == (3, True)
    other = orders.spec | {"stages": {"vad": {"threshold": 60}}}
    assert (
        revision_of(StreamingPipelineSpec.model_validate(other))
        in refused(orders.policy(0, spec=other), 409, "other_revision")["message"]
    )
    assert (orders.report().policy.revision, orders.report().policy.in_force) == (0, [])


def test_an_order_is_bounded(own):
    _, orders = own
    refused(orders.send("policy", b" " * (2 << 20), ""), 413, "too_large")


def test_fields_of_a_newer_operator_are_passed_over(own):
    _, orders = own
    spec = orders.spec | {"tomorrow": 1, "admission": {"tomorrow": {"x": 1}, "idleSeconds": 7}}
    assert orders.policy(spec=spec, tomorrow=True).status_code == 200


def test_a_key_that_was_replaced_is_believed_at_once_and_the_old_one_no_more(own, tmp_path):
    _, orders = own
    assert orders.policy().status_code == 200
    old, orders.key = orders.key, new_key()
    refused(orders.policy(), 403, "forged")
    (tmp_path / "operator.key").write_text(public_key(orders.key))
    assert orders.policy().status_code == 200
    refused(orders.post("policy", orders.next("policy", 60.0), key=old), 403, "forged")
    (tmp_path / "operator.key").write_text("half writ")
    assert orders.policy().status_code == 200, "what cannot be read leaves the last key"


def test_live_settings_hold_for_who_comes_later_and_outlast_the_policy(own):
    served, orders = own
    with served.connect("class=interactive") as before:
        limits = until_event(before, "ready")[-1]["limits"]
        spec = orders.spec | {"admission": {"idleSeconds": 7, "maxSessionSeconds": 77, "maxLeadSeconds": 5}}
        assert orders.policy(spec=spec, lives_s=0.2).status_code == 200
        orders.until(lambda report: not report.policy.valid)
        with served.connect("class=interactive") as after:
            told = until_event(after, "ready")[-1]["limits"]
        assert (told["idle_s"], told["session_s"], told["max_lead_s"]) == (7, 77, 5)
        assert (limits["idle_s"], limits["session_s"]) == (30, 14_400)


def test_the_report_of_a_server_that_works_adds_up(own, clips):
    served, orders = own
    empty = orders.report()
    assert (empty.streams, empty.calls, empty.demand, empty.variant) == (0, 0, [], "small")
    with served.connect("class=interactive") as one, served.connect("class=standard") as other:
        for socket in (one, other):
            socket.send(clips("coffee")[3].pcm[: 32_000 * 9 // 10])
        report = orders.until(lambda report: all(sum(report.classes[c].latency) for c in ("interactive", "standard")))
        assert (report.streams, report.slots_used) == (2, 2)
        assert sum(entry.streams for entry in report.classes.values()) == report.streams
        assert {name: entry.streams for name, entry in report.classes.items()} == {
            "interactive": 1, "standard": 1, "batch": 0,
        }  # fmt: skip
        assert sum(report.classes["batch"].latency) == 0
        assert report.calls > 0
        assert report.failed_calls == 0
        rows = {(row.class_, row.variant, row.chunk_ms) for row in report.demand}
        assert rows == {("interactive", "small", 160), ("standard", "small", 160)}
        assert report.usual_streams > 0
        for socket in (one, other):
            send(socket, "close")
            events(socket)
    report = orders.until(lambda report: report.streams == 0)
    assert (report.pod_uid, report.state, report.slots_total) == (POD, "ready", 64)
    assert report.revision == revision_of(StreamingPipelineSpec.model_validate(orders.spec))
    assert 0 < report.load_s < 60
    assert 0 <= time() - report.started_at - report.load_s < 120
    assert set(report.chunk_s["small"]) >= {2, 7}
    assert min(report.chunk_s["small"].values()) > 0
