"""Scenarios that nobody wants: processes, nodes and the API server go without a word."""

from box.waiting import wait_for
from endtoend import processes
from endtoend.changes import roll_out
from endtoend.product import Product
from endtoend.scenarios import Scenario

NODE = 1  # node 0 is the way from clients to services; the front door stands on both


def kill_pod(product: Product) -> None:
    """The pod with the most streams."""
    captions = product.captions
    streams = {name: report.streams for name, report in captions.reports().items()}
    pod = max(streams, key=lambda name: streams[name])
    before = captions.uids()[pod]
    processes.kill(pod)
    wait_for("the kubelet to start it anew", lambda: captions.uids().get(pod) != before, 60)


def spread(product: Product) -> None:
    """A drain before may have left all on one node: pods and ingress anew, on both."""
    cluster, where = product.cluster, "--namespace=projectcontour"
    cluster.kubectl("rollout", "restart", "deployment/contour", where)
    cluster.kubectl("rollout", "status", "deployment/contour", where, "--timeout=120s")
    if len({pod["spec"]["nodeName"] for pod in product.captions.pods().values()}) == 1:
        roll_out(product)


def cut_node(product: Product) -> None:
    """Off the network until its pods are replaced, then on again."""
    nodes = product.box().nodes
    nodes.cut(NODE)
    try:
        nodes.wait_ready(NODE, ready=False)
        product.captions.wait_ready(180)
    finally:
        nodes.heal(NODE)


def power_cycle(product: Product) -> None:
    nodes = product.box().nodes
    nodes.crash(NODE)
    try:
        nodes.wait_ready(NODE, ready=False)
    finally:
        nodes.boot(NODE)


def kill_operator(product: Product) -> None:
    """The one that leads."""
    operator = product.operator
    holder = operator.holder()
    processes.kill(operator.leader(), "POD_NAME")
    wait_for("another process to lead", lambda: operator.holder() not in ("", holder), 60)


def restart_api_server(product: Product) -> None:
    product.box().plane.restart_apiserver(kill=True)


FAULTS = (
    Scenario("kill-pod", "`kill -9` of the server in the pod with the most streams", kill_pod, own_nodes=True),
    Scenario("cut-node", "a node is cut off, its pods are replaced, it is healed", cut_node, spread, own_nodes=True),
    Scenario("power-cycle", "a node loses its power, and is switched on again", power_cycle, spread, own_nodes=True),
    Scenario("kill-operator", "`kill -9` of the operator that leads", kill_operator, own_nodes=True),
    Scenario("restart-api", "`kill -9` of the API server, started again", restart_api_server, own_nodes=True),
)
