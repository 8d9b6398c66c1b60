# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with groups, names and node variables."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator

from .model import GROUPS, Error, Host, Inventory

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# `system:node:NAME` has to fit into a common name (X.509, RFC 5280 ub-common-name: 64).
HOST_NAME_LENGTH = 52
# How like one of our groups another's name has to be, to be meant as it: worker, not gpu_workers or masters_of_old.
NEARLY = 0.8
NEEDED = {"masters": "run the control plane", "outside": "hold the artifact store and the registry"}
SURVIVE = {
    "outside": "outside hosts must survive the cluster",
    "storage": "storage has to outlive the cluster",
}
# k8s.io/kubernetes/pkg/kubelet/apis/well_known_labels.go: what a kubelet may set below kubernetes.io.
OWN_NAMESPACES = ("kubelet.kubernetes.io", "node.kubernetes.io")
OWN_LABELS = {
    *(f"kubernetes.io/{key}" for key in ("hostname", "os", "arch")),
    *(f"topology.kubernetes.io/{key}" for key in ("zone", "region")),
    *(f"beta.kubernetes.io/{key}" for key in ("instance-type", "os", "arch")),
    *(f"failure-domain.beta.kubernetes.io/{key}" for key in ("zone", "region")),
}
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
OWN_ADDRESS = "give each its own (ansible_host or cluster_host_ip)"
CLONES = "they are clones: empty /etc/machine-id on all but one and run systemd-machine-id-setup there"


def groups_filled(cluster: Inventory) -> Iterator[Error]:
    """Masters run the control plane; what rebuilds the cluster needs a host outside of it."""
    for group, what in NEEDED.items():
        if not cluster.groups[group]:
            near = difflib.get_close_matches(group, cluster.other_groups, 1)
            fix = f"rename group {near[0]} to {group}" if near else f"put the hosts that {what} into it"
            yield Error("it has no host", fix, f"group {group}")


def in_a_group(cluster: Inventory) -> Iterator[Error]:
    """Hosts in none of our groups are other machines, unless they are in one that is nearly ours."""
    for group, names in cluster.other_groups.items():
        near = difflib.get_close_matches(group.lower(), GROUPS, 1, NEARLY)
        strangers = [name for name in names if name not in cluster.hosts]
        if near:
            fix = f"rename group {group} to {near[0]}, or take out what is no part of the cluster"
            yield from (Error(f"it is in group {group}, and in none of ours", fix, host=name) for name in strangers)


def left_alone(cluster: Inventory) -> Iterator[Error]:
    """Other machines; localhost is there to run things on."""
    for name in cluster.other_groups.get("all", []):
        if name not in cluster.hosts and name != "localhost":
            yield Error(f"it is in none of the groups {', '.join(GROUPS)}", "it is left alone", host=name)


def outside_stays_outside(cluster: Inventory) -> Iterator[Error]:
    """What rebuilds the cluster, and what it keeps, must survive it."""
    for own, why in SURVIVE.items():
        for name in cluster.groups[own]:
            for group in ("etcd", "masters", "workers"):
                if cluster.within(name, group):
                    fix = f"take it out of one of them: {why}"
                    yield Error(f"it is in group {own} and in group {group}", fix, host=name)


def etcd_is_odd(cluster: Inventory) -> Iterator[Error]:
    """An even member adds a way to fail but none to survive."""
    count = len(cluster.groups["etcd"])
    if count and count % 2 == 0:
        fix = f"make it {count - 1} or {count + 1}: {count} survive no more failures than {count - 1}"
        yield Error(f"it has {count} members, an even number", fix, "group etcd")


def unique(cluster: Inventory) -> Iterator[Error]:
    """No two hosts are the same."""
    hosts = cluster.hosts.values()
    machine_ids = ((host.facts["machine_id"], host.name) for host in cluster.answered() if host.facts["machine_id"])
    yield from _duplicates("name", "rename all but one", ((host.name.lower(), host.name) for host in hosts))
    yield from _duplicates("address", OWN_ADDRESS, ((host.address, host.name) for host in hosts))
    yield from _duplicates("machine id", CLONES, machine_ids)


def _duplicates(what: str, fix: str, pairs: Iterable[tuple[Hashable, str]]) -> Iterator[Error]:
    owners = defaultdict(list)
    for value, name in pairs:
        owners[value].append(name)
    for value, names in owners.items():
        if len(names) > 1:
            yield from (Error(f"they have the same {what} {value}", fix, host=name) for name in names)


def names(cluster: Inventory) -> Iterator[Error]:
    """The cluster's own names."""
    settings = cluster.settings
    if not LABEL.fullmatch(settings.name):
        yield Error(f"{settings.name!r} is not a DNS-1123 label", "use a-z, 0-9 and '-'", "cluster_name")
    if not all(LABEL.fullmatch(part) for part in settings.domain.split(".")):
        yield Error(f"{settings.domain!r} is not a DNS domain", "use one such as cluster.local", "cluster_domain")
    if not settings.state_dir:
        fix = "set it to a folder on the control node"
        yield Error("there is no inventory folder to keep the state in", fix, "cluster_state_dir")


def name_is_label(host: Host, _cluster: Inventory) -> Iterator[Error]:
    """Node names become parts of DNS names, user names and file names."""
    fix = f"use 1 to {HOST_NAME_LENGTH} of a-z, 0-9 and '-', not '-' at an end (ansible_host may be any name)"
    if not LABEL.fullmatch(host.name):
        yield Error("its name is not a DNS-1123 label", fix)
    elif len(host.name) > HOST_NAME_LENGTH:
        yield Error(f"its name has {len(host.name)} characters, too many for a certificate of a node", fix)


def labels(host: Host, cluster: Inventory) -> Iterator[Error]:
    """A kubelet refuses to start with labels that only others may give it."""
    for label in host.value("kubelet_labels", {}) if cluster.is_node(host.name) else ():
        namespace = str(label).rpartition("/")[0]
        reserved = namespace.endswith(("kubernetes.io", "k8s.io")) and not namespace.endswith(OWN_NAMESPACES)
        if reserved and label not in OWN_LABELS:
            fix = "label the node with kubectl, or use a name of your own"
            yield Error(f"a kubelet may not give itself the label {label}", fix, "kubelet_labels")


def taints(host: Host, cluster: Inventory) -> Iterator[Error]:
    """The API server refuses a node with a taint that it does not understand."""
    for taint in host.value("kubelet_taints", []) if cluster.is_node(host.name) else ():
        if not taint.get("key") or taint.get("effect") not in EFFECTS or taint.keys() - {"key", "value", "effect"}:
            fix = f"give it a key, an effect ({', '.join(EFFECTS)}) and perhaps a value"
            yield Error(f"{taint} is not a taint", fix, "kubelet_taints")
