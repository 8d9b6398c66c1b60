# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prometheus asks follows from the inventory alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.derive import derive
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.model import Inventory

Make = Callable[..., Inventory]
WATCHED = {"outside_services": ["git", "monitoring"]}


def asked(derived: dict[str, Any], job: str) -> dict[str, str]:
    """Where a job's targets are, by host."""
    entries = [entry for way in derived["monitoring"]["targets"].values() for entry in way]
    return {
        entry["labels"]["instance"]: entry["labels"].get("__param_target", entry["targets"][0])
        for entry in entries
        if entry["labels"]["job"] == job
    }


@pytest.mark.parametrize(
    ("job", "hosts"),
    [
        *((job, "m1 m2 m3 w1 w2 o1") for job in ("node", "kube-loadbalancer")),
        *((job, "m1 m2 m3") for job in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")),
        *((job, "m1 m2 m3 w1 w2") for job in ("kubelet", "cadvisor", "kube-proxy", "containerd", "coredns")),
        ("probe-flanneld", "m1 m2 m3 w1 w2"),
        ("probe-readyz", "m1 m2 m3"),
        *((job, "o1") for job in ("registry", "kube-state-metrics", "prometheus", "alertmanager")),
        *((job, "o1") for job in ("probe-registry-front", "probe-artifact-store", "probe-git")),
    ],
)
def test_everything_is_asked(make: Make, job: str, hosts: str) -> None:
    """On each host that has it, whether or not that host answered in this run."""
    inventory = make(settings=WATCHED)
    for host in inventory.hosts.values():
        host.facts.clear()  # type: ignore[attr-defined]
    assert list(asked(derive(inventory), job)) == hosts.split()


def test_what_moved_is_asked_where_it_is(make: Make) -> None:
    """By the variables that move it, also behind the gate."""
    moved = {
        "kube_proxy_config": {"metricsBindAddress": "127.0.0.1:11249"},
        "kubelet_config": {"port": 11250},
        "monitored_port": 10443,
    }
    derived = derive(make(settings=WATCHED, variables={"w1": moved, "o1": {"git_port": 2022}}))
    assert asked(derived, "kubelet")["w1"] == "192.0.2.4:11250"
    assert asked(derived, "kube-proxy")["w1"] == "192.0.2.4:10443"
    assert asked(derived, "probe-flanneld")["w1"] == "https://192.0.2.4:10443/flanneld"
    assert asked(derived, "probe-git")["o1"] == "192.0.2.6:2022"
    shown = {it["name"]: it["server"] for it in derived["hosts"]["w1"]["metrics"]}
    assert shown["kube-proxy"] == "127.0.0.1:11249"


def test_objects_are_not_on_the_host_that_tells_of_them(make: Make) -> None:
    """kube-state-metrics names the node of what it is about itself."""
    (entry,) = (
        entry
        for entry in derive(make(settings=WATCHED))["monitoring"]["targets"]["gate"]
        if entry["labels"]["job"] == "kube-state-metrics"
    )
    assert "node" not in entry["labels"]


def test_nothing_is_asked_where_nobody_wants_it(make: Make) -> None:
    """No gate, no certificate, no target."""
    derived = derive(make())
    assert derived["monitoring"] == {}
    assert {name for name, host in derived["hosts"].items() if host["metrics"]} == set()
    assert not [it for it in derived["pki"]["certificates"] if it["cn"] == "prometheus"]
