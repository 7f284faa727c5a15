"""A real Kubernetes for tests marked `cluster`: of their own, the one CLUSTER_NAME names, or the one KUBECONFIG names.

From the first use of `cluster` on, this process lives in the cluster's network: API server, pods and services are
reached by plain addresses, and 127.0.0.1 is the cluster's, shared with whatever else the tests start from here on.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from box import lifecycle, network, process, requirements
from box.control_plane import API, ControlPlane
from box.kubernetes import Cluster
from box.nodes import Nodes
from box.place import Place, named_by_environment


@pytest.fixture(scope="session")
def own_control_plane() -> Iterator[ControlPlane | None]:
    """None where KUBECONFIG names a cluster; skips where the machine cannot have one."""
    named = "CLUSTER_NAME" in os.environ
    if os.environ.get("KUBECONFIG") and not named:
        yield None
        return
    lacking = requirements.lacking_for_tests()
    if lacking:
        pytest.skip(lacking)
    place = named_by_environment()
    if named and process.pid_of(place, API):
        with network.entered(place):
            yield lifecycle.control_plane_up(place)
        return
    lifecycle.sweep()
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


@pytest.fixture(scope="session")
def nodes(control_plane: ControlPlane) -> Nodes:
    """Two real ones, and DNS. A test that cuts or crashes one heals or boots it."""
    lacking = requirements.lacking_for_nodes()
    if lacking:
        pytest.skip(lacking)
    return lifecycle.nodes_up(control_plane.place, control_plane.cluster, 2)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A fresh one for each test."""
    with cluster.namespace() as name:
        yield name
