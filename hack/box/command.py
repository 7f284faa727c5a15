"""The subcommands of hack/cluster."""

import json
import os
import sys
from pathlib import Path

from box import binaries, checkout, ingress, lifecycle, network, nodes, other_cluster, process, requirements
from box.kubernetes import Cluster
from box.place import Place, named_by_environment, node_ip

NODES = 2
NODE_ACTIONS = {"cut": network.cut, "heal": network.heal, "crash": nodes.crash, "boot": nodes.boot}


def main(words: list[str], usage: str | None) -> int:
    try:
        if other_cluster.run(words) if other_cluster.named() else run(named_by_environment(), words):
            return 0
    except (RuntimeError, TimeoutError) as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    print(usage, file=sys.stderr)
    return 2


def run(place: Place, words: list[str]) -> bool:
    """Whether there is such a subcommand."""
    match words:
        case ["build"]:
            binaries.build()
            ingress.fetch()
        case ["up"] | ["up", "--nodes", _]:
            up(place, int(words[2]) if words[1:] else NODES)
        case ["down" | "status" | "ingress" as action]:
            {"down": lifecycle.down, "status": status, "ingress": ingress_up}[action](place)
        case ["load", *archives] if archives:
            nodes.load(place, [Path(archive) for archive in archives])
        case ["values"]:
            print(json.dumps(checkout.operator_values(), indent=2))
        case ["pipeline", file]:
            binaries.build(["kubectl"])
            print(checkout.pipeline(Path(file)), end="")
        case ["kubectl" | "helm" as command, *rest]:
            binaries.build([command])
            become(place, [str(binaries.path(command)), *rest])
        case ["client", *command] if command:
            become(place, command)
        case ["cut" | "heal" | "crash" | "boot" as action, index] if index.isdigit():
            NODE_ACTIONS[action](place, int(index))
        case _:
            return False
    return True


def up(place: Place, count: int) -> None:
    lacking = requirements.lacking_for_control_plane() or (requirements.lacking_for_nodes() if count else None)
    if lacking:
        raise RuntimeError(lacking)
    plane = lifecycle.control_plane_up(place)
    if count:
        lifecycle.nodes_up(place, plane.cluster, count)
    status(place)


def ingress_up(place: Place) -> None:
    if not nodes.indexes(place):
        raise RuntimeError(f"cluster {place.name} has no nodes for an ingress: `hack/cluster up` makes two")
    ingress.fetch()
    enter(place)
    ingress.start(Cluster(place.admin, place.kubeconfigs), mounted=True)
    print(f"cluster: ports 80 and 443 of {', '.join(map(node_ip, nodes.indexes(place)))}; class contour, Gateway weir")


def status(place: Place) -> None:
    for name in process.started(place):
        print(f"{name:24} {'up' if process.pid_of(place, name) else f'DOWN, see {process.log(place, name)}'}")
    enter(place)
    print(Cluster(place.admin, place.kubeconfigs).kubectl("get", "nodes"), end="")


def become(place: Place, command: list[str]) -> None:
    """Run it in the lan in this process's stead, as admin."""
    enter(place)
    os.execvpe(command[0], command, os.environ | {"KUBECONFIG": str(place.admin), "CLUSTER_NAME": place.name})


def enter(place: Place) -> None:
    if not network.exists(place):
        raise RuntimeError(f"no cluster {place.name} is up (CLUSTER_NAME names another)")
    network.enter(place)
