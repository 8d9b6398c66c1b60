# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role in a real ansible-playbook, with no host to reach: what a user sees."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[4]
# Port 1 refuses at once.
NOBODY = {
    "ansible_port": 1,
    "ansible_python_interpreter": sys.executable,
    "ansible_ssh_common_args": "-o ConnectTimeout=2 -o ControlMaster=no -o ControlPersist=no",
}
ROLE = {"ansible.builtin.import_role": {"name": "selfhosted.kubernetes.cluster", "rolespec_validate": False}}
Played = tuple[int, str, Any]
INVENTORIES = sorted(path.parent for path in (CHECKOUT / "inventories").glob("*/hosts.*"))
# What the role does once hosts have answered; here none is asked.
PLAN: list[dict[str, Any]] = [
    {"selfhosted.kubernetes.cluster": None, "register": "cluster_derived", "run_once": True},
    {
        "ansible.builtin.copy": {"content": "{{ cluster_derived | to_json }}", "dest": "{{ out }}", "mode": "0600"},
        "check_mode": False,
        "connection": "local",
        "vars": {"ansible_python_interpreter": sys.executable},
        "run_once": True,
    },
]
NOTHING = "it cannot be evaluated: 'nothing' is undefined; correct the template"


def groups(**variables: Any) -> dict[str, Any]:
    """A small inventory at addresses of the documentation range; only 127.0.0.0/8 is ever contacted."""
    hosts = {"m1": "192.0.2.1", "w1": "192.0.2.2", "o1": "192.0.2.3"}
    inventory: dict[str, Any] = {
        name: {"hosts": {host: {"cluster_host_ip": hosts[host], "ansible_host": "127.0.0.1"}}}
        for name, host in (("masters", "m1"), ("workers", "w1"), ("outside", "o1"))
    }
    return {"all": {"children": inventory, "vars": {**NOBODY, "cluster_state_dir": "state", **variables}}}


def play(
    folder: Path, inventory: dict[str, Any] | Path, tasks: list[dict[str, Any]], *options: str, name: str = "play.yml"
) -> Played:
    """Exit code, output, and cluster_derived when there is one; a playbook of our own by its full name."""
    link = folder / "ansible_collections" / "selfhosted" / "kubernetes"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to(CHECKOUT)
    out = folder / "derived.json"
    source = inventory if isinstance(inventory, Path) else folder / "hosts.yml"
    if not isinstance(inventory, Path):
        source.write_text(yaml.safe_dump(inventory), encoding="utf-8")
    plays = [
        {"hosts": "all", "gather_facts": False, "any_errors_fatal": True, "vars": {"out": str(out)}, "tasks": tasks}
    ]
    (folder / "play.yml").write_text(yaml.safe_dump(plays), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment |= {
        "ANSIBLE_COLLECTIONS_PATH": str(folder),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCALHOST_WARNING": "0",
    }
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(source), name, *options]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout + done.stderr, json.loads(out.read_text()) if out.exists() else None


def errors(output: str) -> list[str]:
    """The list that the action printed."""
    return [
        line[2:]
        for line in output.rsplit("[ERROR]: Task failed: Action failed: ", maxsplit=1)[-1].splitlines()[1:]
        if line.startswith("- ")
    ]


def test_derived_is_registered_and_plain(tmp_path: Path) -> None:
    """Also in check mode, and below the inventory's folder."""
    code, output, derived = play(tmp_path, groups(cluster_name="one"), PLAN, "--check")
    assert code == 0, output
    assert (derived["name"], derived["state_dir"], derived["changed"]) == ("one", str(tmp_path / "state"), False)
    assert derived["etcd"]["initial_cluster"] == "m1=https://192.0.2.1:2380"


