"""CoreDNS: names of services inside the cluster, nothing else."""

from pathlib import Path

from box import binaries
from box.images import BOX
from box.kubernetes import Cluster
from box.place import SERVICE_DNS_IP

MANIFEST = Path(__file__).with_name("coredns.yaml")


def start(cluster: Cluster) -> None:
    """Apply it and wait until it answers."""
    text = MANIFEST.read_text()
    for name, value in {"IMAGE": BOX, "BINARY": str(binaries.path("coredns")), "ADDRESS": SERVICE_DNS_IP}.items():
        text = text.replace(f"${name}", value)
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=text)
    cluster.kubectl("rollout", "status", "deployment/coredns", "--namespace=kube-system", "--timeout=90s")
