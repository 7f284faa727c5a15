"""How clients outside the cluster reach a pipeline: an Ingress, or an HTTPRoute at a gateway. Public port only."""

from typing import Any

from weir_api.exposure import Gateway, Ingress
from weir_operator import names
from weir_operator.observed import Observed
from weir_operator.owned import given, metadata


def routes(observed: Observed) -> list[dict[str, Any]]:
    """What spec asks for and the API server has the kind of."""
    spec = observed.spec
    assert spec is not None, "a spec that is not valid asks for nothing"
    if spec.ingress is not None:
        return [_ingress(observed, spec.ingress)]
    if spec.gateway is not None and "HTTPRoute" in observed.kinds:
        return [_http_route(observed, spec.gateway)]
    return []


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
