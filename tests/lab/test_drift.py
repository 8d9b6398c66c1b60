# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site run repairs what somebody changed by hand, and nothing else; with nothing to do it changes nothing."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.selfhosted.kubernetes.tests.lab.support import MACHINES, MASTERS, NAME, WORKERS, Lab, site

# Budgets of a site run that finds everything done: they rise for a reason only. `make bench` measures the seconds; this
# is a limit for a busy machine.
TASK_RUNS = {"lab": 22, "lab-small": 18}
SECONDS = 90

BYTE = "/etc/kubernetes/kube-proxy/config.yaml"
UNIT = "/etc/systemd/system/kubelet.service"
SERVICE = "kube-scheduler"
NOTHING = dict.fromkeys(MACHINES, 0)


def test_drift_is_shown_and_repaired(lab: Lab, tmp_path: Path) -> None:
    """One byte of a file, one flag of a unit, a stopped service, each on another host: one run, one change on each."""
    one, other, master = WORKERS[0], WORKERS[1], MASTERS[0]
    damaged = {**NOTHING, one: 1, other: 1, master: 1}
    wanted = {name: lab.run(name, "sha256sum %s", path) for name, path in ((one, BYTE), (other, UNIT))}
    before = lab.started()
    lab.run(one, "sed --in-place s/nftables/nftablez/ %s", BYTE)
    lab.run(other, "sed --in-place 's/--hostname-override/--v=3 --hostname-override/' %s", UNIT)
    lab.run(master, f"systemctl stop {SERVICE}")
    try:
        seen = site(tmp_path, "--check", "--diff")
        assert seen.changed == damaged
        assert "nftablez" in seen.output
        assert lab[master].service(SERVICE).is_running is False
    finally:
        run = site(tmp_path)
    assert run.changed == damaged
    assert {name: lab.run(name, "sha256sum %s", path) for name, path in ((one, BYTE), (other, UNIT))} == wanted
    after = lab.started()
    restarted = {name: {unit for unit in after[name] if after[name][unit] != before[name][unit]} for name in MACHINES}
    expected = {one: {"kube-proxy.service"}, other: {"kubelet.service"}, master: {f"{SERVICE}.service"}}
    assert restarted == {name: expected.get(name, set()) for name in MACHINES}
    pid = lab.run(other, "systemctl show --property=MainPID --value kubelet").strip()
    assert "--v=3" not in lab.run(other, f"tr '\\0' ' ' </proc/{pid}/cmdline")


def test_nothing_to_do(lab: Lab, tmp_path: Path) -> None:
    """No change anywhere, no unit restarted, within the budgets."""
    before = lab.started()
    run = site(tmp_path)
    assert run.changed == NOTHING
    assert lab.started() == before
    print(f"site run with nothing to do: {run.figures['runs']} task runs, {run.figures['seconds']} s")  # noqa: T201
    assert run.figures["runs"] <= TASK_RUNS[NAME], run.figures["by_task"]
    assert run.figures["seconds"] <= SECONDS


def test_check_and_diff_show_nothing(lab: Lab, tmp_path: Path) -> None:
    """Against the cluster as it is."""
    before = lab.started()
    run = site(tmp_path, "--check", "--diff")
    assert run.changed == NOTHING
    assert [line for line in run.output.splitlines() if line.startswith(("--- before", "+++ after", "changed:"))] == []
    assert lab.started() == before
