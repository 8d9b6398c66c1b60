# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every check in one place; a check yields errors and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from . import alerting, hosts, inventory, networks, outside, ports, rook, storage, versions
from .model import Error, Host, Inventory

# What the inventory says as a whole.
INVENTORY_CHECKS: tuple[Callable[[Inventory], Iterable[Error]], ...] = (
    inventory.groups_filled,
    inventory.in_a_group,
    inventory.outside_stays_outside,
    inventory.etcd_is_odd,
    inventory.unique,
    inventory.names,
    networks.networks,
    networks.service_network,
    networks.pod_network,
    networks.public_addresses,
    versions.supported,
    versions.needs_masters,
    hosts.clocks_agree,
    outside.services,
    storage.monitors_are_odd,
    storage.copies_fit,
    storage.cluster_network,
    storage.snapshots,
    rook.pairs,
    rook.mode_fits,
    rook.disks_fit,
)
# What it says about each host.
HOST_CHECKS: tuple[Callable[[Host, Inventory], Iterable[Error]], ...] = (
    inventory.name_is_label,
    inventory.labels,
    inventory.taints,
    networks.host_address,
    networks.room_for_pods,
    outside.registry_users,
    outside.upstreams,
    outside.images,
    outside.git_users,
    outside.git_repositories,
    outside.ci_jobs,
    alerting.in_use,
    alerting.rules,
    alerting.scrapes,
    alerting.receivers,
    alerting.routes,
    outside.status_page,
    outside.grafana,
    outside.backup_passwords,
    outside.backup_targets,
    outside.backup_keep,
    outside.logging,
    storage.disks,
    storage.memory,
    storage.wiped,
    storage.local,
    rook.devices,
    hosts.answered,
)
# What each host that answered says about itself.
FACT_CHECKS: tuple[Callable[[Host, Inventory], Iterable[Error]], ...] = (
    hosts.system,
    hosts.kubelet_would_start,
    hosts.interface,
    networks.host_network,
    hosts.resources,
    hosts.kubelet_would_evict,
    hosts.clock,
    ports.ports_free,
    alerting.packaged,
    storage.disks_can_be_used,
    storage.storage_resources,
    storage.mounts,
    rook.storage_is_known,
    rook.nodes_can_mount,
    versions.no_skip,
    versions.etcd_no_skip,
    versions.needs_upgrade,
    versions.follows_masters,
)


def validate(cluster: Inventory) -> list[Error]:
    """All errors of an inventory, each with the host that it is about."""
    errors = [error for check in INVENTORY_CHECKS for error in check(cluster)]
    for checks, group in ((HOST_CHECKS, cluster.hosts.values()), (FACT_CHECKS, cluster.answered())):
        errors += (
            error._replace(host=host.name) for host in group for check in checks for error in check(host, cluster)
        )
    return errors


def warnings(cluster: Inventory) -> list[Error]:
    """What is worth a line, and no reason to stop."""
    unkept = (error._replace(host=host.name) for host in cluster.answered() for error in hosts.clock_is_kept(host))
    return [*inventory.left_alone(cluster), *unkept]
