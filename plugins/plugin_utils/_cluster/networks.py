# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with networks and addresses."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network
from itertools import product

from .model import DNS_INDEX, Error, Host, Inventory, address, endpoint, network

# kube-apiserver's own limits (cmd/kube-apiserver/app/options/validation.go): at most 20 bits, at least 8 addresses.
SERVICE_PREFIX = range(12, 30)
NODE_PREFIX = 29  # The smallest with room for a bridge and some pods.
MAX_PODS = 110  # The kubelet's default.
POD, SERVICE, DNS, NODE = (
    "cluster_pod_network",
    "cluster_service_network",
    "cluster_dns_address",
    "cluster_node_cidr_size",
)
FREE_ADDRESS = "set a free address of the masters' network, or leave it empty"
HOST_ADDRESS = "set cluster_host_ip to the IPv4 address at which other hosts reach it"


def _reserved(cluster: Inventory) -> list[tuple[str, IPv4Network]]:
    """Networks of the cluster itself, as far as they are networks."""
    named = ((POD, cluster.settings.pod_network), (SERVICE, cluster.settings.service_network))
    return [(variable, net) for variable, text in named if (net := network(text))]


def networks(cluster: Inventory) -> Iterator[Error]:
    """Pod, service and host networks are IPv4 networks that do not overlap."""
    settings = cluster.settings
    ours = [(POD, settings.pod_network), (SERVICE, settings.service_network)]
    others = [("cluster_host_networks", text) for text in settings.host_networks]
    for variable, text in ours + others:
        if network(text) is None:
            yield Error(
                f"{text!r} is not an IPv4 network", "write it as 10.244.0.0/16, no bit after the prefix", variable
            )
    for (variable, text), (other, other_text) in [(ours[0], ours[1]), *product(others, ours)]:
        net, other_net = network(text), network(other_text)
        if net and other_net and net.overlaps(other_net):
            yield Error(f"{net} overlaps {other} {other_net}", "choose networks that share no address", variable)


def host_address(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Hosts have IPv4 addresses that neither pods nor Services use."""
    own = address(host.address)
    if own is None:
        yield Error(f"its address {host.address!r} is not an IPv4 address", HOST_ADDRESS)
        return
    if own.is_loopback or own.is_multicast or own.is_unspecified:
        yield Error(f"other hosts cannot reach its address {own}", HOST_ADDRESS)
    for variable, net in _reserved(cluster):
        if own in net:
            yield Error(f"{net} contains the address {own} of a host", "choose a network that no host uses", variable)


def host_network(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Neighbours of a host, too, would be taken for pods or Services."""
    own = address(host.address)
    if own is None or host.facts["prefix"] is None:
        return
    around = IPv4Network((own, host.facts["prefix"]), strict=False)
    for variable, net in _reserved(cluster):
        if net.overlaps(around) and own not in net:  # That is an error of its own.
            problem = f"{net} overlaps {around}, the network of {host.facts['interface']}"
            yield Error(problem, "choose a network in which no host is", variable)


def service_network(cluster: Inventory) -> Iterator[Error]:
    """It holds the API's own address (the first) and that of the cluster's DNS."""
    settings = cluster.settings
    net, dns = network(settings.service_network), address(settings.dns_address)
    if net is None:
        return
    if net.prefixlen not in SERVICE_PREFIX:
        fix = f"choose one from /{SERVICE_PREFIX[0]} to /{SERVICE_PREFIX[-1]}"
        yield Error(f"the API server does not take a prefix of /{net.prefixlen}", fix, SERVICE)
    elif not settings.dns_address and net.num_addresses <= DNS_INDEX + 1:
        fix = f"make it /28 or larger, or set {DNS}"
        yield Error(f"{net} has no room for the DNS address (its {DNS_INDEX}th)", fix, SERVICE)
    elif settings.dns_address and dns is None:
        yield Error(f"{settings.dns_address!r} is not an IPv4 address", f"leave it empty or choose one of {net}", DNS)
    elif dns and dns not in net:
        yield Error(f"{dns} lies outside {SERVICE} {net}", "leave it empty or choose one of that network", DNS)
    elif dns and dns in (net[0], net[1], net[-1]):
        fix = f"leave it empty or choose one from {net[2]} to {net[-2]}"
        yield Error(f"{dns} has another use (network, API server or broadcast)", fix, DNS)


def pod_network(cluster: Inventory) -> Iterator[Error]:
    """Every node gets a part of it."""
    size, count = cluster.settings.node_cidr_size, len(cluster.nodes)
    net = network(cluster.settings.pod_network)
    if net is None:
        return
    if not net.prefixlen <= size <= NODE_PREFIX:
        yield Error(f"/{size} is no part of {POD} {net}", f"choose one from {net.prefixlen} to {NODE_PREFIX}", NODE)
    elif count > (room := 2 ** (size - net.prefixlen)):
        fix = f"choose a larger network or raise {NODE}"
        yield Error(f"{net} has room for {room} node(s) of /{size}, the inventory has {count}", fix, POD)


def room_for_pods(host: Host, cluster: Inventory) -> Iterator[Error]:
    """A node's part has an address for each of its pods."""
    size, pods = cluster.settings.node_cidr_size, host.value("kubelet_config.maxPods", MAX_PODS)
    if not cluster.is_node(host.name) or not isinstance(pods, int) or not 0 < size <= NODE_PREFIX:
        return
    usable = 2 ** (32 - size) - 3  # Without the network's own address, the broadcast and the bridge.
    if pods > usable:
        fix = f"lower it, or set kubelet_config.maxPods to {usable}"
        yield Error(f"/{size} has addresses for {usable} pods, the kubelet takes {pods}", fix, NODE)


def public_addresses(cluster: Inventory) -> Iterator[Error]:
    """Where clients outside find the API."""
    settings = cluster.settings
    if settings.endpoint and endpoint(settings.endpoint) is None:
        fix = "write it as api.example.org or api.example.org:6443"
        yield Error(f"{settings.endpoint!r} is not host or host:port", fix, "cluster_endpoint")
    vip = address(settings.vip)
    if settings.vip and vip is None:
        yield Error(f"{settings.vip!r} is not an IPv4 address", FREE_ADDRESS, "cluster_vip")
    for variable, net in _reserved(cluster):
        if vip and vip in net:
            yield Error(f"{vip} lies in {variable} {net}", FREE_ADDRESS, "cluster_vip")
    for host in cluster.hosts.values():
        if vip and vip == address(host.address):
            yield Error(f"{vip} is the address of a host", FREE_ADDRESS, "cluster_vip", host.name)
