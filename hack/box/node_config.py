"""The files that containerd, the CNI plugins, kubelet and kube-proxy of one node read."""

import json
from pathlib import Path

from box.images import BOX
from box.place import POD_NET, SERVICE_DNS_IP, Place, node_ip
from box.requirements import CNI_PLUGINS


def write(place: Place, index: int) -> None:
    folder = place.node(index)
    for name in ("cni", "kubelet"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "containerd.toml").write_text(containerd(folder))
    (folder / "cni" / "10-pods.conflist").write_text(json.dumps(pod_network(folder, index)))
    (folder / "resolv.conf").write_text("")
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n{node_ip(index)} node{index}\n")
    (folder / "kubelet.yaml").write_text(json.dumps(kubelet(place, index)))
    (folder / "kube-proxy.yaml").write_text(json.dumps(kube_proxy(place, index)))
    (folder / "kubeconfig").write_text(place.kubeconfig(f"node{index}").read_text())


def containerd(folder: Path) -> str:
    """Over containerd's own defaults. A process without CAP_SYS_RESOURCE cannot lower an oom_score_adj: without
    restrict_oom_score_adj no pod starts there."""
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = "{folder}/containerd"
state = "/run/containerd"
[grpc]
address = "{folder}/containerd.sock"
[{cri}]
sandbox_image = "{BOX}"
restrict_oom_score_adj = true
[{cri}.cni]
bin_dir = "{CNI_PLUGINS}"
conf_dir = "{folder}/cni"
"""


def pod_network(folder: Path, index: int) -> dict[str, object]:
    addresses = {
        "type": "host-local",
        "dataDir": str(folder / "ipam"),
        "ranges": [[{"subnet": f"{POD_NET}.{index}.0/24"}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True, "ipam": addresses}
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, portmap]}


def kubelet(place: Place, index: int) -> dict[str, object]:
    """Status and lease more often than by default: a lost node is seen after 10 s, and is back 2 s after it is."""
    folder, key = place.node(index), place.pki / f"node{index}"
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node_ip(index),
        "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": f"{place.pki}/ca.crt"}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{key}.crt",
        "tlsPrivateKeyFile": f"{key}.key",
        "containerRuntimeEndpoint": f"unix://{folder}/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{place.cgroup(index)}",
        "clusterDNS": [SERVICE_DNS_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{folder}/resolv.conf",
        "podLogsDir": f"{folder}/pods",
        "failSwapOn": False,
        "oomScoreAdj": 0,  # a lower one needs CAP_SYS_RESOURCE, as more open files do
        "maxOpenFiles": 20000,
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1Gi", "imagefs.available": "1Gi"},
        "imageGCHighThresholdPercent": 100,  # images come by `load` alone: none may go
        "imageGCLowThresholdPercent": 99,
        "nodeStatusUpdateFrequency": "2s",
        "nodeLeaseDurationSeconds": 8,
    }


def kube_proxy(place: Place, index: int) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": str(place.kubeconfig("kube-proxy"))},
        "clusterCIDR": f"{POD_NET}.0.0/16",
        "hostnameOverride": f"node{index}",
        "conntrack": {"maxPerCore": 0},
    }
