#!/bin/sh
# Debian's packages for the cluster in a box (hack/cluster), installed once where this runs as root on a machine with
# apt; elsewhere the tests that need them say in one line why they skip.
set -eu
# nodes: containerd runc containernetworking-plugins iptables conntrack ethtool; namespaces: iproute2; certificates:
# openssl; gcc compiles process 1 of nodes and pods; images: buildah mmdebstrap
packages="containerd runc containernetworking-plugins iptables conntrack ethtool iproute2 openssl gcc libc6-dev buildah mmdebstrap"
missing=
for package in $packages; do
  if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed'; then missing="$missing $package"; fi
done
if [ -z "$missing" ]; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update
  # no service may start: the nodes run their own containerd
  RUNLEVEL=1 apt-get -qq install --yes --no-install-recommends $missing >/dev/null
else
  echo "cluster:$missing not found, and this is not root with apt; tests that need nodes will be skipped"
fi
