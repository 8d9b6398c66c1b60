# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rook, over the storage outside or with disks of nodes: which versions fit each other, and what each mode needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from .model import Error, Host, Inventory
from .specs import read_yaml
from .storage import DEVICE, kernel_client
from .versions import minor

ROLE = Path(__file__).resolve().parents[3] / "roles" / "rook"
# What all hosts have to say alike.
OF_ROOK = ("rook_mode", "rook_version", "rook_osd_memory_mib")
COPIES = 3  # And monitors, each on a node of its own.
LEAST_OSD_MIB = 2048  # Below, Ceph calls an OSD's memory too little to work with (Hardware recommendations).


@cache
def known() -> dict[str, dict[str, Any]]:
    """Supported versions of Rook, the newest first, each with what it needs."""
    return read_yaml(ROLE / "files" / "versions.yml")


@cache
def _defaults() -> dict[str, Any]:
    return read_yaml(ROLE / "defaults" / "main.yml")


def setting(cluster: Inventory, name: str) -> Any:
    """What the first host says, as all do, or else the default."""
    given = (host.variables[name] for host in cluster.hosts.values() if name in host.variables)
    return next(given, _defaults()[name])


def mode(cluster: Inventory) -> str:
    """external, internal, or nothing where there is no Rook."""
    return str(setting(cluster, "rook_mode"))


def nodes(cluster: Inventory) -> list[dict[str, Any]]:
    """Nodes whose disks Rook may have."""
    given = {name: cluster.hosts[name].value("rook_devices", []) for name in cluster.nodes}
    return [{"name": name, "devices": devices} for name, devices in given.items() if devices]


def derived(cluster: Inventory) -> dict[str, Any]:
    """What roles know of it; empty where there is no Rook. Of storage hosts that were not asked no version is known."""
    if not mode(cluster):
        return {}
    ceph = {name: cluster.hosts[name].facts.get("ceph", "") for name in cluster.groups["storage"]}
    return {
        "mode": mode(cluster),
        "nodes": nodes(cluster),
        "ceph": {name: version for name, version in ceph.items() if version},
    }


def pairs(cluster: Inventory) -> Iterator[Error]:
    """This Rook is known, and supports this Kubernetes."""
    if not mode(cluster):
        return
    version = setting(cluster, "rook_version")
    if version not in known():
        yield Error(f"{version} is not supported", f"choose one of {', '.join(known())}", "rook_version")
        return
    wanted = cluster.settings.kubernetes_version
    if minor(wanted) and not _within(minor(wanted), known()[version]["kubernetes"]):
        least, most = known()[version]["kubernetes"]
        others = [it for it, needs in known().items() if _within(minor(wanted), needs["kubernetes"])]
        fix = f"set it to {others[0]}" if others else "wait for a Rook that does, or set rook_mode to nothing"
        problem = f"Rook {version} supports Kubernetes {least} to {most}, cluster_kubernetes_version is {wanted}"
        yield Error(problem, fix, "rook_version")


def _within(found: tuple[int, int] | None, limits: list[str]) -> bool:
    least, most = (minor(f"{it}.0") for it in limits)
    return found is not None and least is not None and most is not None and least <= found <= most


def mode_fits(cluster: Inventory) -> Iterator[Error]:
    """Storage is outside or inside, and is not made twice."""
    there = cluster.groups["storage"]
    if mode(cluster) == "external" and not there:
        fix = "put hosts into it, or set rook_mode to internal for a Ceph that Rook runs on nodes"
        yield Error("external is for the Ceph of group storage, which has no host", fix, "rook_mode")
    if mode(cluster) == "internal" and there:
        fix = "set it to external, or empty the group"
        yield Error(f"internal is for a Ceph that Rook runs, group storage has {', '.join(there)}", fix, "rook_mode")


def disks_fit(cluster: Inventory) -> Iterator[Error]:
    """Each copy has a node with a disk, and each OSD some memory."""
    if mode(cluster) != "internal":
        return
    having = nodes(cluster)
    if len(having) < COPIES:
        fix = "set it for more of them, to names such as /dev/disk/by-id/..."
        yield Error(f"{COPIES} copies need {COPIES} nodes with disks, there are {len(having)}", fix, "rook_devices")
    if (memory := setting(cluster, "rook_osd_memory_mib")) < LEAST_OSD_MIB:
        yield Error(f"{memory} MiB are too little for an OSD", f"set {LEAST_OSD_MIB} or more", "rook_osd_memory_mib")


def devices(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Disks of a node, each named once, where Rook takes disks at all."""
    given = host.value("rook_devices", [])
    if given and not cluster.is_node(host.name):
        yield Error("it is no node", "set it for masters or workers", "rook_devices")
    elif given and mode(cluster) != "internal":
        yield Error("Rook takes no disks", "remove it, or set rook_mode to internal", "rook_devices")
    for device in dict.fromkeys(it for it in given if given.count(it) > 1):
        yield Error(f"{device} is there {given.count(device)} times", "remove all but one", "rook_devices")
    for device in (it for it in given if not DEVICE.fullmatch(it)):
        fix = "write it as /dev/disk/by-id/..., a name that stays"
        yield Error(f"{device!r} is no device", fix, "rook_devices")


def storage_is_known(host: Host, cluster: Inventory) -> Iterator[Error]:
    """This Rook supports the Ceph of the storage; before the first site run there is none yet."""
    installed = host.facts.get("ceph", "")
    if not installed or not cluster.within(host.name, "storage") or mode(cluster) != "external":
        return
    version = setting(cluster, "rook_version")
    if not (needs := known().get(version)):
        return
    least = needs["ceph"].get(installed.split(".")[0])
    if least is None or _parts(installed) < _parts(least):
        majors = " or ".join(f"{it.split('.')[0]} ({it} or newer)" for it in needs["ceph"].values())
        fix = "install one of these from upstream's repository (docs/storage.md), or set rook_mode to nothing"
        yield Error(f"it has Ceph {installed}, Rook {version} needs {majors}", fix)


def nodes_can_mount(host: Host, cluster: Inventory) -> Iterator[Error]:
    """ceph-csi mounts by the kernel of each node."""
    if mode(cluster) and cluster.is_node(host.name):
        yield from kernel_client(host, "rook_mode", "set it to nothing")


def _parts(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]
