# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the status page shows of each host, by the inventory alone: it is shown also while nothing answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .model import GROUPS, Host
from .monitoring import LOGGING_PORT, certificate


class Shown(NamedTuple):
    """A component by the name of its unit, and the jobs of Prometheus in which it answers."""

    role: str
    name: str
    jobs: tuple[str, ...] = ()


# The first one of a role is what `probe-certificate` looks at.
SHOWN = (
    Shown("etcd", "etcd", ("etcd",)),
    Shown("kube_apiserver", "kube-apiserver", ("probe-readyz", "kube-apiserver")),
    Shown("kube_controller_manager", "kube-controller-manager", ("kube-controller-manager",)),
    Shown("kube_scheduler", "kube-scheduler", ("kube-scheduler",)),
    Shown("artifact_store", "artifact-store", ("probe-artifact-store",)),
    Shown("registry", "registry", ("registry",)),
    Shown("registry", "registry-front", ("probe-registry-front",)),
    Shown("loadbalancer", "kube-loadbalancer", ("kube-loadbalancer",)),
    Shown("keepalived", "kube-vip-keepalived"),
    Shown("containerd", "containerd", ("containerd",)),
    Shown("kubelet", "kubelet", ("kubelet", "cadvisor")),
    Shown("kube_proxy", "kube-proxy", ("kube-proxy",)),
    Shown("overlay", "flanneld", ("probe-flanneld",)),
    Shown("addons", "kube-addons"),
    Shown("git", "git-ssh", ("probe-git",)),
    Shown("monitored", "metrics-gate"),
    Shown("monitored", "prometheus-node-exporter", ("node",)),
    Shown("monitoring", "prometheus", ("prometheus",)),
    Shown("monitoring", "prometheus-alertmanager", ("alertmanager",)),
    Shown("monitoring", "prometheus-blackbox-exporter"),
    Shown("monitoring", "kube-state-metrics", ("kube-state-metrics",)),
    Shown("logging", "victoria-logs", ("victoria-logs",)),
    Shown("logging", "logging-front", ("probe-logging-front",)),
    Shown("logging", "kubernetes-events"),
    Shown("vlagent", "vlagent", ("vlagent",)),
    Shown("ceph", "ceph-mgr", ("ceph",)),
    Shown("grafana", "grafana-server", ("probe-grafana",)),
    Shown("status_page", "status-page", ("probe-status-page",)),
)
# Pages of outside hosts that people open: name, path, role, port and its variable.
PAGES = (
    ("registry", "/v2/_catalog", "registry", 5000, "registry_port"),
    ("graphs (Grafana)", "/", "grafana", 3000, "grafana_port"),
    ("logs (VictoriaLogs)", "/", "logging", LOGGING_PORT, "logging_port"),
    ("metrics (Prometheus)", "/", "monitoring", 9090, ""),
    ("alerts (Alertmanager)", "/", "monitoring", 9093, ""),
    ("status page", "/", "status_page", 8443, "status_page_port"),
)


def shown(hosts: Iterable[tuple[Host, list[str]]], within: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    """Each host with its groups and components, from hosts with their roles."""
    return [
        {
            "name": host.name,
            "address": host.address,
            "groups": [group for group in GROUPS if host.name in within[group]],
            "components": [_component(host, it) for it in SHOWN if it.role in roles],
            "pages": [
                {
                    "name": name,
                    "url": f"https://{host.address}:{host.value(variable, port) if variable else port}{path}",
                }
                for name, path, role, port, variable in PAGES
                if role in roles
            ],
        }
        for host, roles in hosts
    ]


def _component(host: Host, it: Shown) -> dict[str, Any]:
    first = next(other for other in SHOWN if other.role == it.role)
    return {"name": it.name, "jobs": list(it.jobs), "certificate": certificate(host, it.role) if it == first else ""}
