# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every authority, certificate and key that the cluster needs, as arguments of the pki action."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .model import Host, Inventory, address

AUTHORITIES = {
    "kubernetes": "kubernetes-ca",
    "etcd": "etcd-ca",
    "front-proxy": "front-proxy-ca",
    "outside": "outside-ca",
}
# The API server's for objects in etcd, and the passwords of the registry's own users.
RANDOM_KEYS = ("encryption-key", "registry-pull", "registry-push")
LOOPBACK = ["127.0.0.1", "::1"]
CLIENT, SERVER, BOTH = ["client"], ["server"], ["server", "client"]
SUPERUSERS = ["system:masters"]


@dataclass(frozen=True)
class Certificate:
    """One certificate: who it names, by which authority, for what."""

    name: str
    ca: str
    cn: str
    usages: list[str]
    o: list[str] = field(default_factory=list)
    dns: list[str] = field(default_factory=list)
    ip: list[str] = field(default_factory=list)


def plan(inventory: Inventory, api_host: str, service_address: str) -> dict[str, Any]:
    """Arguments of the pki action; cost grows with the number of hosts."""
    api_dns, api_ip = _api_names(inventory, api_host, service_address)
    certificates = [
        Certificate("admin", "kubernetes", "kubernetes-admin", CLIENT, SUPERUSERS),
        Certificate(
            "metrics-server",
            "kubernetes",
            "metrics-server",
            SERVER,
            dns=["metrics-server", "metrics-server.kube-system", "metrics-server.kube-system.svc"],
        ),
    ]
    for host in inventory.hosts.values():
        if inventory.within(host.name, "etcd"):
            certificates += _etcd(host)
        if inventory.within(host.name, "masters"):
            certificates += [
                Certificate(f"{host.name}/apiserver", "kubernetes", "kube-apiserver", SERVER, dns=api_dns, ip=api_ip),
                *_master(host),
            ]
        if inventory.is_node(host.name):
            certificates += _node(host)
        if inventory.within(host.name, "outside"):
            certificates.append(_server(host, "outside-server", "outside", host.name))
            certificates += [_ci(host, job["repository"]) for job in ci_jobs(inventory)]
            if "backup" in inventory.settings.outside_services:
                certificates.append(Certificate(f"{host.name}/backup-etcd-client", "etcd", "backup", CLIENT))
            # They ask Prometheus, which lets in whom the outside CA names; no gate and no API server does.
            readers = {"grafana": "grafana", "status_page": "status-page"}
            certificates += [
                Certificate(f"{host.name}/{name}", "outside", name, CLIENT)
                for service, name in readers.items()
                if service in inventory.settings.outside_services
            ]
        if "monitoring" in inventory.settings.outside_services:
            certificates += _monitoring(host, inventory.within(host.name, "outside"))
        if "logging" in inventory.settings.outside_services:
            certificates += _logging(host, inventory.within(host.name, "outside"))
    random = [*RANDOM_KEYS, *(["logging"] if "logging" in inventory.settings.outside_services else [])]
    # Of it all keys of the storage's users are made.
    random += ["ceph"] if inventory.groups["storage"] else []
    return {
        "cas": [{"name": name, "cn": cn} for name, cn in AUTHORITIES.items()],
        "certificates": certificates,
        "keys": [{"name": "sa", "type": "pair"}, *({"name": name, "type": "random"} for name in random)],
    }


def ci_jobs(inventory: Inventory) -> list[dict[str, Any]]:
    """Repositories whose jobs may change the cluster, and the namespaces in which they may."""
    first = inventory.hosts[inventory.groups["outside"][0]]
    jobs = first.value("ci_jobs", []) if "ci" in inventory.settings.outside_services else []
    return [{"repository": job["repository"], "namespaces": job.get("namespaces") or []} for job in jobs]


def _ci(host: Host, repository: str) -> Certificate:
    """Names a job's ServiceAccount as a token of it would, and needs no API to be made or renewed."""
    groups = ["system:serviceaccounts", "system:serviceaccounts:ci"]
    return Certificate(
        f"{host.name}/ci-{repository}", "kubernetes", f"system:serviceaccount:ci:{repository}", CLIENT, groups
    )


