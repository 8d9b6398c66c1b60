# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole cluster by cause, what a node has of a pod by itself, and rules that no recorded case needs."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._why import (
    answer,
    creation,
    image,
    node,
    on_node,
    pods,
    process,
    resources,
    status,
    terminating,
    text,
    volumes,
    where,
    workload,
)
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._why.client import NotFoundError, UnreachableError
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._why.model import Facts, apply
from ansible_collections.selfhosted.kubernetes.plugins.modules import why, why_node

Document = dict[str, Any]
NOW = datetime(2026, 11, 25, 22, 0, 0, tzinfo=UTC)
EARLIER = "2026-11-25T21:00:00Z"


def a_node(name: str, ready: str = "True", message: str = "") -> Document:
    """A node."""
    condition = {"type": "Ready", "status": ready, "reason": "x", "message": message, "lastHeartbeatTime": EARLIER}
    return {"metadata": {"name": name}, "spec": {}, "status": {"conditions": [condition]}}


def a_pod(name: str, on: str, ready: bool, owner: str = "web", **status: Any) -> Document:
    """A pod of a replica set."""
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": name,
            "creationTimestamp": EARLIER,
            "ownerReferences": [{"kind": "ReplicaSet", "name": owner, "uid": owner, "controller": True}],
        },
        "spec": {"nodeName": on, "containers": [{"name": "web", "image": "web:1"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}], **status},
    }


def a_set(name: str, wanted: int, ready: int) -> Document:
    """A replica set that nobody owns."""
    meta = {"name": name, "namespace": "shop", "uid": name, "creationTimestamp": EARLIER}
    return {"metadata": meta, "spec": {"replicas": wanted}, "status": {"readyReplicas": ready, "replicas": wanted}}


def test_one_dead_node_is_one_line() -> None:
    """Twenty pods of two owners on it; what is well elsewhere is not named."""
    facts = Facts(NOW)
    facts.add("Node", a_node("w1"), a_node("w2", "Unknown", "Kubelet stopped posting node status."))
    facts.add("ReplicaSet", a_set("web", 12, 2), a_set("api", 10, 0), a_set("well", 1, 1))
    facts.add(
        "Pod", *(a_pod(f"web-{it}", "w2", False) for it in range(10)), *(a_pod(f"ok-{it}", "w1", True) for it in (1, 2))
    )
    facts.add("Pod", *(a_pod(f"api-{it}", "w2", False, "api") for it in range(10)), a_pod("well-1", "w1", True, "well"))
    said = status.judge(facts)
    (cause,) = said["causes"]
    assert (cause["code"], cause["object"], cause["count"]) == ("NodeSilent", "node/w2", 21)
    assert cause["verdict"] == "node w2 is down or cut off: its kubelet has said nothing for 60 min"
    lines = text.painted(text.groups(said), colour=False).splitlines()
    assert lines[0] == f"  21 {cause['verdict']}"
    assert lines[-1] == "3 of 5 unhealthy, 1 causes; 0 starting"


