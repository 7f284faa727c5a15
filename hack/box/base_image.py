"""What `FROM python:3.11-slim-bookworm` means where no image registry can be reached: the same from Debian's packages.

Debian 12 with its Python 3.11, made by mmdebstrap through this machine's apt and kept as an archive in the cache. Its
python3 lies in /usr/bin, the official image's in /usr/local/bin: Dockerfiles find it by PATH.
"""

import hashlib
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from box import images
from box.process import output

TAG = "python:3.11-slim-bookworm"
SUITE = "bookworm"
PACKAGES = ("python3-minimal", "python3-venv", "ca-certificates")
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
HOOK = ': > "$1"/etc/apt/sources.list; rm -f "$1"/etc/apt/sources.list.d/* "$1"/etc/resolv.conf "$1"/etc/hostname'
ENVIRONMENT = ("PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8")


def rootfs() -> Path:
    """The root as a tar, made once."""
    file = images.folder() / f"python-{digest()}.tar"
    if not file.exists():
        with TemporaryDirectory(dir=images.folder()) as work:
            made = Path(work, "rootfs.tar")
            output(["mmdebstrap", *options(), SUITE, made, mirror()])
            made.rename(file)
    return file


def options() -> list[str]:
    kept = [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    return ["--mode=root", "--variant=apt", f"--include={','.join(PACKAGES)}", *kept, f"--customize-hook={HOOK}"]


def digest() -> str:
    """Changes with what the image is made from."""
    return hashlib.sha256(json.dumps([options(), SUITE, ENVIRONMENT]).encode()).hexdigest()[:16]


def mirror() -> str:
    """Where this machine's apt gets Debian from. Raises RuntimeError where it is no Debian of that suite."""
    lists = output(["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"])
    found = [line.split()[1] for line in lists.splitlines() if line.split()[:1] == [SUITE]]
    if not found:
        raise RuntimeError(f"no image registry, and apt on this machine knows no Debian {SUITE} to make {TAG} from")
    return found[0]
