# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From host variables to the typed inventory: names, types, templates, equal settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.gather import Gatherer
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.model import Inventory, report
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.specs import Specs, kubernetes_versions

GROUPS = {"masters": ["m1"], "workers": ["w1", "w2"], "outside": ["o1"], "all": ["m1", "w1", "w2", "o1"]}
SEE = "see ansible-doc -t role selfhosted.kubernetes"


class Broken(Mapping[str, Any]):
    """Variables of which some raise, as templates do."""

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


def gather(specs: Specs, changes: dict[str, Any], settings: dict[str, Any] | None = None) -> tuple[Inventory, list[str]]:
    """The inventory and its errors, with ``changes`` by host."""
    hostvars: dict[str, Any] = {name: {"ansible_host": f"192.0.2.{index}"} for index, name in enumerate(GROUPS["all"], 1)}
    for name, change in changes.items():
        hostvars[name] = change if isinstance(change, Broken) else {**hostvars[name], **change}
    gatherer = Gatherer(specs, GROUPS, hostvars)
    inventory = gatherer.inventory({"cluster_state_dir": "state", **(settings or {})}, Path("/srv/inventory"), ["1.37.2"])
    return inventory, report(gatherer.errors)


def everywhere(**variables: Any) -> dict[str, Any]:
    """The same variables on all hosts."""
    return {name: variables for name in GROUPS["all"]}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"w1": {"kubelet_confg": {}}}, "kubelet_confg (w1): no role has such a variable (names with kubelet_ are reserved); did you mean kubelet_config?"),
        ({"w1": {"kublet_config": {}}}, "kublet_config (w1): no role has such a variable; did you mean kubelet_config?"),
        (everywhere(cluster_pod_netwrk="10.0.0.0/8"), "cluster_pod_netwrk (m1, w1, w2, o1): no role has such a variable (names with cluster_ are reserved); did you mean cluster_pod_network?"),
        ({"w1": {"kube_proxy_zzzz": 1}}, "kube_proxy_zzzz (w1): no role has such a variable (names with kube_proxy_ are reserved); remove or rename it"),
        ({"w1": {"kubelet_labels": ["a"]}}, f"kubelet_labels (w1): it is of type list and we were unable to convert to dict: <class 'list'> cannot be converted to a dict; give it a dict ({SEE}.kubelet)"),
        ({"o1": {"registry_port": "http"}}, f"registry_port (o1): it is of type str and we were unable to convert to int: \"'http'\" cannot be converted to an int; give it a int ({SEE}.registry)"),
        ({"w1": {"overlay_backend": "ipip"}, "w2": {"overlay_backend": "ipip"}}, f"overlay_backend (w1, w2): value of overlay_backend must be one of: vxlan, host-gw, got: ipip; give it a str ({SEE}.overlay)"),
        ({"w1": {"kubelet_config": None}}, f"kubelet_config (w1): it is empty; give it a dict ({SEE}.kubelet)"),
        ({"w1": Broken({"ansible_host": "192.0.2.2"}, {"kubelet_config": "'x' is undefined"})}, "kubelet_config (w1): it cannot be evaluated: 'x' is undefined; correct the template"),
        ({"w1": Broken({}, {"ansible_host": "'x' is undefined"})}, "ansible_host (w1): it cannot be evaluated: 'x' is undefined; correct the template"),
        ({"w1": {"cluster_name": "one"}}, "cluster_name: it is not the same on all hosts (not set on m1, w2, o1; 'one' on w1); set it once, in group_vars/all.yml"),
        (everywhere(cluster_node_cidr_size="large"), f"cluster_node_cidr_size (m1, w1, w2, o1): it is of type str and we were unable to convert to int: \"'large'\" cannot be converted to an int; give it a int ({SEE}.cluster)"),
    ],
)  # fmt: skip
def test_error_is_the_only_one(specs: Specs, changes: dict[str, Any], line: str) -> None:
    """Variable and hosts, what is wrong, what to do."""
    assert gather(specs, changes)[1] == [line]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"w1": {"kubelet_config": {"maxPods": 50}, "kubelet_labels": {"rack": "1"}, "registry_port": "5001"}},
        {"w1": {"ansible_host_key_checking": True, "_private": 1, "hostname": "w1", "group_names": [], "inventory_hostname": "w1"}},
        {"w1": {"cluster_host": {"mtu": 1500}, "cluster_derived": {}, "cluster_artifacts": {}, "etcd_component": {}}},
        {"w1": Broken({"ansible_host": "192.0.2.2"}, {"kubelet_labels": "'cluster_derived' is undefined"})},
        everywhere(cluster_name="one"),
    ],
)
def test_what_is_allowed(specs: Specs, changes: dict[str, Any]) -> None:
    """Ansible's own names, our facts, values that can only be evaluated later."""
    assert gather(specs, changes)[1] == []


def test_values_have_their_types(specs: Specs) -> None:
    """As the component action converts them with the same specs."""
    inventory, _errors = gather(specs, {"o1": {"registry_port": "5001"}, "w1": {"cluster_host_ip": "198.51.100.1"}})
    assert inventory.hosts["o1"].value("registry_port", 5000) == 5001
    assert [host.address for host in inventory.hosts.values()] == ["192.0.2.1", "198.51.100.1", "192.0.2.3", "192.0.2.4"]


def test_settings_default_and_resolve(specs: Specs) -> None:
    """A relative folder is below the inventory's; a wrong value is replaced so that checking goes on."""
    inventory, errors = gather(specs, {}, {"cluster_node_cidr_size": "25", "cluster_host_networks": 5})
    assert inventory.settings.state_dir == "/srv/inventory/state"
    assert inventory.settings.node_cidr_size == 25
    assert inventory.settings.pod_network == "10.244.0.0/16"
    assert [line.split(":")[0] for line in errors] in ([], ["cluster_host_networks"])


def test_etcd_defaults_to_masters(specs: Specs) -> None:
    """A missing group is the same as an empty one."""
    assert gather(specs, {})[0].groups["etcd"] == ["m1"]


def test_lock_file_names_versions(tmp_path: Path) -> None:
    """Keys of one mapping; none without the file."""
    assert kubernetes_versions(tmp_path) == []
    lock = tmp_path / "artifacts" / "files" / "lock.yml"
    lock.parent.mkdir(parents=True)
    lock.write_text("components: {kubernetes: {versions: {1.36.3: {}, 1.37.2: {}}}}", encoding="utf-8")
    assert kubernetes_versions(tmp_path) == ["1.36.3", "1.37.2"]


def test_every_default_passes_its_own_spec(specs: Specs) -> None:
    """What a spec documents as default is of the type it documents."""
    wrong = {name: problem for name in specs.options if specs.default(name) is not None for problem in [_problem(specs, name)] if problem}
    assert wrong == {}


def _problem(specs: Specs, name: str) -> str:
    from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.specs import TypeChecker

    return TypeChecker(specs).check(name, specs.default(name))[1]
