# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with a host, from what host_facts saw there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from typing import NamedTuple

from .derive import components
from .model import Error, Host, Inventory
from .versions import minor

MIB = 2**20
SYSTEMS = "Debian 12 and 13, Ubuntu 22.04 and 24.04, and RHEL 9 with its rebuilds"
RELEASES = {"debian": ("12", "13"), "ubuntu": ("22.04", "24.04"), **dict.fromkeys(("rhel", "rocky", "almalinux", "centos", "ol"), ("9",))}
ARCHITECTURES = ("amd64", "arm64")
PYTHON = (3, 9)  # The floor of what this collection sends to hosts.
# Masters: kubeadm's own preflight value (1,700 MB); the control plane needs 380 MB at rest, a worker up to 280 MB, and pods come on top.
MEMORY = (("masters", 1700 * MIB), ("workers", 700 * MIB))
# Binaries, images and logs of a first installation; what runs already needs only room to replace its largest binary.
DISK_FIRST, DISK_AGAIN = 2048 * MIB, 512 * MIB
CLOCK_SECONDS = 1.0
ANY, LOCAL = "0.0.0.0", "127.0.0.1"  # noqa: S104 - compared, never bound


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
    Port("etcd", 2380, "etcd"),
    Port("etcd", 2381, "etcd", LOCAL),
    Port("kube_apiserver", 6443, "kube-apiserver"),
    Port("kube_controller_manager", 10257, "kube-controller-manager", variable="kube_controller_manager_flags.secure-port"),
    Port("kube_scheduler", 10259, "kube-scheduler", variable="kube_scheduler_flags.secure-port"),
    Port("loadbalancer", 7443, "haproxy", LOCAL),
    Port("loadbalancer", 6443, "haproxy", group="outside"),
    Port("kubelet", 10250, "kubelet", variable="kubelet_config.port"),
    Port("kubelet", 10248, "kubelet", LOCAL, variable="kubelet_config.healthzPort"),
    Port("kube_proxy", 10249, "kube-proxy", LOCAL),
    Port("kube_proxy", 10256, "kube-proxy"),
    Port("overlay", 10263, "flanneld"),
    Port("overlay", 8472, "flanneld", variable="overlay_vxlan_port", proto="udp"),
    Port("artifact_store", 8444, "nginx", variable="artifact_store_port"),
    Port("registry", 5000, "registry", variable="registry_port"),
)


def answered(inventory: Inventory) -> Iterator[Error]:
    """Every host of the run could be looked at."""
    for host in inventory.hosts.values():
        facts = host.facts
        message = " ".join(str(facts.get("msg", "")).split()).removeprefix("Task failed: ").rstrip(".")
        if facts.get("unreachable"):
            yield Error("", f"it cannot be reached: {message}", f"start it, or leave it out with --limit '!{host.name}'", host.name)
        elif facts.get("failed"):
            yield Error("", f"it could not be examined: {message}", f"repair it, or leave it out with --limit '!{host.name}'", host.name)


def operating_system(host: Host, _inventory: Inventory) -> Iterator[Error]:
    """The distribution, the processor and the Python are ones that are tested or at least rendered."""
    facts = host.facts
    name, release = facts["distribution"], facts["distribution_version"]
    if (release.split(".")[0] if facts["os_family"] == "RedHat" else release) not in RELEASES.get(name, ()):
        yield Error("", f"it runs {name or 'an unknown system'} {release}".rstrip(), f"install one of {SYSTEMS}", host.name)
    if facts["architecture"] not in ARCHITECTURES:
        yield Error("", f"its architecture {facts['architecture']} is not supported", f"use one of {', '.join(ARCHITECTURES)}", host.name)
    if tuple(int(part) for part in facts["python"].split(".")[:2]) < PYTHON:
        yield Error("", f"its Python is {facts['python']}", "install Python 3.9 or newer and set ansible_python_interpreter", host.name)
    if not facts["systemd"]:
        yield Error("", "systemd is not its init", "boot it with systemd: every component is a systemd service", host.name)
    if facts["machine_id"] in ("", "uninitialized"):
        yield Error("", "its /etc/machine-id is empty", "run systemd-machine-id-setup on it", host.name)


