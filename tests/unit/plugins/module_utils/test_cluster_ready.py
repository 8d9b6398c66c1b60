# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a cluster that is not ready, from documents as the API server gives them."""

from __future__ import annotations

import calendar
import json
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.selfhosted.kubernetes.plugins.action.cluster_ready import keep
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._cluster_ready import complaints
from ansible_collections.selfhosted.kubernetes.plugins.modules import cluster_ready

Document = dict[str, Any]
KUBECTL = """#!/bin/sh
case "$*" in *apply*) cat >%(log)s.applied; test -e %(answer)s; exit ;; esac
case "$*" in *pods*) echo pods >>%(log)s ;; *) echo poll >>%(log)s ;; esac
cat %(answer)s 2>/dev/null && exit 0
echo "The connection to the server was refused" >&2
exit 1
"""


def condition(kind: str, status: str, message: str = "") -> Document:
    """A condition."""
    return {"type": kind, "status": status, "message": message}


def node(name: str, *conditions: Document, version: str = "v1.37.2") -> Document:
    """A node."""
    status = {"conditions": list(conditions), "nodeInfo": {"kubeletVersion": version}}
    return {"kind": "Node", "metadata": {"name": name}, "status": status}


def deployment(wanted: int = 2, generation: int = 1, **status: int) -> Document:
    """A deployment; without figures all is well."""
    status = status or {"replicas": wanted, "updatedReplicas": wanted, "availableReplicas": wanted}
    return {
        "kind": "Deployment",
        "metadata": {"name": "dns", "namespace": "kube-system", "generation": generation},
        "spec": {"replicas": wanted, "selector": {"matchLabels": {"app": "dns"}}},
        "status": {"observedGeneration": 1, **status},
    }


def pod(name: str, namespace: str = "kube-system", app: str = "dns", **status: Any) -> Document:
    """A pod."""
    metadata = {"name": name, "namespace": namespace, "labels": {"app": app, "hash": "5d"}}
    return {"kind": "Pod", "metadata": metadata, "status": status}


def api(*conditions: Document) -> Document:
    """An API service."""
    status = {"conditions": list(conditions)} if conditions else {}
    return {"kind": "APIService", "metadata": {"name": "v1beta1.metrics.k8s.io"}, "status": status}


def waiting(reason: str, message: str = "") -> list[Document]:
    """Statuses of a pod with one container."""
    return [{"name": "dns", "state": {"waiting": {"reason": reason, **({"message": message} if message else {})}}}]


READY = condition("Ready", "True")
SHORT = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}
ALL = [node("m1", READY), deployment(), api(condition("Available", "True"))]


def said(*objects: Document) -> list[str]:
    """Complaints when one of each kind is wanted."""
    return complaints(objects, ["m1"], "1.37.2", ["kube-system/dns"], ["v1beta1.metrics.k8s.io"])


def test_nothing_is_said_of_a_ready_cluster() -> None:
    """Whatever else is in it."""
    assert said(*ALL, node("w9", condition("Ready", "False")), pod("x", containerStatuses=waiting("Error"))) == []


def test_everything_that_is_missing_is_said_at_once() -> None:
    """With where to look."""
    assert said() == [
        "node m1 is not registered: see `journalctl -u kubelet` on m1; one of an earlier cluster needs reset.yml first",
        "deployment kube-system/dns does not exist: see `journalctl -u kube-addons` on a master",
        "API service v1beta1.metrics.k8s.io does not exist",
    ]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (node("m1"), "node m1 is not ready: its kubelet has not reported yet"),
        (node("m1", condition("Ready", "False", "cni is missing")), "node m1 is not ready: cni is missing"),
        (node("m1", condition("Ready", "Unknown", "no status")), "node m1 is not ready: no status"),
        (node("m1", READY, version="v1.36.3"), "node m1 runs kubelet v1.36.3, wanted v1.37.2"),
        (api(), "API service v1beta1.metrics.k8s.io is not available: not asked yet"),
        (
            api(condition("Available", "False", "timed out")),
            "API service v1beta1.metrics.k8s.io is not available: timed out",
        ),
        (deployment(**SHORT), "deployment kube-system/dns has 1 of 2 pods available"),
        # Its controller has not seen the newest version, or the old version's pods are still there.
        (deployment(generation=2), "deployment kube-system/dns has 2 of 2 pods available"),
        (
            deployment(replicas=3, updatedReplicas=2, availableReplicas=2),
            "deployment kube-system/dns has 2 of 2 pods available",
        ),
        (deployment(replicas=0), "deployment kube-system/dns has 0 of 2 pods available"),
    ],
)
def test_what_is_not_ready_is_named_with_its_reason(found: Document, text: str) -> None:
    """One line for the one thing."""
    others = [item for item in ALL if item["kind"] != found["kind"]]
    assert said(*others, found) == [text]


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (
            {"containerStatuses": waiting("ImagePullBackOff", "not found")},
            "; dns-1: ImagePullBackOff not found",
        ),
        ({"containerStatuses": waiting("ContainerCreating")}, "; dns-1: ContainerCreating"),
        (
            {
                "initContainerStatuses": waiting("CrashLoopBackOff", "back-off 10s"),
                "containerStatuses": waiting("PodInitializing"),
            },
            "; dns-1: CrashLoopBackOff back-off 10s",
        ),
        (
            {"conditions": [condition("PodScheduled", "False", "0/3 nodes are available: 3 have taints")]},
            "; dns-1: 0/3 nodes are available: 3 have taints",
        ),
        (
            {"conditions": [condition("Ready", "False", "containers with unready status: [dns]")]},
            "; dns-1 is not ready: containers with unready status: [dns]",
        ),
        ({"phase": "Pending"}, "; dns-1 is not ready: Pending"),
        ({"conditions": [condition("PodScheduled", "True"), READY]}, ""),
    ],
)
def test_a_deployment_is_explained_by_its_pods(status: Document, text: str) -> None:
    """By its own, and by those that have a problem."""
    own, others = pod("dns-1", **status), [pod("x", app="web"), pod("dns-2", namespace="default")]
    (line,) = said(ALL[0], deployment(**SHORT), ALL[2], own, *others)
    assert line == f"deployment kube-system/dns has 1 of 2 pods available{text}"


