# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage outside of the cluster, and volumes of nodes: what others know of it, and what can be wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any

from .hosts import DISK_FIRST
from .inventory import LABEL
from .model import Error, Host, Inventory, address, network
from .outside import twice
from .versions import minor

MONITORS = 3
MIB, GIB = 2**20, 2**30
# Where an OSD works at all (osd_memory_target's own least), and what the host's other daemons need.
OSD_MIB, REST_MIB = 896, 1024
PERCENT = range(10, 91)
# A folder takes 100 snapshots (mds_max_snaps_per_dir): some room for the one that is being made, and those of backups.
EVERY, SNAPSHOTS = re.compile(r"([1-9]\d*[hdw])?"), 90
# No months: they are `m` in older Ceph, and `M` in newer, where `m` are minutes (github.com/ceph/ceph/pull/53070).
AGES = ("h", "d", "w", "y")
KERNEL = (5, 11)  # The first whose client encrypts (ms_mode of mount.ceph).
# What all storage hosts have to say alike.
OF_STORAGE = (
    *("ceph_monitors", "ceph_replicas", "ceph_min_replicas"),
    *("ceph_failure_domain", "ceph_cluster_network", "ceph_config"),
    *("ceph_snapshots", "ceph_snapshots_kept"),
)
DEVICE = re.compile(r"/dev/[A-Za-z0-9._:+@/-]+")
NAMED = "use 1 to 63 of a-z, 0-9 and '-'"


def setting(cluster: Inventory, name: str, default: Any) -> Any:
    """What the first storage host says, as all do."""
    hosts = cluster.groups["storage"]
    return cluster.hosts[hosts[0]].value(name, default) if hosts else default


def monitors(cluster: Inventory) -> list[str]:
    """Hosts with a monitor: as given, or the first three."""
    return setting(cluster, "ceph_monitors", []) or cluster.groups["storage"][:MONITORS]


def derived(cluster: Inventory) -> dict[str, Any]:
    """What other roles know; empty where there is no storage."""
    if not cluster.groups["storage"]:
        return {}
    hosts = (cluster.hosts[name] for name in monitors(cluster) if name in cluster.hosts)
    racks = {name: cluster.hosts[name].value("ceph_rack", "") for name in cluster.groups["storage"]}
    return {
        "monitors": [{"name": host.name, "address": host.address} for host in hosts],
        "racks": {name: rack for name, rack in racks.items() if rack},
        "path": cluster.hosts[cluster.nodes[0]].value("volumes_path", "/var/lib/cephfs"),
        "snapshots": setting(cluster, "ceph_snapshots", "1h"),
    }


def local_volumes(cluster: Inventory) -> list[dict[str, Any]]:
    """Volumes of nodes' own disks, each with its node."""
    return [{"node": name, **it} for name in cluster.nodes for it in cluster.hosts[name].value("volumes_local", [])]


def monitors_are_odd(cluster: Inventory) -> Iterator[Error]:
    """A majority of them decides."""
    names = monitors(cluster)
    strangers = [name for name in names if name not in cluster.groups["storage"]]
    if strangers:
        fix = "name hosts of group storage"
        yield Error(f"{', '.join(strangers)} is no storage host", fix, "ceph_monitors")
    if names and len(names) % 2 == 0:
        fix = f"name {len(names) - 1} or {len(names) + 1}: {len(names)} survive no more failures than {len(names) - 1}"
        yield Error(f"there would be {len(names)} monitors, an even number", fix, "ceph_monitors")


def copies_fit(cluster: Inventory) -> Iterator[Error]:
    """Each copy has a place of its own, and a failure leaves enough of them."""
    if not cluster.groups["storage"]:
        return
    hosts = [cluster.hosts[name] for name in cluster.groups["storage"]]
    with_disks = [host for host in hosts if host.value("ceph_osds", [])]
    replicas, least = setting(cluster, "ceph_replicas", 3), setting(cluster, "ceph_min_replicas", 2)
    domain = setting(cluster, "ceph_failure_domain", "host")
    places = {host.value("ceph_rack", "") if domain == "rack" else host.name for host in with_disks}
    if replicas > len(places):
        fix = f"lower it, or give more {domain}s disks (ceph_osds)"
        yield Error(
            f"{replicas} copies need {replicas} {domain}s with disks, there are {len(places)}", fix, "ceph_replicas"
        )
    if replicas < 1:
        yield Error(f"{replicas} copies keep nothing", "set it to 3", "ceph_replicas")
    elif not 1 <= least <= replicas:
        yield Error(f"{least} of {replicas} copies cannot be asked for", f"set 1 to {replicas}", "ceph_min_replicas")
    for host in with_disks:
        if domain == "rack" and not LABEL.fullmatch(host.value("ceph_rack", "")):
            yield Error("copies are spread over racks, and it is in none", NAMED, "ceph_rack", host.name)


