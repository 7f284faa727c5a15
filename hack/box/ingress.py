"""Contour and its Envoys as the ingress: ports 80 and 443 of every node, class `contour`, Gateway `weir`.

They run from Contour's own published manifests. In the box nothing pulls images: the two binaries and the machine's
/usr are mounted into pods of an empty root, as everywhere there.
"""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from box import binaries, envoy, ingress_manifests
from box.images import BOX
from box.kubernetes import Cluster

OURS = Path(__file__).with_name("ingress.yaml")
CONFIGURATION = "01-contour-config.yaml"  # Contour's, nearly all comments; it stands in ours
NAMESPACE = "projectcontour"
# what the standard channel of the Gateway API does not define
WITHOUT = [f"--disable-feature={kind}" for kind in ("tlsroutes", "tcproutes", "backendtlspolicies")]
Patch = dict[str, Any]


def fetch() -> None:
    """Compile, download and copy what the cache lacks."""
    binaries.build(["contour", "kubectl"])
    ingress_manifests.fetch()
    envoy.fetch()


def fetched() -> bool:
    return not binaries.missing(["contour"]) and ingress_manifests.folder().exists() and envoy.path().exists()


def start(cluster: Cluster, mounted: bool) -> None:
    """Apply all and wait until every Envoy is ready; nothing changes where it runs already. `mounted`: in the box; else
    the cluster pulls the published images."""
    applied = ["apply", "--server-side", "-f", "-"]
    cluster.kubectl(*applied, stdin="---\n".join(file.read_text() for file in ingress_manifests.definitions()))
    for name in ("gateways", "gatewayclasses", "httproutes"):
        cluster.wait_for_definition(f"{name}.gateway.networking.k8s.io")
    cluster.wait_for_definition("httpproxies.projectcontour.io")
    cluster.kubectl(*applied, stdin=manifests(cluster, mounted))
    where = f"--namespace={NAMESPACE}"
    for workload in ("deployment/contour", "daemonset/envoy"):
        cluster.kubectl("rollout", "status", workload, where, "--timeout=120s")
    cluster.kubectl("wait", "--for=condition=Programmed", "gateway/weir", where, "--timeout=60s")


def manifests(cluster: Cluster, mounted: bool) -> str:
    """Contour's but for its configuration, patched, and ours."""
    files = [file for file in ingress_manifests.objects() if file.name != CONFIGURATION] + [OURS]
    patches = [arguments(), *(from_this_machine() if mounted else [])]
    with TemporaryDirectory() as work:
        for file in files:
            shutil.copyfile(file, Path(work, file.name))
        kustomization = {"resources": [file.name for file in files], "patches": patches}
        Path(work, "kustomization.yaml").write_text(json.dumps(kustomization))
        return cluster.kubectl("kustomize", work)


def arguments() -> Patch:
    added = [{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": word} for word in WITHOUT]
    return {"target": {"kind": "Deployment", "name": "contour"}, "patch": json.dumps(added)}


def from_this_machine() -> list[Patch]:
    """The box's image and mounts in place of published images; probes that see at once what is ready."""
    bare: Patch = {"image": BOX, "imagePullPolicy": "Never"}
    often: Patch = {"readinessProbe": {"initialDelaySeconds": 0, "periodSeconds": 1}}
    contour = bare | {"volumeMounts": [mount("contour-binary", "/usr/bin/contour")]}
    proxy = bare | {"command": ["/envoy"], "volumeMounts": [mount("envoy-binary", "/envoy"), mount("usr", "/usr")]}
    contour_binary = volume("contour-binary", binaries.path("contour"), "File")
    servers = [{"name": "contour"} | contour | often]
    envoys = [{"name": "shutdown-manager"} | contour, {"name": "envoy"} | proxy | often]
    own = [contour_binary, volume("envoy-binary", envoy.path(), "File"), volume("usr", Path("/usr"), "Directory")]
    first = [{"name": "envoy-initconfig"} | contour]
    return [
        pods("Job", "batch/v1", {"containers": [{"name": "contour"} | contour], "volumes": [contour_binary]}),
        pods("Deployment", "apps/v1", {"containers": servers, "volumes": [contour_binary]}),
        pods("DaemonSet", "apps/v1", {"initContainers": first, "containers": envoys, "volumes": own}),
    ]


def mount(name: str, path: str) -> Patch:
    return {"name": name, "mountPath": path, "readOnly": True}


def volume(name: str, path: Path, kind: str) -> Patch:
    return {"name": name, "hostPath": {"path": str(path), "type": kind}}


def pods(kind: str, version: str, spec: Patch) -> Patch:
    """A patch of all objects of a kind, whatever they are called."""
    patch = {"apiVersion": version, "kind": kind, "metadata": {"name": "any"}, "spec": {"template": {"spec": spec}}}
    return {"target": {"kind": kind}, "patch": json.dumps(patch)}
