"""The subcommands on a cluster that KUBECONFIG names (kind, k3s, a real one) in place of a box on this machine.

Whoever sets CLUSTER_NAME too means the box of that name: `hack/cluster client` sets both for what it runs.
"""

import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from box import binaries, ingress, ingress_manifests
from box.kubernetes import Cluster


def named() -> bool:
    return bool(os.environ.get("KUBECONFIG")) and not os.environ.get("CLUSTER_NAME")


def run(words: list[str]) -> bool:
    """Whether there is such a subcommand."""
    match words:
        case ["build"]:
            binaries.build()
        case ["up", *_] | ["down"]:
            say("nothing to start or to end: KUBECONFIG names a cluster (CLUSTER_NAME=dev means the box all the same)")
        case ["status"]:
            become([program("kubectl"), "get", "nodes"])
        case ["kubectl" | "helm" as command, *rest]:
            become([program(command), *rest])
        case ["client", *command] if command:
            become(command)
        case ["values"]:
            print("{}  # its pods cannot mount this checkout: the chart's own image")
        case ["pipeline", file]:
            print(Path(file).read_text(), end="")
        case ["ingress"]:
            ingress_up()
        case ["load" | "cut" | "heal" | "crash" | "boot" as action, *_]:
            raise RuntimeError(f"{action} is for nodes of the box; KUBECONFIG names a cluster that is none")
        case _:
            return False
    return True


def ingress_up() -> None:
    """Contour with its published images, unless the cluster brings an ingress of its own."""
    with TemporaryDirectory() as folder:
        cluster = Cluster(Path(os.environ["KUBECONFIG"]), Path(folder))
        classes = cluster.kubectl("get", "ingressclasses", "-o", "jsonpath={.items[*].metadata.name}").split()
        if classes:
            say(f"nothing to do: the cluster has an ingress, class {', '.join(classes)}")
            return
        ingress_manifests.fetch()
        ingress.start(cluster, mounted=False)


def program(name: str) -> str:
    """The user's own where there is one."""
    found = shutil.which(name)
    if found is None:
        binaries.build([name])
    return found or str(binaries.path(name))


def become(command: list[str]) -> None:
    os.execvp(command[0], command)


def say(text: str) -> None:
    print(f"cluster: {text}", file=sys.stderr)
