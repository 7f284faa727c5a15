"""All pods of all pipelines, played: kwok says that they run, and one port here answers for each of them.

A thread of its own follows the cluster by the API server's watches, across its restarts, so tests look at what there is
without asking; and it keeps what no look would show: how few pods ever served, and whose streams were cut off.
"""

import asyncio
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fake_pods import FakePod, Port, answer, obeyed
from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.api_client import ApiClient

from weir_api.control import Drain, Orders, Policy
from weir_operator import names
from weir_operator.informer import Informer
from weir_operator.revisions import read_revision
from weir_operator.transport import Transport

Object = dict[str, Any]
Where = tuple[str, str]  # namespace and name of a pipeline
KINDS = {"Pod": names.PIPELINE_LABEL, "ConfigMap": names.PIPELINE_LABEL, names.KIND: "", "Event": ""}


def serves(pod: Object) -> bool:
    """Whether new streams find it: Ready, and neither on its way out nor deleted."""
    meta = pod["metadata"]
    ready = [each["status"] for each in pod["status"].get("conditions", []) if each["type"] == "Ready"]
    return ready == ["True"] and "deletionTimestamp" not in meta and names.DRAINING not in meta.get("annotations", {})


class Stage:
    """Use as a context manager, in a thread that is in the cluster's network."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._objects: dict[str, dict[tuple[str, str], Object]] = {kind: {} for kind in KINDS}
        self._at: dict[str, Object] = {}  # pods by address
        self._seen, self._stop = threading.Event(), asyncio.Event()
        self._kill: tuple[int, Callable[[], bool]] | None = None
        self.played: dict[str, FakePod] = {}  # by the pod's uid
        self.orders: list[tuple[str, Policy | Drain]] = []  # that were obeyed, with the pod's name
        self.lies: dict[str, bytes] = {}  # what a pod (uid) says instead of a load report
        self.ended: dict[tuple[Where, str], int] = {}  # streams that a pod, by name, had when it was deleted
        self.served: list[tuple[Where, int]] = []  # pods of a pipeline that serve, after each change
        self.ready: list[tuple[Where, str]] = []  # what the condition Ready said, after each change
        self.asked: Counter[str] = Counter()  # how often a pod (uid) was asked for its load

    def __enter__(self) -> "Stage":
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._seen.wait(30), "the stage does not see the cluster"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def objects(self, kind: str, namespace: str) -> list[Object]:
        """By name."""
        return [found for (where, _), found in sorted(list(self._objects[kind].items())) if where == namespace]

    def pods(self, where: Where) -> list[Object]:
        """Of one pipeline, those that are being deleted too; by name."""
        found = self.objects("Pod", where[0])
        return [pod for pod in found if pod["metadata"]["labels"][names.PIPELINE_LABEL] == where[1]]

    def player(self, pod: Object) -> FakePod:
        """Raises KeyError for one that does not run."""
        return self.played[pod["metadata"]["uid"]]

    def kill_when(self, pid: int, check: Callable[[], bool]) -> None:
        """SIGKILL to a process at the very change that makes `check` true, or now."""
        self._kill = pid, check
        self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        if self._kill is not None and self._kill[1]():
            os.kill(self._kill[0], signal.SIGKILL)
            self._kill = None

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        made = Configuration()
        await config.load_kube_config(str(self._kubeconfig), client_configuration=made)  # type: ignore[no-untyped-call]
        async with ApiClient(made) as client:
            transport = Transport(client, lambda verb, kind: None)
            informers = [self._informer(transport, kind, selector) for kind, selector in KINDS.items()]
            tasks = [asyncio.create_task(informer.run()) for informer in informers]
            for informer in informers:
                await informer.synced.wait()
            ports: list[Port] = []

            def port() -> Port:
                ports.append(Port(self))
                return ports[-1]

            server = await self._loop.create_server(port, "0.0.0.0", names.CONTROL_PORT)
            self._seen.set()
            await self._stop.wait()
            server.close()
            for each in ports:
                each.transport.abort()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def _informer(self, transport: Transport, kind: str, selector: str) -> Informer[Object]:
        def changed(old: Object | None, new: Object | None) -> None:
            meta = (new or old or {})["metadata"]
            if new is None:
                del self._objects[kind][meta["namespace"], meta["name"]]
            else:
                self._objects[kind][meta["namespace"], meta["name"]] = new
            if kind == "Pod":
                self._on_pod(old, new)
            elif kind == names.KIND and new is not None:
                conditions = new.get("status", {}).get("conditions", [])
                said = (
                    ((meta["namespace"], meta["name"]), each["status"])
                    for each in conditions
                    if each["type"] == "Ready"
                )
                self.ready.extend(said)
            self._look()

        return Informer(transport, kind, None, selector, lambda found: found, changed)

    def _on_pod(self, old: Object | None, new: Object | None) -> None:
        pod = new or old
        assert pod is not None
        meta = pod["metadata"]
        where = meta["namespace"], meta["labels"][names.PIPELINE_LABEL]
        self.served.append((where, sum(map(serves, self.pods(where)))))
        if (new is None or "deletionTimestamp" in meta) and meta["uid"] in self.played:
            self.ended.setdefault((where, meta["name"]), self.played[meta["uid"]].report(time.time()).streams)
        address = pod["status"].get("podIP")
        if address and new is not None:
            self._at[address] = new
        elif address and self._at[address]["metadata"]["uid"] == meta["uid"]:
            del self._at[address]

    def load(self, address: str) -> bytes:
        pod = self._at.get(address)
        if pod is None or (player := self._player(pod)) is None:
            return answer(503, b'{"status":"loading"}')
        self.asked[pod["metadata"]["uid"]] += 1
        lie = self.lies.get(pod["metadata"]["uid"])
        if lie is not None:
            return answer(200, lie)
        player.render()
        return player.body

    def order(self, address: str, signature: str, body: bytes) -> bytes:
        pod = self._at.get(address)
        if pod is None or (player := self._player(pod)) is None:
            return answer(503, b'{"status":"loading"}')
        name = pod["metadata"]["name"]
        key = self._config(pod)["data"][names.KEY_FILE].strip()
        said = obeyed(player, key, signature, body, lambda order, _: self.orders.append((name, order)))
        self._look()
        return said

    def _player(self, pod: Object) -> FakePod | None:
        """It starts with what its pod mounts."""
        uid = pod["metadata"]["uid"]
        if uid not in self.played and (found := self._config(pod)):
            owner = pod["metadata"]["ownerReferences"][0]["uid"]
            self.played[uid] = FakePod(Orders(owner, uid), read_revision(found).spec)
        return self.played.get(uid)

    def _config(self, pod: Object) -> Object:
        labels = pod["metadata"]["labels"]
        name = names.revision_config(labels[names.PIPELINE_LABEL], labels[names.REVISION_LABEL])
        return self._objects["ConfigMap"].get((pod["metadata"]["namespace"], name), {})
