# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with an inventory, one small function for each kind of error."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import product

from .hosts import HOST_CHECKS, answered, clocks_agree
from .model import Error, Inventory, address, endpoint, network
from .versions import version_errors

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# kube-apiserver refuses a larger service network (its IP allocator is a bitmap of at most 2**20) and one of fewer than eight addresses.
SERVICE_PREFIX = range(12, 30)
# kube-controller-manager keeps a bitmap of node networks of at most 2**16 (clusterSubnetMaxDiff).
NODE_BITS = 16
DNS_INDEX = 10
MAX_PODS = 110
# k8s.io/kubernetes/pkg/kubelet/apis/well_known_labels.go: what a kubelet may set below kubernetes.io.
OWN_NAMESPACES = ("kubelet.kubernetes.io", "node.kubernetes.io")
OWN_LABELS = {
    *(f"kubernetes.io/{key}" for key in ("hostname", "os", "arch")),
    *(f"topology.kubernetes.io/{key}" for key in ("zone", "region")),
    *(f"beta.kubernetes.io/{key}" for key in ("instance-type", "os", "arch")),
    *(f"failure-domain.beta.kubernetes.io/{key}" for key in ("zone", "region")),
}
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def validate(inventory: Inventory) -> list[Error]:
    """All errors of an inventory."""
    errors = [error for check in INVENTORY_CHECKS for error in check(inventory)]
    for host in inventory.answered():
        errors += (error for host_check in HOST_CHECKS for error in host_check(host, inventory))
    return errors


def groups_filled(inventory: Inventory) -> Iterator[Error]:
    """Masters run the control plane; an outside host has the artifact store and the registry."""
    for group, what in (("masters", "run the control plane"), ("outside", "hold the artifact store and the registry")):
        if not inventory.groups[group]:
            near = difflib.get_close_matches(group, inventory.other_groups, 1)
            hint = f"rename group {near[0]} to {group}" if near else f"put the hosts that {what} into it"
            yield Error(f"group {group}", "it has no host", hint)


def outside_stays_outside(inventory: Inventory) -> Iterator[Error]:
    """What rebuilds the cluster must survive it."""
    for group in ("etcd", "masters", "workers"):
        for name in (name for name in inventory.groups["outside"] if inventory.within(name, group)):
            yield Error("", f"it is in group outside and in group {group}", "take it out of one of them: outside hosts must survive the cluster", name)


def etcd_is_odd(inventory: Inventory) -> Iterator[Error]:
    """An even member adds a way to fail but none to survive."""
    count = len(inventory.groups["etcd"])
    if count and count % 2 == 0:
        yield Error("group etcd", f"it has {count} members, an even number", f"make it {count - 1} or {count + 1}: {count} survive no more failures than {count - 1}")


def names_are_labels(inventory: Inventory) -> Iterator[Error]:
    """Node names become parts of DNS names, user names and file names."""
    for name in inventory.hosts:
        if not LABEL.fullmatch(name):
            yield Error("", "its name is not a DNS-1123 label", "use at most 63 of a-z, 0-9 and '-', a letter or digit at both ends (set ansible_host to reach it)", name)


def unique(inventory: Inventory) -> Iterator[Error]:
    """No two hosts are the same."""
    answered = inventory.answered()
    yield from _duplicates("name", "rename one of them", ((host.name.lower(), host.name) for host in inventory.hosts.values()))
    yield from _duplicates("address", "set ansible_host or cluster_host_ip of each to its own", ((host.address, host.name) for host in inventory.hosts.values()))
    machine_ids = ((host.facts["machine_id"], host.name) for host in answered if host.facts.get("machine_id"))
    yield from _duplicates("machine id", "the hosts are clones: empty /etc/machine-id on all but one, then run systemd-machine-id-setup there", machine_ids)


