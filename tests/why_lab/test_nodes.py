# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of nodes and of the cluster's own parts, one after another, seen from a pod that they keep from running."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    MASTERS,
    OUTSIDE,
    WORKERS,
    Lab,
    address,
)
from ansible_collections.selfhosted.kubernetes.tests.why_lab.conftest import Asker, injected
from ansible_collections.selfhosted.kubernetes.tests.why_lab.workloads import (
    NO_TAG,
    Case,
    container,
    deployment,
    pod,
    service,
)

NODE = WORKERS[-1]
THERE = {"kubernetes.io/hostname": NODE}
HERE = pod(nodeSelector=THERE)
PULLS = deployment(container(image=NO_TAG), nodeSelector=THERE)
HOSTS = "/etc/containerd/certs.d/registry.k8s.io/hosts.toml"
# Where nodes are told to look for all images.
REGISTRY = f"registry/{address(OUTSIDE[0])}:5000"
SECONDS = 120
# What is done to which hosts, how it is undone, and what a pod says of it that is made meanwhile.
FAULTS = {
    "cordoned": (
        [],
        "",
        "",
        Case("node-cordoned", [HERE], "pod/web", "NodesCordoned", f"node/{NODE}"),
    ),
    "network programs gone": (
        [NODE],
        "mv /opt/cni/bin /opt/cni/gone",
        "mv /opt/cni/gone /opt/cni/bin",
        Case("node-programs", [HERE], "pod/web", "CniPluginMissing", f"node/{NODE}"),
    ),
    "network configuration gone": (
        [NODE],
        "mkdir /etc/cni/gone && mv /etc/cni/net.d/* /etc/cni/gone/",
        "mv /etc/cni/gone/* /etc/cni/net.d/ && rmdir /etc/cni/gone",
        Case("node-network", [pod(nodeName=NODE)], "pod/web", "NodeNetworkNotReady", f"node/{NODE}"),
    ),
    "container runtime stopped": (
        [NODE],
        "systemctl stop containerd",
        "systemctl start containerd",
        Case("node-runtime", [pod(nodeName=NODE)], "pod/web", "ContainerRuntimeDown", f"node/{NODE}"),
    ),
    "kubelet stopped": (
        [NODE],
        "systemctl stop kubelet",
        "systemctl start kubelet",
        Case("node-silent", [pod(nodeName=NODE)], "pod/web", "NodeSilent", f"node/{NODE}"),
    ),
    "the registry's password is wrong": (
        [NODE],
        f"sed --in-place=.good 's/Basic [^\"]*/Basic eDp5/' {HOSTS}",
        f"mv {HOSTS}.good {HOSTS}",
        Case("node-login", [PULLS], code="ImagePullUnauthorized", object=f"image/{NO_TAG}"),
    ),
    "the registry's certificate is not trusted": (
        [NODE],
        f"sed --in-place=.good s,outside-ca.crt,ca.crt, {HOSTS}",
        f"mv {HOSTS}.good {HOSTS}",
        Case("node-trust", [PULLS], code="RegistryCertificate", object=REGISTRY),
    ),
    "registry stopped": (
        OUTSIDE,
        "systemctl stop registry-front",
        "systemctl start registry-front",
        Case("registry-down", [PULLS], code="RegistryUnreachable", object=REGISTRY),
    ),
    "scheduler stopped": (
        MASTERS,
        "systemctl stop kube-scheduler",
        "systemctl start kube-scheduler",
        Case("no-scheduler", [pod()], "pod/web", "NoScheduler", "component/kube-scheduler"),
    ),
}


@contextmanager
def broken(lab: Lab, hosts: list[str], how: str, back: str) -> Iterator[None]:
    """On all of these hosts, and mended whatever happens; without hosts the node is cordoned."""
    try:
        if not hosts:
            lab.kubectl(f"cordon {NODE}")
        for host in hosts:
            lab.run(host, how)
        yield
    finally:
        lab.kubectl(f"uncordon {NODE}")
        for host in hosts:
            lab.run(host, back)


@pytest.mark.parametrize("fault", FAULTS)
def test_verdict(lab: Lab, asker: Asker, fault: str) -> None:
    """The fault's own host or component is named, within the time that Kubernetes takes to notice."""
    hosts, how, back, case = FAULTS[fault]
    with broken(lab, hosts, how, back), injected(lab, [case]):
        print(f"\n{fault}: {asker.until(case, SECONDS):.0f} s")  # noqa: T201
    lab.kubectl(f"wait --for=condition=Ready --timeout=90s node {NODE}")


def test_controllers_stopped(lab: Lab, asker: Asker) -> None:
    """A new version of a deployment that nobody looks at."""
    case = Case("no-controller", [deployment()], code="NoController", object="component/kube-controller-manager")
    well = Case("no-controller", [])
    with injected(lab, [case]):
        asker.until(well, SECONDS)
        try:
            for master in MASTERS:
                lab.run(master, "systemctl stop kube-controller-manager")
            lab.kubectl(f"set env deployment/web --namespace={case.namespace} A=1")
            asker.until(case, SECONDS)
        finally:
            for master in MASTERS:
                lab.run(master, "systemctl start kube-controller-manager")


def test_names_do_not_resolve(lab: Lab, asker: Asker) -> None:
    """The DNS server is scaled to 0: each service is well but for its name."""
    case = Case("no-dns", [pod(), service()], "service/web", "DnsDown", "deployment/kube-system/coredns")
    dns = "scale deployment coredns --namespace=kube-system --replicas"
    wanted = lab.get("deployment coredns --namespace=kube-system")["spec"]["replicas"]
    with injected(lab, [case]):
        try:
            lab.kubectl(f"{dns}=0")
            asker.until(case, SECONDS)
        finally:
            lab.kubectl(f"{dns}={wanted}")
    lab.kubectl("wait --for=condition=Available --timeout=90s deployment coredns --namespace=kube-system")
