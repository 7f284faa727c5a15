"""etcd, kube-apiserver, controller-manager, scheduler and kwok, in the cluster's lan namespace.

It is a whole cluster for everything but running containers: RBAC, service accounts, garbage collection, and nodes
faked by kwok (label type=kwok). The caller is in the lan already (`network.enter`). etcd does not wait for the disk:
a power cut loses this cluster, no test does.
"""

import json
import signal
from dataclasses import dataclass

from box import binaries, certificates, process
from box.https import Server
from box.kubernetes import Cluster
from box.place import API_URL, ETCD_URL, FAKE_POD_CIDR, LAN_IP, SERVICE_CIDR, Place
from box.waiting import wait_for

API = "kube-apiserver"
COMMANDS = ("etcd", API, "kube-controller-manager", "kube-scheduler", "kwok", "kubectl")
PEER_URL = "http://127.0.0.1:2380"


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """A running one; `cluster` is what any cluster can do, the methods here are what only one's own can."""

    place: Place
    cluster: Cluster

    def stop_apiserver(self, kill: bool = False) -> None:
        """End the API server, at once with `kill`; etcd keeps what it held."""
        process.end(self.place, API, signal.SIGKILL if kill else signal.SIGTERM)

    def start_apiserver(self) -> None:
        """Start it and wait until it is ready. Does nothing while it runs."""
        if process.pid_of(self.place, API) is None:
            process.start(self.place, API, apiserver_command(self.place))
        wait_for(API, lambda: apiserver(self.place).good("/readyz"), log=process.log(self.place, API))

    def restart_apiserver(self, kill: bool = False) -> None:
        self.stop_apiserver(kill)
        self.start_apiserver()

    def compact(self) -> int:
        """Forget all revisions but the newest in etcd, and return that one. A paged list that began before answers
        410 Gone from now on; a watch does once the API server, which remembers recent events itself, restarted."""
        _, answer = etcd(self.place).ask("POST", "/v3/kv/range", {"key": "AA=="})
        revision = int(json.loads(answer)["header"]["revision"])
        status, answer = etcd(self.place).ask("POST", "/v3/kv/compaction", {"revision": revision, "physical": True})
        if status != 200 and "has been compacted" not in answer:
            raise RuntimeError(f"etcd did not compact: {answer}")
        return revision

    def expire_watches(self) -> None:
        """Every resource version that a client holds from before is 410 Gone: restart with nothing remembered."""
        self.stop_apiserver()
        self.compact()
        self.start_apiserver()


def start(place: Place) -> ControlPlane:
    """Start what does not run yet, and wait until objects can be made and service accounts appear."""
    certificates.make_all(place)
    plane = ControlPlane(place, Cluster(place.admin, place.kubeconfigs))
    (place.state / "etcd").mkdir(mode=0o700, exist_ok=True)
    ensure(place, "etcd", etcd_command(place))
    plane.start_apiserver()
    ensure(place, "kube-controller-manager", controller_manager_command(place))
    ensure(place, "kube-scheduler", scheduler_command(place))
    ensure(place, "kwok", kwok_command(place))
    wait_for(
        "the first service account",
        lambda: apiserver(place).good("/api/v1/namespaces/default/serviceaccounts/default"),
        log=process.log(place, "kube-controller-manager"),
    )
    let_apiserver_use_kubelets(place)
    return plane


def ensure(place: Place, name: str, command: list[str]) -> None:
    if process.pid_of(place, name) is None:
        process.start(place, name, command)


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


def etcd_command(place: Place) -> list[str]:
    pki = place.pki
    return [
        str(binaries.path("etcd")),
        "--name=box",
        f"--data-dir={place.state / 'etcd'}",
        "--unsafe-no-fsync",
        "--log-level=warn",
        f"--listen-client-urls={ETCD_URL}",
        f"--advertise-client-urls={ETCD_URL}",
        f"--listen-peer-urls={PEER_URL}",
        f"--initial-advertise-peer-urls={PEER_URL}",
        f"--initial-cluster=box={PEER_URL}",
        "--client-cert-auth",
        f"--trusted-ca-file={pki / 'etcd-ca.crt'}",
        f"--cert-file={pki / 'etcd.crt'}",
        f"--key-file={pki / 'etcd.key'}",
    ]


def apiserver_command(place: Place) -> list[str]:
    pki = place.pki
    return [
        str(binaries.path(API)),
        "--bind-address=0.0.0.0",
        f"--advertise-address={LAN_IP}",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        f"--etcd-servers={ETCD_URL}",
        f"--etcd-cafile={pki / 'etcd-ca.crt'}",
        f"--etcd-certfile={pki / 'etcd-client.crt'}",
        f"--etcd-keyfile={pki / 'etcd-client.key'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        "--anonymous-auth=false",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki / 'sa.pub'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        f"--kubelet-client-certificate={pki / 'apiserver-kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'apiserver-kubelet-client.key'}",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki / 'front-proxy-client.crt'}",
        f"--proxy-client-key-file={pki / 'front-proxy-client.key'}",
        "--enable-aggregator-routing",
        "--shutdown-delay-duration=0s",
        "--v=1",
    ]


def controller_manager_command(place: Place) -> list[str]:
    """Periods shorter than the defaults, so that a test of a lost node takes seconds and not minutes."""
    pki = place.pki
    return [
        *acting_as(place, "kube-controller-manager"),
        "--use-service-account-credentials",
        f"--service-account-private-key-file={pki / 'sa.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--cluster-signing-cert-file={pki / 'ca.crt'}",
        f"--cluster-signing-key-file={pki / 'ca.key'}",
        "--node-monitor-grace-period=16s",
        "--node-monitor-period=1s",
        "--horizontal-pod-autoscaler-sync-period=5s",
        "--horizontal-pod-autoscaler-downscale-stabilization=30s",
    ]


def scheduler_command(place: Place) -> list[str]:
    return acting_as(place, "kube-scheduler")


def acting_as(place: Place, name: str) -> list[str]:
    config = place.kubeconfig(name)
    uses = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    return [str(binaries.path(name)), *(f"--{use}={config}" for use in uses), "--leader-elect=false"]


def kwok_command(place: Place) -> list[str]:
    return [
        str(binaries.path("kwok")),
        f"--kubeconfig={place.admin}",
        "--manage-all-nodes=false",
        "--manage-nodes-with-label-selector=type=kwok",
        f"--cidr={FAKE_POD_CIDR}",
        f"--node-ip={LAN_IP}",
    ]