def test_unreachable_hosts_and_inventory_errors_come_together(tmp_path: Path) -> None:
    """Although the play has any_errors_fatal, which would end a run at an ignored unreachable host."""
    code, output, _derived = play(tmp_path, groups(kubelet_confg={}, cluster_node_cidr_size=12), [ROLE])
    assert code != 0
    lines = errors(output)
    assert any(line.startswith("kubelet_confg (m1, w1, o1): no role has such a variable") for line in lines)
    assert (
        "cluster_node_cidr_size: /12 is no part of cluster_pod_network 10.244.0.0/16; choose one from 16 to 29" in lines
    )
    unreachable = [line for line in lines if "it cannot be reached" in line]
    assert [line.split(":")[0] for line in unreachable] == ["m1", "w1", "o1"]
    assert unreachable[0].endswith("start it, or leave it out with --limit '!m1'")


def test_limit_checks_the_inventory_but_not_other_hosts(tmp_path: Path) -> None:
    """A dead host stops nobody who leaves it out."""
    _code, output, _derived = play(tmp_path, groups(), [ROLE], "--limit", "!m1")
    assert [line.split(":")[0] for line in errors(output)] == ["w1", "o1"]


def test_other_machines_are_named_and_no_error(tmp_path: Path) -> None:
    """In a group of their own, and in one that is nearly ours."""
    inventory = groups()
    inventory["all"]["children"]["jump"] = {"hosts": {"bastion": None}}
    code, output, _derived = play(tmp_path, inventory, PLAN)
    assert code == 0, output
    assert "bastion: it is in none of the groups etcd, masters, workers, outside, storage; it is left alone" in output
    inventory["all"]["children"]["worker"] = {"hosts": {"w2": None}}
    _code, output, _derived = play(tmp_path, inventory, PLAN)
    assert [line.split(";")[0] for line in errors(output)] == ["w2: it is in group worker, and in none of ours"]


@pytest.mark.parametrize("name", ["site", "verify", "conformance"])
def test_playbooks_have_our_hosts_alone(tmp_path: Path, name: str) -> None:
    """Every play; where no group is ours the first has them all, and the check says what is missing."""

    def hosts(inventory: dict[str, Any]) -> list[list[str]]:
        _code, output, _derived = play(tmp_path, inventory, [], "--list-hosts", name=f"selfhosted.kubernetes.{name}")
        plays = output.split("    hosts (")[1:]
        return [sorted(line.strip() for line in text.splitlines()[1:] if re.match(r"      \w", line)) for text in plays]

    inventory = groups()
    inventory["all"]["hosts"] = {"bastion": None, "localhost": None}
    first, *others = hosts(inventory)
    assert first == ["m1", "o1", "w1"]
    assert {host for play in others for host in play} <= {"m1", "w1", "o1"}
    assert hosts({"all": {"hosts": {"x1": None}, "children": {"master": {"hosts": {"m1": None}}}}})[0] == ["m1", "x1"]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"kubelet_labels": {"rack": "{{ nothing }}"}}, f"kubelet_labels (m1, w1, o1): {NOTHING}"),
        ({"cluster_name": "{{ nothing }}"}, f"cluster_name (m1, w1, o1): {NOTHING}"),
        ({"kubelet_labels": {"cluster": "{{ cluster_derived.name }}"}, "cluster_name": "{{ 'o' ~ 'ne' }}"}, None),
    ],
)
def test_templates(tmp_path: Path, variables: dict[str, Any], expected: str | None) -> None:
    """Values are read through Ansible's templating, with each host's variables."""
    _code, output, derived = play(tmp_path, groups(**variables), PLAN)
    if expected is None:
        assert derived["name"] == "one", output
    else:
        assert errors(output) == [expected]


@pytest.mark.parametrize("inventory", INVENTORIES, ids=lambda path: path.name)
def test_our_own_inventories_have_no_error(tmp_path: Path, inventory: Path) -> None:
    """Those of the lab and the example."""
    code, output, derived = play(tmp_path, inventory, PLAN, "--extra-vars", f"cluster_state_dir={tmp_path}/state")
    assert code == 0, output
    assert derived["changed"] is False
