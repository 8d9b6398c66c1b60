# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found of the API: each fault alone."""

from __future__ import annotations

import pytest
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.plugin_utils._health.world import (
    HOSTS,
    MASTERS,
    Cluster,
    recorded,
)

SITE = "ansible-playbook … site.yml --limit"


def test_the_api_is_down_and_etcd_is_well(cluster: Cluster) -> None:
    """What etcd says is judged all the same; what only an API server knows is unknown."""
    for name in MASTERS:
        cluster.hosts[name]["api"] = {"error": "URLError: <urlopen error [Errno 111] Connection refused>"}
        cluster.component(name, "kube-apiserver").update(active="failed", sub="failed", complaint="refused")
    what = "no API server answers: nodes, workloads and the kubelets' versions are not known"
    todo = "on m1,m2,m3: journalctl -u kube-apiserver -n 50"
    assert cluster.of("API servers") == [("failure", "API servers", "m1,m2,m3", what, todo)]
    assert {it[1] for it in cluster.findings()} == {"components", "API servers"}
    unknown = {area.name: area.summary for area in cluster.judge() if not area.known}
    assert unknown == dict.fromkeys(["nodes", "system pods"], "not known: no API server answers")
    assert next(area.summary for area in cluster.judge() if area.name == "etcd").startswith("3 of 3 members answer")


def test_the_api_is_down_with_etcd(cluster: Cluster) -> None:
    """Then etcd has to be repaired first."""
    for name in MASTERS:
        cluster.hosts[name]["api"] = {"error": "OSError: /version answered 500"}
        cluster.hosts[name]["etcd"]["status"] = recorded("etcd", "without quorum")
        cluster.component(name, "kube-apiserver")["complaint"] = "[-]etcd failed: reason withheld"
    todo = "repair etcd first, then on m1,m2,m3: journalctl -u kube-apiserver -n 50"
    assert [it[4] for it in cluster.of("API servers")] == [todo]


def test_one_api_server_gives_no_objects(cluster: Cluster) -> None:
    """The others do."""
    cluster.hosts["m2"]["api"] = {"error": "OSError: /version answered 403"}
    what = "its API server is ready, but gives no objects: OSError: /version answered 403"
    assert cluster.findings() == [("failure", "API servers", "m2", what, "on m2: kubectl get nodes")]


def test_a_master_without_api_server(cluster: Cluster) -> None:
    """A site run that was interrupted early."""
    del cluster.hosts["m2"]["api"], cluster.hosts["m2"]["components"]["kube-apiserver"]
    what = "is a master of the inventory, but has no API server"
    assert cluster.findings() == [("failure", "API servers", "m2", what, f"{SITE} m2")]


@pytest.mark.parametrize(("state", "level"), [("DOWN", "failure"), ("DOWN 1/2", "failure"), ("MAINT", "warning")])
def test_a_load_balancer_does_not_reach_a_server(cluster: Cluster, state: str, level: str) -> None:
    """Those of all hosts are one finding."""
    for name in HOSTS:
        cluster.hosts[name]["backends"]["m2"] = state
    what = f"the load balancer has the API server of m2 as {state}"
    todo = f"on m2: systemctl status kube-apiserver; is port 6443 reached from {','.join(HOSTS)}?"
    assert cluster.findings() == [(level, "load balancers", ",".join(HOSTS), what, todo)]


def test_a_load_balancer_that_cannot_be_asked(cluster: Cluster) -> None:
    """Its socket is gone."""
    cluster.hosts["w1"]["backends"] = {"error": "FileNotFoundError: [Errno 2] No such file or directory"}
    what = "its load balancer cannot be asked: FileNotFoundError: [Errno 2] No such file or directory"
    todo = "on w1: journalctl -u kube-loadbalancer -n 50"
    assert cluster.findings() == [("failure", "load balancers", "w1", what, todo)]


def test_a_cordoned_node(cluster: Cluster) -> None:
    """Works, and is a warning."""
    cluster.object("Node", "w1")["spec"]["unschedulable"] = True
    what = "is cordoned: it gets no new pods"
    assert cluster.findings() == [("warning", "nodes", "w1", what, "kubectl uncordon w1")]


def test_a_node_with_the_pod_network_of_another_time(cluster: Cluster) -> None:
    """Its flanneld keeps what it had when it started; nothing else says so."""
    cluster.object("Node", "w1")["spec"]["podCIDR"] = "10.244.4.0/24"
    cluster.hosts["w1"]["pod_network"] = {"subnet": "10.244.4.1/24"}
    assert cluster.findings() == []
    cluster.hosts["w1"]["pod_network"] = {"subnet": "10.244.3.1/24"}
    what = "has pods in 10.244.3.0/24, but the cluster sends them to 10.244.4.0/24"
    assert cluster.findings() == [("failure", "nodes", "w1", what, "drain w1, run reset.yml for it, and site.yml")]


def test_a_node_that_is_not_ready(cluster: Cluster) -> None:
    """As the node controller says it of one that is off."""
    cluster.condition("w1", "Ready", "Unknown", "Kubelet stopped posting node status.")
    what = "is not Ready: Kubelet stopped posting node status."
    assert cluster.findings() == [("failure", "nodes", "w1", what, "on w1: journalctl -u kubelet -n 50")]


