"""Where models come from: from the words of a manifest to a `.nemo` file on this machine.

    embedded://large            shipped inside the package
    file:///models/x.nemo       a path
    pvc://x.nemo                a path below the volume that Kubernetes mounts (/models, or $WEIR_PVC_ROOT)
    hf://owner/repo[@revision][/file.nemo]   from a hub, fetched before by `weir models pull` ($HF_ENDPOINT, $HF_HOME)

Serving never downloads: a pod that starts must not depend on a hub.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

EMBEDDED = ("large", "small")
PVC_ROOT = "/models"
Progress = Callable[[int, int], None]  # bytes done, bytes in all (0: not known)


class SourceError(ValueError):
    """A source that names no model that can be had here; says what to do."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """What an hf:// source names."""

    repo: str
    revision: str | None
    file: str | None  # None: the only .nemo of the repository


def resolve(source: str) -> Path:
    """The file that `source` names; raises SourceError where it is not on this machine."""
    scheme, _, rest = source.partition("://")
    match scheme:
        case "embedded":
            if rest not in EMBEDDED:
                raise SourceError(f"{source}: embedded models are {', '.join(EMBEDDED)}")
            return Path(str(files("weir_runtime"))) / "models" / "embedded" / f"{rest}.nemo"
        case "file":
            return _existing(source, Path(rest))
        case "pvc":
            return _existing(source, Path(os.environ.get("WEIR_PVC_ROOT", PVC_ROOT)) / rest)
        case "hf":
            return _cached(source, parse_hub(source))
    raise SourceError(f"{source}: a source begins with embedded://, file://, pvc:// or hf://")


def parse_hub(source: str) -> HubFile:
    """hf://owner/repo[@revision][/file.nemo] in its parts."""
    owner, _, rest = source.removeprefix("hf://").partition("/")
    named, _, file = rest.partition("/")
    name, _, revision = named.partition("@")
    if not owner or not name:
        raise SourceError(f"{source}: a hub source is hf://owner/repo[@revision][/file.nemo]")
    return HubFile(f"{owner}/{name}", revision or None, file or None)


def pull(source: str, progress: Progress) -> Path:
    """Fetch an hf:// source into the hub's cache; what is there already is not fetched again. Raises SourceError."""
    from huggingface_hub import hf_hub_download, list_repo_files
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    from huggingface_hub.utils import httpx  # whichever HTTP library it uses; its errors come through

    wanted = parse_hub(source)
    try:
        file = wanted.file or _only_checkpoint(source, list_repo_files(wanted.repo, revision=wanted.revision))
        fetched = hf_hub_download(wanted.repo, file, revision=wanted.revision, tqdm_class=_reporting(progress))
    except (HfHubHTTPError, HFValidationError, httpx.HTTPError, OSError) as error:
        raise SourceError(f"{source}: cannot be fetched: {_why(error)}") from error
    return Path(fetched)


def _why(error: Exception) -> str:
    """One line; of the hub's several the second says what is wrong, the first only which status."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[1 if len(lines) > 1 and "Client Error" in lines[0] else 0]


def _existing(source: str, path: Path) -> Path:
    if not path.is_file():
        raise SourceError(f"{source}: there is no file {path}")
    return path


def _cached(source: str, wanted: HubFile) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(wanted.repo, revision=wanted.revision, local_files_only=True))
    except HFValidationError as error:
        raise SourceError(f"{source}: {_why(error)}") from error
    except LocalEntryNotFoundError as error:
        raise SourceError(f"{source}: not on this machine; run `weir models pull {source}`") from error
    names = [str(path.relative_to(folder)) for path in folder.rglob("*.nemo")]
    file = wanted.file or _only_checkpoint(source, names)
    if not (folder / file).is_file():
        raise SourceError(f"{source}: not on this machine; run `weir models pull {source}`")
    return folder / file


def _only_checkpoint(source: str, names: list[str]) -> str:
    checkpoints = sorted(name for name in names if name.endswith(".nemo"))
    if len(checkpoints) != 1:
        found = ", ".join(checkpoints) or "none"
        raise SourceError(f"{source}: name one .nemo file of the repository, as in {source}/file.nemo; it has {found}")
    return checkpoints[0]


def _reporting(progress: Progress) -> type[Any]:
    """The hub's progress bar, as a class that only reports."""
    from tqdm.auto import tqdm

    class Reporting(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            super().__init__(*args, **(kwargs | {"disable": False, "file": _Nowhere()}))

        def update(self, n: float | None = 1) -> bool | None:
            done = super().update(n)
            progress(int(self.n), int(self.total or 0))
            return bool(done)

    return Reporting


class _Nowhere:
    """A file that forgets."""

    def write(self, _: str) -> int:
        return 0

    def flush(self) -> None:
        pass