def test_pods_of_one_owner_are_one_cause() -> None:
    """Also where each names itself."""
    crashed = {"terminated": {"exitCode": 3, "reason": "Error", "finishedAt": "2026-11-25T21:59:50Z"}}
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    container = {
        "name": "web",
        "state": state,
        "lastState": crashed,
        "restartCount": 4,
        "containerID": "containerd://1",
    }
    facts = Facts(NOW)
    facts.add("Node", a_node("w1"))
    facts.add("ReplicaSet", a_set("web", 3, 0))
    facts.add("Pod", *(a_pod(f"web-{it}", "w1", False, containerStatuses=[container]) for it in range(3)))
    (cause,) = status.judge(facts)["causes"]
    assert (cause["code"], cause["object"], cause["affected"]) == (
        "ExitCode",
        "replicaset/shop/web",
        ["shop/replicaset/web"],
    )


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('admission webhook "deny.example.com" denied the request: no latest tags', "WebhookDenied"),
        (
            (
                'Internal error occurred: failed calling webhook "a.b.c": failed to call webhook: Post "https://x": '
                "context deadline exceeded"
            ),
            "WebhookUnreachable",
        ),
        (
            (
                'Internal error occurred: failed calling webhook "a.b.c": failed to call webhook: Post "https://x": '
                "tls: failed to verify certificate: x509: certificate has expired"
            ),
            "WebhookUnreachable",
        ),
        ("unable to create new content in namespace shop because it is being terminated", "NamespaceTerminating"),
        (
            'pods is forbidden: User "bot" cannot create resource "pods" in API group "" in the namespace "shop"',
            "NotAllowed",
        ),
        ('Pod "web-1" is invalid: spec.containers[0].image: Required value', "PodInvalid"),
        ("something else", "NotCreated"),
    ],
)
def test_refusals(message: str, code: str) -> None:
    """The API server's texts, as controllers repeat them."""
    owner = {"kind": "ReplicaSet", **a_set("web", 1, 0)}
    found = creation.judge(owner, message)
    assert found
    assert found.code == code


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) web-0', "VolumeInUse"),
        ("references non-existent config key: app.yaml", "KeyMissing"),
        ("driver name csi.example not found in the list of registered CSI drivers", "CsiDriverMissing"),
        (
            "Unable to attach or mount volumes: unmounted volumes=[data]: timed out waiting for the condition",
            "VolumeNotReady",
        ),
    ],
)
def test_mounts(message: str, code: str) -> None:
    """Of kubelet and attach controller."""
    pod = {"kind": "Pod", **a_pod("web-1", "w1", False)}
    event = {"reason": "FailedMount", "message": message, "lastTimestamp": EARLIER, "involvedObject": {}}
    (found,) = volumes.mounting(Facts(NOW), pod, [event])
    assert found.code == code


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('error mounting "/var/lib/x" to rootfs at "/etc/app": not a directory', "MountWrong"),
        ("container init was OOM-killed (memory limit too low?)", "MemoryLimitTooSmall"),
        ("open /run/x: read-only file system", "ReadOnlyFileSystem"),
        ("anything", "NotStarted"),
    ],
)
def test_starts(message: str, code: str) -> None:
    """Of the container runtime."""
    found = apply(process.START, message, pod="pod/shop/web", container="web", image="web:1")
    assert found
    assert found.code == code


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("[container runtime is down, PLEG is not healthy: pleg was last seen active 3m ago]", "ContainerRuntimeDown"),
        ("node is shutting down", "NodeShutdown"),
        (
            "[container runtime is down, container runtime network not ready: NetworkReady=false]",
            "ContainerRuntimeDown",
        ),
        ("container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady", "NodeNetworkNotReady"),
        ("whatever", "NodeNotReady"),
    ],
)
def test_nodes(message: str, code: str) -> None:
    """Of the condition Ready."""
    (found,) = node.judge(Facts(NOW), {"kind": "Node", **a_node("w1", "False", message)})
    assert (found.code, found.object) == (code, "node/w1")


def test_a_kubelet_that_has_just_stopped() -> None:
    """The node still counts as ready; its lease tells."""
    facts = Facts(NOW)
    meta = {"name": "w1", "namespace": "kube-node-lease"}
    for renewed, codes in (("21:59:50", []), ("21:59:20", ["NodeSilent"])):
        facts.add("Lease", {"metadata": meta, "spec": {"renewTime": f"2026-11-25T{renewed}.000000Z"}})
        assert [it.code for it in node.judge(facts, {"kind": "Node", **a_node("w1")})] == codes


@pytest.mark.parametrize(
    ("renewed", "taken", "codes"),
    [
        ("21:59:55", "21:59:56", []),
        ("21:54:55", "21:59:55", ["NodeClock"]),
        ("22:59:55", "21:59:55", ["NodeClock"]),
        ("21:54:20", "21:59:20", ["NodeClock", "NodeSilent"]),
    ],
)
def test_a_clock_that_is_off(renewed: str, taken: str, codes: list[str]) -> None:
    """A node's lease has its own time, and that of the API server; it is not silent for that."""
    facts = Facts(NOW)
    fields = [{"manager": "kubelet", "time": f"2026-11-25T{taken}Z"}]
    meta = {"name": "w1", "namespace": "kube-node-lease", "managedFields": fields}
    facts.add("Lease", {"metadata": meta, "spec": {"renewTime": f"2026-11-25T{renewed}.000000Z"}})
    assert [it.code for it in node.judge(facts, {"kind": "Node", **a_node("w1")})] == codes