def kernel(host: Host, inventory: Inventory) -> Iterator[Error]:
    """What the kubelet would refuse to start on."""
    if not inventory.is_node(host.name):
        return
    facts = host.facts
    if facts["swap_bytes"] and host.value("kubelet_config.failSwapOn", True) is not False:
        yield Error("", "swap is on and the kubelet refuses to start", "run swapoff -a and remove it from /etc/fstab, or set kubelet_config.failSwapOn: false", host.name)
    refuses = (minor(inventory.settings.kubernetes_version) or (1, 35)) >= (1, 35)
    if facts["cgroup"] == "v1" and refuses and host.value("kubelet_config.failCgroupV1", True) is not False:
        yield Error("", "it has cgroup v1 and the kubelet refuses to start", "boot with systemd.unified_cgroup_hierarchy=1, or set kubelet_config.failCgroupV1: false", host.name)


def interface(host: Host, inventory: Inventory) -> Iterator[Error]:
    """Components of the cluster bind the host's address."""
    if not inventory.within(host.name, "outside") and host.facts["mtu"] is None:
        yield Error("", f"none of its interfaces has the address {host.address}", "set cluster_host_ip to an address that the host has itself", host.name)


def resources(host: Host, inventory: Inventory) -> Iterator[Error]:
    """Enough memory and disk to start with."""
    facts = host.facts
    memory = max((needed for group, needed in MEMORY if inventory.within(host.name, group)), default=0)
    if facts["memory_bytes"] < memory:
        yield Error("", f"it has {facts['memory_bytes'] // MIB} MiB of memory", f"give it at least {memory // MIB} MiB", host.name)
    disk = DISK_AGAIN if facts["versions"] else DISK_FIRST
    for path, free in facts["disk_free"].items():
        if free < disk:
            yield Error("", f"{path} has {free // MIB} MiB left", f"free or add space: it needs {disk // MIB} MiB", host.name)


def ports_free(host: Host, inventory: Inventory) -> Iterator[Error]:
    """No port of ours is held by another program."""
    roles = components(inventory, host.name)
    expected = [(port, host.value(port.variable, port.number)) for port in PORTS if port.role in roles and (not port.group or inventory.within(host.name, port.group))]
    for listener in host.facts["listeners"]:
        for port, number in expected:
            if (listener["proto"], str(listener["port"])) == (port.proto, str(number)) and _meet(listener["address"], port.bind) and _foreign(listener["process"], port):
                holder = listener["process"] or "a program that could not be seen"
                yield Error("", f"port {number}/{port.proto} of {port.role} is taken by {holder} on {listener['address']}", _move(port), host.name)


def _foreign(process: str | None, port: Port) -> bool:
    # VXLAN's socket belongs to the kernel, which shares it between devices.
    return process != port.process and not (process is None and port.proto == "udp")


def _meet(one: str, other: str) -> bool:
    return one == other or ip_address(one).is_unspecified or ip_address(other).is_unspecified


def _move(port: Port) -> str:
    return f"stop that program, or set {port.variable}" if port.variable else "stop that program or move it to another port"


def clock(host: Host, _inventory: Inventory) -> Iterator[Error]:
    """The host's clock agrees with the control node's."""
    times = host.facts["clock"]
    off = max(times["before"] - times["host"], times["host"] - times["after"])
    if off > CLOCK_SECONDS:
        side = "ahead of" if times["host"] > times["after"] else "behind"
        yield Error("", f"its clock is {off:.1f} s {side} the control node's", "start a time service on both (chrony, systemd-timesyncd)", host.name)


def clocks_agree(inventory: Inventory) -> Iterator[Error]:
    """No two hosts are apart, as far as the calls were quick enough to tell."""
    offsets = [(times["host"] - times["after"], times["host"] - times["before"], host) for host in inventory.answered() for times in [host.facts["clock"]]]
    if not offsets:
        return
    (late, _high, ahead), (_low, early, behind) = max(offsets, key=lambda item: item[0]), min(offsets, key=lambda item: item[1])
    if late - early > CLOCK_SECONDS and not [*clock(ahead, inventory), *clock(behind, inventory)]:
        yield Error("", f"its clock is at least {late - early:.1f} s ahead of {behind.name}'s", "start a time service on both (chrony, systemd-timesyncd)", ahead.name)


HOST_CHECKS: tuple[Callable[[Host, Inventory], Iterable[Error]], ...] = (operating_system, kernel, interface, resources, ports_free, clock)
