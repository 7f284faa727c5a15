"""Operators as their chart runs them, and pipelines whose pods are played (stage.py)."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from box import binaries, fake_nodes
from box.kubernetes import Cluster
from box.process import output
from box.waiting import wait_for
from stage import Object, Stage, serves

from weir_operator import names

ROOT = Path(__file__).parents[3]
WEIR = str(Path(sys.executable).with_name("weir"))
READY_S = 60.0  # what a condition may take that needs some seconds on an idle machine


@dataclass(frozen=True, slots=True)
class Operator:
    process: subprocess.Popen[bytes]
    log: Path

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("}")]
        return [line for line in found if event in ("", line["event"])]

    def ready(self) -> bool:
        """Whether it leads and all its caches are full."""
        said = [line["event"] for line in self.lines() if line["event"] in ("operator started", "leading")]
        if said[-1:] != ["leading"]:
            return False
        try:
            return self._probe("/readyz") == "ok\n"
        except OSError:
            return False

    @property
    def epoch(self) -> int:
        """Only while it leads."""
        lines = self._probe("/metrics").splitlines()
        return int(next(float(line.split()[1]) for line in lines if line.startswith("weir_operator_epoch ")))

    def _probe(self, path: str) -> str:
        port = self.lines("operator started")[-1]["probes"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def wait_ready(self, limit_s: float = READY_S) -> "Operator":
        wait_for(f"{self.log.stem} to lead", self.ready, limit_s, self.log)
        return self

    def end(self, number: int = signal.SIGKILL) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


@dataclass(frozen=True, slots=True)
class Release:
    """The chart, installed without pods of its own: operators are processes here, with its account's rights only."""

    cluster: Cluster
    namespace: str
    account: Path
    command: tuple[str, ...]
    logs: Path

    @contextmanager
    def operator(self, name: str = "one", *more: str) -> Iterator[Operator]:
        """One more, whether it leads or not; its log gets the lines of all of that name."""
        log = self.logs / f"{name}.log"
        with log.open("wb") as out:
            words = [*self.command, *more, "--probe-port=0", f"--kubeconfig={self.account}"]
            process = subprocess.Popen(words, stderr=out, env={**os.environ, "POD_NAME": name})
        try:
            yield Operator(process, log)
        finally:
            process.kill()
            process.wait()

    def forget_lease(self) -> None:
        """So that nobody has to wait until a killed leader's time is over."""
        self.cluster.kubectl("delete", "lease", names.LEASE, f"-n{self.namespace}", "--ignore-not-found")


