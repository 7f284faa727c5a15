"""Up and down of a whole cluster. What `down` leaves behind is nothing; that is tested."""

import os
import shutil

from box import binaries, control_plane, network, process, sysctls
from box.control_plane import ControlPlane
from box.place import Place, root_folder

TEST_PREFIX = "test-"  # then the process id of the test run


def control_plane_up(place: Place) -> ControlPlane:
    """The caller is in the cluster's lan afterwards."""
    binaries.build(control_plane.COMMANDS)
    place.state.mkdir(parents=True, exist_ok=True)
    network.make_lan(place)
    network.enter(place)
    return control_plane.start(place)


def down(place: Place) -> None:
    """End everything that belongs to the cluster and remove its folder. Nothing happens where nothing is."""
    for name in reversed(process.started(place)):
        process.end(place, name)
    network.remove(place)
    sysctls.put_back(place)
    shutil.rmtree(place.state, ignore_errors=True)


def sweep() -> None:
    """Take down what test runs that were killed left behind."""
    for folder in root_folder().glob(f"{TEST_PREFIX}*"):
        if process.start_time(int(folder.name.removeprefix(TEST_PREFIX))) is None:
            down(Place(folder.name, folder.parent))


def for_tests() -> Place:
    return Place(f"{TEST_PREFIX}{os.getpid()}", root_folder())
