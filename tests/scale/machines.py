# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines that come and go, inventories of other sizes, and the members that etcd has."""

from __future__ import annotations

import json
import subprocess
import tempfile
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.selfhosted.kubernetes.tests.lab.load import Load
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    FOLDER,
    INVENTORY,
    LOCAL_ETCDCTL,
    MASTERS,
    Lab,
    Run,
    address,
    docker,
    inventory,
    playbook,
    site,
    wait_until,
)

TABLE = FOLDER / "scale.json"
# Of the issue: a lost master may cost a writer that, and so may one that joins, by an election and connections.
WRITE_GAP_SECONDS = 10.0


def fresh_connections() -> dict[str, str]:
    """Ansible keeps connections for minutes: those to a machine that was replaced since would break."""
    return {"ANSIBLE_SSH_CONTROL_PATH_DIR": tempfile.mkdtemp(prefix="cp-")}


def play(name: str, *variables: str, **options: Any) -> tuple[int, str]:
    """A playbook, by connections of its own."""
    return playbook(name, *variables, environment=fresh_connections(), **options)


def site_run(work: Path, *arguments: str, **options: Any) -> Run:
    """A site run that has to work, by connections of its own."""
    return site(work, *arguments, environment=fresh_connections(), **options)


def lab_of(folder: Path, **groups: list[str]) -> Path:
    """The lab's inventory with other hosts in some groups; a new one has the address after its group's last."""
    hosts = inventory()["_meta"]["hostvars"]
    known = {name: {"ansible_host": it["ansible_host"]} for name, it in hosts.items()}
    names = {group: groups.get(group, inventory()[group]["hosts"]) for group in ("masters", "workers", "outside")}
    for group, members in names.items():
        last = ip_address(address(inventory()[group]["hosts"][-1]))
        new = [name for name in members if name not in known]
        known |= {name: {"ansible_host": str(last + number)} for number, name in enumerate(new, 1)}
    children = {group: {"hosts": {name: known[name] for name in members}} for group, members in names.items()}
    own = yaml.safe_load((INVENTORY / "group_vars/all.yml").read_text(encoding="utf-8"))
    (folder / "group_vars").mkdir(parents=True)
    (folder / "group_vars/all.yml").write_text(yaml.safe_dump(own | {"lab_dir": str(FOLDER)}), encoding="utf-8")
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": children}}), encoding="utf-8")
    return folder


def lose(lab: Lab, *names: str) -> None:
    """Machines that are gone with their disks, one after the other: what is acknowledged in between, the rest has."""
    # A linearizable read: the member has all that was acknowledged before.
    health = f"{LOCAL_ETCDCTL} endpoint health"
    for name in names:
        wait_until(lambda: lab[MASTERS[0]].run(health).rc == 0, 30, f"{MASTERS[0]} has what {name} has acknowledged")
        docker("rm", "--force", "--volumes", name)
        subprocess.run(["ssh", "-F", str(lab.config), "-O", "exit", name], capture_output=True, check=False)


def make_machines(**options: Any) -> None:
    """Empty machines in place of those that are gone."""
    code, output = playbook("lab_create", **options)
    assert code == 0, output[-3000:]


def voters(lab: Lab, host: str = MASTERS[0]) -> set[str]:
    """Names of members that vote and answer; none while etcd does not."""
    listed, asked = (
        lab[host].run(f"etcdctl {command} --write-out=json") for command in ("member list", "endpoint health --cluster")
    )
    if listed.rc or not asked.stdout:
        return set()
    members = json.loads(listed.stdout)["members"]
    well = {entry["endpoint"] for entry in json.loads(asked.stdout) if entry["health"]}
    return {it["name"] for it in members if not it.get("isLearner") and well.intersection(it.get("clientURLs", []))}


def is_ready(lab: Lab, *names: str) -> None:
    """Nodes take pods; a new one registers itself some seconds after its run."""
    lab.kubectl(f"wait --for=create --for=condition=Ready --timeout=60s node {' '.join(names)}")
    for name in names:
        assert not lab.get(f"node {name}")["spec"].get("unschedulable")


def gap(users: Load, began: float) -> float:
    """The longest time without an acknowledged write since then; in the end none is lost."""
    users.wait()
    assert users.lost() == set()
    return users.answers("writer").gap(began)


class Figures:
    """What was measured, written as soon as it is known."""

    def __init__(self, table: Path = TABLE) -> None:
        self.table = table
        self.rows: dict[str, dict[str, Any]] = {}

    def add(self, what: str, **values: Any) -> None:
        """One row."""
        self.rows[what] = {name: round(it, 1) if isinstance(it, float) else it for name, it in values.items()}
        print(f"\n{what}: {self.rows[what]}")  # noqa: T201
        self.table.write_text(json.dumps(self.rows, indent=1) + "\n", encoding="utf-8")
