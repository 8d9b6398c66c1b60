# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From Ansible's variables to the typed inventory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import chain
from typing import Any

from .model import GROUPS, Error, Host, Inventory, Settings
from .specs import Specs, TypeChecker, unknown_names

ROLE = "cluster"
PER_HOST = "cluster_host_ip"
# Values that name these can only be evaluated later, by the component that uses them.
LATER = ("cluster_derived", "cluster_artifacts")


class Gatherer:
    """Reads each host's variables once and collects what is wrong with names, types and templates."""

    def __init__(self, specs: Specs, groups: Mapping[str, list[str]], hostvars: Mapping[str, Mapping[str, Any]]) -> None:
        self.errors: list[Error] = []
        self._specs = specs
        self._hostvars = hostvars
        self._groups = {group: list(dict.fromkeys(groups.get(group, []))) for group in GROUPS}
        self._groups["etcd"] = self._groups["etcd"] or self._groups["masters"]
        self._other_groups = sorted(set(groups) - set(GROUPS))
        self._types = TypeChecker(specs)
        self._users: dict[str, list[str]] = defaultdict(list)
        self._settings = [name for name, role in specs.owner.items() if role == ROLE and name != PER_HOST]

    def inventory(self, settings: Mapping[str, Any], supported_versions: list[str]) -> Inventory:
        """The inventory; ``settings`` are the cluster_* variables as the running task sees them, defaults included."""
        hosts = {name: self._host(name) for name in dict.fromkeys(chain(*self._groups.values()))}
        self.errors += unknown_names(self._specs, self._users)
        self.errors += (error for variable in self._settings if (error := _differs(variable, hosts)))
        return Inventory(self._typed(settings), self._groups, hosts, supported_versions, self._other_groups)

    def _host(self, name: str) -> Host:
        variables = self._hostvars[name]  # Costly: merges all of the host's variables.
        values = {}
        for variable in variables:
            self._users[variable].append(name)
            if variable in self._specs.options:
                value = self._value(variables, variable, name)
                if value is not None:
                    values[variable] = value
        address = values.get(PER_HOST) or (plain(variables["ansible_host"]) if "ansible_host" in variables else name)
        return Host(name, str(address), values, plain(variables["cluster_host"]) if "cluster_host" in variables else {})

    def _value(self, variables: Mapping[str, Any], variable: str, host: str) -> Any:
        """A variable's value in its type; None when it has none, which is then reported."""
        try:
            given = plain(variables[variable])
        except Exception as error:  # Templates raise whatever the filters in them raise.
            if not any(name in str(error) for name in LATER):
                self.errors.append(Error(variable, f"it cannot be evaluated: {' '.join(str(error).split())}", "correct the template", host))
            return None
        value, problem = self._types.check(variable, given)
        if problem:
            self.errors.append(self._types.error(variable, problem, host))
        return value

    def _typed(self, settings: Mapping[str, Any]) -> Settings:
        """Settings in their types; the default stands in for a wrong one, so that what else is wrong can be found."""
        values = {}
        for name in self._settings:
            value, problem = self._types.check(name, plain(settings[name])) if name in settings else (self._specs.default(name), "")
            if problem and not any(error.subject == name for error in self.errors):
                self.errors.append(self._types.error(name, problem))
            values[name.removeprefix(f"{ROLE}_")] = self._specs.default(name) if problem else value
        return Settings(**values)


def _differs(variable: str, hosts: Mapping[str, Host]) -> Error | None:
    """A cluster has one value of each setting."""
    values: dict[str, list[str]] = {}
    for host in hosts.values():
        values.setdefault(repr(host.variables[variable]) if variable in host.variables else "not set", []).append(host.name)
    if len(values) < 2:
        return None
    listed = "; ".join(f"{value} on {', '.join(names[:3])}{' …' if names[3:] else ''}" for value, names in values.items())
    return Error(variable, f"it is not the same on all hosts ({listed})", "set it once, for all of them (group_vars/all.yml)")


def plain(value: Any) -> Any:
    """Ansible's lazy and tagged values as Python's own."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, str) else value