class Kubectl:
    """A kubectl that gives an answer from a file, and says how it was called."""

    def __init__(self, folder: Path) -> None:
        self.program, self.answer, self.log = folder / "kubectl", folder / "answer", folder / "log"
        self.program.write_text(KUBECTL % {"log": self.log, "answer": self.answer}, encoding="utf-8")
        self.program.chmod(0o755)

    def answers(self, *objects: Document) -> None:
        """From now on."""
        self.answer.write_text(json.dumps({"kind": "List", "items": objects}), encoding="utf-8")


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    """In place of the real one."""
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    result = Kubectl(tmp_path)
    monkeypatch.setattr(cluster_ready, "KUBECTL", [str(result.program)])
    return result


def run(capsys: pytest.CaptureFixture[str], **arguments: Any) -> Document:
    """Result of the module for one node."""
    given = {"nodes": ["m1"], "version": "1.37.2", **arguments}
    with patch_module_args(given), pytest.raises(SystemExit):
        cluster_ready.main()
    result: Document = json.loads(capsys.readouterr().out)
    return result


def test_a_ready_cluster_costs_one_call(kubectl: Kubectl, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the pods, which are many."""
    kubectl.answers(*ALL)
    result = run(capsys)
    assert (result["changed"], result["waited_seconds"] < 1) == (False, True)
    assert kubectl.log.read_text(encoding="utf-8") == "poll\n"


def test_the_cluster_has_a_name(kubectl: Kubectl, capsys: pytest.CaptureFixture[str]) -> None:
    """The uid of the namespace that every cluster has from its beginning."""
    spaces = [{"kind": "Namespace", "metadata": {"name": name, "uid": f"{name}-1"}} for name in ("a", "kube-system")]
    kubectl.answers(*ALL, *spaces)
    assert run(capsys)["cluster_uid"] == "kube-system-1"


def test_what_a_run_changed_is_noted_on_nodes(kubectl: Kubectl, capsys: pytest.CaptureFixture[str]) -> None:
    """Of hosts that are nodes and had changes; in one call, and in none where there is nothing to say."""
    kubectl.answers(*ALL)
    applied = {
        "m1": {"etcd": {"changed": False}, "kubelet": {"changed": True}, "containerd": {"changed": True}},
        "e1": {"etcd": {"changed": True}},
    }
    noted = Path(f"{kubectl.log}.applied")
    assert "warnings" not in run(capsys, applied={"m1": {"etcd": {"changed": False}}})
    run(capsys, applied=applied, _ansible_check_mode=True)
    assert not noted.exists()
    run(capsys, applied=applied)
    (item,) = json.loads(noted.read_text(encoding="utf-8"))["items"]
    stamp, _, words = item["metadata"]["annotations"]["selfhosted.kubernetes/site-run"].partition(" ")
    assert (item["kind"], item["metadata"]["name"], words) == ("Node", "m1", "kubelet, containerd")
    assert abs(time.time() - calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ"))) < 60


def test_the_records_are_written_where_they_differ(tmp_path: Path) -> None:
    """In a folder that need not be there."""
    record = tmp_path / "state" / "cluster-uid"
    given = [("a", ""), ("a", ""), ("b", ""), ("b", "1.36.3"), ("b", "1.36.3"), ("b", "1.37.2"), ("c", "1.37.2")]
    assert [keep(record, *values) for values in given] == [True, False, True, True, False, True, True]
    files = {path.name: path.read_text(encoding="utf-8") for path in record.parent.iterdir()}
    assert files == {"cluster-uid": "c\n", "kubernetes-version": "1.37.2\n"}


def test_at_the_end_pods_are_asked_for_the_reason(kubectl: Kubectl, capsys: pytest.CaptureFixture[str]) -> None:
    """And the error has all of it."""
    kubectl.answers(ALL[0], deployment(**SHORT), pod("dns-1", containerStatuses=waiting("ErrImagePull", "no")))
    result = run(capsys, deployments=["kube-system/dns"], timeout_seconds=0)
    assert result["failed"]
    assert result["msg"] == (
        "the cluster is not ready after 0 s: deployment kube-system/dns has 1 of 2 pods available; "
        "dns-1: ErrImagePull no"
    )
    assert kubectl.log.read_text(encoding="utf-8").endswith("pods\n")


@pytest.mark.usefixtures("kubectl")
def test_an_api_that_does_not_answer_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    """And quoted when it does not come."""
    result = run(capsys, timeout_seconds=0)
    assert result["msg"] == "the cluster is not ready after 0 s: The connection to the server was refused"


def test_check_mode_says_and_does_not_wait(kubectl: Kubectl, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor does it need a cluster."""
    kubectl.answers(node("m1"))
    result = run(capsys, _ansible_check_mode=True)
    assert result["not_ready"] == ["node m1 is not ready: its kubelet has not reported yet"]
    kubectl.program.unlink()
    result = run(capsys, _ansible_check_mode=True)
    assert result["not_ready"] == [f"{kubectl.program} is not installed yet"]
