"""etcd, kube-apiserver, controller-manager, scheduler and kwok, in the cluster's lan namespace.

It is a whole cluster for everything but running containers: RBAC, service accounts, garbage collection, and nodes
faked by kwok (label type=kwok). The caller is in the lan already (`network.enter`). etcd does not wait for the disk:
a power cut loses this cluster, no test does.
"""

import json
import signal
from dataclasses import dataclass

from box import certificates, control_plane_flags, process
from box.https import Server
from box.kubernetes import Cluster
from box.place import API_URL, ETCD_URL, Place
from box.waiting import wait_for

API = "kube-apiserver"
COMMANDS = ("etcd", API, "kube-controller-manager", "kube-scheduler", "kwok", "kubectl")


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """A running one; `cluster` is what any cluster can do, the methods here are what only one's own can."""

    place: Place
    cluster: Cluster

    def stop_apiserver(self, kill: bool = False) -> None:
        """End the API server, at once with `kill`; etcd keeps what it held."""
        process.end(self.place, API, signal.SIGKILL if kill else signal.SIGTERM)

    def start_apiserver(self) -> None:
        """Start it and wait until it is ready, then its own clients anew: left alone, they may wait half a minute
        before they look again. Does nothing while it runs."""
        if process.pid_of(self.place, API) is not None:
            return
        process.start(self.place, API, control_plane_flags.apiserver(self.place))
        wait_for(API, self.apiserver_is_ready, log=process.log(self.place, API))
        for name, command in controllers(self.place).items():
            process.end(self.place, name, signal.SIGKILL)
            process.start(self.place, name, command)

    def apiserver_is_ready(self) -> bool:
        """Raises RuntimeError if it ended."""
        if process.pid_of(self.place, API) is None:
            raise RuntimeError(f"{API} ended: see {process.log(self.place, API)}")
        return apiserver(self.place).good("/readyz")

    def restart_apiserver(self, kill: bool = False) -> None:
        self.stop_apiserver(kill)
        self.start_apiserver()

    def compact(self) -> int:
        """Forget all revisions but the newest in etcd, and return that one. Clients see it once the API server, which
        remembers recent ones itself, is started anew."""
        _, answer = etcd(self.place).ask("POST", "/v3/kv/range", {"key": "AA=="})
        revision = int(json.loads(answer)["header"]["revision"])
        status, answer = etcd(self.place).ask("POST", "/v3/kv/compaction", {"revision": revision, "physical": True})
        if status != 200 and "has been compacted" not in answer:
            raise RuntimeError(f"etcd did not compact: {answer}")
        return revision

    def forget_history(self) -> None:
        """Make every resource version and list page that a client holds from before 410 Gone. Takes about 4 s."""
        self.stop_apiserver()
        self.compact()
        self.start_apiserver()


def start(place: Place) -> ControlPlane:
    """Start what does not run yet, and wait until objects can be made and service accounts appear."""
    certificates.make_all(place)
    plane = ControlPlane(place, Cluster(place.admin, place.kubeconfigs))
    (place.state / "etcd").mkdir(mode=0o700, exist_ok=True)
    if process.pid_of(place, "etcd") is None:
        process.start(place, "etcd", control_plane_flags.etcd(place))
    plane.start_apiserver()
    wait_for(
        "the first service account",
        lambda: apiserver(place).good("/api/v1/namespaces/default/serviceaccounts/default"),
        log=process.log(place, "kube-controller-manager"),
    )
    let_apiserver_use_kubelets(place)
    return plane


def controllers(place: Place) -> dict[str, list[str]]:
    """Commands of what works through the API server, by name."""
    return {
        "kube-controller-manager": control_plane_flags.controller_manager(place),
        "kube-scheduler": control_plane_flags.scheduler(place),
        "kwok": control_plane_flags.kwok(place),
    }


def apiserver(place: Place) -> Server:
    return Server(API_URL, place.pki / "ca.crt", place.pki / "admin.crt", place.pki / "admin.key")


def etcd(place: Place) -> Server:
    return Server(ETCD_URL, place.pki / "etcd-ca.crt", place.pki / "etcd-client.crt", place.pki / "etcd-client.key")


def let_apiserver_use_kubelets(place: Place) -> None:
    """Logs and exec: bind the role that Kubernetes ships for it."""
    user = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "kube-apiserver-kubelet-client"}
    role = {"apiGroup": user["apiGroup"], "kind": "ClusterRole", "name": "system:kubelet-api-admin"}
    binding = {"metadata": {"name": "kubelet-api-admin"}, "roleRef": role, "subjects": [user]}
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    status, answer = apiserver(place).ask("POST", path, binding)
    if status not in (201, 409):
        raise RuntimeError(f"the API server may not use kubelets: {answer}")
