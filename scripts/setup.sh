#!/usr/bin/env bash
# Have what the lab and the tests need on this machine: packages, a running dockerd, a Python environment, the collection's path. Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .lab

packages=()
need() { command -v "$1" >/dev/null || packages+=("$2"); }
need dockerd docker.io
need mmdebstrap mmdebstrap
need rsync rsync
need ssh openssh-client
need gcc gcc
need go golang
need git git
need shellcheck shellcheck
need openssl openssl
need restic restic
# What gcc only recommends, and how runc finds its library.
[ -e /usr/include/stdio.h ] || packages+=(libc6-dev)
need pkg-config pkg-config
[ -e /usr/include/seccomp.h ] || packages+=(libseccomp-dev)
python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
if [ "${#packages[@]}" -gt 0 ]; then
    echo "installing ${packages[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${packages[@]}" iptables >.lab/apt.log 2>&1 || { tail -20 .lab/apt.log; exit 1; }
fi

# promtool and amtool for unit tests; the packages themselves would start services.
if [ ! -x .lab/tools/usr/bin/amtool ]; then
    echo "unpacking promtool and amtool"
    rm -rf .lab/tools .lab/packages
    mkdir -p .lab/packages
    (cd .lab/packages && { apt-get download -qq prometheus prometheus-alertmanager || { apt-get update -qq && apt-get download -qq prometheus prometheus-alertmanager; }; } 2>../apt.log) || { tail -20 .lab/apt.log; exit 1; }
    for package in .lab/packages/*.deb; do dpkg-deb --extract "$package" .lab/tools; done
    rm -rf .lab/packages
fi

# The environment is made anew when the pinned requirements change, so that it is always exactly what they say.
wanted=$(sha256sum requirements-dev.txt | cut -d' ' -f1)
if [ "$(cat .venv/requirements.sha256 2>/dev/null)" != "$wanted" ]; then
    echo "making the Python environment .venv"
    rm -rf .venv
    hash -r # python3 was the one in there.
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
    echo "$wanted" >.venv/requirements.sha256
fi

mkdir -p .lab/collections/ansible_collections/selfhosted
ln -sfn "$PWD" .lab/collections/ansible_collections/selfhosted/kubernetes

scripts/dockerd.sh
