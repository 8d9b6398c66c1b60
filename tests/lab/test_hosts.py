# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person finds on a host."""

from __future__ import annotations

import re

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.support import MASTERS, NODES, OUTSIDE, ROOT, Lab

# Programs whose first process stays root's, to open ports and read keys, while others do the work.
FIRST_IS_ROOT = {"kube-loadbalancer", "metrics-gate"}


def table() -> dict[str, str]:
    """User of each service, as docs/architecture.md says."""
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `([a-z-]+(?:@NAME)?)` \| ([a-zA-Z-]+) \|", text, re.MULTILINE))


def test_services_run_as_their_users(lab: Lab, machine: str) -> None:
    """Every component is in the table, is active, starts with the host, and has the table's user."""
    users = table()
    for component, unit in lab.components(machine).items():
        # A unit that is an instance has the row of its template.
        name = f"{unit.partition('@')[0]}@NAME" if "@" in unit else component
        assert name in users, f"{name} is not in docs/architecture.md"
        output = lab.run(machine, f"systemctl show --property=ActiveState,UnitFileState,User,MainPID,Type {unit}")
        shown = dict(line.split("=", 1) for line in output.splitlines())
        assert (shown["ActiveState"], shown["UnitFileState"]) == ("active", "enabled"), unit
        if not unit.endswith(".service"):
            continue  # A path or timer has no process.
        pid = shown["MainPID"]
        if pid == "0":
            assert shown["Type"] == "oneshot"
            assert shown["User"] in {"", users[name]}
            continue
        processes = lab.run(machine, f"ps --no-headers --format user:32 --pid {pid} --ppid {pid}").split()
        expected = {users[name], "root"} if name in FIRST_IS_ROOT else {users[name]}
        assert set(processes) == expected, unit


def test_no_unit_failed(lab: Lab, machine: str) -> None:
    """Neither ours nor another."""
    assert lab.run(machine, "systemctl --failed --no-legend --plain") == ""


@pytest.mark.parametrize("name", [MASTERS[0], OUTSIDE[0]])
def test_plain_kubectl_works_for_root(lab: Lab, name: str) -> None:
    """In a shell that reads no profile, and with completion in one that a person types into."""
    nodes = lab.run(name, "env --unset=KUBECONFIG kubectl get nodes --output=name").split()
    assert sorted(nodes) == sorted(f"node/{node}" for node in NODES)
    # bash-completion reads it at the first TAB.
    shown = lab.run(name, "bash -lic '_completion_loader kubectl; complete -p kubectl' 2>/dev/null")
    assert shown.strip().endswith("-F __start_kubectl kubectl")


def test_journal_is_persistent_and_capped(lab: Lab, machine: str) -> None:
    """As configured, and really on the disk."""
    settings = lab.run(machine, "systemd-analyze cat-config systemd/journald.conf").splitlines()
    assert "Storage=persistent" in settings
    assert [line for line in settings if re.fullmatch(r"SystemMaxUse=\d+[KMGT]?", line)]
    machine_id = lab.run(machine, "cat /etc/machine-id").strip()
    assert lab[machine].file(f"/var/log/journal/{machine_id}/system.journal").is_file
    units = sorted(lab.components(machine).values())
    assert lab.run(machine, f"journalctl --directory=/var/log/journal --unit={units[0]} --lines=1 --quiet").strip()


def test_configuration_is_readable_by_all_and_writable_by_root(lab: Lab, machine: str) -> None:
    """Keys aside, anyone on the host may read how it is set up; nobody but root may change it."""
    done = lab[machine].run("find /etc/kubernetes /etc/etcd /etc/containerd -perm /022 ! -type l")
    assert done.stdout == ""


def test_kernel_settings_are_in_force(lab: Lab, node: str) -> None:
    """Each line of our file is what the kernel has."""
    lines = lab.run(node, "grep -v '^#' /etc/sysctl.d/90-kubernetes.conf").splitlines()
    wanted = dict(re.split(r"\s*=\s*", line, maxsplit=1) for line in lines)
    assert wanted["net.ipv4.ip_forward"] == "1"
    shown = lab.run(node, f"sysctl {' '.join(wanted)}").splitlines()
    assert dict(line.split(" = ", 1) for line in shown) == wanted
