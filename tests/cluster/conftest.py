"""A real Kubernetes for tests marked `cluster`: of their own, the one CLUSTER_NAME names, or the one KUBECONFIG names.

From the first use of `cluster` on, this process lives in the cluster's network: API server, pods and services are
reached by plain addresses, and 127.0.0.1 is the cluster's, shared with whatever else the tests start from here on.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "hack"))

from box import lifecycle, network, process, requirements
from box.control_plane import API, ControlPlane
from box.kubernetes import Cluster
from box.place import Place, named_by_environment


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cluster: needs a Kubernetes; makes one where it is root and has Go")


@pytest.fixture(scope="session")
def own_control_plane() -> Iterator[ControlPlane | None]:
    """None where KUBECONFIG names a cluster; skips where the machine cannot have one."""
    if os.environ.get("KUBECONFIG"):
        yield None
        return
    lacking = requirements.lacking_for_control_plane()
    if lacking:
        pytest.skip(lacking)
    lifecycle.sweep()
    place = named_by_environment()
    if "CLUSTER_NAME" in os.environ and process.pid_of(place, API):
        with network.entered(place):
            yield lifecycle.control_plane_up(place)
        return
    yield from for_this_run(lifecycle.for_tests())


def for_this_run(place: Place) -> Iterator[ControlPlane]:
    network.make_lan(place)
    try:
        with network.entered(place):
            yield lifecycle.control_plane_up(place)
    finally:
        lifecycle.down(place)


@pytest.fixture(scope="session")
def cluster(own_control_plane: ControlPlane | None, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """Any cluster, as admin."""
    if own_control_plane:
        return own_control_plane.cluster
    return Cluster(Path(os.environ["KUBECONFIG"]), tmp_path_factory.mktemp("kubeconfigs"))


@pytest.fixture(scope="session")
def control_plane(own_control_plane: ControlPlane | None) -> ControlPlane:
    """The processes behind it, to be stopped and started."""
    if own_control_plane is None:
        pytest.skip("KUBECONFIG names a cluster whose API server is not ours to restart")
    return own_control_plane


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A fresh one for each test."""
    with cluster.namespace() as name:
        yield name
