"""What operators and pods run: the images as they are built from this repository, or this checkout without any."""

import os
import subprocess
from dataclasses import dataclass, field
from typing import Any

from box import checkout
from box.place import REPOSITORY

IMAGES = REPOSITORY / "hack" / "images"
LITTLE = {"requests": {"cpu": "250m", "memory": "768Mi"}}  # all nodes are one machine


@dataclass(frozen=True, slots=True)
class Artifacts:
    """`values` are of charts/weir, `runtime` is `spec.runtime` of the pipeline."""

    says: str
    values: dict[str, Any] = field(default_factory=dict)
    runtime: dict[str, Any] = field(default_factory=dict)


def of_checkout() -> Artifacts:
    return Artifacts("Pods ran the checkout, mounted.", checkout.operator_values(), checkout.overlay())


def of_images() -> Artifacts:
    """Those that the chart names; they are on the nodes already (`load`)."""
    return Artifacts("Pods ran the images.", runtime={"resources": LITTLE, "imagePullPolicy": "IfNotPresent"})


def load(cluster: str) -> None:
    """Build what is not built yet, and import it into the nodes of the box of that name. Raises CalledProcessError."""
    subprocess.run([IMAGES, "load"], env=os.environ | {"CLUSTER_NAME": cluster}, check=True)