def test_what_was_refused_and_is_made_by_now() -> None:
    """Events stay for an hour; they say nothing of a stateful set or cron job that has gone on since."""
    about = {"kind": "StatefulSet", "namespace": "shop", "name": "web"}
    event = {
        "reason": "FailedCreate",
        "message": 'serviceaccount "bot" not found',
        "lastTimestamp": "2026-11-25T21:30:00Z",
    }
    for made, codes in (("2026-11-25T21:20:00Z", ["ServiceAccountMissing"]), ("2026-11-25T21:40:00Z", [])):
        facts = Facts(NOW)
        facts.add("StatefulSet", a_set("web", 2, 1))
        facts.add_events(
            [{**event, "involvedObject": about}, {**event, "involvedObject": {**about, "kind": "CronJob"}}]
        )
        facts.add("Pod", a_pod("web-0", "w1", True))
        facts.objects["Pod", "shop", "web-0"]["metadata"]["creationTimestamp"] = made
        facts.add("CronJob", {"metadata": {"name": "web", "namespace": "shop", "uid": "cron"}, "spec": {}})
        owner = [{"kind": "CronJob", "name": "web", "uid": "cron", "controller": True}]
        meta = {"name": "web-1", "namespace": "shop", "uid": "job", "creationTimestamp": made, "ownerReferences": owner}
        facts.add(
            "Job", {"metadata": meta, "spec": {}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}
        )
        assert [it.code for it in workload.judge(facts, facts.all("StatefulSet")[0])] == codes
        jobs = [it.code for it in workload.judge(facts, facts.all("CronJob")[0])]
        assert jobs == (["JobNotCreated"] if codes else [])


def test_deletion_that_hangs() -> None:
    """On a dead node it is the node; else the kubelet's own words; within its grace period it is nothing."""
    pod = {"kind": "Pod", **a_pod("web-1", "w1", False)}
    pod["metadata"]["deletionTimestamp"] = "2026-11-25T21:58:00Z"
    facts = Facts(NOW)
    facts.add("Node", a_node("w1", "Unknown", "Kubelet stopped posting node status."))
    assert [it.code for it in terminating.judge(facts, pod)] == ["NodeSilent"]
    facts.add("Node", a_node("w1"))
    assert [it.code for it in terminating.judge(facts, pod)] == ["StuckKilling"]
    pod["metadata"]["deletionTimestamp"] = "2026-11-25T22:00:10Z"
    assert [it.code for it in terminating.judge(facts, pod)] == []


def test_namespace_that_hangs() -> None:
    """It says itself what stays."""
    said = {
        "type": "NamespaceContentRemaining",
        "status": "True",
        "message": "Some resources are remaining: pods. has 2",
    }
    meta = {"name": "shop", "deletionTimestamp": EARLIER}
    space = {"kind": "Namespace", "metadata": meta, "status": {"conditions": [said]}}
    (found,) = terminating.namespace_stuck(Facts(NOW), space)
    assert found.verdict == f"namespace shop was deleted and does not go: {said['message']}"


@pytest.mark.parametrize(
    ("written", "amount"),
    [("250m", 0.25), ("64Mi", 2.0**26), ("1e3", 1000.0), ("24Ki", 24576.0), ("1.5Gi", 1.5 * 2**30)],
)
def test_quantities(written: str, amount: float) -> None:
    """As Kubernetes writes them."""
    assert resources.quantity(written) == amount


def test_requests_as_the_scheduler_counts_them() -> None:
    """The largest init container, sidecars with the containers, overhead on top."""

    def asks(cpu: str, **more: Any) -> Document:
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "containers": [asks("1"), asks("500m")],
        "initContainers": [asks("3"), asks("250m", restartPolicy="Always")],
    }
    assert resources.requests({"spec": {**spec, "overhead": {"cpu": "100m"}}})["cpu"] == pytest.approx(3.1)
    spec["initContainers"] = spec["initContainers"][1:]
    assert resources.requests({"spec": spec})["cpu"] == pytest.approx(1.75)


def test_nothing_says_why() -> None:
    """Then that is said, and no cause is made up."""
    facts = Facts(NOW)
    facts.add("Node", a_node("w1"))
    container = {
        "name": "web",
        "state": {"running": {"startedAt": EARLIER}},
        "ready": False,
        "restartCount": 0,
        "containerID": "containerd://1",
    }
    facts.add("Pod", a_pod("web-1", "w1", False, containerStatuses=[container]))
    said = answer.document(facts, facts.all("Pod")[0])
    assert (said["state"], said["cause"]["code"]) == ("unclear", "Unclear")
    assert said["verdict"] == "pod/web-1 has not been ready for 60 min, and nothing says why"


