"""Weir's images by buildah: no Docker, no registry, storage in the user's cache.

What this machine's pip is told, and the authorities that it trusts, reach a build as mounted files: in no layer.
"""

import os
import re
import subprocess
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from box import base_image, binaries
from box.place import REPOSITORY
from box.process import output

AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
OF_THIS_MACHINE = ("find-links", "cert", "target", "prefix", "user", "require-virtualenv", "cache-dir")


@dataclass(frozen=True, slots=True)
class Image:
    """`part` is the folder of the Dockerfile, `target` a stage of it."""

    part: str
    target: str | None = None

    @property
    def tag(self) -> str:
        """The name by which the chart finds it: its appVersion; gpu's is apart."""
        return f"docker.io/weir/{self.part}:{version()}{'-gpu' if self.target == 'gpu' else ''}"


OPERATOR = Image("operator")
CPU = Image("runtime", "cpu")
GPU = Image("runtime", "gpu")


def version() -> str:
    return str(tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"])


def command(*words: str | Path) -> list[str | Path]:
    storage = binaries.cache() / "buildah"
    return ["buildah", "--root", storage / "root", "--runroot", storage / "run", "--storage-driver", "overlay", *words]


def exists(tag: str) -> bool:
    return subprocess.run(command("inspect", "--type", "image", tag), capture_output=True, check=False).returncode == 0


def base() -> None:
    """Make the tag that the Dockerfiles start from."""
    made = f"localhost/weir-base:{base_image.digest()}"
    if not exists(made):
        container = output(command("from", "scratch")).strip()
        output(command("add", "--quiet", container, base_image.rootfs(), "/"))
        settings = [word for value in base_image.ENVIRONMENT for word in ("--env", value)]
        output(command("config", *settings, "--cmd", "python3", container))
        output(command("commit", "--quiet", "--rm", container, made))
    output(command("tag", made, f"docker.io/library/{base_image.TAG}", f"localhost/{base_image.TAG}"))


def build(image: Image) -> float:
    """Build it, layers from the cache where they are unchanged. Returns seconds. Raises RuntimeError."""
    started = time.monotonic()
    base()
    chosen = ["--target", image.target] if image.target else []
    index = os.environ.get("TORCH_INDEX")
    argument = ["--build-arg", f"TORCH_INDEX={index}"] if index and image.target == "cpu" else []
    with mounted() as volumes:
        alone = ["--network", "host", "--runtime", "/usr/bin/runc", "--pull-never", "--layers", *volumes]
        file = REPOSITORY / image.part / "Dockerfile"
        output(command("build", *alone, *chosen, *argument, "--tag", image.tag, "--file", file, REPOSITORY))
    return time.monotonic() - started


@contextmanager
def mounted() -> Iterator[list[str]]:
    """Options that show a build what this machine's pip knows."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "pip.conf")
        file.write_text(pip_config(output(["python3", "-m", "pip", "config", "list"])))
        volumes = ["--volume", f"{file}:/etc/pip.conf:ro"]
        yield [*volumes, "--volume", f"{AUTHORITIES}:{AUTHORITIES}:ro"] if AUTHORITIES.exists() else volumes


def pip_config(listed: str) -> str:
    """A pip.conf of what `pip config list` printed, environment and files together; paths of this disk are left out."""
    kept = {"cert": str(AUTHORITIES)} if AUTHORITIES.exists() else {}
    for section, key, value in re.findall(r"^([^.\s]+)\.(\S+)='(.*)'$", listed, re.M):
        if section in ("global", "install", ":env:") and key not in OF_THIS_MACHINE:
            kept[key] = value.replace("\\n", "\n ")
    return "\n".join(["[global]", *(f"{key} = {value}" for key, value in kept.items()), ""])


def size(image: Image) -> int:
    """Bytes, not compressed."""
    listed = output(command("images", "--format", "{{.Size}}", image.tag)).splitlines()[0]
    number, unit = listed.split()
    return int(float(number) * {"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9}[unit.upper()])


def save(image: Image, file: Path) -> None:
    """An archive as `docker save` writes it. Raises RuntimeError."""
    file.unlink(missing_ok=True)
    output(command("push", "--quiet", image.tag, f"docker-archive:{file}:{image.tag}"))
