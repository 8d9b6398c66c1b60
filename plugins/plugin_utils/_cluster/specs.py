# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles' argument specs know: names, types and defaults of all public variables."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from .model import Error

# Set by our own playbooks: registered results and facts, no input of anybody.
OURS = {"cluster_derived", "cluster_host", "cluster_artifacts"}
# A name without one of our prefixes is only refused when it is nearly one of ours: kublet_config, not disk_config.
NEARLY, SIMILAR = 0.92, 0.75
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Specs:
    """Options of all roles by name, and the roles' names."""

    roles: list[str]
    options: Mapping[str, Mapping[str, Any]]
    owner: Mapping[str, str]

    def default(self, name: str) -> Any:
        """The default that the spec documents, None without one."""
        return self.options[name].get("default")


def load(roles: Path) -> Specs:
    """Read every role's meta/argument_specs.yml."""
    options: dict[str, Mapping[str, Any]] = {}
    owner: dict[str, str] = {}
    names = sorted(path.name for path in roles.iterdir() if path.is_dir())
    for role in names:
        for entry in read_yaml(roles / role / "meta" / "argument_specs.yml").get("argument_specs", {}).values():
            options.update(entry.get("options") or {})
            owner.update(dict.fromkeys(entry.get("options") or {}, role))
    return Specs(names, options, owner)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML document, empty when there is no such file."""
    if not path.is_file():
        return {}
    return yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER) or {}  # LOADER is a safe one


def kubernetes_versions(roles: Path) -> dict[str, str]:
    """Versions of Kubernetes that the lock file knows, each with the one of etcd that it comes with."""
    components = read_yaml(roles / "artifacts" / "files" / "lock.yml").get("components", {})
    newest = next(iter(components.get("etcd", {}).get("versions", {})), "")
    known = components.get("kubernetes", {}).get("versions", {})
    return {str(version): str(entry.get("with", {}).get("etcd", newest)) for version, entry in known.items()}


def unknown_names(specs: Specs, names: Mapping[str, Iterable[str]]) -> Iterable[Error]:
    """Variables (name to the hosts that have it) that look like ours but that no role knows."""
    prefixes = sorted((f"{role}_" for role in specs.roles), key=len, reverse=True)
    known = {*specs.options, *OURS, *(f"{role}_component" for role in specs.roles)}
    public = sorted(specs.options)
    for name, hosts in names.items():
        if name in known or name.startswith(("ansible_", "_")):
            continue
        prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), "")
        nearest = difflib.get_close_matches(name, public, 1, SIMILAR if prefix else NEARLY)
        if prefix or nearest:
            why = (
                f"no role has such a variable (names with {prefix} are reserved)"
                if prefix
                else "no role has such a variable"
            )
            fix = f"did you mean {nearest[0]}?" if nearest else "remove or rename it"
            yield from (Error(why, fix, name, host) for host in hosts)


class TypeChecker:
    """Checks values against the specs; equal values of many hosts are checked once."""

    def __init__(self, specs: Specs) -> None:
        self.specs = specs
        self._seen: dict[tuple[str, str], tuple[Any, str]] = {}

    def check(self, name: str, value: Any) -> tuple[Any, str]:
        """The value converted to its type, and what is wrong with it (empty when nothing is)."""
        key = (name, repr(value))
        if key not in self._seen:
            self._seen[key] = self._check(name, value)
        return self._seen[key]

    def _check(self, name: str, value: Any) -> tuple[Any, str]:
        if value is None:
            return None, "it is empty"
        # The component action fills in what is required; here only what is given is looked at.
        spec = {key: item for key, item in self.specs.options[name].items() if key not in ("required", "default")}
        result = ArgumentSpecValidator({name: spec}).validate({name: value})
        if not result.error_messages:
            return result.validated_parameters[name], ""
        secret = bool(spec.get("no_log"))
        said = (
            "; ".join(result.error_messages)
            .replace(f"argument '{name}' ", "it ", 1)
            .replace(f" found in '{name}'.", "")
        )
        return None, "its value does not fit" if secret else said

    def error(self, name: str, problem: str, host: str = "") -> Error:
        """The error for a problem found by check."""
        spec, role = self.specs.options[name], self.specs.owner[name]
        wanted = spec.get("type", "str") + (f" of {spec['elements']}" if "elements" in spec else "")
        return Error(
            problem, f"its type is {wanted} (see ansible-doc -t role selfhosted.kubernetes.{role})", name, host
        )
