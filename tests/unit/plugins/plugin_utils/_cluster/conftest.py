# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A valid inventory that tests change in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.model import GROUPS as OURS
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.model import Host, Inventory, Settings
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.specs import Specs, load

GROUPS = {"masters": ["m1", "m2", "m3"], "workers": ["w1", "w2"], "outside": ["o1"]}
SETTINGS = Settings(
    name="kubernetes",
    domain="cluster.local",
    state_dir="/srv/state",
    kubernetes_version="1.37.2",
    pod_network="10.244.0.0/16",
    service_network="10.96.0.0/16",
    dns_address="",
    node_cidr_size=24,
    host_networks=[],
    endpoint="",
    vip="",
)
VERSIONS = {"1.36.1": "3.6.16", "1.36.3": "3.6.16", "1.37.2": "3.7.3"}


def facts(name: str) -> dict[str, Any]:
    """What host_facts answers on a good host."""
    return {
        "os_family": "Debian",
        "distribution": "debian",
        "distribution_version": "12",
        "architecture": "amd64",
        "python": "3.11.2",
        "swap_bytes": 0,
        "memory_bytes": 4 * 2**30,
        "disk_free": {"/var/lib": 20 * 2**30, "/usr/local": 20 * 2**30},
        "osd_free": 20 * 2**30,
        "kubelet_disks": {"nodefs": [20 * 2**30, 40 * 2**30], "imagefs": [30 * 2**30, 50 * 2**30]},
        "kernel": "6.1.0-44-amd64",
        "machine_id": f"id-of-{name}",
        "listeners": [{"proto": "tcp", "address": "0.0.0.0", "port": 22, "process": "sshd"}],
        "interface": "eth0",
        "mtu": 1500,
        "prefix": 24,
        "cgroup": "v2",
        "versions": {},
        "systemd": "252",
        "resolv_conf": "/etc/resolv.conf",
        "clock": {"before": 100.0, "host": 100.1, "after": 100.2, "synchronized": True},
    }


def make(
    groups: dict[str, list[str]] | None = None,
    settings: dict[str, Any] | None = None,
    variables: dict[str, dict[str, Any]] | None = None,
    changed: dict[str, dict[str, Any]] | None = None,
    addresses: dict[str, str] | None = None,
    other_groups: dict[str, list[str]] | None = None,
    versions: dict[str, str] | None = None,
    limit: list[str] | None = None,
    running: str = "",
) -> Inventory:
    """Three masters, two workers and an outside host, with changes: ``variables`` and facts (``changed``) by host.

    Where there is a ``limit`` the others have not been asked.
    """
    filled = {**{group: [] for group in OURS}, **(GROUPS if groups is None else groups)}
    filled["etcd"] = filled["etcd"] or filled["masters"]
    names = list(dict.fromkeys(name for group in filled.values() for name in group))
    hosts = {
        name: Host(
            name,
            (addresses or {}).get(name, f"192.0.{2 + index // 250}.{1 + index % 250}"),
            (variables or {}).get(name, {}),
            {**facts(name), **(changed or {}).get(name, {})} if limit is None or name in limit else {},
        )
        for index, name in enumerate(names)
    }
    known = VERSIONS if versions is None else versions
    return Inventory(replace(SETTINGS, **(settings or {})), filled, hosts, known, other_groups or {}, running)


@pytest.fixture(name="make", scope="session")
def make_fixture() -> Callable[..., Inventory]:
    """The function of that name."""
    return make


@pytest.fixture(name="facts", scope="session")
def facts_fixture() -> Callable[[str], dict[str, Any]]:
    """The function of that name."""
    return facts


@pytest.fixture(scope="session")
def roles() -> Path:
    """The collection's roles."""
    return Path(__file__).resolve().parents[5] / "roles"


@pytest.fixture(scope="session")
def specs(roles: Path) -> Specs:
    """What they document."""
    return load(roles)
