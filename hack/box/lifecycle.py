"""Up and down of a whole cluster. What `down` leaves behind is nothing; that is tested."""

import os
import shutil
import signal

from box import binaries, control_plane, dns, network, nodes, process, sysctls
from box.control_plane import ControlPlane
from box.kubernetes import Cluster
from box.nodes import Nodes
from box.place import Place, root_folder

TEST_PREFIX = "test-"  # then the process id of the test run, and more where it has several


def control_plane_up(place: Place) -> ControlPlane:
    """The caller is in the cluster's lan afterwards."""
    binaries.build(control_plane.COMMANDS)
    place.state.mkdir(parents=True, exist_ok=True)
    network.make_lan(place)
    network.enter(place)
    return control_plane.start(place)


def nodes_up(place: Place, cluster: Cluster, count: int) -> Nodes:
    """On a control plane that is up: `count` nodes, Ready, with DNS."""
    with network.at_home(place):
        binaries.build(nodes.COMMANDS)
    up = nodes.start(place, cluster, count)
    dns.start(cluster)
    return up


def down(place: Place) -> None:
    """End everything that belongs to the cluster and remove its folder. Nothing happens where nothing is."""
    for index in nodes.indexes(place):
        nodes.crash(place, index)
    for name in reversed(process.started(place)):
        process.end(place, name, signal.SIGKILL)  # nothing is kept that a gentle end would save
    network.remove(place)
    sysctls.put_back(place)
    shutil.rmtree(place.state, ignore_errors=True)


def sweep() -> None:
    """Take down what test runs that were killed left behind."""
    for folder in root_folder().glob(f"{TEST_PREFIX}[0-9]*"):
        if process.start_time(int(folder.name.split("-")[1])) is None:
            down(Place(folder.name, folder.parent))


def for_tests(more: str = "") -> Place:
    return Place(f"{TEST_PREFIX}{os.getpid()}{more}", root_folder())
