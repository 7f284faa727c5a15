"""The way in from outside: to the public port, never to the control port."""

import json
from typing import Any

import pytest

from weir_api.status import StreamingPipelineStatus
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator.observed import Observed
from weir_operator.routes import absent_kind, routes

GATEWAY = {
    "parentRefs": [{"name": "web"}, {"name": "edge", "namespace": "infra", "sectionName": "https"}],
    "hostnames": ["captions.example.com"],
}


PROXY = {"host": "captions.example.com", "className": "contour", "tlsSecretName": "captions-tls"}


def made(kinds: frozenset[str] = frozenset({"HTTPProxy", "HTTPRoute"}), **spec: Any) -> list[dict[str, Any]]:
    whole = StreamingPipelineSpec.model_validate(spec)
    return routes(Observed("shop", "captions", "uid", 1, whole, StreamingPipelineStatus(), kinds=kinds))


def test_without_one_wanted_there_is_none():
    assert made() == []


def test_an_ingress_leads_to_the_public_port_of_the_service():
    wanted = {
        "host": "captions.example.com",
        "className": "contour",
        "tlsSecretName": "captions-tls",
        "annotations": {"projectcontour.io/websocket-routes": "/"},
    }
    (ingress,) = made(ingress=wanted)
    assert ingress["metadata"]["annotations"] == wanted["annotations"]
    spec = ingress["spec"]
    assert spec["ingressClassName"] == "contour"
    assert spec["tls"] == [{"hosts": ["captions.example.com"], "secretName": "captions-tls"}]
    (rule,) = spec["rules"]
    assert rule["host"] == "captions.example.com"
    (path,) = rule["http"]["paths"]
    assert path["backend"] == {"service": {"name": "captions", "port": {"name": "http"}}}


def test_what_the_user_leaves_out_is_the_clusters_to_choose():
    (ingress,) = made(ingress={"host": "a.b"})
    assert set(ingress["spec"]) == {"rules"}
    assert "annotations" not in ingress["metadata"]


def test_a_route_hangs_on_its_gateways_and_leads_to_the_public_port():
    (route,) = made(gateway=GATEWAY)
    assert route["spec"]["parentRefs"] == GATEWAY["parentRefs"]
    assert route["spec"]["hostnames"] == GATEWAY["hostnames"]
    (rule,) = route["spec"]["rules"]
    assert rule["backendRefs"] == [{"name": "captions", "port": 8000}]


def test_a_proxy_sends_new_streams_where_there_are_fewest_and_tries_what_a_full_pod_refused_again():
    (proxy,) = made(httpProxy=PROXY | {"annotations": {"a": "b"}}, admission={"maxSessionSeconds": 90})
    assert proxy["metadata"]["annotations"] == {"a": "b"}
    spec = proxy["spec"]
    assert spec["ingressClassName"] == "contour"
    assert spec["virtualhost"] == {"fqdn": "captions.example.com", "tls": {"secretName": "captions-tls"}}
    (route,) = spec["routes"]
    assert route["services"] == [{"name": "captions", "port": 8000}]
    assert route["enableWebsockets"] is True
    assert route["loadBalancerPolicy"] == {"strategy": "WeightedLeastRequest"}
    assert route["timeoutPolicy"] == {"response": "infinity", "idle": "90s"}
    assert "retriable-status-codes" in route["retryPolicy"]["retryOn"]
    assert route["retryPolicy"]["retriableStatusCodes"] == [503]


def test_a_proxy_of_the_least_has_a_name_and_a_route():
    (proxy,) = made(httpProxy={"host": "a.b"})
    assert set(proxy["spec"]) == {"virtualhost", "routes"}
    assert proxy["spec"]["virtualhost"] == {"fqdn": "a.b"}


@pytest.mark.parametrize(("spec", "kind"), [({"gateway": GATEWAY}, "HTTPRoute"), ({"httpProxy": PROXY}, "HTTPProxy")])
def test_no_route_is_made_where_the_api_server_has_no_such_kind(spec: dict[str, Any], kind: str):
    others = frozenset({"HTTPProxy", "HTTPRoute"}) - {kind}
    assert made(others, **spec) == []
    assert absent_kind(StreamingPipelineSpec.model_validate(spec), others) == kind
    assert absent_kind(StreamingPipelineSpec.model_validate(spec), frozenset({kind})) == ""


@pytest.mark.parametrize("spec", [{"ingress": {"host": "a.b"}}, {"gateway": GATEWAY}, {"httpProxy": PROXY}])
def test_the_control_port_is_in_no_route(spec: dict[str, Any]):
    (route,) = made(**spec)
    text = json.dumps(route)
    assert "9000" not in text
    assert "control" not in text.replace('"controller"', "")
