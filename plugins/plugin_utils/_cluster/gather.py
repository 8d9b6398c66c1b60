# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From Ansible's variables to the typed inventory."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from .model import GROUPS, UID_RECORD, VERSION_RECORD, Error, Host, Inventory, Settings
from .rook import OF_ROOK
from .specs import Specs, TypeChecker, unknown_names
from .storage import OF_STORAGE

ROLE = "cluster"
PER_HOST = "cluster_host_ip"
# Beside the settings of the cluster, which all hosts share: nodes that differ here do not reach each other's pods.
OF_NODES = ("overlay_backend", "overlay_vxlan_port", "volumes_path")
# Values that name these can only be evaluated later, by the component that uses them.
LATER = ("cluster_derived", "cluster_artifacts")
MISSING = object()
Variables = Mapping[str, Any]


class Gatherer:
    """Reads each host's variables once and collects what is wrong with names, types and templates."""

    def __init__(self, specs: Specs, groups: Mapping[str, list[str]], hostvars: Mapping[str, Variables]) -> None:
        self.errors: list[Error] = []
        self._specs = specs
        self._hostvars = hostvars
        self._groups = {group: list(dict.fromkeys(groups.get(group, []))) for group in GROUPS}
        self._groups["etcd"] = self._groups["etcd"] or self._groups["masters"]
        self._other_groups = {name: groups[name] for name in sorted(set(groups) - set(GROUPS))}
        self._types = TypeChecker(specs)
        self._users: dict[str, list[str]] = defaultdict(list)
        self._settings = [name for name, role in specs.owner.items() if role == ROLE and name != PER_HOST]

    def inventory(self, settings: Variables, base: Path, supported_versions: Mapping[str, str]) -> Inventory:
        """The inventory; settings are cluster_* as the running task sees them, base is where a relative path begins."""
        hosts = {name: self._host(name) for name in dict.fromkeys(chain(*self._groups.values()))}
        self.errors += unknown_names(self._specs, self._users)
        nodes = {name: hosts[name] for name in chain(self._groups["masters"], self._groups["workers"])}
        stores = {name: hosts[name] for name in self._groups["storage"]}
        shared = [(variable, hosts) for variable in self._settings] + [(variable, nodes) for variable in OF_NODES]
        shared += [(variable, stores) for variable in OF_STORAGE]
        shared += [(variable, hosts) for variable in OF_ROOK]
        self.errors += (error for variable, having in shared if (error := _differs(variable, having)))
        typed = self._typed(settings, base)
        running = recorded_version(Path(typed.state_dir)) if typed.state_dir else ""
        return Inventory(typed, self._groups, hosts, supported_versions, self._other_groups, running)

    def _host(self, name: str) -> Host:
        variables = self._hostvars[name]  # Costly: merges all of the host's variables.
        values = {}
        for variable in variables:
            self._users[variable].append(name)
            if variable in self._specs.options and (value := self._value(variables, variable, name)) is not None:
                values[variable] = value
        address = values.get(PER_HOST) or self._evaluated(variables, "ansible_host", name, name)
        return Host(name, str(address), values, self._evaluated(variables, "cluster_host", name, {}))

    def _evaluated(self, variables: Variables, variable: str, host: str, default: Any) -> Any:
        """A variable's value; the default when there is none, or none that can be had, which is then reported."""
        try:
            return plain(variables[variable]) if variable in variables else default
        except Exception as error:  # noqa: BLE001  (templates raise whatever the filters in them raise)
            if not any(name in str(error) for name in LATER):
                problem = f"it cannot be evaluated: {' '.join(str(error).split())}"
                self.errors.append(Error(problem, "correct the template", variable, host))
            return default

    def _value(self, variables: Variables, variable: str, host: str) -> Any:
        """A variable's value in its type; None when it has none, which is then reported."""
        given = self._evaluated(variables, variable, host, MISSING)
        if given is MISSING:
            return None
        value, problem = self._types.check(variable, given)
        if problem:
            self.errors.append(self._types.error(variable, problem, host))
        return value

    def setting(self, settings: Variables, name: str) -> Any:
        """A variable as the running task sees it; the default stands in for a wrong one, so that checks can go on."""
        known, count = {error.subject for error in self.errors}, len(self.errors)
        value = self._value(settings, name, "")
        # The task sees the variables of one of the hosts, whose errors have been found already.
        self.errors[count:] = [error for error in self.errors[count:] if error.subject not in known]
        return self._specs.default(name) if value is None else value

    def _typed(self, settings: Variables, base: Path) -> Settings:
        values = {name.removeprefix(f"{ROLE}_"): self.setting(settings, name) for name in self._settings}
        return Settings(
            **{**values, "state_dir": os.path.normpath(base / values["state_dir"]) if values["state_dir"] else ""}
        )


def _differs(variable: str, hosts: Mapping[str, Host]) -> Error | None:
    """A cluster has one value of each setting."""
    values: dict[str, list[str]] = defaultdict(list)
    for host in hosts.values():
        values[repr(host.variables[variable]) if variable in host.variables else "not set"].append(host.name)
    if len(values) < 2:
        return None
    listed = "; ".join(f"{value} on {', '.join(names[:3])}{' …' * bool(names[3:])}" for value, names in values.items())
    return Error(f"it is not the same on all hosts ({listed})", "set it once, in group_vars/all.yml", variable)


def recorded_version(folder: Path) -> str:
    """The version of Kubernetes that the last site run of a master ended with; none of a cluster that is gone."""
    files = folder / UID_RECORD, folder / VERSION_RECORD
    return files[1].read_text(encoding="utf-8").strip() if all(file.is_file() for file in files) else ""


def plain(value: Any) -> Any:
    """Ansible's lazy and tagged values as Python's own."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, bool):
        return value
    return next((kind(value) for kind in (str, int, float) if isinstance(value, kind)), value)
