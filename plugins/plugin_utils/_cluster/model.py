# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory as typed values, and the error that names what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from typing import Any, NamedTuple

GROUPS = ("etcd", "masters", "workers", "outside", "storage")
API_PORT = 6443
DNS_INDEX = 10  # The cluster's DNS has the tenth service address, as everywhere.
NAMED = 8  # Hosts named in one error.
# Files of the state folder: which cluster there is, and what it runs (plugins/action/cluster_ready.py).
UID_RECORD, VERSION_RECORD = "cluster-uid", "kubernetes-version"


class Error(NamedTuple):
    """What is wrong and what to do about it; where: a variable, group or file, a host, or a variable on a host."""

    problem: str
    fix: str
    subject: str = ""
    host: str = ""


def report(errors: Iterable[Error]) -> list[str]:
    """One line for each error; hosts that share the same error share the line."""
    hosts: dict[tuple[str, str, str], dict[str, None]] = {}
    for error in errors:
        hosts.setdefault(error[:3], {}).update({error.host: None} if error.host else {})
    return [f"{_where(subject, list(names))}: {problem}; {fix}" for (problem, fix, subject), names in hosts.items()]


def _where(subject: str, hosts: list[str]) -> str:
    more = f" and {len(hosts) - NAMED} more" if len(hosts) > NAMED else ""
    named = ", ".join(hosts[:NAMED]) + more
    return f"{subject} ({named})" if subject and hosts else subject or named


@dataclass(frozen=True)
class Settings:
    """The cluster_* variables, as roles/cluster/meta/argument_specs.yml describes them."""

    name: str
    domain: str
    state_dir: str
    kubernetes_version: str
    pod_network: str
    service_network: str
    dns_address: str
    node_cidr_size: int
    host_networks: list[str]
    endpoint: str
    vip: str
    outside_services: list[str] = field(default_factory=list)
    upgrade: bool = False


@dataclass(frozen=True)
class Host:
    """One host: its public variables and what host_facts saw there (nothing: not asked in this run)."""

    name: str
    address: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def value(self, path: str, default: Any) -> Any:
        """A variable, or a key within one: ``kubelet_config.failSwapOn``."""
        value: Any = self.variables
        for key in path.split("."):
            if not isinstance(value, Mapping) or key not in value:
                return default
            value = value[key]
        return value


@dataclass(frozen=True)
class Inventory:
    """What the whole inventory says."""

    settings: Settings
    groups: Mapping[str, list[str]]
    hosts: Mapping[str, Host]
    # Of Kubernetes, each with the version of etcd that it comes with.
    supported_versions: Mapping[str, str] = field(default_factory=dict)
    other_groups: Mapping[str, list[str]] = field(default_factory=dict)
    running_version: str = ""

    @property
    def nodes(self) -> list[str]:
        """Hosts that run a kubelet: masters, then workers."""
        return list(dict.fromkeys([*self.groups["masters"], *self.groups["workers"]]))

    @cached_property
    def _groups_of(self) -> dict[str, set[str]]:
        groups: dict[str, set[str]] = {}
        for group, names in self.groups.items():
            for name in names:
                groups.setdefault(name, set()).add(group)
        return groups

    def within(self, name: str, *groups: str) -> bool:
        """Whether a host is in one of the groups."""
        return not self._groups_of[name].isdisjoint(groups)

    def is_node(self, name: str) -> bool:
        """Whether a host runs a kubelet."""
        return self.within(name, "masters", "workers")

    def answered(self) -> list[Host]:
        """Hosts of this run that answered."""
        return [
            host
            for host in self.hosts.values()
            if host.facts and not (host.facts.get("unreachable") or host.facts.get("failed"))
        ]


def network(text: str) -> IPv4Network | None:
    """A network in CIDR form, None when it is none."""
    try:
        return IPv4Network(text) if "/" in text else None
    except ValueError:
        return None


def address(text: str) -> IPv4Address | None:
    """An IPv4 address, None when it is none."""
    try:
        return IPv4Address(text)
    except ValueError:
        return None


def endpoint(text: str) -> tuple[str, int] | None:
    """``host`` or ``host:port`` in its parts, None when it is neither."""
    host, _colon, given = text.partition(":")
    if not host or "/" in host or (_colon and not given.isdigit()):
        return None
    return host, int(given or API_PORT)
