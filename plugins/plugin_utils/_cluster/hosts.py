# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with a host, from what host_facts saw there."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.selfhosted.kubernetes.plugins.module_utils._why.resources import quantity

from .clock import TIME_SERVICE, apart, drift
from .model import Error, Host, Inventory
from .versions import minor

MIB = 2**20
RELEASES = {
    "debian": ("12", "13"),
    "ubuntu": ("22.04", "24.04"),
    **dict.fromkeys(("rhel", "rocky", "almalinux", "centos", "ol"), ("9",)),
}
SYSTEMS = "Debian 12 or 13, Ubuntu 22.04 or 24.04, or RHEL 9 or a rebuild of it"
ARCHITECTURES = ("amd64", "arm64")
PYTHON = (3, 9)  # The floor of what this collection sends to hosts.
# kubeadm's own preflight value for masters. A worker needs up to 280 MB at rest; pods come on top.
MEMORY = {"masters": 1700 * MIB, "workers": 700 * MIB}
# Binaries, images and logs of a first installation; afterwards room to replace the largest binary is enough.
DISK_FIRST, DISK_AGAIN = 2048 * MIB, 512 * MIB
# Of the kubelet (pkg/kubelet/eviction/defaults_linux.go); what a user's evictionHard leaves out is off.
EVICTION = {"nodefs.available": "10%", "imagefs.available": "15%"}


def answered(host: Host, _cluster: Inventory) -> Iterator[Error]:
    """Every host of the run could be looked at."""
    message = " ".join(str(host.facts.get("msg", "")).split()).removeprefix("Task failed: ").rstrip(".")
    leave_out = f"or leave it out with --limit '!{host.name}'"
    if host.facts.get("unreachable"):
        yield Error(f"it cannot be reached: {message}", f"start it, {leave_out}")
    elif host.facts.get("failed"):
        yield Error(f"it could not be examined: {message}", f"repair it, {leave_out}")


def system(host: Host, _cluster: Inventory) -> Iterator[Error]:
    """Distribution, processor, Python and init are ones that the roles are written for."""
    facts = host.facts
    name, release = facts["distribution"], facts["distribution_version"]
    if (release.split(".")[0] if facts["os_family"] == "RedHat" else release) not in RELEASES.get(name, ()):
        yield Error(f"it runs {name or 'an unknown system'} {release}".rstrip(), f"install {SYSTEMS}")
    if facts["architecture"] not in ARCHITECTURES:
        yield Error(f"its architecture is {facts['architecture']}", f"use one of {', '.join(ARCHITECTURES)}")
    if tuple(int(part) for part in facts["python"].split(".")[:2]) < PYTHON:
        yield Error(f"its Python is {facts['python']}", "install 3.9 or newer and set ansible_python_interpreter")
    if not facts["systemd"]:
        yield Error("its init is not systemd", "boot it with systemd: every component is a systemd service")
    if facts["machine_id"] in ("", "uninitialized"):
        yield Error("its /etc/machine-id is empty", "run systemd-machine-id-setup on it")


def kubelet_would_start(host: Host, cluster: Inventory) -> Iterator[Error]:
    """What the kubelet refuses, unless it is told otherwise."""
    if not cluster.is_node(host.name):
        return
    if host.facts["swap_bytes"] and host.value("kubelet_config.failSwapOn", True) is not False:
        fix = "run swapoff -a and remove swap from /etc/fstab, or set kubelet_config.failSwapOn to false"
        yield Error("swap is on, with which the kubelet does not start", fix)
    refuses = (minor(cluster.settings.kubernetes_version) or (1, 35)) >= (1, 35)
    if host.facts["cgroup"] == "v1" and refuses and host.value("kubelet_config.failCgroupV1", True) is not False:
        fix = "boot with systemd.unified_cgroup_hierarchy=1, or set kubelet_config.failCgroupV1 to false"
        yield Error("it has cgroup v1, with which the kubelet does not start", fix)


def interface(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Components of the cluster bind the host's address; an outside host may be behind a translated one."""
    if host.facts["mtu"] is None and not cluster.within(host.name, "outside"):
        yield Error(f"none of its interfaces has {host.address}", "set cluster_host_ip to an address of its own")


def resources(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Enough memory and disk to start with."""
    facts = host.facts
    memory = max((needed for group, needed in MEMORY.items() if cluster.within(host.name, group)), default=0)
    if facts["memory_bytes"] < memory:
        yield Error(f"it has {facts['memory_bytes'] // MIB} MiB of memory", f"give it {memory // MIB} MiB or more")
    disk = DISK_AGAIN if facts["versions"] else DISK_FIRST
    for path, free in facts["disk_free"].items():
        if free < disk:
            yield Error(f"{path} has {free // MIB} MiB left", f"make it {disk // MIB} MiB or more")


def kubelet_would_evict(host: Host, cluster: Inventory) -> Iterator[Error]:
    """A new node on a disk so full that its kubelet evicts every pod at once; a full one of before is check.yml's."""
    if not cluster.is_node(host.name) or host.facts["versions"]:
        return
    own, seen = host.value("kubelet_config.evictionHard", None) or {}, []
    merged = not own or host.value("kubelet_config.mergeDefaultEvictionSettings", False) is True
    limits = {**EVICTION, **own} if merged else own
    for name, (free, size) in host.facts["kubelet_disks"].items():
        limit = str(limits.get(f"{name}.available", "0"))
        try:
            needed = size * float(limit[:-1]) / 100 if limit.endswith("%") else quantity(limit)
        except (KeyError, ValueError):
            where = f"kubelet_config.evictionHard.{name}.available"
            yield Error(f"{where} is {limit!r}", "give a quantity (10Gi) or a share of the disk (10%)")
            continue
        if free < needed and (free, size) not in seen:
            seen.append((free, size))
            has = f"its {name} has {free // MIB} of {size // MIB} MiB left, and the kubelet evicts pods below {limit}"
            yield Error(has, f"make room, or set kubelet_config.evictionHard with another {name}.available")


def clock(host: Host, _cluster: Inventory) -> Iterator[Error]:
    """The host's clock agrees with the control node's, read before and after."""
    seconds, side = drift(host.facts["clock"])
    if side:
        yield Error(f"its clock is {seconds:.1f} s {side} the control node's", TIME_SERVICE)


def clock_is_kept(host: Host) -> Iterator[Error]:
    """Its kernel knows of a time service; no error, since clocks may agree without one."""
    if not host.facts["clock"]["synchronized"]:
        yield Error("its kernel says that nothing keeps its clock", "run a time service (chrony, systemd-timesyncd)")


def clocks_agree(cluster: Inventory) -> Iterator[Error]:
    """No two hosts are apart, as far as the calls were quick enough to tell."""
    found = apart({host.name: host.facts["clock"] for host in cluster.answered()})
    if found and not any([*clock(cluster.hosts[name], cluster)] for name in found[:2]):
        ahead, behind, seconds = found
        yield Error(f"its clock is at least {seconds:.1f} s ahead of {behind}'s", TIME_SERVICE, host=ahead)