def a_host(root: Path, state: Document) -> None:
    """A pod that was restarted once, as kubelet and containerd leave it."""
    ident = "f" * 64
    folder = root / "var/log/pods/shop_web-1_uid-1/web"
    folder.mkdir(parents=True)
    (folder / "0.log").write_text("2026-11-25T21:00:00.1Z stdout F first\n")
    (folder / "1.log").write_text(
        "2026-11-25T21:00:00.1Z stdout F starting\n2026-11-25T21:00:01.1Z stderr F no such table: users\n"
    )
    links = root / "var/log/containers"
    links.mkdir(parents=True)
    (links / f"web-1_shop_web-{ident}.log").symlink_to("/var/log/pods/shop_web-1_uid-1/web/1.log")
    states = root / "var/lib/containerd/io.containerd.grpc.v1.cri/containers" / ident
    states.mkdir(parents=True)
    (states / "status").write_text(json.dumps({"Version": "v1", "Pid": os.getpid(), "StartedAt": 1, **state}))


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        ({"FinishedAt": 2, "ExitCode": 1, "Reason": "Error"}, {"state": "ended", "exit_code": 1, "reason": "Error"}),
        ({"FinishedAt": 0}, {"state": "not running"}),
    ],
)
def test_a_node_without_any_daemon(tmp_path: Path, state: Document, wanted: Document) -> None:
    """Files say which container it was, how it ended, and what it said last."""
    a_host(tmp_path, state)
    for named in ("web-1", "web"):
        (pod,) = on_node.pods(tmp_path, "shop", named)
        (container,) = pod["containers"]
        assert pod["uid"] == "uid-1"
        assert container == {
            "name": "web",
            "id": "f" * 64,
            "log": "/var/log/pods/shop_web-1_uid-1/web/1.log",
            "restarts": 1,
            "lines": ["starting", "no such table: users"],
            **wanted,
        }
    assert on_node.pods(tmp_path, "shop", "other") == on_node.pods(tmp_path, "web", "web-1") == []
    (tmp_path / "proc" / str(os.getpid())).mkdir(parents=True)
    if not wanted.get("exit_code"):
        assert on_node.pods(tmp_path, "shop", "web")[0]["containers"][0]["state"] == "running"


