"""Kubernetes and its companions, compiled from the pinned modules in hack/tools into the user's cache.

A version stands in one place, hack/tools/<tool>/go.mod; it is read from there and keys the cache, so that a binary is
compiled once per version. A cold build needs the Go module proxy and takes minutes; a second process waits for it.
"""

import fcntl
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(__file__).parents[1] / "tools"
VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


@dataclass(frozen=True, slots=True)
class Tool:
    """One module of hack/tools: `commands` are binary name → package."""

    name: str
    module: str
    commands: dict[str, str]


KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
TOOLS_TO_BUILD = (
    Tool("kubernetes", "k8s.io/kubernetes", {name: f"k8s.io/kubernetes/cmd/{name}" for name in KUBERNETES}),
    Tool("etcd", "go.etcd.io/etcd/server/v3", {"etcd": "go.etcd.io/etcd/server/v3"}),
    Tool("kwok", "sigs.k8s.io/kwok", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"}),
    Tool("helm", "helm.sh/helm/v4", {"helm": "helm.sh/helm/v4/cmd/helm"}),
    Tool("coredns", "github.com/coredns/coredns", {"coredns": "github.com/coredns/coredns"}),
    Tool("contour", "github.com/projectcontour/contour", {"contour": "github.com/projectcontour/contour/cmd/contour"}),
)
BY_COMMAND = {command: tool for tool in TOOLS_TO_BUILD for command in tool.commands}


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "weir"


def version(tool: Tool) -> str:
    """The version that go.mod pins, such as v1.34.4."""
    found = re.search(
        rf"^\s*(?:require )?{re.escape(tool.module)} (v\S+)", (TOOLS / tool.name / "go.mod").read_text(), re.M
    )
    if found is None:
        raise RuntimeError(f"hack/tools/{tool.name}/go.mod does not require {tool.module}")
    return found[1]


def path(command: str) -> Path:
    """Where a binary lies once it is built: weir/kube-v1.34.4/kubelet in the cache."""
    tool = BY_COMMAND[command]
    folder = "kube" if tool.name == "kubernetes" else tool.name
    return cache() / f"{folder}-{version(tool)}" / command


def missing(commands: Iterable[str] = tuple(BY_COMMAND)) -> list[str]:
    return [command for command in commands if not path(command).exists()]


def build(commands: Iterable[str] = tuple(BY_COMMAND)) -> None:
    """Compile what the cache lacks of them. Says what it builds and how long it took."""
    if not missing(commands):
        return
    with locked():
        for command in missing(commands):
            started = time.monotonic()
            compile_one(BY_COMMAND[command], command)
            print(f"cluster: built {command} in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


@contextmanager
def locked() -> Iterator[None]:
    """One process at a time fills the cache."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def compile_one(tool: Tool, command: str) -> None:
    target = path(command)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{command}")
    flags = " ".join(["-s -w", *stamp(tool)])
    subprocess.run(
        ["go", "build", "-trimpath", "-pgo=off", "-ldflags", flags, "-o", str(unfinished), tool.commands[command]],
        cwd=TOOLS / tool.name,
        env=os.environ | {"GOTOOLCHAIN": "local", "CGO_ENABLED": "0"},
        check=True,
    )
    unfinished.rename(target)


def stamp(tool: Tool) -> list[str]:
    """Linker flags that write the version in: without them the server says v0.0.0 and charts refuse it."""
    if tool.name != "kubernetes":
        return []
    release = version(tool)
    major, minor, _ = release.removeprefix("v").split(".")
    values = {
        "gitVersion": release,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    return [f"-X {package}.{name}={value}" for package in VERSION_PACKAGES for name, value in values.items()]
