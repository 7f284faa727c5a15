"""The subcommands of hack/images."""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from box import buildah, nodes, requirements
from box.buildah import CPU, GPU, OPERATOR, Image
from box.place import Place, named_by_environment

BUILT = (OPERATOR, CPU)


def main(words: list[str], usage: str | None) -> int:
    try:
        if run(words):
            return 0
    except (RuntimeError, TimeoutError) as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    print(usage, file=sys.stderr)
    return 2


def run(words: list[str]) -> bool:
    """Whether there is such a subcommand."""
    match words:
        case []:
            build(BUILT)
        case ["operator"]:
            build([OPERATOR])
        case ["gpu"]:
            build([GPU])
        case ["load"]:
            build(BUILT)
            load(named_by_environment())
        case ["save", folder]:
            build(BUILT)
            save(Path(folder))
        case _:
            return False
    return True


def build(images: Sequence[Image]) -> None:
    lacking = requirements.lacking_for_images()
    if lacking:
        raise RuntimeError(lacking)
    for image in images:
        seconds = buildah.build(image)
        print(f"images: {image.tag}  {buildah.size(image) / 1e6:.0f} MB  built in {seconds:.0f} s", flush=True)


def load(place: Place) -> None:
    """Import into each node, one image after the other: an archive is gone before the next is written."""
    if not nodes.indexes(place):
        raise RuntimeError(f"cluster {place.name} has no nodes: `hack/cluster up` makes two")
    for image in BUILT:
        started = time.monotonic()
        with TemporaryDirectory(dir=place.state) as folder:
            archive = Path(folder, "image.tar")
            buildah.save(image, archive)
            nodes.load(place, [archive])
        print(f"images: {image.tag}  on the nodes of {place.name} in {time.monotonic() - started:.0f} s", flush=True)


def save(folder: Path) -> None:
    os.makedirs(folder, exist_ok=True)
    for image in BUILT:
        file = folder / f"weir-{image.part}.tar"
        buildah.save(image, file)
        print(f"images: {file}  {file.stat().st_size / 1e6:.0f} MB", flush=True)
