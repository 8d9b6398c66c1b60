# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cluster-wide values from a valid inventory: everything that other roles need to know about each other."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Network
from typing import Any

from .certificates import ci_jobs, plan
from .model import API_PORT, DNS_INDEX, GROUPS, Host, Inventory, endpoint
from .monitoring import LOGGING_PORT, sources, targets
from .rook import derived as rook_derived
from .shown import shown
from .storage import derived as storage_derived
from .storage import local_volumes

LOCAL_ENDPOINT = "https://127.0.0.1:7443"
MTU = 1500  # Ethernet's, for a host that was not asked.
VXLAN_OVERHEAD = 50
NODES = ("masters", "workers")
# Order on a host, and who has it; each finds what it needs already there.
COMPONENTS = (
    ("host", GROUPS),
    ("etcd", ("etcd",)),
    ("kube_apiserver", ("masters",)),
    ("kube_controller_manager", ("masters",)),
    ("kube_scheduler", ("masters",)),
    ("artifact_store", ("outside",)),
    ("registry", ("outside",)),
    ("loadbalancer", (*NODES, "outside")),
    ("keepalived", ("masters",)),
    ("volumes", NODES),
    ("containerd", NODES),
    ("kubelet", NODES),
    ("kube_proxy", NODES),
    ("overlay", NODES),
    ("addons", ("masters",)),
    ("admin", ("masters", "outside")),
    ("git", ("outside",)),
    ("ci", ("outside",)),
    ("ceph", ("storage",)),
    ("monitored", GROUPS),
    ("monitoring", ("outside",)),
    ("logging", ("outside",)),
    ("journal_upload", GROUPS),
    ("vlagent", NODES),
    ("backup", ("outside",)),
    ("grafana", ("outside",)),
    ("status_page", ("outside",)),
)
# What runs pods: during an upgrade it comes when all control planes are done. Addons are for the new API.
NODE_COMPONENTS = ("containerd", "kubelet", "kube_proxy", "overlay", "addons")
# Of these a cluster has those that cluster_outside_services names; a new one goes here, into COMPONENTS and into that
# option's choices.
OUTSIDE_SERVICES: tuple[str, ...] = ("git", "ci", "monitoring", "logging", "backup", "grafana", "status_page")
# What other hosts have for one of these.
PART_OF = {"monitored": "monitoring", "journal_upload": "logging", "vlagent": "logging"}
# On outside hosts these come once binaries can be fetched from the artifact store.
LATE = ("registry", "loadbalancer", "admin", "journal_upload", *OUTSIDE_SERVICES)
# Data of services that cannot be made again, which a backup has: the variable with its folder, that one's default, and
# what of the folder. Prometheus replaces its files while it runs: how they get there, backups know.
DATA = {
    "registry": ("registry_root", "/var/lib/registry", ""),
    "git": ("git_root", "/var/lib/git", ""),
    "monitoring": ("monitoring_root", "/var/lib/monitoring", "/alertmanager"),
}


@dataclass(frozen=True)
class Member:
    """A host as others see it."""

    name: str
    address: str


@dataclass(frozen=True)
class DerivedHost:
    """What one host is; ``architecture`` is empty for a host that was not asked."""

    name: str
    address: str
    groups: list[str]
    components: list[str]
    components_late: list[str]
    components_storage: list[str]
    architecture: str
    pod_mtu: int
    metrics: list[dict[str, str]]
    data: list[str]
    prometheus: str


@dataclass(frozen=True)
class Derived:
    """The one value that roles' defaults read, as ``cluster_derived``."""

    name: str
    domain: str
    state_dir: str
    pki_dir: str
    kubernetes_version: str
    groups: dict[str, list[str]]
    nodes: list[str]
    node_components: list[str]
    endpoint: dict[str, Any]
    local_endpoint: str
    vip: str
    pod_network: str
    service_network: str
    service_address: str
    dns_address: str
    node_cidr_size: int
    hosts: dict[str, DerivedHost]
    etcd: dict[str, Any]
    masters: list[Member]
    registry: dict[str, Any]
    store: dict[str, Any]
    outside_services: list[str]
    ci_jobs: list[dict[str, Any]]
    monitoring: dict[str, Any]
    shown: list[dict[str, Any]]
    logging: dict[str, Any]
    storage: dict[str, Any]
    local_volumes: list[dict[str, Any]]
    rook: dict[str, Any]
    pki: dict[str, Any] = field(default_factory=dict)


