"""Where one cluster lives: its name, its folder and its addresses.

Each cluster has network namespaces of its own, so all of them use the same addresses and several run at once; only
what the whole machine shares (namespaces' and cgroups' names, the folder) carries the cluster's name.
"""

import os
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

LAN = "10.99.0"  # clients and the control plane at .1, node N at .(20 + N)
LAN_IP = f"{LAN}.1"
API_URL = f"https://{LAN_IP}:6443"
ETCD_URL = "https://127.0.0.1:2379"
POD_NET = "10.244"  # node N hands out 10.244.N.0/24
FAKE_POD_CIDR = "10.250.0.0/16"  # addresses of kwok's pods
SERVICE_CIDR = "10.96.0.0/16"
SERVICE_API_IP = "10.96.0.1"
SERVICE_DNS_IP = "10.96.0.10"


@dataclass(frozen=True, slots=True)
class Place:
    name: str
    root: Path

    @property
    def state(self) -> Path:
        return self.root / self.name

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def kubeconfigs(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def admin(self) -> Path:
        return self.kubeconfig("admin")

    @property
    def logs(self) -> Path:
        return self.state / "log"

    @property
    def run(self) -> Path:
        return self.state / "run"

    def kubeconfig(self, user: str) -> Path:
        return self.kubeconfigs / f"{user}.kubeconfig"

    def node(self, index: int) -> Path:
        return self.state / f"node{index}"

    def cgroup(self, index: int) -> str:
        return f"weir-{self.name}-node{index}"

    def namespace(self, machine: str) -> str:
        return f"weir-{self.name}-{machine}"


def node_ip(index: int) -> str:
    return f"{LAN}.{20 + index}"


def root_folder() -> Path:
    """.cluster in the repository, or $CLUSTER_ROOT."""
    return Path(os.environ.get("CLUSTER_ROOT") or REPOSITORY / ".cluster").absolute()


def named_by_environment() -> Place:
    """The cluster that CLUSTER_NAME and CLUSTER_ROOT name; `dev` where they are silent."""
    return Place(os.environ.get("CLUSTER_NAME") or "dev", root_folder())
