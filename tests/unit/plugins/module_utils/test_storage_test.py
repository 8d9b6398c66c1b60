# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the suite concludes where the lab's classes have nothing to show: what is offered elsewhere, and what fails."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.selfhosted.kubernetes.plugins.module_utils import _storage_test
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._storage_test import (
    Kubectl,
    Result,
    StorageTestError,
    Suite,
)
from ansible_collections.selfhosted.kubernetes.plugins.modules import storage_test

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


@pytest.mark.parametrize("why", [{"taints": [{"effect": "NoSchedule"}]}, {"unschedulable": True}])
def test_without_a_node_there_is_no_test(cluster: Cluster, why: dict[str, Any]) -> None:
    """And nothing is made."""
    cluster.objects["nodes"] = {"items": [{"metadata": {"name": "m1"}, "spec": why}]}
    with pytest.raises(StorageTestError, match="no node takes pods"):
        Suite(cluster, "block", "tester:1", "test")
    assert cluster.applied == []


def test_one_node_shows_less(suite: Suite, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new pod finds its data there; what needs a second node is not promised."""
    suite.nodes = ["w1"]
    cluster.said["exec"] = (1, "", "no such file or directory")
    answer = {"sha256": "a", "mb_s": 100.0, "p50_ms": 1.0, "p99_ms": 2.0}
    monkeypatch.setattr(suite, "tester", lambda _pod, *_words: answer)
    found = {it.check: (it.able, it.detail) for it in [*suite.moves(), *suite.many()]}
    assert found["a new pod on the same node finds the same data"] == (True, "100 MB/s")
    assert found["a drained node's pod runs elsewhere with its data"] == (None, "there is one node")
    assert found["two nodes write to one volume (ReadWriteMany)"] == (None, "there is one node")


@pytest.mark.parametrize(
    ("offered", "capacity", "able"), [(True, "512Mi", True), (True, "256Mi", False), (False, "256Mi", None)]
)
def test_a_volume_that_does_not_grow(
    suite: Suite, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, offered: bool, capacity: str, able: bool | None
) -> None:
    """Is a failure where the class says that it would."""
    monkeypatch.setattr(_storage_test, "SECONDS", 0)
    monkeypatch.setattr(suite, "capacity", lambda _claim: capacity)
    suite.storage_class = {**CLASS, "allowVolumeExpansion": offered}
    cluster.objects |= {"pvc one": {"spec": {"volumeName": "pv-1"}}, "pv pv-1": {"spec": {}}}
    assert [it.able for it in suite.grows()] == [able]


@pytest.mark.parametrize(
    ("bound", "full", "mib", "ables"),
    [
        (False, True, 250, [True, True]),
        (False, True, 400, [False, True]),
        (False, False, 512, [False, None]),
        (True, False, 512, [None, None]),
        (True, True, 250, [True, True]),
    ],
)
def test_a_volume_that_takes_all(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, bound: bool, full: bool, mib: int, ables: list[bool | None]
) -> None:
    """Or much more than its 256 MiB, is a failure; a node's own is limited by its disk."""
    suite.bound_to_node = bound
    monkeypatch.setattr(suite, "tester", lambda _pod, *_words: {"full": full, "mib": mib})
    assert [it.able for it in suite.limited()] == ables


@pytest.mark.parametrize(("refused", "able"), [(2, True), (10**6, False)])
def test_space_that_is_free_again_late(suite: Suite, monkeypatch: pytest.MonkeyPatch, refused: int, able: bool) -> None:
    """Is waited for, but not for ever."""
    left = iter(range(refused))

    def tester(_pod: str, *words: str) -> dict[str, Any]:
        if words[0] == "write" and next(left, None) is not None:
            raise StorageTestError("disk quota exceeded")
        return {"full": True, "mib": 250}

    monkeypatch.setattr(suite, "tester", tester)
    monkeypatch.setattr(_storage_test, "FREE_SECONDS", 1)
    assert [it.able for it in suite.limited()][-1] is able


@pytest.mark.parametrize(
    ("able", "breaks", "said"),
    [
        (True, "", None),
        (None, "", None),
        (False, "", "class block cannot do this: it grows"),
        (True, "kubectl wait: timed out", "kubectl wait: timed out"),
    ],
)
def test_how_the_module_ends(
    suite: Suite,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    able: bool | None,
    breaks: str,
    said: str | None,
) -> None:
    """What cannot be done is a failure, and so is a test that could not go on; what was found is told in any case."""

    def run() -> Iterator[Result]:
        yield Result("it is bound", True)
        yield Result("it grows", able)
        if breaks:
            raise StorageTestError(breaks)

    monkeypatch.setattr(suite, "run", run)
    monkeypatch.setattr(storage_test, "Suite", lambda *_arguments: suite)
    with patch_module_args({"storage_class": "block", "image": "tester:1"}), pytest.raises(SystemExit) as ended:
        storage_test.main()
    answer = json.loads(capsys.readouterr().out)
    assert (ended.value.code, answer.get("msg")) == (1 if said else 0, said)
    assert [it["able"] for it in answer["results"]] == [True, able]
    assert len(answer["table"]) == 2


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
