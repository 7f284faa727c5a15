"""The whole product on real nodes: the chart's Deployment, pipelines of real pods, real speech. Once for each file."""

from collections.abc import Iterator

import pytest
from box.control_plane import ControlPlane
from box.kubernetes import Cluster
from box.nodes import Nodes
from endtoend.deployed import Deployed, deployed
from endtoend.pipelines import Pipeline


@pytest.fixture(scope="module")
def operator(control_plane: ControlPlane, nodes: Nodes) -> Iterator[Deployed]:
    """It leads, as pods of its chart."""
    with deployed(control_plane.cluster) as found:
        yield found


@pytest.fixture(scope="module")
def shared(operator: Deployed, cluster: Cluster) -> Iterator[str]:
    """A namespace for all tests of a file."""
    with cluster.namespace() as name:
        yield name


@pytest.fixture
def another(operator: Deployed, cluster: Cluster, namespace: str) -> Pipeline:
    """Not made yet; for one test alone."""
    return Pipeline(cluster, namespace, "another")