def _duplicates(what: str, fix: str, pairs: Iterable[tuple[Hashable, str]]) -> Iterator[Error]:
    owners = defaultdict(list)
    for value, name in pairs:
        owners[value].append(name)
    for value, names in owners.items():
        if len(names) > 1:
            yield from (Error("", f"they have the same {what} {value}", fix, name) for name in names)


def addresses(inventory: Inventory) -> Iterator[Error]:
    """Hosts are reached by IPv4 addresses that neither pods nor Services use."""
    settings = inventory.settings
    taken = [(variable, network(text)) for variable, text in (("cluster_pod_network", settings.pod_network), ("cluster_service_network", settings.service_network))]
    for host in inventory.hosts.values():
        own = address(host.address)
        if own is None:
            yield Error("", f"its address {host.address!r} is not an IPv4 address", "set cluster_host_ip to the host's address in the cluster", host.name)
        elif own.is_loopback or own.is_multicast or own.is_unspecified:
            yield Error("", f"no other host can reach its address {own}", "set cluster_host_ip to the host's address in the cluster", host.name)
        for variable, net in taken:
            if own and net and own in net:
                yield Error(variable, f"{net} contains the address {own} of a host", "choose a network that no host uses", host.name)


def networks(inventory: Inventory) -> Iterator[Error]:
    """Pod, service and host networks are IPv4 networks that do not overlap."""
    settings = inventory.settings
    named = [("cluster_pod_network", settings.pod_network), ("cluster_service_network", settings.service_network)]
    hosts = [("cluster_host_networks", text) for text in settings.host_networks]
    for variable, text in named + hosts:
        if network(text) is None:
            yield Error(variable, f"{text!r} is not an IPv4 network", "write it as 10.244.0.0/16, with no bit set behind the prefix")
    for (variable, text), (other, other_text) in [(named[0], named[1]), *product(hosts, named)]:
        net, other_net = network(text), network(other_text)
        if net and other_net and net.overlaps(other_net):
            yield Error(variable, f"{net} overlaps {other} {other_net}", "choose networks that share no address")


def service_network(inventory: Inventory) -> Iterator[Error]:
    """It holds the API's own address (the first) and that of the cluster's DNS."""
    settings = inventory.settings
    net = network(settings.service_network)
    if net is None:
        return
    if net.prefixlen not in SERVICE_PREFIX:
        yield Error("cluster_service_network", f"the API server does not take a prefix of /{net.prefixlen}", f"choose one from /{SERVICE_PREFIX[0]} to /{SERVICE_PREFIX[-1]}")
    elif not settings.dns_address and net.num_addresses <= DNS_INDEX + 1:
        yield Error("cluster_service_network", f"{net} has no room for the DNS address (its {DNS_INDEX}th)", "make it /28 or larger, or set cluster_dns_address")
    elif settings.dns_address:
        dns = address(settings.dns_address)
        if dns is None:
            yield Error("cluster_dns_address", f"{settings.dns_address!r} is not an IPv4 address", f"leave it empty or choose one of {net}")
        elif dns not in net:
            yield Error("cluster_dns_address", f"{dns} lies outside cluster_service_network {net}", "leave it empty or choose an address of that network")
        elif dns in (net[0], net[1], net[-1]):
            yield Error("cluster_dns_address", f"{dns} is the first, second or last address of {net}, which has another use", f"leave it empty or choose one from {net[2]} on")


