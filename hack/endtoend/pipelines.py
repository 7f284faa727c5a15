"""A pipeline of real pods, as whoever runs it sees it: what kubectl says, and what its pods answer."""

import json
import re
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from box import checkout
from box.kubernetes import Cluster
from box.waiting import wait_for

from weir_api.report import LoadReport
from weir_operator import names

Object = dict[str, Any]
READY_S = 120.0  # two cores load the models of several pods at once


@dataclass(frozen=True, slots=True)
class Pipeline:
    """`proxied`: pods are asked through the API server, since their addresses are not reached from here."""

    cluster: Cluster
    namespace: str
    name: str
    proxied: bool = False

    @property
    def where(self) -> str:
        return f"--namespace={self.namespace}"

    def apply(self, **spec: Any) -> None:
        """`spec` whole, in the API's names; runtime's fields come on top of the checkout's."""
        runtime = checkout.overlay() | spec.pop("runtime", {})
        manifest: Object = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": {"name": self.name}}
        self.cluster.apply(manifest | {"spec": spec | {"runtime": runtime}}, self.namespace)

    def patch(self, **spec: Any) -> None:
        """Merge into the spec; None takes a field out."""
        self.cluster.kubectl("patch", "spl", self.name, self.where, "--type=merge", f"-p={json.dumps({'spec': spec})}")

    def scale(self, replicas: int) -> None:
        self.cluster.kubectl("scale", "spl", self.name, f"--replicas={replicas}", self.where)

    def get(self) -> Object:
        return self.cluster.get("spl", self.name, self.where)

    @property
    def status(self) -> Object:
        found: Object = self.get().get("status", {})
        return found

    def condition(self, kind: str) -> tuple[str, str, str]:
        """Its status, reason and message, as far as they are of the spec as it is now."""
        found = self.get()
        for each in found.get("status", {}).get("conditions", []):
            if each["type"] == kind and each["observedGeneration"] == found["metadata"]["generation"]:
                return each["status"], each["reason"], each["message"]
        return "Unknown", "", ""

    def wait(self, kind: str, reason: str, limit_s: float = READY_S) -> str:
        """Until a condition has that reason. Returns the message."""
        wait_for(f"{kind} {reason}", lambda: self.condition(kind)[1] == reason, limit_s)
        return self.condition(kind)[2]

    def wait_ready(self, limit_s: float = READY_S) -> None:
        """All pods that the spec asks for serve, nothing is being changed, and pods report."""
        wait_for(f"{self.name} to be ready", lambda: self.condition("Ready")[1] == "AllPodsReady", limit_s)
        self.wait("Progressing", "AllPodsReady", limit_s)
        self.wait("MetricsAvailable", "ReportsFresh", limit_s)

    def state(self, pod: str) -> str:
        """As status shows it; "" for one that is not there."""
        return next((each["state"] for each in self.status["pods"] if each["name"] == pod), "")

    def uids(self) -> dict[str, tuple[str, int]]:
        """Of pods by name, with their restarts."""
        return {
            name: (pod["metadata"]["uid"], sum(each["restartCount"] for each in pod["status"]["containerStatuses"]))
            for name, pod in self.pods().items()
        }

    def row(self) -> dict[str, str]:
        """`kubectl get spl`, by column."""
        head, line = self.cluster.kubectl("get", "spl", self.name, self.where).splitlines()
        starts = [found.span() for found in re.finditer(r"\S+ *", head)]
        return {head[start:end].strip(): line[start:end].strip() for start, end in starts}

    def described(self) -> str:
        return self.cluster.kubectl("describe", "spl", self.name, self.where)

    def pods(self) -> dict[str, Object]:
        """By name; those on their way out included."""
        chosen = f"--selector={names.PIPELINE_LABEL}={self.name}"
        return {pod["metadata"]["name"]: pod for pod in self.cluster.get("pods", self.where, chosen)["items"]}

    def reports(self) -> dict[str, LoadReport]:
        """Of the pods that have an address."""
        found = {name: pod["status"].get("podIP") for name, pod in self.pods().items()}
        return {name: self.report(name, address) for name, address in found.items() if address}

    def report(self, pod: str, address: str) -> LoadReport:
        if not self.proxied:
            return report(address)
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}:{names.CONTROL_PORT}/proxy/control/load"
        return LoadReport.model_validate_json(self.cluster.kubectl("get", "--raw", path))

    def until(self, what: str, holds: Callable[[LoadReport], bool], limit_s: float = 30.0) -> None:
        """Until it holds of all pods. Raises TimeoutError with what they say else."""
        try:
            wait_for(what, lambda: all(map(holds, self.reports().values())), limit_s)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {self.reports()}") from None

    @property
    def url(self) -> str:
        """Its Service."""
        found = self.cluster.get("service", self.name, self.where)
        return f"http://{found['spec']['clusterIP']}:{names.PUBLIC_PORT}"

    def url_of(self, pod: str) -> str:
        return f"http://{self.pods()[pod]['status']['podIP']}:{names.PUBLIC_PORT}"


def report(address: str) -> LoadReport:
    with urllib.request.urlopen(f"http://{address}:{names.CONTROL_PORT}/control/load", timeout=10) as answer:
        return LoadReport.model_validate_json(answer.read())
