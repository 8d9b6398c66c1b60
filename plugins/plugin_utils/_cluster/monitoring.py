# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prometheus asks, by the inventory alone: all of it is listed and asked while the API is down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from .model import Host

GATE_PORT = 9443
LOGGING_PORT = 9428
BLACKBOX = "127.0.0.1:9115"


class Source(NamedTuple):
    """Where a component has its metrics."""

    role: str
    name: str
    port: int
    variable: str = ""
    path: str = "/metrics"


class Probe(NamedTuple):
    """What blackbox_exporter looks at from outside, as a client does."""

    role: str
    name: str
    module: str
    target: str
    port: int
    variable: str = ""
    interval: str = ""
    timeout: str = ""


# Plain HTTP on the loopback, which the host's gate shows over TLS at /NAME to who may read metrics.
SOURCES = (
    Source("monitored", "node", 9100),
    Source("etcd", "etcd", 2381),
    Source("loadbalancer", "kube-loadbalancer", 7444),
    Source("containerd", "containerd", 1338, path="/v1/metrics"),
    Source("kube_proxy", "kube-proxy", 10249, variable="kube_proxy_config.metricsBindAddress"),
    # Pods of the node, by a Service that ends there: nobody outside has a route to them.
    Source("kube_proxy", "coredns", 0),
    # It has no metrics, but says whether it is well.
    Source("overlay", "flanneld", 10263, path="/healthz"),
    Source("registry", "registry", 5002),
    Source("monitoring", "kube-state-metrics", 8381),
    Source("vlagent", "vlagent", 9429),
    Source("ceph", "ceph", 9283),
)
# Over TLS of the component itself, which asks the cluster's RBAC who may read them.
DIRECT = (
    Source("kube_apiserver", "kube-apiserver", 6443),
    Source("kube_controller_manager", "kube-controller-manager", 10257, "kube_controller_manager_flags.secure-port"),
    Source("kube_scheduler", "kube-scheduler", 10259, "kube_scheduler_flags.secure-port"),
    Source("kubelet", "kubelet", 10250, "kubelet_config.port"),
    Source("kubelet", "cadvisor", 10250, "kubelet_config.port", "/metrics/cadvisor"),
)
OUTSIDE = (
    Source("monitoring", "prometheus", 9090),
    Source("monitoring", "alertmanager", 9093),
    Source("logging", "victoria-logs", LOGGING_PORT, "logging_port"),
)
PROBES = (
    # Whoever has to get up is told within a minute.
    Probe("kube_apiserver", "readyz", "kubernetes", "https://{}/readyz", 6443, interval="5s", timeout="4s"),
    Probe("overlay", "flanneld", "gate", "https://{}/flanneld", GATE_PORT, "monitored_port"),
    Probe("artifact_store", "artifact-store", "outside", "https://{}/health", 8444, "artifact_store_port"),
    Probe("registry", "registry-front", "outside", "https://{}/health", 5000, "registry_port"),
    Probe("git", "git", "ssh", "{}", 2222, "git_port"),
    Probe("grafana", "grafana", "outside", "https://{}/api/health", 3000, "grafana_port"),
    Probe("status_page", "status-page", "outside", "https://{}/health", 8443, "status_page_port"),
    Probe("logging", "logging-front", "outside", "https://{}/health", LOGGING_PORT, "logging_port"),
    # Certificates of what no probe above looks at; seldom, for etcd logs each one as a client without a certificate.
    *(
        Probe(role, "certificate", f"certificate_{ca}", "{}", port, variable, "2m", "10s")
        for role, ca, port, variable in (
            ("etcd", "etcd", 2379, ""),
            *((it.role, "kubernetes", it.port, it.variable) for it in DIRECT[1:4]),
            ("monitored", "outside", GATE_PORT, "monitored_port"),
        )
    ),
)


def sources(host: Host, roles: Iterable[str]) -> list[dict[str, str]]:
    """What a host's gate shows: name, where it is, and its path there."""
    return [
        {"name": it.name, "server": f"127.0.0.1:{_port(host, it)}" if it.port else "", "path": it.path}
        for it in SOURCES
        if "monitored" in roles and it.role in roles
    ]


def targets(hosts: Iterable[tuple[Host, list[str]]]) -> dict[str, list[dict[str, Any]]]:
    """Entries of file_sd for each scrape configuration, from hosts with their roles."""
    found: dict[str, list[dict[str, Any]]] = {"gate": [], "kubernetes": [], "outside": [], "probe": []}
    for host, roles in hosts:
        gate = f"{host.address}:{host.value('monitored_port', GATE_PORT)}"
        found["gate"] += (
            _entry(host, it["name"], gate, __metrics_path__=f"/{it['name']}")
            for it in sources(host, roles)
            if it["name"] != "flanneld"
        )
        for way, components in (("kubernetes", DIRECT), ("outside", OUTSIDE)):
            found[way] += (
                _entry(host, it.name, f"{host.address}:{_port(host, it)}", __metrics_path__=it.path)
                for it in components
                if it.role in roles
            )
        found["probe"] += _probes(host, roles)
    return found


def _probes(host: Host, roles: list[str]) -> Iterator[dict[str, Any]]:
    for it in (it for it in PROBES if it.role in roles):
        target = it.target.format(f"{host.address}:{_port(host, it)}")
        entry = _entry(host, f"probe-{it.name}", BLACKBOX, __param_module=it.module, __param_target=target)
        entry["labels"]["target"] = target
        if it.interval:
            entry["labels"].update(__scrape_interval__=it.interval, __scrape_timeout__=it.timeout)
        yield entry


def certificate(host: Host, role: str) -> str:
    """What is looked at for a role's certificate alone, empty where another probe sees it or there is none."""
    return next(
        (f"{host.address}:{_port(host, it)}" for it in PROBES if (it.role, it.name) == (role, "certificate")), ""
    )


def _entry(host: Host, job: str, target: str, **labels: str) -> dict[str, Any]:
    """Hosts are named `node` as in the cluster's own metrics, and `instance` as everybody expects."""
    # What kube-state-metrics says is about other nodes.
    node = {} if job == "kube-state-metrics" else {"node": host.name}
    return {"targets": [target], "labels": {"job": job, **node, "instance": host.name, **labels}}


def _port(host: Host, it: Source | Probe) -> str:
    """A number, or what stands behind an address."""
    return str(host.value(it.variable, it.port) if it.variable else it.port).rpartition(":")[2]
