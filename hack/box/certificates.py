"""Certificate authorities, certificates and kubeconfig files, by openssl; valid for 30 days, kept while the cluster is.

One authority each for the cluster, for etcd and for the aggregation layer, as Kubernetes wants it. A user of the
cluster is a client certificate: O is its group and CN its name.
"""

from pathlib import Path

from box.place import API_URL, LAN_IP, SERVICE_API_IP, Place, node_ip
from box.process import output

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
API_NAMES = ",".join(
    ["DNS:kubernetes" + rest for rest in ("", ".default", ".default.svc", ".default.svc.cluster.local")]
    + [f"IP:{address}" for address in (LAN_IP, "127.0.0.1", SERVICE_API_IP)]
)


def make_all(place: Place) -> None:
    for folder in (place.pki, place.kubeconfigs):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    if (place.pki / "sa.pub").exists():
        return
    for name in ("ca", "etcd-ca", "front-proxy-ca"):
        authority(place.pki, name)
    issue(place.pki, "etcd-ca", "etcd", "/CN=etcd", f"IP:127.0.0.1,IP:{LAN_IP}")
    issue(place.pki, "etcd-ca", "etcd-client", "/CN=kube-apiserver")
    issue(place.pki, "ca", "apiserver", "/CN=kube-apiserver", API_NAMES)
    issue(place.pki, "ca", "apiserver-kubelet-client", "/CN=kube-apiserver-kubelet-client")
    issue(place.pki, "front-proxy-ca", "front-proxy-client", "/CN=front-proxy-client")
    user(place, "admin", "/O=system:masters/CN=admin")
    for name in ("kube-controller-manager", "kube-scheduler", "kube-proxy"):
        user(place, name, f"/CN=system:{name}")
    output(["openssl", "genrsa", "-out", place.pki / "sa.key", "2048"])
    output(["openssl", "rsa", "-in", place.pki / "sa.key", "-pubout", "-out", place.pki / "sa.pub"])


def node(place: Place, index: int) -> None:
    """The kubelet's identity: client of the API server and server of logs and exec."""
    name = f"node{index}"
    user(place, name, f"/O=system:nodes/CN=system:node:{name}", f"DNS:{name},IP:{node_ip(index)}")


def user(place: Place, name: str, subject: str, names: str = "") -> None:
    issue(place.pki, "ca", name, subject, names)
    identity = f"client-certificate: {place.pki / name}.crt, client-key: {place.pki / name}.key"
    place.kubeconfig(name).write_text(kubeconfig(f"certificate-authority: {place.pki / 'ca.crt'}", identity))


def kubeconfig(authority: str, identity: str, server: str = API_URL) -> str:
    """`authority` and `identity` are YAML flow entries of the cluster and of the user."""
    return f"""apiVersion: v1
kind: Config
clusters: [{{name: box, cluster: {{server: "{server}", {authority}}}}}]
users: [{{name: user, user: {{{identity}}}}}]
contexts: [{{name: box, context: {{cluster: box, user: user}}}}]
current-context: box
"""


def authority(folder: Path, name: str) -> None:
    usage = "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"
    output(["openssl", "req", "-x509", *KEY, "-subj", f"/CN={name}", *written(folder, name), "-addext", usage])


def issue(folder: Path, issuer: str, name: str, subject: str, names: str = "") -> None:
    signed_by = ["-CA", f"{folder}/{issuer}.crt", "-CAkey", f"{folder}/{issuer}.key"]
    extensions = ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth,clientAuth"]
    if names:
        extensions += ["-addext", f"subjectAltName={names}"]
    output(["openssl", "req", "-x509", *signed_by, *KEY, "-subj", subject, *written(folder, name), *extensions])


def written(folder: Path, name: str) -> list[str]:
    return ["-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.crt"]