def derive(inventory: Inventory) -> dict[str, Any]:
    """All derived values as plain data; the inventory has been validated."""
    settings = inventory.settings
    services = IPv4Network(settings.service_network)
    pki_dir = f"{settings.state_dir}/pki"
    masters, etcd = _members(inventory, "masters"), _members(inventory, "etcd")
    api = api_endpoint(inventory)
    return asdict(
        Derived(
            name=settings.name,
            domain=settings.domain,
            state_dir=settings.state_dir,
            pki_dir=pki_dir,
            kubernetes_version=settings.kubernetes_version,
            groups={group: list(inventory.groups[group]) for group in GROUPS},
            nodes=inventory.nodes,
            node_components=list(NODE_COMPONENTS),
            endpoint={"host": api[0], "port": api[1], "url": f"https://{api[0]}:{api[1]}"},
            local_endpoint=LOCAL_ENDPOINT,
            vip=settings.vip,
            pod_network=settings.pod_network,
            service_network=settings.service_network,
            service_address=str(services[1]),
            dns_address=settings.dns_address or str(services[DNS_INDEX]),
            node_cidr_size=settings.node_cidr_size,
            hosts={name: derive_host(inventory, name) for name in inventory.hosts},
            etcd={
                "members": etcd,
                "initial_cluster": ",".join(f"{member.name}=https://{member.address}:2380" for member in etcd),
                "endpoints": ",".join(f"https://{member.address}:2379" for member in etcd),
            },
            masters=masters,
            registry=_registry(inventory),
            store={"urls": _store_urls(inventory), "ca": f"{pki_dir}/ca/outside.crt"},
            outside_services=list(settings.outside_services),
            ci_jobs=ci_jobs(inventory),
            monitoring=_monitoring(inventory),
            shown=_shown(inventory),
            logging=_logging(inventory),
            storage=storage_derived(inventory),
            local_volumes=local_volumes(inventory),
            rook=rook_derived(inventory),
            pki=plan(inventory, api[0], str(services[1])),
        )
    )


def derive_host(inventory: Inventory, name: str) -> DerivedHost:
    """One host's part; looks at no other host."""
    host = inventory.hosts[name]
    roles = components(inventory, name)
    late = [role for role in roles if role in LATE] if inventory.within(name, "outside") else []
    # Monitors need each other, so all hosts of the group start them together, also those that are outside hosts.
    apart = ["ceph"] if inventory.within(name, "storage") and inventory.within(name, "outside") else []
    overhead = 0 if host.value("overlay_backend", "vxlan") == "host-gw" else VXLAN_OVERHEAD
    return DerivedHost(
        name=name,
        address=host.address,
        groups=[group for group in GROUPS if inventory.within(name, group)],
        components=[role for role in roles if role not in (*late, *apart)],
        components_late=late,
        components_storage=(apart or roles) if inventory.within(name, "storage") else [],
        architecture=str(host.facts.get("architecture", "")),
        pod_mtu=int(host.facts.get("mtu") or MTU) - overhead,
        metrics=sources(host, roles),
        data=[_data(host, role) for role in roles if role in DATA],
        prometheus=f"{_root(host, 'monitoring')}/prometheus" if "monitoring" in roles else "",
    )


def _data(host: Host, role: str) -> str:
    """Where a service's data is."""
    return f"{_root(host, role)}{DATA[role][2]}"


def _root(host: Host, role: str) -> str:
    """A service's folder."""
    variable, usual, _below = DATA[role]
    return str(host.value(variable, usual))


def components(inventory: Inventory, name: str) -> list[str]:
    """Roles of a host, in the order in which they are applied."""
    return [role for role, groups in COMPONENTS if inventory.within(name, *groups) and _wanted(role, inventory, name)]


def _wanted(role: str, inventory: Inventory, name: str) -> bool:
    """Whether a host has an optional component."""
    settings = inventory.settings
    if role == "volumes":
        return bool(inventory.groups["storage"] or inventory.hosts[name].value("volumes_local", []))
    if role == "keepalived":
        return bool(settings.vip)
    service = PART_OF.get(role, role)
    return service not in OUTSIDE_SERVICES or service in settings.outside_services


def api_endpoint(inventory: Inventory) -> tuple[str, int]:
    """Where clients outside find the API: as set, the virtual address, the first outside host's load balancer."""
    given = inventory.settings.endpoint or inventory.settings.vip
    return endpoint(given) or (inventory.hosts[inventory.groups["outside"][0]].address, API_PORT)


def _members(inventory: Inventory, group: str) -> list[Member]:
    return [Member(name, inventory.hosts[name].address) for name in inventory.groups[group]]


def _registry(inventory: Inventory) -> dict[str, Any]:
    first = inventory.hosts[inventory.groups["outside"][0]]
    location = f"{first.address}:{first.value('registry_port', 5000)}"
    isolated = bool(first.value("registry_isolated", True))
    return {"address": location, "url": f"https://{location}", "isolated": isolated}


def _monitoring(inventory: Inventory) -> dict[str, Any]:
    """What is watched and who is told; empty where nothing is."""
    if "monitoring" not in inventory.settings.outside_services:
        return {}
    peers = [inventory.hosts[name].address for name in inventory.groups["outside"]]
    return {"peers": peers, "targets": targets(_with_components(inventory))}


def _shown(inventory: Inventory) -> list[dict[str, Any]]:
    """What the status page lists; nothing where there is none."""
    if "status_page" not in inventory.settings.outside_services:
        return []
    return shown(_with_components(inventory), inventory.groups)


def _with_components(inventory: Inventory) -> list[tuple[Host, list[str]]]:
    """Each host with what it has."""
    return [(host, components(inventory, host.name)) for host in inventory.hosts.values()]


def _logging(inventory: Inventory) -> dict[str, Any]:
    """Where logs go, to all of these; empty where they stay."""
    if "logging" not in inventory.settings.outside_services:
        return {}
    hosts = (inventory.hosts[name] for name in inventory.groups["outside"])
    return {"stores": [Member(it.name, f"{it.address}:{it.value('logging_port', LOGGING_PORT)}") for it in hosts]}


def _store_urls(inventory: Inventory) -> list[str]:
    hosts = (inventory.hosts[name] for name in inventory.groups["outside"])
    return [f"https://{host.address}:{host.value('artifact_store_port', 8444)}" for host in hosts]
