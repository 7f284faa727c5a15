"""What README says to type for a first pipeline on Kubernetes, typed as it stands there, in a cluster of its own."""

import os
import re
import subprocess
from collections.abc import Iterator

import pytest
from box import lifecycle, requirements
from box.place import REPOSITORY, Place

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

SECTION = re.compile(r"^## On Kubernetes$.*?^```sh$(.*?)^```$", re.M | re.S)
WATCHED_S = 90  # then Ctrl-C


def commands() -> list[str]:
    found = SECTION.search((REPOSITORY / "README.md").read_text())
    assert found, "README has no commands for Kubernetes"
    return [line.split(" # ")[0].rstrip() for line in found[1].strip().splitlines()]


def pressed(command: str) -> str:
    """A command that would go on for ever is ended, as its comment says."""
    endless = command.endswith("--watch")
    return f"timeout --signal=INT {WATCHED_S} {command} || [ $? = 124 ]" if endless else command


@pytest.fixture
def own() -> Iterator[Place]:
    lacking = requirements.lacking_for_tests() or requirements.lacking_for_nodes()
    if lacking:
        pytest.skip(lacking)
    place = lifecycle.for_tests("-readme")
    yield place
    lifecycle.down(place)


def test_the_commands_of_the_readme_do_what_it_says(own: Place):
    typed = "\n".join(pressed(command) for command in commands())
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", typed],
        cwd=REPOSITORY,
        env=os.environ | {"CLUSTER_NAME": own.name, "CLUSTER_ROOT": str(own.root)},
        capture_output=True, text=True, timeout=580, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    shown = done.stdout
    assert "five\neight\nfour five eight\nnine\nthree\nseven\n" in shown
    rungs = [int(rung) for rung in re.findall(r"^captions +True +\w+ +\w+ +(\d+) ", shown, re.M)]
    assert rungs[0] == rungs[-1] == 0
    assert max(rungs) >= 3
    signal = r"(latencyP95 of \w+ \d+ % of its promise|deviceUtilization \d+ %)"
    assert re.search(rf"Warning +RungInForce .* {signal} \(enter \d+, recover \d+\)", shown)
    assert not own.state.exists()
