"""The chart installed, one operator with its rights, and pods that are played: shared by the tests of one file."""

import signal
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from box import control_plane_flags, fake_nodes, process
from box.control_plane import ControlPlane
from box.kubernetes import Cluster
from box.place import Place

sys.path.append(str(Path(__file__).parent))

from released import Operator, Pipeline, Release, installed
from stage import Stage


@pytest.fixture(scope="session")
def steady_nodes(control_plane: ControlPlane) -> None:
    """Each start of kwok has other addresses, since it forgets which ones it gave."""
    usual, place, starts = control_plane_flags.kwok, control_plane.place, count(1)

    def flags(place: Place) -> list[str]:
        return [*usual(place), f"--cidr=10.250.{next(starts)}.0/24"]

    control_plane_flags.kwok = flags
    process.end(place, "kwok", signal.SIGKILL)
    process.start(place, "kwok", flags(place))


@pytest.fixture(scope="session")
def stage(cluster: Cluster, steady_nodes: None) -> Iterator[Stage]:
    """And what it plays on."""
    definition = Path(__file__).parents[3] / "crds" / "streamingpipelines.weir.dev.yaml"
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(definition))
    cluster.wait_for_definition("streamingpipelines.weir.dev")
    fake_nodes.add(cluster, 2)
    with Stage(cluster.kubeconfig) as found:
        yield found


@pytest.fixture(scope="module")
def release(cluster: Cluster, stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    with installed(cluster, tmp_path_factory.mktemp("operators")) as found:
        yield found


@pytest.fixture(scope="module")
def operator(release: Release) -> Iterator[Operator]:
    """It leads."""
    with release.operator() as one:
        yield one.wait_ready()


@pytest.fixture
def captions(cluster: Cluster, stage: Stage, namespace: str) -> Iterator[Pipeline]:
    """Not made yet."""
    found = Pipeline(cluster, stage, namespace)
    yield found
    found.kubectl("delete", "spl", "--all")