def pod_network(inventory: Inventory) -> Iterator[Error]:
    """Every node gets a part of it that is large enough for the node's pods."""
    settings, count = inventory.settings, len(inventory.nodes)
    net, size = network(settings.pod_network), settings.node_cidr_size
    if net is None:
        return
    if not net.prefixlen <= size <= min(30, net.prefixlen + NODE_BITS):
        wanted = f"choose a prefix length from {net.prefixlen} to {min(30, net.prefixlen + NODE_BITS)}"
        yield Error("cluster_node_cidr_size", f"/{size} does not divide cluster_pod_network {net}", wanted)
        return
    if count > (room := 2 ** (size - net.prefixlen)):
        yield Error("cluster_pod_network", f"{net} is large enough for {room} nodes of /{size} each, the inventory has {count}", "choose a larger network or raise cluster_node_cidr_size")
    usable = 2 ** (32 - size) - 3  # Without the network's own address, the broadcast and the bridge.
    for name in inventory.nodes:
        pods = inventory.hosts[name].value("kubelet_config.maxPods", MAX_PODS)
        if isinstance(pods, int) and pods > usable:
            yield Error("cluster_node_cidr_size", f"/{size} has addresses for {usable} pods, the kubelet takes {pods}", f"lower it or set kubelet_config.maxPods to {usable}", name)


def names(inventory: Inventory) -> Iterator[Error]:
    """The cluster's own names."""
    settings = inventory.settings
    if not LABEL.fullmatch(settings.name):
        yield Error("cluster_name", f"{settings.name!r} is not a DNS-1123 label", "use a-z, 0-9 and '-'")
    if not all(LABEL.fullmatch(part) for part in settings.domain.split(".")):
        yield Error("cluster_domain", f"{settings.domain!r} is not a DNS domain", "use a name such as cluster.local")
    if not settings.state_dir:
        yield Error("cluster_state_dir", "there is no inventory folder to keep the state in", "set it to a folder on the control node")


def public_addresses(inventory: Inventory) -> Iterator[Error]:
    """Where clients outside find the API."""
    settings = inventory.settings
    if settings.endpoint and endpoint(settings.endpoint, 6443) is None:
        yield Error("cluster_endpoint", f"{settings.endpoint!r} is not host or host:port", "write it as api.example.org:6443, or leave it empty")
    if not settings.vip:
        return
    vip = address(settings.vip)
    if vip is None:
        yield Error("cluster_vip", f"{settings.vip!r} is not an IPv4 address", "set a free address of the masters' network, or leave it empty")
    for variable, text in (("cluster_pod_network", settings.pod_network), ("cluster_service_network", settings.service_network)):
        net = network(text)
        if vip and net and vip in net:
            yield Error("cluster_vip", f"{vip} lies in {variable} {net}", "set a free address of the masters' network")
    for host in inventory.hosts.values():
        if vip and host.address == str(vip):
            yield Error("cluster_vip", f"{vip} is the address of a host", "set a free address of the masters' network", host.name)


def labels(inventory: Inventory) -> Iterator[Error]:
    """A kubelet refuses to start with labels that only the API may give it."""
    for name in inventory.nodes:
        for label in inventory.hosts[name].value("kubelet_labels", {}):
            namespace, _slash, _key = str(label).rpartition("/")
            if namespace.endswith(("kubernetes.io", "k8s.io")) and not namespace.endswith(OWN_NAMESPACES) and label not in OWN_LABELS:
                yield Error("kubelet_labels", f"a node may not give itself the label {label}", f"set it by kubectl label node {name} {label}=… or use a name of your own", name)


def taints(inventory: Inventory) -> Iterator[Error]:
    """The API server refuses a node with a taint that it does not understand."""
    for name in inventory.nodes:
        for taint in inventory.hosts[name].value("kubelet_taints", []):
            if not taint.get("key") or taint.get("effect") not in EFFECTS or not taint.keys() <= {"key", "value", "effect"}:
                yield Error("kubelet_taints", f"{taint} is not a taint", f"write it as {{key: …, value: …, effect: one of {', '.join(EFFECTS)}}}, value optional", name)


INVENTORY_CHECKS: tuple[Callable[[Inventory], Iterable[Error]], ...] = (
    groups_filled, outside_stays_outside, etcd_is_odd, names_are_labels, unique, addresses, networks, service_network, pod_network, names, public_addresses,
    labels, taints, version_errors, answered, clocks_agree,
)  # fmt: skip
