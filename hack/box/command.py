"""The subcommands of hack/cluster."""

import os
import sys
from collections.abc import Callable

from box import binaries, kubernetes, lifecycle, network, process, requirements
from box.place import Place, named_by_environment

Command = Callable[[Place, list[str]], int]


def main(words: list[str], usage: str | None) -> int:
    if not words or words[0] not in COMMANDS:
        print(usage, file=sys.stderr)
        return 2
    try:
        return COMMANDS[words[0]](named_by_environment(), words[1:])
    except (RuntimeError, TimeoutError) as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1


def build(place: Place, words: list[str]) -> int:
    binaries.build()
    return 0


def up(place: Place, words: list[str]) -> int:
    lacking = requirements.lacking_for_control_plane()
    if lacking:
        raise RuntimeError(lacking)
    lifecycle.control_plane_up(place)
    return status(place, [])


def down(place: Place, words: list[str]) -> int:
    lifecycle.down(place)
    return 0


def status(place: Place, words: list[str]) -> int:
    for name in process.started(place):
        print(f"{name:24} {'up' if process.pid_of(place, name) else 'DOWN, see ' + str(process.log(place, name))}")
    return kubectl(place, ["get", "nodes"]) if network.exists(place) else 0


def kubectl(place: Place, words: list[str]) -> int:
    network.enter(place)
    return kubernetes.run_kubectl(place.admin, words)


def helm(place: Place, words: list[str]) -> int:
    return client(place, [str(binaries.path("helm")), *words])


def client(place: Place, words: list[str]) -> int:
    network.enter(place)
    os.execvpe(words[0], words, os.environ | {"KUBECONFIG": str(place.admin)})


COMMANDS: dict[str, Command] = {
    "build": build,
    "up": up,
    "down": down,
    "status": status,
    "kubectl": kubectl,
    "helm": helm,
    "client": client,
}
