# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker leaves the cluster without a trace, and comes back by a site run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    AGNHOST,
    MASTERS,
    NODES,
    WORKERS,
    Lab,
    playbook,
    site,
    wait_until,
)

NODE = WORKERS[-1]
PODS = 4
# Whatever a cluster leaves on a machine, a line each.
TRACES = r"""
ls -d /etc/kubernetes /etc/containerd /etc/flannel /etc/cni 2>/dev/null
ls -d /opt/cni /var/lib/cni /var/lib/selfhosted-kubernetes 2>/dev/null
find /var/lib/kubelet /var/lib/containerd /var/log/pods /run/containerd /run/flannel -mindepth 1 -maxdepth 1 2>/dev/null
find /usr/local /etc/systemd/system -newer /etc/hostname -type f
ls /run/netns 2>/dev/null
ip -brief link | grep -E '^(cni|flannel|veth.*@)' | grep -v ^eth
nft list ruleset | grep -E 'KUBE-|CNI-|kube-proxy|flannel|10.244'
ip route | grep -F 10.244.
grep -E '/(kubelet|containerd|netns)/' /proc/self/mountinfo
pgrep -a 'kube|etcd|containerd|flanneld|coredns|pause|agnhost'
systemctl list-units --all --no-legend --plain 'kube*' etcd.service containerd.service flanneld.service
true
"""


@pytest.fixture
def deployment(lab: Lab, namespace: str) -> Iterator[str]:
    """Pods on all workers."""
    lab.kubectl(f"create deployment web --namespace={namespace} --image={AGNHOST} --replicas={PODS} -- /agnhost pause")
    lab.kubectl(f"rollout status deployment/web --namespace={namespace} --timeout=60s")
    selector = f"--namespace={namespace} --selector=app=web"
    yield selector
    lab.kubectl(f"delete deployment,poddisruptionbudget --namespace={namespace} --all")


def test_a_budget_that_lets_no_pod_go(lab: Lab, namespace: str, deployment: str) -> None:
    """The error names the pod, and the node takes pods again as before."""
    lab.kubectl(f"create poddisruptionbudget web --namespace={namespace} --selector=app=web --min-available={PODS}")
    code, output = playbook("remove_node", f"node={NODE}", "remove_drain_seconds=5")
    assert code == 2
    assert f"{NODE} cannot be drained, and takes pods again as before:" in output
    pods = lab.kubectl(f"get pods {deployment} --field-selector=spec.nodeName={NODE} --output=name").split()
    assert any(pod.removeprefix("pod/") in output for pod in pods), (pods, output)
    assert "disruption budget" in output
    assert lab.kubectl(f"get node {NODE} --output=jsonpath={{.spec.unschedulable}}") == ""


@pytest.mark.skipif(len(MASTERS) < 3, reason="needs three members of etcd")
def test_a_master_that_etcd_cannot_spare(lab: Lab) -> None:
    """With one member away no other may go; nothing is changed."""
    away, going = MASTERS[-1], MASTERS[1]
    lab.run(away, "systemctl stop etcd")
    try:
        code, output = playbook("remove_node", f"node={going}")
    finally:
        lab.run(away, "systemctl start etcd")
    assert code == 2
    assert f"without {going} etcd would have 2 members and needs 2 healthy ones, but {away} is not healthy" in output
    assert lab.kubectl(f"get node {going} --output=jsonpath={{.spec.unschedulable}}") == ""
    wait_until(lambda: lab[going].run("etcdctl endpoint health --cluster").rc == 0, 60, "etcd is whole again")


def test_a_worker_goes_and_comes_back(lab: Lab, deployment: str, tmp_path: Path) -> None:
    """Its pods move, nothing is left on it, and a site run of it alone brings it back."""
    began = time.monotonic()
    code, output = playbook("remove_node", f"node={NODE}")
    assert code == 0, output
    print(f"\n{NODE} removed in {time.monotonic() - began:.1f} s")  # noqa: T201
    assert NODE not in lab.kubectl("get nodes --output=name")
    assert lab.run(NODE, TRACES).split("\n") == [""]
    wait_until(lambda: len(running(lab, deployment)) == PODS, 60, "all pods run elsewhere")
    run = site(tmp_path, "--limit", NODE)
    print(f"{NODE} added in {run.figures['seconds']} s with {run.figures['runs']} task runs")  # noqa: T201
    lab.kubectl(f"wait --for=condition=Ready --timeout=30s node {' '.join(NODES)}")
    assert set(site(tmp_path).changed.values()) == {0}


def running(lab: Lab, selector: str) -> set[str]:
    """Names of pods that run, and where."""
    return set(lab.kubectl(f"get pods {selector} --field-selector=status.phase=Running --output=name").split())
