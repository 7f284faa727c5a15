"""Kernel settings that nodes need or write, taken down before the first node and put back after the last.

They belong to the whole machine: each cluster with nodes leaves one file, a copy of what was there before all of
them, so that the order in which clusters end does not matter.
"""

from pathlib import Path

from box.place import Place

FOLDER = Path("/run/weir-cluster")
WRITTEN_BY_KUBELET = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")
INOTIFY, INOTIFY_INSTANCES = "fs/inotify/max_user_instances", "1024"  # kubelets and containerds use hundreds


def keep(place: Place) -> None:
    FOLDER.mkdir(exist_ok=True)
    if mine(place).exists():
        return
    others = sorted(FOLDER.iterdir())
    names = (*WRITTEN_BY_KUBELET, INOTIFY)
    before = others[0].read_text() if others else "".join(f"{name} {read(name)}\n" for name in names)
    mine(place).write_text(before)
    if int(read(INOTIFY)) < int(INOTIFY_INSTANCES):
        write(INOTIFY, INOTIFY_INSTANCES)


def put_back(place: Place) -> None:
    if not mine(place).exists():
        return
    before = mine(place).read_text()
    mine(place).unlink()
    if not any(FOLDER.iterdir()):
        FOLDER.rmdir()
        for line in before.splitlines():
            write(*line.split())


def mine(place: Place) -> Path:
    return FOLDER / place.name


def read(name: str) -> str:
    return (Path("/proc/sys") / name).read_text().strip()


def write(name: str, value: str) -> None:
    if read(name) != value:
        (Path("/proc/sys") / name).write_text(value)
