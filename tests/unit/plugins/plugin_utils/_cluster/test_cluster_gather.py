# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From host variables to the typed inventory: names, types, templates, equal settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.gather import Gatherer, plain
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.model import Inventory, report
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.specs import (
    Specs,
    TypeChecker,
    kubernetes_versions,
)

GROUPS = {"masters": ["m1"], "workers": ["w1", "w2"], "outside": ["o1"], "all": ["m1", "w1", "w2", "o1"]}
CASES = yaml.safe_load((Path(__file__).parent / "cases_gather.yml").read_text(encoding="utf-8"))


class Variables(Mapping[str, Any]):
    """A host's variables, of which some raise, as templates do."""

    def __init__(self, values: dict[str, Any], errors: dict[str, str]) -> None:
        self._values, self._errors = values, errors

    def __getitem__(self, name: str) -> Any:
        if name in self._errors:
            raise ValueError(self._errors[name])
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._values, **self._errors})

    def __len__(self) -> int:
        return len(self._values) + len(self._errors)


def gather(
    specs: Specs,
    changes: dict[str, dict[str, Any]] | None = None,
    broken: dict[str, dict[str, str]] | None = None,
    settings: dict[str, Any] | None = None,
    storage: list[str] | None = None,
) -> tuple[Inventory, list[str]]:
    """The inventory and its errors, with variables and errors by host (``all``: of every host)."""
    hostvars = {}
    for index, name in enumerate(GROUPS["all"], 1):
        changed = {**(changes or {}).get("all", {}), **(changes or {}).get(name, {})}
        hostvars[name] = Variables({"ansible_host": f"192.0.2.{index}", **changed}, (broken or {}).get(name, {}))
    gatherer = Gatherer(specs, {**GROUPS, "storage": storage or []}, hostvars)
    given = {"cluster_state_dir": "state", **(settings or {})}
    inventory = gatherer.inventory(given, Path("/srv/inventory"), {"1.37.2": "3.7.3"})
    return inventory, report(gatherer.errors)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["error"].split(";")[0] or str(case))
def test_error_is_the_only_one(specs: Specs, case: dict[str, Any]) -> None:
    """Variable and hosts, what is wrong, what to do."""
    expected = [case["error"]] if case["error"] else []
    assert gather(specs, case.get("changes"), case.get("broken"), storage=case.get("storage"))[1] == expected


def test_values_have_their_types(specs: Specs) -> None:
    """As the component action converts them with the same specs."""
    inventory, _errors = gather(specs, {"o1": {"registry_port": "5001"}, "w1": {"cluster_host_ip": "198.51.100.1"}})
    assert inventory.hosts["o1"].value("registry_port", 5000) == 5001
    addresses = [host.address for host in inventory.hosts.values()]
    assert addresses == ["192.0.2.1", "198.51.100.1", "192.0.2.3", "192.0.2.4"]


def test_settings_default_and_resolve(specs: Specs) -> None:
    """A relative folder is below the inventory's; a wrong value is replaced so that checking goes on."""
    inventory, errors = gather(specs, settings={"cluster_node_cidr_size": "25", "cluster_dns_address": None})
    assert inventory.settings.state_dir == "/srv/inventory/state"
    assert inventory.settings.node_cidr_size == 25
    assert inventory.settings.pod_network == "10.244.0.0/16"
    assert inventory.settings.dns_address == ""
    assert [line.split(":")[0] for line in errors] == ["cluster_dns_address"]


def test_the_version_that_runs_is_on_record(specs: Specs, tmp_path: Path) -> None:
    """Of a cluster that there is: without its uid it is one that was reset."""
    (tmp_path / "kubernetes-version").write_text("1.36.3\n", encoding="utf-8")
    settings = {"cluster_state_dir": str(tmp_path)}
    assert gather(specs, settings=settings)[0].running_version == ""
    (tmp_path / "cluster-uid").touch()
    assert gather(specs, settings=settings)[0].running_version == "1.36.3"


def test_etcd_defaults_to_masters(specs: Specs) -> None:
    """A missing group is the same as an empty one."""
    assert gather(specs)[0].groups["etcd"] == ["m1"]


def test_lock_file_names_versions(tmp_path: Path) -> None:
    """With the version of etcd, which is the first where none is named; none without the file."""
    assert kubernetes_versions(tmp_path) == {}
    lock = tmp_path / "artifacts" / "files" / "lock.yml"
    lock.parent.mkdir(parents=True)
    kubernetes, etcd = "{1.37.2: {}, 1.36.3: {with: {etcd: 3.6.16}}}", "{3.7.3: {}, 3.6.16: {}}"
    lock.write_text(
        f"components: {{kubernetes: {{versions: {kubernetes}}}, etcd: {{versions: {etcd}}}}}", encoding="utf-8"
    )
    assert kubernetes_versions(tmp_path) == {"1.37.2": "3.7.3", "1.36.3": "3.6.16"}


def test_default_version_is_in_the_lock(specs: Specs, roles: Path) -> None:
    """A cluster without any setting can be made."""
    assert specs.default("cluster_kubernetes_version") in kubernetes_versions(roles)


def test_every_default_passes_its_own_spec(specs: Specs) -> None:
    """What a spec documents as default is of the type it documents."""
    types = TypeChecker(specs)
    documented = {name: specs.default(name) for name in specs.options if specs.default(name) is not None}
    assert {name: problem for name, value in documented.items() if (problem := types.check(name, value)[1])} == {}


class Tagged(int):
    """As Ansible keeps where a number was written."""


def test_numbers_are_plain() -> None:
    """Their type is asked for later, and they are written into documents."""
    found = plain({"h": Tagged(24), "yes": True, "list": (Tagged(1), 0.5)})
    assert found == {"h": 24, "yes": True, "list": [1, 0.5]}
    assert (type(found["h"]), type(found["yes"]), type(found["list"][0])) == (int, bool, int)
