# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of our components, and who may hold them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from .derive import components
from .model import Error, Host, Inventory

# Compared, never bound; OWN is the host's own address.
ANY, LOCAL, OWN = "0.0.0.0", "127.0.0.1", ""

ALL = {ANY, "::"}


class Port(NamedTuple):
    """A port that a role's component listens on, the addresses it binds, and the variable that moves it."""

    role: str
    number: int
    process: str
    bind: str = ANY
    variable: str = ""
    proto: str = "tcp"
    group: str = ""


PORTS = (
    Port("etcd", 2379, "etcd"),
    Port("etcd", 2380, "etcd", OWN),
    Port("etcd", 2381, "etcd", LOCAL),
    Port("kube_apiserver", 6443, "kube-apiserver"),
    Port("kube_controller_manager", 10257, "kube-controller-manager", ANY, "kube_controller_manager_flags.secure-port"),
    Port("kube_scheduler", 10259, "kube-scheduler", ANY, "kube_scheduler_flags.secure-port"),
    Port("loadbalancer", 7443, "haproxy", LOCAL),
    Port("loadbalancer", 7444, "haproxy", LOCAL),
    Port("loadbalancer", 6443, "haproxy", group="outside"),
    Port("containerd", 1338, "containerd", LOCAL),
    Port("kubelet", 10250, "kubelet", ANY, "kubelet_config.port"),
    Port("kubelet", 10248, "kubelet", LOCAL, "kubelet_config.healthzPort"),
    Port("kube_proxy", 10249, "kube-proxy", LOCAL, "kube_proxy_config.metricsBindAddress"),
    Port("kube_proxy", 10256, "kube-proxy", ANY, "kube_proxy_config.healthzBindAddress"),
    Port("overlay", 10263, "flanneld", LOCAL),
    Port("overlay", 8472, "flanneld", ANY, "overlay_vxlan_port", "udp"),
    Port("artifact_store", 8444, "nginx", ANY, "artifact_store_port"),
    Port("registry", 5000, "nginx", ANY, "registry_port"),
    Port("registry", 5002, "registry", LOCAL),
    Port("git", 2222, "sshd", ANY, "git_port"),
    Port("grafana", 3000, "grafana", ANY, "grafana_port"),
    Port("status_page", 8443, "nginx", ANY, "status_page_port"),
    Port("monitored", 9443, "haproxy", ANY, "monitored_port"),
    Port("monitored", 9100, "prometheus-node-exporter", LOCAL),
    Port("monitoring", 9090, "prometheus"),
    Port("monitoring", 9093, "prometheus-alertmanager"),
    Port("monitoring", 9094, "prometheus-alertmanager"),
    Port("monitoring", 9115, "prometheus-blackbox-exporter", LOCAL),
    Port("monitoring", 8381, "kube-state-metrics", LOCAL),
    Port("monitoring", 8382, "kube-state-metrics", LOCAL),
    Port("logging", 9428, "nginx", ANY, "logging_port"),
    Port("logging", 9427, "victoria-logs", LOCAL),
    Port("vlagent", 9429, "vlagent", LOCAL),
    Port("ceph", 3300, "ceph-mon", OWN),
    Port("ceph", 9283, "ceph-mgr", LOCAL),
)


def ports_free(host: Host, cluster: Inventory) -> Iterator[Error]:
    """No port of ours is held by another program."""
    ours: dict[tuple[str, str], list[Port]] = {}
    for port in _ports(host, cluster):
        # A number, or an address with one behind it.
        number = str(host.value(port.variable, port.number)).rpartition(":")[2]
        ours.setdefault((port.proto, number), []).append(port)
    for listener in host.facts["listeners"]:
        for port in ours.get((listener["proto"], str(listener["port"])), []):
            if _foreign(listener, port, port.bind or host.address):
                holder = f"{listener['process'] or 'a program that cannot be seen'} on {listener['address']}"
                fix = "stop that program" + (f", or set {port.variable}" if port.variable else "")
                yield Error(f"port {listener['port']}/{port.proto} of {port.role} is taken by {holder}", fix)


def _ports(host: Host, cluster: Inventory) -> Iterator[Port]:
    roles = components(cluster, host.name)
    yield from (
        port for port in PORTS if port.role in roles and (not port.group or cluster.within(host.name, port.group))
    )


def _foreign(listener: dict[str, Any], port: Port, bind: str) -> bool:
    """Whether the listener is another's and would keep ours from listening."""
    meets = bind == listener["address"] or {bind, listener["address"]} & ALL
    # VXLAN's socket belongs to the kernel, which shares it between devices.
    kernel = listener["process"] is None and port.proto == "udp"
    return bool(meets) and listener["process"] != port.process and not kernel
