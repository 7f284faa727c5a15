"""Scenarios that somebody wants: what whoever runs the product does on a working day."""

from concurrent.futures import ThreadPoolExecutor
from time import time

from box.waiting import wait_for
from endtoend.deployed import CHARTS
from endtoend.product import Product
from endtoend.scenarios import Scenario, nothing

DRAIN_S = 150  # of kubectl drain


def roll_out(product: Product) -> None:
    """A field that is part of the pods' revision."""
    captions = product.captions
    old = captions.pods().keys()
    captions.patch(runtime={"annotations": {"example.com/rolled-out-at": str(int(time()))}})
    wait_for("old pods to go", lambda: captions.pods().keys().isdisjoint(old), 240)


def to_three(product: Product) -> None:
    product.captions.scale(3)


def to_two(product: Product) -> None:
    captions = product.captions
    captions.scale(2)
    wait_for("a pod to go", lambda: len(captions.pods()) == 2, 120)


def drain(product: Product) -> None:
    """The node with the pod that was made last; people are told, then evicted."""
    captions, cluster = product.captions, product.cluster
    (*_, pod) = captions.pods().values()
    node = pod["spec"]["nodeName"]
    flags = ("--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={DRAIN_S}s")
    with ThreadPoolExecutor(1) as beside:
        try:
            beside.submit(cluster.kubectl, "drain", node, *flags).result()
        finally:
            cluster.kubectl("uncordon", node)


def upgrade(product: Product) -> None:
    operator, before = product.operator, product.captions.uids()
    operator.helm("upgrade", "weir", str(CHARTS / "weir"), "--set=logLevel=debug", "--wait", "--timeout=180s")
    product.wait_whole()
    same_pods(product, before)


def roll_back(product: Product) -> None:
    before = product.captions.uids()
    product.operator.helm("rollback", "weir", "--wait", "--timeout=180s")
    product.wait_whole()
    same_pods(product, before)


def uninstall(product: Product) -> None:
    """The operator goes, pods serve on."""
    before = product.captions.uids()
    product.operator.helm("uninstall", "weir", "--wait", "--timeout=120s")
    same_pods(product, before)


def delete(product: Product) -> None:
    """Then the pipeline: the cluster itself clears up what belonged to it."""
    captions = product.captions
    product.cluster.kubectl("delete", "spl", captions.name, captions.where, "--timeout=60s")
    wait_for("its pods to go", lambda: not captions.pods(), 120)


def same_pods(product: Product, before: dict[str, tuple[str, int]]) -> None:
    """Operators that come and go restart no pod of a pipeline."""
    if product.captions.uids() != before:
        raise RuntimeError(f"pods were changed: {before} → {product.captions.uids()}")


CHANGES = (
    Scenario("undisturbed", "nothing happens", nothing),
    Scenario("rollout", "a field of the pods is changed: each pod is replaced", roll_out),
    Scenario("scale-down", "`kubectl scale --replicas=2`, from three pods", to_two, before=to_three),
    Scenario("drain", "`kubectl drain` of a node, then `uncordon`", drain),
)
OPERATORS = (
    Scenario("upgrade", "`helm upgrade` of the operator, another value", upgrade),
    Scenario("rollback", "`helm rollback`", roll_back),
    Scenario("uninstall", "`helm uninstall`; then the pipeline is deleted", uninstall, after=delete, whole=False),
)
