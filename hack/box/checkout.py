"""This checkout inside a pod: an empty root, and the repository, its Python and /usr mounted from the machine.

A runtime image with torch takes minutes and gigabytes; this starts in seconds and runs the code as it lies here, on
the libraries that .venv was made with.
"""

import json
from pathlib import Path
from typing import Any

from box.images import BOX
from box.kubernetes import kubectl_path
from box.place import REPOSITORY
from box.process import output

VENV = REPOSITORY / ".venv"


def overlay() -> dict[str, Any]:
    """`spec.runtime` of a StreamingPipeline whose pods run this checkout; the same keys make a container."""
    mounted = {f"checkout{index}": str(folder) for index, folder in enumerate(folders())}
    programs = f"{VENV}/bin:/usr/local/bin:/usr/bin:/bin"
    return {
        "image": BOX,
        "imagePullPolicy": "Never",
        "resources": {"requests": {"cpu": "250m", "memory": "768Mi"}},  # little: all nodes are this one machine
        "env": [{"name": "PATH", "value": programs}, {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
        "volumes": [{"name": name, "hostPath": {"path": path, "type": "Directory"}} for name, path in mounted.items()],
        "volumeMounts": [{"name": name, "mountPath": path, "readOnly": True} for name, path in mounted.items()],
    }


def operator_values() -> dict[str, Any]:
    """Values of charts/weir with which the operator runs from this checkout."""
    fields = overlay()
    repository, tag = fields["image"].split(":")
    return {
        "image": {"repository": repository, "tag": tag, "pullPolicy": fields["imagePullPolicy"]},
        "extraEnv": fields["env"],
        "extraVolumes": fields["volumes"],
        "extraVolumeMounts": fields["volumeMounts"],
    }


def pipeline(manifest: Path) -> str:
    """A StreamingPipeline's manifest, changed so that its pods run this checkout."""
    patch = json.dumps({"spec": {"runtime": overlay()}})
    return output(
        [kubectl_path(), "patch", "--local", "--type=merge", f"--patch={patch}", "-o", "yaml", "-f", manifest]
    )


def pod(name: str, *command: str) -> dict[str, Any]:
    """A pod that runs a command of .venv once, with no more rights than Weir's own pods have."""
    fields = overlay()
    volumes = [*fields.pop("volumes"), {"name": "tmp", "emptyDir": {}}]
    fields["env"].append({"name": "HOME", "value": "/tmp"})
    fields["volumeMounts"].append({"name": "tmp", "mountPath": "/tmp"})
    restricted = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "containers": [{"name": "main", "command": list(command), "securityContext": restricted, **fields}],
            "volumes": volumes,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532},
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
        },
    }


def folders() -> list[Path]:
    """The repository, the machine's libraries, and the Python that .venv stands on where it lies elsewhere."""
    lines = dict(line.split(" = ", 1) for line in (VENV / "pyvenv.cfg").read_text().splitlines() if " = " in line)
    python = Path(lines["home"]).parent
    wanted = [REPOSITORY, Path("/usr")]
    return wanted if any(python.is_relative_to(folder) for folder in wanted) else [*wanted, python]