def cluster_network(cluster: Inventory) -> Iterator[Error]:
    """A network of storage hosts alone, that neither pods nor Services use."""
    variable, settings = "ceph_cluster_network", cluster.settings
    text = setting(cluster, variable, "")
    net = network(text)
    if text and net is None:
        yield Error(f"{text!r} is not an IPv4 network", "write it as 192.0.2.0/24, no bit after the prefix", variable)
    others = {"cluster_pod_network": settings.pod_network, "cluster_service_network": settings.service_network}
    for name, other in others.items():
        if net and (there := network(other)) and net.overlaps(there):
            yield Error(f"{net} overlaps {name} {there}", "name the network between storage hosts", variable)
    for host in cluster.hosts.values():
        if net and (own := address(host.address)) and own in net:
            fix = "name a network that only storage hosts have, or leave it empty"
            yield Error(f"its address for everything else lies in {net}", fix, variable, host.name)


def snapshots(cluster: Inventory) -> Iterator[Error]:
    """A schedule that Ceph reads, and no more of them than it keeps."""
    every, kept = setting(cluster, "ceph_snapshots", "1h"), setting(cluster, "ceph_snapshots_kept", {"h": 24})
    if not EVERY.fullmatch(every):
        fix = "write it as 1h, 2d or 1w, or leave it empty for none"
        yield Error(f"{every!r} says not how often", fix, "ceph_snapshots")
    for unit, count in kept.items():
        # Ceph is asked whether it has this very number.
        if unit not in AGES or isinstance(count, bool) or not isinstance(count, int) or count < 1:
            fix = f"write {', '.join(AGES)}, each with a number from 1 on"
            yield Error(f"{unit!r}: {count!r} is no number of snapshots of an age", fix, "ceph_snapshots_kept")
            return
    if every and not 1 <= sum(kept.values()) <= SNAPSHOTS:
        fix = f"keep 1 to {SNAPSHOTS}, or set ceph_snapshots to nothing"
        yield Error(f"{sum(kept.values())} snapshots would be kept", fix, "ceph_snapshots_kept")


def memory(host: Host, cluster: Inventory) -> Iterator[Error]:
    """What OSDs may have is enough for them, and leaves something for others."""
    if not cluster.within(host.name, "storage"):
        return
    percent, each = host.value("ceph_memory_percent", 70), host.value("ceph_osd_memory_mib", OSD_MIB)
    if percent not in PERCENT:
        fix = f"set {PERCENT[0]} to {PERCENT[-1]}"
        yield Error(f"OSDs cannot share {percent} % of the memory", fix, "ceph_memory_percent")
    if each < OSD_MIB:
        yield Error(f"{each} MiB are too little for an OSD", f"set {OSD_MIB} or more", "ceph_osd_memory_mib")


