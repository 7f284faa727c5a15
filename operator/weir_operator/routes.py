"""How clients outside the cluster reach a pipeline: an Ingress, an HTTPRoute at a gateway, or an HTTPProxy of Contour.
Public port only.
"""

from collections.abc import Set
from typing import Any

from weir_api.exposure import Gateway, HttpProxy, Ingress
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_operator import names
from weir_operator.observed import Observed
from weir_operator.owned import given, metadata

RETRIES = 5  # of an upgrade that a pod refuses; Contour may well try the same pod again


def routes(observed: Observed) -> list[dict[str, Any]]:
    """What spec asks for and the API server has the kind of."""
    spec = observed.spec
    assert spec is not None, "a spec that is not valid asks for nothing"
    if absent_kind(spec, observed.kinds):
        return []
    if spec.ingress is not None:
        return [_ingress(observed, spec.ingress)]
    if spec.gateway is not None:
        return [_http_route(observed, spec.gateway)]
    if spec.http_proxy is not None:
        return [_http_proxy(observed, spec.http_proxy, spec.admission.max_session_seconds)]
    return []


def absent_kind(spec: StreamingPipelineSpec, kinds: Set[str]) -> str:
    """The kind of route that spec asks for and the API server, with these optional kinds, does not have; else ""."""
    if spec.gateway is not None and "HTTPRoute" not in kinds:
        return "HTTPRoute"
    if spec.http_proxy is not None and "HTTPProxy" not in kinds:
        return "HTTPProxy"
    return ""


def _ingress(observed: Observed, wanted: Ingress) -> dict[str, Any]:
    backend = {"service": {"name": observed.name, "port": {"name": "http"}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    tls = [{"hosts": [wanted.host], "secretName": wanted.tls_secret_name}] if wanted.tls_secret_name else []
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata(observed, observed.name, annotations=wanted.annotations),
        "spec": given(
            {
                "ingressClassName": wanted.class_name,
                "tls": tls,
                "rules": [{"host": wanted.host, "http": {"paths": [path]}}],
            }
        ),
    }


def _http_route(observed: Observed, wanted: Gateway) -> dict[str, Any]:
    parents = [
        given({"name": parent.name, "namespace": parent.namespace, "sectionName": parent.section_name})
        for parent in wanted.parent_refs
    ]
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "backendRefs": [{"name": observed.name, "port": names.PUBLIC_PORT}],
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata(observed, observed.name),
        "spec": given({"parentRefs": parents, "hostnames": list(wanted.hostnames), "rules": [rule]}),
    }


def _http_proxy(observed: Observed, wanted: HttpProxy, longest_s: int) -> dict[str, Any]:
    """`longest_s`: of a session. Balanced by open requests, which a stream is for as long as it lasts."""
    tls = {"secretName": wanted.tls_secret_name} if wanted.tls_secret_name else {}
    route = {
        "conditions": [{"prefix": "/"}],
        "services": [{"name": observed.name, "port": names.PUBLIC_PORT}],
        "enableWebsockets": True,
        "loadBalancerPolicy": {"strategy": "WeightedLeastRequest"},
        "timeoutPolicy": {"response": "infinity", "idle": f"{longest_s}s"},
        "retryPolicy": {
            "count": RETRIES,
            "retryOn": ["connect-failure", "refused-stream", "retriable-status-codes"],
            "retriableStatusCodes": [503],  # full, or on its way out
        },
    }
    return {
        "apiVersion": "projectcontour.io/v1",
        "kind": "HTTPProxy",
        "metadata": metadata(observed, observed.name, annotations=wanted.annotations),
        "spec": given(
            {
                "ingressClassName": wanted.class_name,
                "virtualhost": given({"fqdn": wanted.host, "tls": tls}),
                "routes": [route],
            }
        ),
    }