def _monitoring(host: Host, outside: bool) -> Iterator[Certificate]:
    """What a host shows its metrics with, and whom Prometheus asks as: it may read metrics and nothing else."""
    yield _server(host, "monitored", "outside", host.name)
    if outside:
        yield Certificate(f"{host.name}/prometheus", "outside", "prometheus", CLIENT)
        yield Certificate(f"{host.name}/prometheus-kubernetes", "kubernetes", "prometheus", CLIENT)
        yield Certificate(f"{host.name}/kube-state-metrics", "kubernetes", "kube-state-metrics", CLIENT)


def _logging(host: Host, outside: bool) -> Iterator[Certificate]:
    """Who sends logs, in its own name alone; on outside hosts also who reads them, and who asks for events."""
    yield Certificate(f"{host.name}/logs", "outside", f"logs:{host.name}", CLIENT)
    if outside:
        yield Certificate(f"{host.name}/logging", "outside", "logging", CLIENT)
        yield Certificate(f"{host.name}/kubernetes-events", "kubernetes", "kubernetes-events", CLIENT)


def _api_names(inventory: Inventory, api_host: str, service_address: str) -> tuple[list[str], list[str]]:
    """Names and addresses under which clients may reach the API: directly, by a load balancer, from within."""
    service = "kubernetes.default.svc"
    dns = ["kubernetes", "kubernetes.default", service, f"{service}.{inventory.settings.domain}", "localhost"]
    ip = ["127.0.0.1", service_address]
    for name in (*inventory.groups["masters"], *inventory.groups["outside"]):
        dns.append(name)
        ip.append(inventory.hosts[name].address)
    for extra in (inventory.settings.vip, api_host):
        if extra:
            (ip if address(extra) else dns).append(extra)
    return list(dict.fromkeys(dns)), list(dict.fromkeys(ip))


def _server(host: Host, name: str, ca: str, cn: str, usages: list[str] = SERVER, local: bool = True) -> Certificate:
    """A certificate for the host's own names."""
    names, addresses = (["localhost"], LOOPBACK) if local else ([], [])
    return Certificate(f"{host.name}/{name}", ca, cn, usages, dns=[host.name, *names], ip=[host.address, *addresses])


def _etcd(host: Host) -> Iterator[Certificate]:
    yield _server(host, "etcd-server", "etcd", host.name, BOTH)
    yield _server(host, "etcd-peer", "etcd", host.name, BOTH)
    yield Certificate(f"{host.name}/etcdctl", "etcd", "root", CLIENT)


def _master(host: Host) -> Iterator[Certificate]:
    yield Certificate(f"{host.name}/apiserver-etcd-client", "etcd", "kube-apiserver-etcd-client", CLIENT)
    yield Certificate(
        f"{host.name}/apiserver-kubelet-client", "kubernetes", "kube-apiserver-kubelet-client", CLIENT, SUPERUSERS
    )
    yield Certificate(f"{host.name}/front-proxy-client", "front-proxy", "front-proxy-client", CLIENT)
    yield Certificate(f"{host.name}/kube-addons", "kubernetes", "kube-addons", CLIENT, SUPERUSERS)
    for component in ("kube-controller-manager", "kube-scheduler"):
        yield Certificate(f"{host.name}/{component}", "kubernetes", f"system:{component}", CLIENT)
        yield _server(host, f"{component}-server", "kubernetes", component)


def _node(host: Host) -> Iterator[Certificate]:
    user = f"system:node:{host.name}"
    yield Certificate(f"{host.name}/kubelet-client", "kubernetes", user, CLIENT, ["system:nodes"])
    yield _server(host, "kubelet-server", "kubernetes", user, local=False)
    yield Certificate(f"{host.name}/kube-proxy", "kubernetes", "system:kube-proxy", CLIENT)
    yield Certificate(f"{host.name}/flanneld", "kubernetes", "flanneld", CLIENT)