def disks(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Each disk is named once, and is a disk or a file."""
    given = host.value("ceph_osds", [])
    if given and not cluster.within(host.name, "storage"):
        yield Error("it is no storage host", "put it into group storage", "ceph_osds")
    names, devices = [it["name"] for it in given], [it["device"] for it in given if it.get("device")]
    for name in dict.fromkeys(it for it in names if names.count(it) > 1):
        yield Error(f"the name {name} is there {names.count(name)} times", "rename all but one", "ceph_osds")
    for device in dict.fromkeys(it for it in devices if devices.count(it) > 1):
        yield Error(f"{device} is there {devices.count(device)} times", "remove all but one", "ceph_osds")
    for it in given:
        if not LABEL.fullmatch(it["name"]):
            yield Error(f"{it['name']!r} is no name of an OSD", NAMED, "ceph_osds")
        if bool(it.get("device")) == bool(it.get("size_gib")):
            yield Error(
                f"OSD {it['name']} needs a device, or a size_gib for a file", "give one of the two", "ceph_osds"
            )
        elif it.get("device") and not DEVICE.fullmatch(it["device"]):
            fix = "write it as /dev/disk/by-id/..., a name that stays"
            yield Error(f"{it['device']!r} is no device", fix, "ceph_osds")
        elif not it.get("device") and it["size_gib"] < 2:
            yield Error(f"OSD {it['name']} has {it['size_gib']} GiB", "make it 2 or more", "ceph_osds")


def wiped(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Only what is there can be given up, named by its host."""
    for it in host.value("ceph_wipe", []) if cluster.within(host.name, "storage") else ():
        name, _, device = it.partition(":")
        if name not in cluster.groups["storage"] or not device:
            yield Error(f"{it!r} is no disk of a storage host", "write it as HOST:/dev/disk/by-id/...", "ceph_wipe")
        elif name == host.name and device not in [osd.get("device") for osd in host.value("ceph_osds", [])]:
            yield Error(f"{device} is none of the host's ceph_osds", "write it as ceph_osds has it", "ceph_wipe")


def local(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Volumes of a node's own have a name, a folder and a size."""
    given = host.value("volumes_local", [])
    if given and not cluster.is_node(host.name):
        yield Error("it is no node", "set it for masters or workers", "volumes_local")
    for key in ("name", "path"):
        yield from twice("volumes_local", key, [it[key] for it in given])
    for it in given:
        if not LABEL.fullmatch(it["name"]):
            yield Error(f"{it['name']!r} is no name of a volume", NAMED, "volumes_local")
        if not re.fullmatch(r"(/[A-Za-z0-9._-]+)+", it["path"]):
            yield Error(f"{it['path']!r} is no folder", "write it as /srv/volumes/db", "volumes_local")
        if it["size_gib"] < 1:
            yield Error(f"volume {it['name']} has {it['size_gib']} GiB", "make it 1 or more", "volumes_local")


def disks_can_be_used(host: Host, _cluster: Inventory) -> Iterator[Error]:
    """What is on a disk is not lost by a slip of the hand."""
    found = host.facts.get("devices", {})
    for it in (it for it in host.value("ceph_osds", []) if it.get("device")):
        device, seen = it["device"], found.get(it["device"], {})
        if seen.get("kind") != "disk":
            problem = "there is no such device" if seen.get("kind") == "absent" else "it is no block device"
            yield Error(f"{device}: {problem}", "correct the name (ls -l /dev/disk/by-id)", "ceph_osds")
        elif seen["used_by"]:
            fix = "choose another disk, or unmount it and take it out of /etc/fstab"
            yield Error(f"{device} is in use: {seen['used_by']}", fix, "ceph_osds")
        elif seen["holds"] == "data" and f"{host.name}:{device}" not in host.value("ceph_wipe", []):
            wish = json.dumps({"ceph_wipe": [f"{host.name}:{device}"]})
            fix = f"choose another disk, or give up what is on it with -e '{wish}'"
            yield Error(f"{device} holds data", fix, "ceph_osds")


def storage_resources(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Memory for each OSD, room for files that are not there yet, and an address in the network between OSDs."""
    osds = host.value("ceph_osds", [])
    if not cluster.within(host.name, "storage"):
        return
    needed = OSD_MIB * len(osds) + REST_MIB
    if host.facts["memory_bytes"] < needed * MIB:
        problem = f"it has {host.facts['memory_bytes'] // MIB} MiB of memory for {len(osds)} OSD(s)"
        yield Error(problem, f"give it {needed} MiB or more, or fewer disks")
    made = host.facts["versions"]
    files = [it["size_gib"] for it in osds if it.get("size_gib") and f"ceph-osd-{it['name']}" not in made]
    wanted, free = sum(files) + DISK_FIRST // GIB, host.facts["osd_free"]
    if files and free < wanted * GIB:
        fix = f"make it {wanted} GiB or more, or lower size_gib"
        yield Error(f"/var/lib/ceph has {free // GIB} GiB left, files of new OSDs take {sum(files)}", fix, "ceph_osds")
    net = network(setting(cluster, "ceph_cluster_network", ""))
    addresses = host.facts.get("addresses", [])
    if net and osds and not any(_within(net, it) for it in addresses):
        fix = "correct ceph_cluster_network, or give the host one"
        yield Error(f"it has no address in {net}, the network between OSDs", fix)


def _within(net: IPv4Network, text: str) -> bool:
    there = network(f"{text}/32")
    return there is not None and there.subnet_of(net)


def mounts(host: Host, cluster: Inventory) -> Iterator[Error]:
    """A node mounts the file system as it is told to; who saves volumes does so by FUSE."""
    node, saves = cluster.is_node(host.name), "backup" in cluster.settings.outside_services
    if not cluster.groups["storage"] or not (node or (saves and cluster.within(host.name, "outside"))):
        return
    if node and host.value("volumes_client", "fuse") == "kernel":
        yield from kernel_client(host, "volumes_client", "set it to fuse")
    elif not host.facts.get("fuse", True):
        yield Error("its kernel has no FUSE (/dev/fuse)", "load the module: modprobe fuse")


def kernel_client(host: Host, variable: str, otherwise: str) -> Iterator[Error]:
    """What a node lacks whose kernel mounts the file system; the variable is what asked for it."""
    release = host.facts["kernel"]
    if (minor(release) or KERNEL) < KERNEL:
        fix = f"boot Linux {'.'.join(map(str, KERNEL))} or newer, or {otherwise}"
        yield Error(f"its kernel is {release}, whose client of Ceph does not encrypt", fix, variable)
    elif not host.facts.get("kernel_ceph", True):
        fix = f"install the kernel's modules (Debian: not the cloud kernel), or {otherwise}"
        yield Error("its kernel has no module ceph", fix, variable)
