"""The whole product as it stands in a cluster: what scenarios act on, and when it is whole again."""

from dataclasses import dataclass

from box.control_plane import ControlPlane
from box.kubernetes import Cluster
from box.nodes import Nodes
from box.waiting import wait_for
from endtoend.deployed import Deployed
from endtoend.front_door import FrontDoor
from endtoend.heard import Voice
from endtoend.pipelines import Pipeline
from endtoend.words import Reference

RESUME_S = 120.0  # clients try so long: a lost node is known after half a minute
WHOLE_S = 180.0
CLIPS = (
    "digits/digits_lucas_00.flac",
    "misc/cards_005.flac",
    "digits/digits_theo_04.flac",
    "digits/digits_lucas_10.flac",
)
VOICES = (
    Voice(CLIPS[0], "interactive", RESUME_S),
    Voice(CLIPS[1], "interactive", RESUME_S),
    Voice(CLIPS[2], "standard", RESUME_S),
    Voice(CLIPS[3], "batch", RESUME_S),
    Voice(CLIPS[1], "interactive"),
    Voice(CLIPS[2], "standard"),
)


@dataclass(frozen=True, slots=True)
class Machine:
    """What only a cluster in a box lets us do."""

    plane: ControlPlane
    nodes: Nodes


@dataclass(frozen=True, slots=True)
class Product:
    """`machine` is None in a cluster that KUBECONFIG names; `right` is what undisturbed streams heard, by clip."""

    cluster: Cluster
    machine: Machine | None
    operator: Deployed
    captions: Pipeline
    door: FrontDoor
    right: dict[str, Reference]

    def box(self) -> Machine:
        """For scenarios that are left out where there is none."""
        assert self.machine is not None
        return self.machine

    def wait_whole(self) -> None:
        """Nodes, operators and the pipeline's pods are all there, and nothing is being changed."""
        for index in range(self.machine.nodes.count if self.machine else 0):
            self.box().nodes.wait_ready(index)
        wait_for("all operators", self.operator.is_ready, WHOLE_S)
        wait_for("a leader", lambda: self.operator.leader() in self.operator.pods(), WHOLE_S)
        self.captions.wait_ready(WHOLE_S)
        wait_for("the front door", lambda: all(map(self.door.serves, self.door.addresses)), WHOLE_S)
