# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster of one master gets two more in one site run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.load import load, summary
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    FOLDER,
    MACHINES,
    MASTERS,
    NODES,
    Lab,
    playbook,
)
from ansible_collections.selfhosted.kubernetes.tests.scale.machines import (
    WRITE_GAP_SECONDS,
    Figures,
    lab_of,
    site_run,
    voters,
)

NAMESPACE = "lab-test-grow"
RECORD = FOLDER / "state/cluster-uid"
INVOCATION = "systemctl show --property=InvocationID etcd"


@pytest.fixture(scope="module")
def small(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The lab with one master, from nothing: the scenario begins with empty machines."""
    if RECORD.exists():
        code, output = playbook("reset", f"reset_hosts={','.join(MACHINES)}", "reset_confirm=lab")
        assert code == 0, output
    assert not RECORD.exists()
    work = tmp_path_factory.mktemp("small")
    site_run(work, inventory=lab_of(work / "inventory", masters=MASTERS[:1]))
    lab.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {"lab-test": ""}}})
    yield
    lab.kubectl(f"delete namespace {NAMESPACE} --wait=false")


@pytest.mark.usefixtures("small")
def test_one_master_becomes_three(lab: Lab, tmp_path: Path, figures: Figures) -> None:
    """Both join, one after the other; the one that was there goes on, and no write is lost."""
    uid = RECORD.read_text(encoding="utf-8")
    before = lab.run(MASTERS[0], INVOCATION)
    with load(lab, NAMESPACE) as users:
        run = site_run(tmp_path)
        users.wait()
    seen = summary(users)
    figures.add("one master becomes three", seconds=run.figures["seconds"], task_runs=run.figures["runs"], **seen)
    assert voters(lab) == set(MASTERS)
    assert lab.run(MASTERS[0], INVOCATION) == before
    assert uid == RECORD.read_text(encoding="utf-8")
    lab.kubectl(f"wait --for=condition=Ready --timeout=30s node {' '.join(NODES)}")
    assert seen["lost"] == 0
    assert seen["write_gap"] <= WRITE_GAP_SECONDS
    assert set(site_run(tmp_path).changed.values()) == {0}
