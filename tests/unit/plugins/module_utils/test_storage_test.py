# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the suite concludes where the lab's classes have nothing to show: snapshots, clones, no fio, a lost node."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils import _storage_test
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._storage_test import Kubectl, Suite

CLASS = {"metadata": {"name": "block"}, "provisioner": "block.csi.example.org"}
NODES = [{"metadata": {"name": name}, "spec": {}} for name in ("w1", "w2")]


class Cluster(Kubectl):
    """Answers of an API; what was applied is remembered."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {"storageclass block": CLASS, "nodes": {"items": NODES}}
        self.applied: list[dict[str, Any]] = []
        self.said: dict[str, tuple[int, str, str]] = {}
        self.files = {"one": "hash", "taken": "hash"}

    def get(self, *arguments: str) -> dict[str, Any]:
        """An object, or nothing."""
        found: dict[str, Any] = self.objects.get(" ".join(it for it in arguments if it[0] != "-"), {})
        return found

    def try_run(self, *arguments: str, given: str = "", **_more: Any) -> subprocess.CompletedProcess[str]:
        """All else works, but what a test says of a command in a pod."""
        if given:
            self.applied += json.loads(given)["items"]
        code, out, err = next((said for word, said in self.said.items() if word in arguments), (0, "", ""))
        return subprocess.CompletedProcess(arguments, code, out, err)


@pytest.fixture
def cluster() -> Cluster:
    """With a class of block devices."""
    return Cluster()


@pytest.fixture
def suite(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """With a pod that reads what its claim began with."""
    suite = Suite(cluster, "block", "tester:1", "test")
    monkeypatch.setattr(suite, "start", lambda _name, _claim, *_nodes: 1.0)
    monkeypatch.setattr(suite, "capacity", lambda _claim: "512Mi")
    monkeypatch.setattr(suite, "node_of", lambda _pod: "w1")
    return suite


def said(suite: Suite, sums: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool | None]]:
    """Checks of snapshots, where pods read these checksums."""
    monkeypatch.setattr(suite, "tester", lambda pod, *_words: {"sha256": sums[pod]})
    return [(it.check, it.able) for it in suite.snapshots()]


def test_snapshots_and_clones_are_tried_where_they_are_offered(
    suite: Suite, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data of both is compared; a class of another driver offers none."""
    sums = {"last": "a", "of-snapshot": "a", "of-clone": "b"}
    other = {"metadata": {"name": "other"}, "driver": "file.csi.example.org"}
    cluster.objects["volumesnapshotclass"] = {"items": [other]}
    assert said(suite, sums, monkeypatch) == [("snapshots and clones", None)]
    ours = {"metadata": {"name": "ours"}, "driver": CLASS["provisioner"]}
    cluster.objects["volumesnapshotclass"] = {"items": [other, ours]}
    assert said(suite, sums, monkeypatch) == [
        ("a snapshot is taken while it is in use", True),
        ("a new volume has what a snapshot has", True),
        ("a new volume has what a clone has", False),
    ]
    snapshot, *claims = cluster.applied
    assert snapshot["spec"] == {
        "volumeSnapshotClassName": "ours",
        "source": {"persistentVolumeClaimName": "one"},
    }
    assert [it["spec"]["dataSource"]["kind"] for it in claims] == ["VolumeSnapshot", "PersistentVolumeClaim"]
    assert {it["spec"]["resources"]["requests"]["storage"] for it in claims} == {"512Mi"}


def test_without_fio_on_the_node_nothing_is_promised(suite: Suite, cluster: Cluster) -> None:
    """And one that fails is a failure."""
    cluster.said["exec"] = (1, "", "no such file or directory\ncommand terminated with exit code 1")
    assert {(it.able, it.detail) for it in suite.fio()} == {(None, "w1 has no fio: apt install fio")}
    cluster.said["exec"] = (1, "", "fio: io_u error: Input/output error")
    assert {it.able for it in suite.fio()} == {False}
    job = {"iops": 123.4, "clat_ns": {"percentile": {"99.000000": 7e6}}}
    sync = {"lat_ns": {"percentile": {"99.000000": 8e6}}}
    cluster.said["exec"] = (0, json.dumps({"jobs": [{"read": job, "write": job, "sync": sync}]}), "")
    assert [it.detail for it in suite.fio()] == ["123 IOPS, p99 8.0 ms", "123 IOPS, p99 7.0 ms"]


def running(name: str, node: str, ready: str) -> dict[str, Any]:
    """A pod of a deployment."""
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": ready}]
    return {"metadata": {"name": name}, "spec": {"nodeName": node}, "status": {"conditions": conditions}}


def test_a_lost_nodes_pod(suite: Suite, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts when it is ready on another node and reads what was written; the time is since the node was on."""
    monkeypatch.setattr(_storage_test, "LOST_SECONDS", 0)
    before = {"node": "w1", "sha256": "a", "began": 0.0}
    cluster.objects["pods"] = {"items": [running("old", "w1", "True"), running("new", "w2", "False")]}
    assert suite.lost(before).able is False
    cluster.objects["pods"] = {"items": [running("old", "w1", "False"), running("new", "w2", "True")]}
    for found, able in (("a", True), ("b", False)):
        monkeypatch.setattr(
            suite, "tester", lambda pod, *_words, found=found: {"sha256": found} if pod == "new" else {}
        )
        result = suite.lost(before)
        assert result.able is able
        assert result.seconds is not None
        assert result.seconds > 0
