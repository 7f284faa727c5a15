#!/bin/bash
# Process 1 of a node, in mount and pid namespaces of its own: NODE_FOLDER CGROUP PAUSE KUBELET KUBE_PROXY IMAGE
# Its /run, /var/log and /var/lib/cni are private, so that its end leaves nothing behind but its cgroups.
set -eu
folder=$1 cgroup=$2 pause=$3 kubelet=$4 kube_proxy=$5 image=$6
mount -t proc proc /proc
mount --make-rshared / # volumes that the kubelet mounts are seen by containers
for path in /run /var/log /var/lib/cni; do
  mkdir -p $path
  mount -t tmpfs tmpfs $path
done
mkdir /run/netns
mount --bind "$folder/hosts" /etc/hosts # the kubelet looks its own name up, and would wait 10 s for no DNS server
for hierarchy in /sys/fs/cgroup/*/; do
  mkdir -p "$hierarchy$cgroup"
done
for file in cpus mems; do # a new cpuset is empty
  cat /sys/fs/cgroup/cpuset/cpuset.$file >"/sys/fs/cgroup/cpuset/$cgroup/cpuset.$file"
done
containerd -c "$folder/containerd.toml" >>"$folder/containerd.log" 2>&1 &
until ctr -a "$folder/containerd.sock" version >/dev/null 2>&1; do sleep 0.05; done
ctr -a "$folder/containerd.sock" -n k8s.io images import "$image"
"$kubelet" --config="$folder/kubelet.yaml" --kubeconfig="$folder/kubeconfig" --root-dir="$folder/kubelet" \
  --cert-dir="$folder/kubelet" --hostname-override="${folder##*/}" >>"$folder/kubelet.log" 2>&1 &
"$kube_proxy" --config="$folder/kube-proxy.yaml" >>"$folder/kube-proxy.log" 2>&1 &
exec "$pause"
