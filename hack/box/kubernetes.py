"""What tests ask of any cluster, their own or one that KUBECONFIG names, through kubectl."""

import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from box import binaries, certificates
from box.process import output
from box.waiting import wait_for


@dataclass(frozen=True, slots=True)
class Cluster:
    """`kubeconfig` belongs to an admin; other users' files are written into `folder`."""

    kubeconfig: Path
    folder: Path

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """What it printed. Raises RuntimeError with what it said on stderr."""
        return output([kubectl_path(), f"--kubeconfig={self.kubeconfig}", *words], stdin)

    def get(self, *words: str) -> dict[str, Any]:
        """`kubectl get … -o json`, parsed."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *words, "-o", "json"))
        return found

    def apply(self, manifest: dict[str, object], namespace: str = "default") -> None:
        """Server-side apply of one object or a List."""
        self.kubectl("apply", "--server-side", f"--namespace={namespace}", "-f", "-", stdin=json.dumps(manifest))

    def wait_for_definition(self, name: str) -> None:
        """Until the API server serves it. `kubectl wait` fails on one that is so new that it has no conditions."""

        def served() -> bool:
            conditions = self.get("crd", name).get("status", {}).get("conditions") or []
            return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)

        wait_for(f"the definition {name}", served)

    @contextmanager
    def namespace(self) -> Iterator[str]:
        """A fresh namespace with its default service account; deleted afterwards, without waiting for the end."""
        name = f"test-{secrets.token_hex(4)}"
        self.kubectl("create", "namespace", name)
        self.kubectl("wait", "--for=create", "--timeout=30s", f"--namespace={name}", "serviceaccount/default")
        try:
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false")

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """A kubeconfig with a real token of the service account, which is made if it is not there."""
        where = f"--namespace={namespace}"
        if not self.kubectl("get", "serviceaccount", name, where, "--ignore-not-found"):
            self.kubectl("create", "serviceaccount", name, where)
        token = self.kubectl("create", "token", name, where, "--duration=2h").strip()
        mine = json.loads(self.kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "json"))
        server = mine["clusters"][0]["cluster"]
        authority = f"certificate-authority-data: {server.get('certificate-authority-data', '')}"
        file = self.folder / f"{namespace}-{name}.kubeconfig"
        file.write_text(certificates.kubeconfig(authority, f'token: "{token}"', server["server"]))
        file.chmod(0o600)
        return file


def kubectl_path() -> str:
    built = binaries.path("kubectl")
    return str(built) if built.exists() else shutil.which("kubectl") or "kubectl"