def run(module: Any, arguments: Document, capsys: pytest.CaptureFixture[str]) -> Document:
    """What a module returns."""
    with patch_module_args(arguments), pytest.raises(SystemExit):
        module.main()
    return dict(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(
    ("error", "state"),
    [(UnreachableError("it does not answer"), "unreachable"), (NotFoundError("no such pod"), "unknown")],
)
def test_module_says_that_there_is_no_answer(
    error: Exception, state: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And does not fail: others may know more."""

    def fail(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(why, "ask", fail)
    said = run(why, {"target": "shop/web"}, capsys)
    assert (said["state"], said["verdict"], said["changed"]) == (state, str(error), False)


def test_module_returns_all_of_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing of an answer is called as what every module returns."""
    facts = Facts(NOW)
    facts.add("Node", a_node("w1"))
    facts.add("Pod", a_pod("web-1", "w1", True))
    found = answer.document(facts, facts.all("Pod")[0])
    config = {"clusters": [{"cluster": {"server": "https://127.0.0.1:1"}}]}
    (tmp_path / "kubectl").write_text(f"#!/bin/sh\necho '{json.dumps(config)}'\n")
    (tmp_path / "kubectl").chmod(0o755)
    monkeypatch.setattr(why, "KUBECTL", str(tmp_path / "kubectl"))
    monkeypatch.setattr(answer, "why", lambda *_arguments: found)
    said = run(why, {"target": "shop/web-1"}, capsys)
    assert (said["state"], said["changed"]) == ("healthy", False)
    assert said["changes"] == found["changes"]
    assert said["lines"][0] == f"well: {found['verdict']}"
    monkeypatch.setattr(status, "status", lambda *_arguments: status.judge(facts))
    said = run(why, {}, capsys)
    assert (said["state"], said["causes"], said["verdict"]) == ("healthy", [], "0 of 2 unhealthy, 0 causes; 0 starting")


def test_module_for_a_node(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that cannot be one is an error."""
    assert run(why_node, {"target": "a/b/c/d"}, capsys)["msg"].startswith("a/b/c/d: say NAMESPACE/POD")
    assert run(why_node, {"target": "no-such-namespace/web"}, capsys)["pods"] == []


def test_what_a_site_run_changed() -> None:
    """It is noted on the node; newest first, among all else that changed."""
    on = a_node("w1")
    on["metadata"]["annotations"] = {"selfhosted.kubernetes/site-run": "2026-11-25T21:50:00Z kubelet, containerd"}
    on["status"]["conditions"][0]["lastTransitionTime"] = EARLIER
    facts = Facts(NOW)
    facts.add("Node", on)
    (item,) = facts.all("Node")
    assert where.changes(facts, item, None) == [
        "10 min ago: a site run changed kubelet, containerd on node w1",
        "60 min ago: node w1 became ready",
    ]


@pytest.mark.parametrize(
    ("message", "code", "about"),
    [
        ('Usage of EmptyDir volume "data" exceeds the limit "1Mi". ', "StorageLimit", "pod/shop/web-1"),
        (
            "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ",
            "StorageLimit",
            "pod/shop/web-1",
        ),
        ("The node was low on resource: memory. Threshold quantity: 100Mi", "Evicted", "node/w1"),
    ],
)
def test_evictions(message: str, code: str, about: str) -> None:
    """A pod that wrote too much is to blame itself, its node for everything else."""
    pod = {"kind": "Pod", **a_pod("web-1", "w1", False, phase="Failed", reason="Evicted", message=message)}
    (found,) = pods.judge(Facts(NOW), pod)
    assert (found.code, found.object) == (code, about)


def test_a_memory_limit_that_no_sandbox_fits() -> None:
    """It is the pod's own, not the node's fault."""
    facts = Facts(NOW)
    pod = {"kind": "Pod", **a_pod("web-1", "w1", False)}
    about = {"kind": "Pod", "namespace": "shop", "name": "web-1"}
    text = "Failed to create pod sandbox: runc create failed: container init was OOM-killed (memory limit too low?)"
    event = {"reason": "FailedCreatePodSandBox", "message": text, "lastTimestamp": EARLIER, "involvedObject": about}
    facts.add_events([event])
    (found,) = pods.judge(facts, pod)
    assert (found.code, found.object) == ("MemoryLimitTooSmall", "pod/shop/web-1")


@pytest.mark.parametrize(("code", "otherwise"), [(137, "Killed"), (0, "EndsByItself"), (1, "ExitCode")])
def test_a_hook_that_fails_again_and_again(code: int, otherwise: str) -> None:
    """While it backs off, the container's state says only how the program took its end; with 1 it failed by itself."""
    facts = Facts(NOW)
    ended = {"terminated": {"exitCode": code, "reason": "Error", "containerID": "containerd://1"}}
    state = {"name": "web", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended, "restartCount": 2}
    statuses = [{**state, "containerID": "containerd://1"}]
    pod = {"kind": "Pod", **a_pod("web-1", "w1", False, containerStatuses=statuses)}
    assert [it.code for it in pods.judge(facts, pod)] == [otherwise]
    about = {"kind": "Pod", "namespace": "shop", "name": "web-1", "fieldPath": "spec.containers{web}"}
    text = "PostStartHook failed: command '/warm-up' exited with 1"
    facts.add_events(
        [{"reason": "FailedPostStartHook", "message": text, "lastTimestamp": EARLIER, "involvedObject": about}]
    )
    (found,) = pods.judge(facts, pod)
    assert found.code == (otherwise if code == 1 else "PostStartHook")
    assert code == 1 or text in found.evidence[0]


@pytest.mark.parametrize(
    ("host", "image_name", "about", "words"),
    [
        ("registry.example", "registry.example/web:1", "registry/registry.example", "registry registry.example cannot"),
        (
            "192.0.2.9:5000",
            "registry.example/web:1",
            "registry/192.0.2.9:5000",
            "has the images of registry.example here",
        ),
        ("registry-1.docker.io", "web:1", "registry/docker.io", "registry docker.io cannot be reached"),
    ],
)
def test_whom_a_node_asks_for_images(host: str, image_name: str, about: str, words: str) -> None:
    """The registry that did not answer is to blame, which need not be the one in the image's name."""
    text = f'failed to do request: Head "https://{host}/v2/x": dial tcp 192.0.2.9:5000: connect: connection refused'
    pod = {"kind": "Pod", **a_pod("web-1", "w1", False)}
    status_of = {"state": {"waiting": {"reason": "ErrImagePull", "message": text}}}
    (found,) = image.judge(Facts(NOW), pod, {"name": "web", "image": image_name}, status_of)
    assert (found.code, found.object) == ("RegistryUnreachable", about)
    assert words in found.verdict
