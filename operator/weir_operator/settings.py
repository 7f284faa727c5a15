"""What an operator is told at its start."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    namespace: str  # its own: Lease, signing key
    name: str  # of its pod
    default_image: str
    watched: tuple[str, ...] = ()  # none: all namespaces
    kubeconfig: Path | None = None  # None: the pod's service account
    probe_port: int = 8080
    network_policy: bool = False
    monitors: bool = True
