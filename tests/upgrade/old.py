# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The version that an upgrade begins with, and what comes with it."""

from __future__ import annotations

import json

import yaml
from ansible_collections.selfhosted.kubernetes.tests.lab.support import MASTERS, NODES, ROOT, Lab

# As molecule/upgrade/converge.yml installs it.
OLD = "1.36.3"


def versions(lab: Lab) -> dict[str, str]:
    """Kubelet's version of each node."""
    return {
        node["metadata"]["name"]: node["status"]["nodeInfo"]["kubeletVersion"] for node in lab.get("nodes")["items"]
    }


def paired(version: str) -> dict[str, str]:
    """Of each other part the version that the lock pairs with one of Kubernetes, or else the newest."""
    lock = yaml.safe_load((ROOT / "roles/artifacts/files/lock.yml").read_text(encoding="utf-8"))
    own = lock["components"]["kubernetes"]["versions"][version].get("with", {})
    names = ("etcd", "containerd", "runc", "flannel")
    found = {name: own.get(name) or next(iter(lock["components"][name]["versions"])) for name in names}
    return {**found, "coredns": own.get("coredns", lock["images"]["coredns"])["ref"].rpartition(":v")[2]}


def said(lab: Lab, host: str, program: str) -> str:
    """What the program that runs there says of its version; empty, or an error, when none does."""
    return str(lab[host].run(f"/proc/$(pidof {program})/exe --version 2>&1").stdout.strip())


def running(lab: Lab) -> dict[str, set[str]]:
    """Of each other part the versions that run, as the processes themselves say."""
    members = json.loads(lab.run(MASTERS[0], "etcdctl endpoint status --cluster --write-out=json"))
    runtimes = [node["status"]["nodeInfo"]["containerRuntimeVersion"] for node in lab.get("nodes")["items"]]
    pods = lab.get("pods --namespace=kube-system --selector=k8s-app=kube-dns")["items"]
    images = [pod["spec"]["containers"][0]["image"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    return {
        "etcd": {member["Status"]["version"] for member in members},
        "containerd": {runtime.removeprefix("containerd://").removeprefix("v") for runtime in runtimes},
        "runc": {lab.run(node, "/usr/local/bin/runc --version").split()[2] for node in NODES},
        "flannel": {said(lab, node, "flanneld").removeprefix("v") for node in NODES},
        "coredns": {image.partition("@")[0].rpartition(":v")[2] for image in images},
    }


def only(versions: dict[str, str]) -> dict[str, set[str]]:
    """One version of each part."""
    return {name: {version} for name, version in versions.items()}
