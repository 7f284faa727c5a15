"""Network namespaces joined by a bridge; nothing touches the host's own network.

`lan` holds the bridge, the control plane and the clients; each node is a machine at the bridge. A process that talks
to the cluster moves into `lan` once (`enter`), with everything that it starts later: from there the API server, the
nodes, pods and services are reached by plain addresses, and 127.0.0.1 works as everywhere. (The other way, ports
relayed to the host, would reach the API server but neither pods nor services.)
"""

import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from box.place import FAKE_POD_CIDR, LAN_IP, POD_NET, SERVICE_CIDR, Place, node_ip
from box.process import output

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def ip(words: str) -> None:
    output(["ip", *words.split()])


def handle(place: Place, machine: str) -> Path:
    return Path("/run/netns") / place.namespace(machine)


def exists(place: Place, machine: str = "lan") -> bool:
    return handle(place, machine).exists()


def make_lan(place: Place) -> None:
    """The bridge, and routes to services (through node 0) and to kwok's pods (this namespace answers for them)."""
    if exists(place):
        return
    lan = place.namespace("lan")
    ip(f"netns attach {place.namespace('home')} {os.getpid()}")
    ip(f"netns add {lan}")
    ip(f"-n {lan} link set lo up")
    ip(f"-n {lan} link add br0 type bridge")
    ip(f"-n {lan} addr add {LAN_IP}/24 dev br0")
    ip(f"-n {lan} link set br0 up")
    ip(f"-n {lan} route add {SERVICE_CIDR} via {node_ip(0)}")
    ip(f"-n {lan} route add local {FAKE_POD_CIDR} dev lo")
    set_in(place, "lan", "ip_forward=1", "conf.all.send_redirects=0", "conf.default.send_redirects=0")


def add_node(place: Place, index: int) -> None:
    """A machine at the bridge, and the way to its pods. An address outside the cluster needs a default route too:
    without one, service addresses fail on the node itself."""
    lan, machine = place.namespace("lan"), f"n{index}"
    node = place.namespace(machine)
    if not exists(place, machine):
        ip(f"netns add {node}")
        ip(f"-n {node} link set lo up")
        ip(f"-n {lan} link add {machine} type veth peer name eth0 netns {node}")
        ip(f"-n {lan} link set {machine} master br0 up")
        ip(f"-n {node} addr add {node_ip(index)}/24 dev eth0")
        ip(f"-n {node} link set eth0 up")
        ip(f"-n {node} route add default via {LAN_IP}")
        set_in(place, machine, "ip_forward=1")
    ip(f"-n {lan} route replace {POD_NET}.{index}.0/24 via {node_ip(index)}")


def cut(place: Place, index: int) -> None:
    ip(f"-n {place.namespace('lan')} link set n{index} down")


def heal(place: Place, index: int) -> None:
    ip(f"-n {place.namespace('lan')} link set n{index} up")


def remove(place: Place) -> None:
    ours = re.compile(re.escape(place.namespace("")) + r"(lan|home|n\d+)")
    for file in Path("/run/netns").glob("*"):
        if ours.fullmatch(file.name):
            ip(f"netns del {file.name}")


def at(place: Place, machine: str) -> list[str]:
    """Words before a command that run it on a machine. Not `ip netns exec`: that mounts /sys anew."""
    return ["nsenter", f"--net={handle(place, machine)}"]


def set_in(place: Place, machine: str, *settings: str) -> None:
    output([*at(place, machine), "sysctl", "-qw", *(f"net.ipv4.{setting}" for setting in settings)])


def enter(place: Place) -> None:
    """This thread, and all threads and processes that it starts from now on, live in the cluster's lan."""
    move_to(handle(place, "lan"))


@contextmanager
def entered(place: Place) -> Iterator[None]:
    """The same for a while."""
    with moved_to(handle(place, "lan")):
        yield


@contextmanager
def at_home(place: Place) -> Iterator[None]:
    """Back in the network that the cluster was made from for a while: downloads are possible there alone."""
    with moved_to(handle(place, "home")):
        yield


@contextmanager
def moved_to(namespace: Path) -> Iterator[None]:
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    move_to(namespace)
    try:
        yield
    finally:
        set_namespace(before)
        os.close(before)


def move_to(namespace: Path) -> None:
    file = os.open(namespace, os.O_RDONLY)
    try:
        set_namespace(file)
    finally:
        os.close(file)


def set_namespace(file: int) -> None:
    if LIBC.setns(file, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter the network namespace (root is needed)")
