"""Command lines of etcd, kube-apiserver, controller-manager, scheduler and kwok."""

from box import binaries
from box.place import ETCD_URL, FAKE_POD_CIDR, LAN_IP, SERVICE_CIDR, Place

PEER_URL = "http://127.0.0.1:2380"


def etcd(place: Place) -> list[str]:
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


def apiserver(place: Place) -> list[str]:
    pki = place.pki
    return [
        str(binaries.path("kube-apiserver")),
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
        "--shutdown-watch-termination-grace-period=1s",  # else open watches hold up the end for a minute
        "--v=1",
    ]


def controller_manager(place: Place) -> list[str]:
    """Periods shorter than the defaults, so that a test of a lost node takes seconds and not minutes."""
    pki = place.pki
    return [
        *acting_as(place, "kube-controller-manager"),
        "--use-service-account-credentials",
        f"--service-account-private-key-file={pki / 'sa.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--cluster-signing-cert-file={pki / 'ca.crt'}",
        f"--cluster-signing-key-file={pki / 'ca.key'}",
        "--node-monitor-grace-period=12s",
        "--node-monitor-period=1s",
        "--horizontal-pod-autoscaler-sync-period=5s",
        "--horizontal-pod-autoscaler-downscale-stabilization=30s",
    ]


def scheduler(place: Place) -> list[str]:
    return acting_as(place, "kube-scheduler")


def acting_as(place: Place, name: str) -> list[str]:
    config = place.kubeconfig(name)
    uses = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    return [str(binaries.path(name)), *(f"--{use}={config}" for use in uses), "--leader-elect=false"]


def kwok(place: Place) -> list[str]:
    return [
        str(binaries.path("kwok")),
        f"--kubeconfig={place.admin}",
        "--manage-all-nodes=false",
        "--manage-nodes-with-label-selector=type=kwok",
        f"--cidr={FAKE_POD_CIDR}",
        f"--node-ip={LAN_IP}",
        "--node-lease-duration-seconds=8",  # without heartbeats its nodes would be NotReady now and then
    ]
