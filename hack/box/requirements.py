"""What a machine must have, said in one line where it has not."""

import os
import shutil
from pathlib import Path

from box import binaries, control_plane, ingress

FOR_CONTROL_PLANE = ("ip", "nsenter", "openssl")
FOR_IMAGES = ("buildah", "mmdebstrap", "runc")
FOR_NODES = ("containerd", "runc", "ctr", "iptables", "conntrack", "gcc", "unshare")
CNI_PLUGINS = Path("/usr/lib/cni")
CGROUP_V1 = Path("/sys/fs/cgroup/cpuset/cpuset.cpus")


def lacking_for_control_plane() -> str | None:
    if os.geteuid() != 0:
        return "a cluster needs root (network namespaces)"
    if binaries.missing(control_plane.COMMANDS) and shutil.which("go") is None:
        return "a cluster needs Go to compile Kubernetes once, and there is none"
    return lacking_commands(FOR_CONTROL_PLANE)


def lacking_for_tests() -> str | None:
    """Tests do not compile: their time is limited."""
    unbuilt = "run `hack/cluster build` first: it compiles Kubernetes, once, in about ten minutes"
    return lacking_for_control_plane() or (unbuilt if binaries.missing() else None)


def lacking_for_ingress_tests() -> str | None:
    return None if ingress.fetched() else "run `hack/cluster build` first: it fetches Envoy and Contour's manifests"


def lacking_for_nodes() -> str | None:
    if not CGROUP_V1.exists():
        return "nodes need cgroup v1, and this machine has only v2"
    if not CNI_PLUGINS.exists():
        return f"nodes need Debian's packages: run hack/debian.sh (no {CNI_PLUGINS})"
    return lacking_commands(FOR_NODES)


def lacking_for_images() -> str | None:
    return "images need root (chroots and mounts)" if os.geteuid() != 0 else lacking_commands(FOR_IMAGES)


def lacking_commands(names: tuple[str, ...]) -> str | None:
    absent = [name for name in names if shutil.which(name) is None]
    return f"run hack/debian.sh: {', '.join(absent)} not found" if absent else None
