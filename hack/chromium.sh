#!/bin/sh
# Debian's Chromium for the browser tests, where it can be had; elsewhere those tests say in one line why they skip.
set -eu
for name in chromium chromium-browser google-chrome; do
  if command -v "$name" >/dev/null; then exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update
  apt-get -qq install --yes --no-install-recommends chromium >/dev/null
else
  echo "chromium: not found, and this is not root with apt; the browser tests will be skipped"
fi
