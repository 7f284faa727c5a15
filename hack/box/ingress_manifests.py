"""What Contour publishes to be applied, and the Gateway API's definitions, out of the modules that its go.mod pins.

They are copied into the cache, beside the binary of the same version: an ingress then starts without Go and without a
network, and no copy of them lies in this repository.
"""

import json
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from box import binaries
from box.process import output

PUBLISHED = {  # module → files
    "github.com/projectcontour/contour": "examples/contour/*.yaml",
    "sigs.k8s.io/gateway-api": "config/crd/standard/gateway.networking.k8s.io_*.yaml",
}
DEFINITIONS = ("01-crds.yaml", "gateway.networking.k8s.io_*.yaml")


def folder() -> Path:
    return binaries.path("contour").with_name("manifests")


def definitions() -> list[Path]:
    """Files of CustomResourceDefinitions, which come before everything that uses them."""
    return sorted(file for pattern in DEFINITIONS for file in folder().glob(pattern))


def objects() -> list[Path]:
    """All other files."""
    return sorted(set(folder().glob("*.yaml")) - set(definitions()))


def fetch() -> None:
    """Copy them where the cache lacks them."""
    if folder().exists():
        return
    with binaries.locked(), TemporaryDirectory(dir=binaries.cache()) as work:
        copied = Path(work, "manifests")
        copied.mkdir()
        for module, files in PUBLISHED.items():
            for file in unpacked(module).glob(files):
                shutil.copyfile(file, copied / file.name)
        folder().parent.mkdir(exist_ok=True)
        if not folder().exists():  # another process may have been first
            copied.rename(folder())
    print(f"cluster: copied the manifests of {folder().parent.name}", file=sys.stderr, flush=True)


def unpacked(module: str) -> Path:
    """The module's folder in Go's cache, downloaded if it is not there."""
    chdir = ["env", f"--chdir={binaries.TOOLS / 'contour'}"]
    return Path(json.loads(output([*chdir, "go", "mod", "download", "-json", module]))["Dir"])
