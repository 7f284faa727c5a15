"""Nodes that run containers: containerd, kubelet and kube-proxy, each node in namespaces of its own.

A node is known by its index; in Kubernetes it is called node0, node1, … Its disk is its folder: a crash ends all its
processes at once and keeps that.
"""

import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from box import binaries, certificates, images, network, node_config, process, sysctls
from box.kubernetes import Cluster
from box.place import Place, node_ip
from box.waiting import wait_for

COMMANDS = ("kubelet", "kube-proxy", "coredns")
INIT = Path(__file__).with_name("node_init.sh")


@dataclass(frozen=True, slots=True)
class Nodes:
    place: Place
    cluster: Cluster
    count: int

    @property
    def names(self) -> list[str]:
        return [name(index) for index in range(self.count)]

    def ip(self, index: int) -> str:
        return node_ip(index)

    def cut(self, index: int) -> None:
        """Off the network; its pods go on."""
        network.cut(self.place, index)

    def heal(self, index: int) -> None:
        network.heal(self.place, index)

    def crash(self, index: int) -> None:
        """Power off: every process gone at once. The disk stays."""
        crash(self.place, index)

    def boot(self, index: int) -> None:
        """Power on. Returns before the node is Ready."""
        boot(self.place, index)

    def load(self, *archives: Path) -> None:
        """Import image archives into every node."""
        load(self.place, archives)

    def wait_ready(self, index: int, ready: bool = True, limit_s: float = 60.0) -> None:
        """Until Kubernetes says that the node is Ready, or that it is not."""
        wait_for(f"{name(index)}: Ready is {ready}", lambda: self.is_ready(index) == ready, limit_s)

    def is_ready(self, index: int) -> bool:
        path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        return self.cluster.kubectl("get", "node", name(index), "--ignore-not-found", "-o", path) == "True"


def name(index: int) -> str:
    return f"node{index}"


def start(place: Place, cluster: Cluster, count: int) -> Nodes:
    """Boot those that do not run, and wait until all are Ready."""
    sysctls.keep(place)
    for index in range(count):
        if process.pid_of(place, name(index)) is None:
            boot(place, index)
    nodes = Nodes(place, cluster, count)
    for index in range(count):
        nodes.wait_ready(index)
    return nodes


def boot(place: Place, index: int) -> None:
    folder = place.node(index)
    network.add_node(place, index)
    if not place.kubeconfig(name(index)).exists():
        certificates.node(place, index)
    node_config.write(place, index)
    for leftover in ("containerd.sock", "containerd.sock.ttrpc"):
        (folder / leftover).unlink(missing_ok=True)
    shutil.rmtree(folder / "ipam", ignore_errors=True)  # addresses of pods that are no more
    alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    programs = [images.pause(), binaries.path("kubelet"), binaries.path("kube-proxy")]
    init: list[str | Path] = ["bash", INIT, folder, place.cgroup(index), *programs, images.archive()]
    process.start(place, name(index), [*network.at(place, f"n{index}"), *alone, *init])


def crash(place: Place, index: int) -> None:
    process.end(place, name(index), signal.SIGKILL)
    wait_for(f"the end of the cgroups of {name(index)}", lambda: remove_cgroups(place, index))


def remove_cgroups(place: Place, index: int) -> bool:
    """True once none is left; a group goes only when its last process has."""
    for top in Path("/sys/fs/cgroup").glob(f"*/{place.cgroup(index)}"):
        for folder in sorted(top.rglob("*/"), reverse=True):
            remove_group(folder)
        remove_group(top)
    return not any(Path("/sys/fs/cgroup").glob(f"*/{place.cgroup(index)}"))


def remove_group(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return


def indexes(place: Place) -> list[int]:
    """Of all nodes that were ever booted."""
    return sorted(int(folder.name.removeprefix("node")) for folder in place.state.glob("node*"))


def load(place: Place, archives: Sequence[Path]) -> None:
    for index in indexes(place):
        if process.pid_of(place, name(index)) is not None:
            address = place.node(index) / "containerd.sock"
            for archive in archives:
                process.output(["ctr", "-a", address, "-n", "k8s.io", "images", "import", archive])