@contextmanager
def installed(cluster: Cluster, logs: Path) -> Iterator[Release]:
    binaries.build(["helm"])
    with cluster.namespace() as namespace:
        helm = [str(binaries.path("helm")), f"--kubeconfig={cluster.kubeconfig}", f"--namespace={namespace}"]
        output([*helm, "install", "weir", str(ROOT / "charts" / "weir")])
        try:
            deployment = cluster.get("deployment", "weir-operator", f"-n{namespace}")
            cluster.kubectl("delete", "deployment", "weir-operator", f"-n{namespace}")
            _, *command = deployment["spec"]["template"]["spec"]["containers"][0]["command"]
            account = cluster.service_account_kubeconfig(namespace, "weir-operator")
            yield Release(cluster, namespace, account, (WEIR, *command), logs)
        finally:
            output([*helm, "uninstall", "weir"])


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One StreamingPipeline, as its user and its operator see it."""

    cluster: Cluster
    stage: Stage
    namespace: str
    name: str = "captions"

    @property
    def where(self) -> tuple[str, str]:
        return self.namespace, self.name

    def apply(self, **spec: Any) -> None:
        """`kubectl apply`, with what brings its pods to kwok's nodes."""
        runtime = fake_nodes.POD_PLACEMENT | spec.pop("runtime", {})
        self.apply_bare({"runtime": runtime, **spec})

    def apply_bare(self, spec: dict[str, Any]) -> None:
        meta = {"name": self.name}
        manifest: Object = {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": meta, "spec": spec}
        self.cluster.apply(manifest, self.namespace)

    def patch(self, **spec: Any) -> None:
        self.kubectl("patch", "spl", self.name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def kubectl(self, *words: str) -> str:
        return self.cluster.kubectl(*words, f"-n{self.namespace}")

    def found(self) -> Object:
        """As the API server has it; empty: there is none."""
        mine = [
            each for each in self.stage.objects(names.KIND, self.namespace) if each["metadata"]["name"] == self.name
        ]
        return mine[0] if mine else {}

    @property
    def status(self) -> Object:
        status: Object = self.found().get("status", {})
        return status

    def condition(self, kind: str = "Ready") -> tuple[str, str]:
        """Status and reason, of what the newest spec made of it."""
        found = self._condition(kind)
        current = found and found["observedGeneration"] == self.found()["metadata"]["generation"]
        return (found["status"], found["reason"]) if current else ("", "")

    def message(self, kind: str = "Ready") -> str:
        return str(self._condition(kind).get("message", ""))

    def _condition(self, kind: str) -> Object:
        return next((each for each in self.status.get("conditions", []) if each["type"] == kind), {})

    def pods(self) -> list[Object]:
        return self.stage.pods(self.where)

    def serving(self) -> list[Object]:
        return [pod for pod in self.pods() if serves(pod)]

    def uids(self) -> set[str]:
        return {pod["metadata"]["uid"] for pod in self.pods()}

    def memory(self) -> dict[str, Any]:
        """What the operator remembers."""
        wanted = names.policy_config(self.name)
        maps = [each for each in self.stage.objects("ConfigMap", self.namespace) if each["metadata"]["name"] == wanted]
        found: dict[str, Any] = json.loads(maps[0]["data"]["memory.json"]) if maps else {}
        return found

    def revisions(self) -> set[str]:
        """That have a ConfigMap."""
        found = [each["metadata"]["name"] for each in self.stage.objects("ConfigMap", self.namespace)]
        return {
            each.removeprefix(f"{self.name}-") for each in found if re.fullmatch(f"{self.name}-[0-9a-f]{{8}}", each)
        }

    def pod_revisions(self) -> list[str]:
        """Of the pods that serve."""
        return [pod["metadata"]["labels"][names.REVISION_LABEL] for pod in self.serving()]

    def events(self) -> set[str]:
        """Reasons."""
        found = self.stage.objects("Event", self.namespace)
        return {each["reason"] for each in found if each["involvedObject"]["name"] == self.name}

    def wait(self, what: str, check: Callable[[], object], limit_s: float = READY_S) -> None:
        """Raises TimeoutError that says how the pipeline is."""
        try:
            wait_for(what, check, limit_s)
        except TimeoutError as error:
            conditions = [
                f"{each['type']} {each['reason']}: {each['message']}" for each in self.status.get("conditions", [])
            ]
            pods = [pod["metadata"]["name"] for pod in self.pods()]
            raise TimeoutError("\n".join([str(error), *conditions, f"pods {pods}"])) from error

    def wait_condition(self, status: str, reason: str, kind: str = "Ready", limit_s: float = READY_S) -> None:
        self.wait(f"{kind} {status} {reason}", lambda: self.condition(kind) == (status, reason), limit_s)

    def wait_settled(self, pods: int, limit_s: float = READY_S) -> None:
        """So many pods of the newest spec serve, all have acknowledged it, and nothing is being changed."""

        def settled() -> bool:
            return (
                len(self.pods()) == len(self.serving()) == pods
                and self.condition() == ("True", "AllPodsReady")
                and self.condition("Progressing") == ("False", "AllPodsReady")
                and self.condition("ConfigSynced") == ("True", "ConfigApplied")
            )

        self.wait(f"{pods} pods, settled", settled, limit_s)

    def streams(self, *counts: int) -> None:
        """Of its serving pods, by name; the operator knows them afterwards."""
        serving = self.serving()
        for pod, count in zip(serving, counts, strict=True):
            self.stage.player(pod).streams = count
        asked = dict(self.stage.asked)
        uids = [pod["metadata"]["uid"] for pod in serving]
        self.wait("to be asked", lambda: all(self.stage.asked[uid] >= asked[uid] + 2 for uid in uids))

    def end_streams(self) -> None:
        """Of the pods that do not take new ones."""
        for pod in self.pods():
            if not serves(pod) and pod["metadata"]["uid"] in self.stage.played:
                self.stage.player(pod).streams = 0

    def cut_off(self) -> dict[str, int]:
        """Streams that pods had when they were deleted, by pod."""
        ended = self.stage.ended.items()
        return {name: streams for (where, name), streams in ended if where == self.where and streams}

    def moment(self) -> tuple[int, int]:
        """To look back to."""
        return len(self.stage.served), len(self.stage.ready)

    def always_ready(self, since: tuple[int, int], pods: int) -> bool:
        """Whether the condition said so ever since, and so many pods served."""
        served = [count for where, count in self.stage.served[since[0] :] if where == self.where]
        ready = {status for where, status in self.stage.ready[since[1] :] if where == self.where}
        return min(served, default=pods) >= pods and ready <= {"True"}
