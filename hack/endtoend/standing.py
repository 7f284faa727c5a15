"""The product put up in a cluster, in the steps of whoever installs it; each says what it took."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from box import binaries, ingress, lifecycle, process
from box.control_plane import API
from box.kubernetes import Cluster
from box.place import REPOSITORY, Place, node_ip, root_folder
from box.waiting import wait_for
from endtoend.artifacts import Artifacts
from endtoend.deployed import Deployed
from endtoend.front_door import FrontDoor
from endtoend.pipelines import Pipeline
from endtoend.product import CLIPS, Machine, Product
from endtoend.report import Number
from endtoend.speakers import hear, references

NODES = 2
MANIFEST = REPOSITORY / "examples" / "captions.yaml"
HOST = "captions.example.com"
PIPELINES, OPERATORS = "weir-e2e", "weir-system"
ANNOTATIONS = {
    "projectcontour.io/websocket-routes": "/v1/stream",
    "projectcontour.io/response-timeout": "infinity",
}
ROLLOUT = {"canarySeconds": 3, "drainSeconds": 20}  # minutes in real life
# words are compared to the letter; a small machine that starts pods would bend on its own
STEADY: dict[str, list[str]] = {"ladder": []}


@dataclass(frozen=True, slots=True)
class Site:
    """Where it is put up: in a box of this machine, or (`machine` None) in a cluster whose ingress is at `address`."""

    cluster: Cluster
    machine: Machine | None = None
    address: str = ""


@contextmanager
def in_a_box(name: str, keep: bool) -> Iterator[Site]:
    """A cluster on this machine, with an ingress, up already or not. From now on this process lives in its network."""
    place = Place(name, root_folder())
    binaries.build()
    ingress.fetch()
    if process.pid_of(place, API) is None:
        lifecycle.down(place)  # what a run that was killed left
    try:
        plane = lifecycle.control_plane_up(place)
        machine = Machine(plane, lifecycle.nodes_up(place, plane.cluster, NODES))
        ingress.start(plane.cluster, mounted=True)
        yield Site(plane.cluster, machine)
    finally:
        if not keep:
            lifecycle.down(place)


@contextmanager
def named(address: str) -> Iterator[Site]:
    """The one that KUBECONFIG names; it has an ingress of class contour, and the images are on its nodes."""
    with TemporaryDirectory() as folder:
        yield Site(Cluster(Path(os.environ["KUBECONFIG"]), Path(folder)), None, address)


def install(site: Site, artifacts: Artifacts) -> tuple[Deployed, list[Number]]:
    began = monotonic()
    operator = Deployed(site.cluster, OPERATORS, artifacts.values)
    operator.install()
    return operator, [Number("`helm install weir-crds weir` → both operators ready", seconds(began))]


def apply(site: Site, operator: Deployed, artifacts: Artifacts) -> tuple[Product, list[Number]]:
    """examples/captions.yaml, until it serves through the front door."""
    cluster = site.cluster
    if not cluster.kubectl("get", "namespace", PIPELINES, "--ignore-not-found"):
        cluster.kubectl("create", "namespace", PIPELINES)
    captions = Pipeline(cluster, PIPELINES, "captions", proxied=site.machine is None)
    text = manifest(cluster, artifacts)
    began = monotonic()
    cluster.kubectl("apply", "--server-side", "--force-conflicts", captions.where, "-f", "-", stdin=text)
    captions.wait_ready()
    numbers = [Number("`kubectl apply` → Ready, two pods", seconds(began))]
    door = FrontDoor(HOST, addresses=addresses(captions, site))
    wait_for("the front door to serve", lambda: all(map(door.serves, door.addresses)))
    first = hear(door.url, 1, loop=door.loop)
    if first.first_at is None:
        raise RuntimeError("a stream through the ingress heard nothing")
    numbers.append(Number("`kubectl apply` → first caption through the ingress", f"{first.first_at - began:.1f} s"))
    return Product(cluster, site.machine, operator, captions, door, references(door.url, CLIPS, door.loop)), numbers


def manifest(cluster: Cluster, artifacts: Artifacts) -> str:
    """The example, with what this cluster needs: what pods run, little of it, a host at the ingress, short waits."""
    route = {"host": HOST, "className": "contour", "annotations": ANNOTATIONS}
    patch = json.dumps(
        {"spec": {"runtime": artifacts.runtime, "ingress": route, "rollout": ROLLOUT, "degradation": STEADY}}
    )
    return cluster.kubectl("patch", "--local", "--type=merge", f"--patch={patch}", "-o", "yaml", "-f", str(MANIFEST))


def addresses(captions: Pipeline, site: Site) -> list[str]:
    """Of the ingress: the nodes' in a box; else the one named, or what the Ingress says of itself."""
    if site.machine:
        return [node_ip(index) for index in range(site.machine.nodes.count)]
    if site.address:
        return [site.address]
    wait_for("the Ingress to have an address (--address names it otherwise)", lambda: published(captions))
    return published(captions)


def published(captions: Pipeline) -> list[str]:
    found = captions.cluster.get("ingress", captions.name, captions.where)["status"].get("loadBalancer", {})
    return [each["ip"] for each in found.get("ingress", []) if "ip" in each]


def seconds(began: float) -> str:
    return f"{monotonic() - began:.1f} s"