def test_a_node_under_pressure(cluster: Cluster) -> None:
    """Ready, but it evicts pods."""
    cluster.condition("w1", "DiskPressure", "True", "kubelet has disk pressure")
    what = "has DiskPressure: kubelet has disk pressure"
    assert cluster.findings() == [("failure", "nodes", "w1", what, "kubectl describe node w1")]


def test_nodes_and_inventory_differ(cluster: Cluster) -> None:
    """One is missing here, one there."""
    cluster.object("Node", "w2")["metadata"]["name"] = "w9"
    assert cluster.findings() == [
        ("failure", "nodes", "w2", "is in the inventory, but no node", "on w2: journalctl -u kubelet -n 50"),
        ("warning", "nodes", "w9", "is a node, but not in the inventory", "kubectl delete node w9, or put it back"),
    ]


@pytest.mark.parametrize(("available", "level"), [(0, "failure"), (1, "warning")])
def test_dns_restarts_in_a_loop(cluster: Cluster, available: int, level: str) -> None:
    """The pod that does is named with its reason."""
    cluster.object("Deployment", "coredns")["status"]["availableReplicas"] = available
    cluster.objects.append(recorded("objects", "crashing pod"))
    what = (
        f"deployment kube-system/coredns has {available} of 2 pods available; coredns-6f76d6d6b5-x2x9p: "
        "CrashLoopBackOff back-off 5m0s restarting failed container=coredns"
    )
    todo = "kubectl -n kube-system describe pods; kubectl -n kube-system logs deploy/coredns"
    assert cluster.findings() == [(level, "system pods", "cluster", what, todo)]


def test_metrics_are_missing(cluster: Cluster) -> None:
    """Neither its pods nor its API."""
    cluster.objects.remove(cluster.object("Deployment", "metrics-server"))
    service = cluster.object("APIService", "v1beta1.metrics.k8s.io")
    service["status"]["conditions"][0].update(status="False", message="no endpoints")
    assert [it[:4] for it in cluster.findings()] == [
        (
            *("failure", "system pods", "cluster"),
            "deployment kube-system/metrics-server does not exist: see `journalctl -u kube-addons` on a master",
        ),
        (
            *("failure", "system pods", "cluster"),
            "API service v1beta1.metrics.k8s.io is not available: no endpoints",
        ),
    ]


def kubelet(cluster: Cluster, name: str, version: str) -> None:
    """As its node says."""
    cluster.object("Node", name)["status"]["nodeInfo"]["kubeletVersion"] = f"v{version}"


def failures(cluster: Cluster) -> list[tuple[str, str, str]]:
    """Hosts, what, and what to do; that versions are mixed is a warning besides."""
    return [(hosts, what, todo) for level, _area, hosts, what, todo in cluster.of("versions") if level == "failure"]


def test_versions_are_mixed(cluster: Cluster) -> None:
    """As during an upgrade, or after one that stopped."""
    kubelet(cluster, "w2", "1.36.3")
    what = "kubelet is mixed: 1.36.3 on w2; 1.37.2 on m1, m2, m3, w1"
    assert cluster.findings() == [("warning", "versions", "cluster", what, "run upgrade.yml to its end")]


@pytest.mark.parametrize(("version", "word"), [("1.34.1", ""), ("1.33.9", "old"), ("1.38.0", "new")])
def test_a_kubelet_and_the_api_servers(cluster: Cluster, version: str, word: str) -> None:
    """Three minors behind at most, never newer (kubernetes.io/releases/version-skew-policy)."""
    kubelet(cluster, "w1", version)
    what = f"kubelet {version} is too {word} for m1, whose API server is 1.37.2"
    todo = {"old": "run upgrade.yml to its end", "new": "upgrade the masters: upgrade.yml"}
    assert failures(cluster) == ([("w1", what, todo[word])] if word else [])


@pytest.mark.parametrize(
    ("version", "what"),
    [
        ("1.34.1", "kubelet 1.34.1 is too old for m1, whose API server is 1.38.0"),
        ("1.38.0", "kubelet 1.38.0 is too new for m2, whose API server is 1.37.2"),
    ],
)
def test_api_servers_of_two_versions_narrow_it(cluster: Cluster, version: str, what: str) -> None:
    """No newer than the oldest, three minors behind the newest."""
    cluster.hosts["m1"]["api"]["version"] = "v1.38.0"
    kubelet(cluster, "w1", version)
    assert [(hosts, text) for hosts, text, _todo in failures(cluster)] == [("w1", what)]


def test_api_servers_two_minors_apart(cluster: Cluster) -> None:
    """One is allowed."""
    cluster.hosts["m1"]["api"]["version"] = "v1.39.0"
    assert ("m1", "kube-apiserver 1.39.0 is too new for m2, whose API server is 1.37.2") in [
        (hosts, what) for hosts, what, _todo in failures(cluster)
    ]


@pytest.mark.parametrize(("version", "word"), [("1.36.3", ""), ("1.35.4", "old"), ("1.38.0", "new")])
def test_a_scheduler_and_its_own_api_server(cluster: Cluster, version: str, word: str) -> None:
    """One minor behind at most, never newer."""
    cluster.component("m1", "kube-scheduler")["version"] = version
    what = f"kube-scheduler {version} is too {word} for m1, whose API server is 1.37.2"
    assert [(hosts, text) for hosts, text, _todo in failures(cluster)] == ([("m1", what)] if word else [])
