# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the older minor version of the lock to the newer one, with users at work."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.load import load, summary
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    FOLDER,
    MASTERS,
    NODES,
    VERSION,
    WORKERS,
    Lab,
    playbook,
)
from ansible_collections.selfhosted.kubernetes.tests.upgrade.old import OLD, only, paired, running, versions

WRITE_GAP_SECONDS, SERVICE_GAP_SECONDS, SECONDS = 5, 1, 180
SNAPSHOTS, BEFORE = FOLDER / "state" / "snapshots", f"before-{VERSION[1:]}-*.db"


@pytest.fixture(scope="module")
def earlier() -> set[Path]:
    """Snapshots that earlier runs have left in the state folder."""
    return set(SNAPSHOTS.glob(BEFORE))


def test_it_begins_with_the_old_version(lab: Lab) -> None:
    """On every node, with what the lock pairs it with."""
    assert versions(lab) == dict.fromkeys(NODES, f"v{OLD}")
    before, after = paired(OLD), paired(VERSION[1:])
    assert running(lab) == only(before)
    assert [name for name in after if before[name] == after[name]] == []


def test_a_site_run_refuses_another_version() -> None:
    """And says what to run; nothing is changed."""
    code, output = playbook("site")
    assert code == 2
    assert f"cluster_kubernetes_version ({', '.join(MASTERS + WORKERS)}): Kubernetes {OLD} runs" in output
    assert "run upgrade.yml" in output


@pytest.mark.parametrize(
    ("version", "error"),
    [
        ("1.99.0", "cluster_kubernetes_version: 1.99.0 is not supported; choose one of"),
        ("1.35.0", "cluster_kubernetes_version: 1.35.0 is not supported; choose one of"),
    ],
)
def test_an_unknown_version_is_refused(lab: Lab, version: str, error: str) -> None:
    """Before anything is changed."""
    before = lab.started()
    code, output = playbook("upgrade", f"cluster_kubernetes_version={version}")
    assert code == 2
    assert error in output
    assert lab.started() == before


def test_nodes_alone_are_refused(lab: Lab) -> None:
    """A kubelet may not be newer than an API server."""
    code, output = playbook("upgrade", limit=f"{WORKERS[0]}:outside")
    assert code == 2
    assert f"{MASTERS[0]}" in output
    assert "it is a master that this upgrade leaves out" in output
    assert versions(lab)[WORKERS[0]] == f"v{OLD}"


@pytest.mark.usefixtures("earlier")
def test_upgrade_under_load(lab: Lab, namespace: str) -> None:
    """In time, with the API and a Service answering throughout, and no acknowledged write lost."""
    with load(lab, namespace) as users:
        began = time.monotonic()
        code, output = playbook("upgrade")
        seconds = time.monotonic() - began
        assert code == 0, output[-5000:]
        users.wait()
    figures = summary(users)
    print(f"\nupgrade from {OLD} to {VERSION}: {seconds:.0f} s, {figures}")  # noqa: T201
    assert versions(lab) == dict.fromkeys(NODES, VERSION)
    assert running(lab) == only(paired(VERSION[1:]))
    assert [node for node in lab.get("nodes")["items"] if node["spec"].get("unschedulable")] == []
    assert figures["lost"] == 0
    assert figures["write_gap"] <= WRITE_GAP_SECONDS
    assert figures["service_gap"] <= SERVICE_GAP_SECONDS
    assert seconds <= SECONDS


def test_the_snapshot_is_kept(earlier: set[Path]) -> None:
    """On the control node, for its owner alone."""
    (snapshot,) = set(SNAPSHOTS.glob(BEFORE)) - earlier
    assert snapshot.stat().st_size > 100_000
    assert snapshot.stat().st_mode & 0o777 == 0o600


def test_again_changes_no_node(lab: Lab) -> None:
    """Nothing is drained or restarted, and the first run's snapshot is as it was."""
    before = lab.started()
    kept = {snapshot: snapshot.read_bytes() for snapshot in SNAPSHOTS.glob(BEFORE)}
    code, output = playbook("upgrade")
    assert code == 0, output[-5000:]
    assert lab.started() == before
    assert {snapshot: snapshot.read_bytes() for snapshot in kept} == kept
    assert len(list(SNAPSHOTS.glob(BEFORE))) == len(kept) + 1


def test_an_older_version_is_refused(lab: Lab) -> None:
    """Kubernetes cannot go back; nothing is changed."""
    before = lab.started()
    code, output = playbook("upgrade", f"cluster_kubernetes_version={OLD}")
    assert code == 2
    assert f"kube-apiserver {VERSION[1:]} runs, {OLD} is older" in output, output[-3000:]
    assert lab.started() == before
