"""The one image that this cluster needs, without a registry: a program that holds a pod open, and an empty root.

Pods get the rest by mounts from the machine (checkout.py, coredns.yaml): what is not copied into an image needs not be
unpacked on each node, which is most of the time and of the disk of a start. Real images come by `hack/cluster load`.
"""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from box import binaries
from box.process import output

BOX = "localhost/box:1"
SOURCE = Path(__file__).with_name("pause.c")
LINKS = {name: f"usr/{name}" for name in ("bin", "sbin", "lib", "lib64")}  # whoever mounts /usr has these too
CONFIG = {"Entrypoint": ["/pause"], "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"], "User": "65534:65534"}


def pause() -> Path:
    """The program, statically linked: the image's, and process 1 of each node."""
    program = folder() / f"pause-{digest()}"
    if not program.exists():
        with TemporaryDirectory(dir=folder()) as work:
            output(["gcc", "-static", "-Os", "-s", "-o", f"{work}/pause", SOURCE])
            Path(work, "pause").rename(program)
    return program


def archive() -> Path:
    """The image as `docker save` would write it."""
    file = folder() / f"box-{digest()}.tar"
    if not file.exists():
        with TemporaryDirectory(dir=folder()) as work:
            packed = Path(work, "box.tar")
            packed.write_bytes(saved(layer(pause())))
            packed.rename(file)
    return file


def folder() -> Path:
    path = binaries.cache() / "images"
    path.mkdir(parents=True, exist_ok=True)
    return path


def digest() -> str:
    """Changes with what the image is made from."""
    return hashlib.sha256(SOURCE.read_bytes() + repr((LINKS, CONFIG)).encode()).hexdigest()[:16]


def layer(program: Path) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        tar.add(program, "pause")
        for name, target in LINKS.items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
        shared = tarfile.TarInfo("tmp")
        shared.type, shared.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(shared)
    return written.getvalue()


def saved(packed_layer: bytes) -> bytes:
    """An archive of one image with one layer."""
    sha256 = hashlib.sha256(packed_layer).hexdigest()
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{sha256}"]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": CONFIG, "rootfs": rootfs}).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": name, "RepoTags": [BOX], "Layers": [f"{sha256}/layer.tar"]}]).encode()
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for path, data in ((name, config), ("manifest.json", manifest), (f"{sha256}/layer.tar", packed_layer)):
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return written.getvalue()
