# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a StorageClass can do, tried with pods that write, read, fill and move; runs where kubectl does."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

SIZE_MIB, WRITE_MIB = 256, 64
# What a first start of a pod may take: its image is pulled.
SECONDS = 180
# Of a command whose connection was cut.
REPEATS = 3
ZONE = "kubernetes.io/hostname"
# A namespace with it may use folders of nodes (roles/addons, policy no-host-path).
HOST_PATH = "storage.selfhosted.kubernetes/host-path=allowed"
FIO = ["/usr/bin/fio", "--name=test", "--directory=/mnt", "--size=32m", "--bs=4k", "--ioengine=psync", "--thread"]
FIO += ["--runtime=5", "--time_based", "--output-format=json"]
FIO_JOBS = {"randwrite": ["--rw=randwrite", "--fsync=1"], "randread": ["--rw=randread"]}
# A pod of a node that is lost is given up after so long; the usual five minutes would be all that is measured.
TOLERATION_SECONDS, LOST_SECONDS = 5, 600
FREE_SECONDS = 60


class StorageTestError(Exception):
    """The test itself cannot go on."""


@dataclass(frozen=True)
class Result:
    """One line of the table: what was tried, whether it can be done (None: the class does not promise it), how long."""

    check: str
    able: bool | None
    seconds: float | None = None
    detail: str = ""


class Kubectl:
    """kubectl of an administrator."""

    def __init__(self, program: str, kubeconfig: str) -> None:
        self.argv = [program, f"--kubeconfig={kubeconfig}"]

    def try_run(self, *arguments: str, given: str = "", seconds: float = SECONDS) -> subprocess.CompletedProcess[str]:
        """How a command ended."""
        argv = [*self.argv, *arguments]
        try:
            return subprocess.run(argv, input=given, capture_output=True, text=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(argv, 124, "", f"no end within {seconds:.0f} s")

    def run(self, *arguments: str, given: str = "") -> str:
        """Output of a command that has to work."""
        done = self.try_run(*arguments, given=given)
        if done.returncode:
            raise StorageTestError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def get(self, *arguments: str) -> dict[str, Any]:
        """Objects; nothing where there are none."""
        done = self.try_run("get", "--output=json", "--ignore-not-found", *arguments)
        return dict(json.loads(done.stdout)) if done.returncode == 0 and done.stdout.strip() else {}


class Suite:
    """All checks of a class, in a namespace of its own that goes in the end."""

    def __init__(self, kubectl: Kubectl, storage_class: str, image: str, namespace: str) -> None:
        self.kubectl, self.image, self.namespace = kubectl, image, namespace
        self.storage_class = kubectl.get("storageclass", storage_class)
        if not self.storage_class:
            known = [it["metadata"]["name"] for it in kubectl.get("storageclass").get("items", [])]
            raise StorageTestError(
                f"storage_class: there is no StorageClass {storage_class}; the cluster has {', '.join(known) or 'none'}"
            )
        nodes = kubectl.get("nodes")["items"]
        free = [it for it in nodes if not it["spec"].get("taints") and not it["spec"].get("unschedulable")]
        self.nodes = [it["metadata"]["name"] for it in free]
        if not self.nodes:
            raise StorageTestError("no node takes pods (taints, or it is cordoned): a test needs one, better two")
        # Volumes of a node's own stay there.
        self.bound_to_node = self.storage_class["provisioner"] == "kubernetes.io/no-provisioner"

    # ---- what is made
    def apply(self, *objects: dict[str, Any]) -> None:
        """In the test's namespace."""
        for it in objects:
            it["metadata"].setdefault("namespace", self.namespace)
        self.kubectl.run(
            "apply", "--filename=-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        )

    def claim(self, name: str, mode: str) -> dict[str, Any]:
        """A claim of this class."""
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name},
            "spec": {
                "accessModes": [mode],
                "storageClassName": self.storage_class["metadata"]["name"],
                "resources": {"requests": {"storage": f"{SIZE_MIB}Mi"}},
            },
        }

    def pod(self, name: str, claim: str, *nodes: str) -> dict[str, Any]:
        """A pod that waits for commands, on one of these nodes; away from others of the test where it can be."""
        wanted = [{"matchExpressions": [{"key": ZONE, "operator": "In", "values": list(nodes)}]}]
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": wanted}}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": "storage-test"}},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "affinity": {"nodeAffinity": required} if nodes else {},
                "containers": [
                    {
                        "name": "tester",
                        "image": self.image,
                        "volumeMounts": [{"name": "volume", "mountPath": "/volume"}],
                    }
                ],
                "volumes": [{"name": "volume", "persistentVolumeClaim": {"claimName": claim}}],
            },
        }

    def start(self, name: str, claim: str, *nodes: str) -> float:
        """Seconds until a pod runs."""
        return self.start_as(self.pod(name, claim, *nodes))

    def start_as(self, pod: dict[str, Any]) -> float:
        """The same, of a pod that is made already."""
        began = time.monotonic()
        self.apply(pod)
        ready = ("--for=condition=Ready", f"--timeout={SECONDS}s", f"pod/{pod['metadata']['name']}")
        self.kubectl.run("wait", f"--namespace={self.namespace}", *ready)
        return time.monotonic() - began

    def stop(self, name: str) -> None:
        """Until the pod is gone, and with it what it had mounted."""
        self.kubectl.run("delete", f"--namespace={self.namespace}", "pod", name)

    def tester(self, pod: str, *command: str) -> dict[str, Any]:
        """What volume-tester answers in a pod."""
        words = ("exec", f"--namespace={self.namespace}", pod, "--", "/volume-tester", *command)
        done = self.kubectl.try_run(*words)
        for _ in range(REPEATS):
            # An API server that is busy for a moment is no fault of the class; each command can be repeated.
            if done.returncode == 0 or "websocket" not in done.stderr:
                break
            done = self.kubectl.try_run(*words)
        if done.returncode:
            raise StorageTestError(f"{pod}: volume-tester {' '.join(command)}: {done.stderr.strip()[-500:]}")
        return dict(json.loads(done.stdout))

    def node_of(self, pod: str) -> str:
        """Where it runs."""
        return str(self.kubectl.get(f"--namespace={self.namespace}", "pod", pod)["spec"]["nodeName"])

    def other(self, node: str) -> list[str]:
        """Where it may run next."""
        return [node] if self.bound_to_node else ([it for it in self.nodes if it != node] or [node])

    def until(self, works: Callable[[], bool], seconds: float) -> float | None:
        """Seconds until it works, None when it does not."""
        began = time.monotonic()
        while not works():
            if time.monotonic() - began > seconds:
                return None
            time.sleep(0.2)
        return time.monotonic() - began

    def space(self) -> None:
        """The namespace, without what a run that was killed left."""
        self.kubectl.run("delete", "namespace", self.namespace, "--ignore-not-found")
        self.kubectl.run("create", "namespace", self.namespace)
        self.kubectl.run("label", "namespace", self.namespace, HOST_PATH)

    # ---- checks
    def run(self) -> Iterator[Result]:
        """One after another on the same volume, as its life goes."""
        self.space()
        try:
            self.apply(self.claim("one", "ReadWriteOnce"))
            yield Result("a claim is bound and its pod runs", True, self.start("first", "one"))
            yield from self.moves()
            yield from self.many()
            yield from self.grows()
            yield from self.limited()
            yield from self.snapshots()
            yield from self.goes()
        finally:
            self.kubectl.try_run("delete", "namespace", self.namespace)

    def moves(self) -> Iterator[Result]:
        """What was written and fsynced is there when the pod is made anew elsewhere, also when its node is drained."""
        wrote = self.tester("first", "write", "/volume/data", str(WRITE_MIB))
        yield Result(f"{WRITE_MIB} MiB written and fsynced", True, None, f"{wrote['mb_s']:.0f} MB/s")
        took = self.tester("first", "latency", "/volume/log", "200")
        yield Result("4 KiB written and fsynced", True, took["p50_ms"] / 1000, f"p99 {took['p99_ms']:.1f} ms")
        yield from self.fio()
        before = self.node_of("first")
        self.stop("first")
        seconds = self.start("second", "one", *self.other(before))
        found = self.tester("second", "read", "/volume/data")
        moved = "another node" if self.node_of("second") != before else "the same node"
        same = found["sha256"] == wrote["sha256"]
        yield Result(f"a new pod on {moved} finds the same data", same, seconds, f"{found['mb_s']:.0f} MB/s")
        if self.bound_to_node or len(self.nodes) < 2:
            self.stop("second")
            why = "the volume is the node's" if self.bound_to_node else "there is one node"
            yield Result("a drained node's pod runs elsewhere with its data", None, detail=why)
            return
        node = self.node_of("second")
        self.kubectl.run("cordon", node)
        try:
            began = time.monotonic()
            self.stop("second")
            self.start("third", "one")
            seconds = time.monotonic() - began
        finally:
            self.kubectl.run("uncordon", node)
        same = self.tester("third", "read", "/volume/data")["sha256"] == wrote["sha256"]
        yield Result(
            "a drained node's pod runs elsewhere with its data", same and self.node_of("third") != node, seconds
        )
        self.stop("third")

    def fio(self) -> Iterator[Result]:
        """By the node's own fio, in a pod that has the node's files as its root and the volume on /mnt."""
        node = self.node_of("first")
        wish = self.pod("fio", "one", node)
        wish["spec"]["volumes"].append({"name": "node", "hostPath": {"path": "/"}})
        root = {"name": "node", "mountPath": "/node", "readOnly": True}
        wish["spec"]["containers"][0]["volumeMounts"] = [root, {"name": "volume", "mountPath": "/node/mnt"}]
        self.start_as(wish)
        namespace = f"--namespace={self.namespace}"
        for name, words in FIO_JOBS.items():
            what = f"fio {name} of 4 KiB{' with fsync' if '--fsync=1' in words else ''}"
            done = self.kubectl.try_run(
                "exec", namespace, "fio", "--", "/volume-tester", "within", "/node", *FIO, *words
            )
            if done.returncode:
                missing = "no such file" in done.stderr
                why = f"{node} has no fio: apt install fio" if missing else done.stderr.strip()[-300:]
                yield Result(what, None if missing else False, detail=why)
                continue
            job = json.loads(done.stdout)["jobs"][0]
            said = job["write" if "write" in name else "read"]
            # What takes the time is the fsync after each write.
            took = job["sync"]["lat_ns"] if "--fsync=1" in words else said["clat_ns"]
            worst = took["percentile"]["99.000000"] / 1e6
            yield Result(what, True, None, f"{said['iops']:.0f} IOPS, p99 {worst:.1f} ms")
        self.stop("fio")

    def many(self) -> Iterator[Result]:
        """Two writers on two nodes, each of which reads what the other wrote."""
        what = "two nodes write to one volume (ReadWriteMany)"
        if self.bound_to_node or len(self.nodes) < 2:
            yield Result(what, None, detail="the volume is the node's" if self.bound_to_node else "there is one node")
            return
        self.apply(self.claim("many", "ReadWriteMany"))
        bound = self.until(lambda: self.phase("many") == "Bound", 30)
        if bound is None:
            yield Result(what, None, detail="no volume is made for such a claim within 30 s")
            return
        pods = {"left": self.nodes[0], "right": self.nodes[1]}
        for pod, node in pods.items():
            self.start(pod, "many", node)
        wrote = {pod: self.tester(pod, "write", f"/volume/{pod}", "8")["sha256"] for pod in pods}
        began = time.monotonic()
        right = self.tester("right", "read", "/volume/left")["sha256"] == wrote["left"]
        left = self.tester("left", "read", "/volume/right")["sha256"] == wrote["right"]
        yield Result(what, left and right, time.monotonic() - began)
        for pod in pods:
            self.stop(pod)

    def phase(self, claim: str) -> str:
        """Pending or Bound."""
        return str(self.kubectl.get(f"--namespace={self.namespace}", "pvc", claim).get("status", {}).get("phase"))

    def grows(self) -> Iterator[Result]:
        """A claim that asks for twice as much gets it."""
        self.start("last", "one", *self.nodes_of("one"))
        what = "a volume is enlarged while it is in use"
        if not self.storage_class.get("allowVolumeExpansion"):
            yield Result(what, None, detail="allowVolumeExpansion is not set")
            return
        wish = json.dumps({"spec": {"resources": {"requests": {"storage": f"{2 * SIZE_MIB}Mi"}}}})
        self.kubectl.run("patch", f"--namespace={self.namespace}", "pvc", "one", "--patch", wish)
        seconds = self.until(lambda: self.capacity("one") == f"{2 * SIZE_MIB}Mi", SECONDS)
        yield Result(what, seconds is not None, seconds)

    def nodes_of(self, claim: str) -> list[str]:
        """Nodes that a claim's volume can be on; all of them for most."""
        name = self.kubectl.get(f"--namespace={self.namespace}", "pvc", claim)["spec"]["volumeName"]
        affinity = self.kubectl.get("pv", name)["spec"].get("nodeAffinity", {}).get("required", {})
        terms = [it for term in affinity.get("nodeSelectorTerms", []) for it in term.get("matchExpressions", [])]
        return [value for it in terms if it["key"] == ZONE for value in it["values"]]

    def capacity(self, claim: str) -> str:
        """As its status says."""
        status = self.kubectl.get(f"--namespace={self.namespace}", "pvc", claim).get("status", {})
        return str(status.get("capacity", {}).get("storage"))

    def limited(self) -> Iterator[Result]:
        """Whoever fills a volume hurts nobody else: there is an error at about the claim's size."""
        size = 2 * SIZE_MIB if self.storage_class.get("allowVolumeExpansion") else SIZE_MIB
        began = time.monotonic()
        found = self.tester("last", "fill", "/volume", str(2 * size))
        able: bool | None = bool(found["full"]) and found["mib"] <= size * 1.25
        # What limits a volume of a node's own is the disk that it is on.
        able = None if self.bound_to_node and not found["full"] else able
        detail = f"an error after {found['mib']} of {size} MiB" if found["full"] else f"{found['mib']} MiB were taken"
        yield Result("a full volume is the end of it", able, time.monotonic() - began, detail)
        seconds = self.until(self.takes_more, FREE_SECONDS)
        able = seconds is not None if found["full"] else None
        yield Result("what was removed from a full volume is free again", able, seconds)

    def takes_more(self) -> bool:
        """One MiB; CephFS counts what is in a folder some seconds late."""
        try:
            self.tester("last", "write", "/volume/after", "1")
        except StorageTestError:
            return False
        return True

    def snapshots(self) -> Iterator[Result]:
        """Where a driver of this class offers them: one is taken, and claims begin with it, and with the claim."""
        classes = self.kubectl.get("volumesnapshotclass").get("items", [])
        offered = [it["metadata"]["name"] for it in classes if it["driver"] == self.storage_class["provisioner"]]
        if not offered:
            yield Result("snapshots and clones", None, detail="no VolumeSnapshotClass for it")
            return
        wrote = self.tester("last", "read", "/volume/after")["sha256"]
        began = time.monotonic()
        source = {"persistentVolumeClaimName": "one"}
        self.apply(
            {
                "apiVersion": "snapshot.storage.k8s.io/v1",
                "kind": "VolumeSnapshot",
                "metadata": {"name": "taken"},
                "spec": {"volumeSnapshotClassName": offered[0], "source": source},
            }
        )
        namespace = f"--namespace={self.namespace}"
        ready = "--for=jsonpath={.status.readyToUse}=true"
        self.kubectl.run("wait", namespace, ready, f"--timeout={SECONDS}s", "volumesnapshot/taken")
        yield Result("a snapshot is taken while it is in use", True, time.monotonic() - began, offered[0])
        sources = {
            "a snapshot": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "taken"},
            "a clone": {"kind": "PersistentVolumeClaim", "name": "one"},
        }
        for what, source in sources.items():
            name = what.split()[1]
            wish = self.claim(name, "ReadWriteOnce")
            wish["spec"]["resources"]["requests"]["storage"] = self.capacity("one")
            wish["spec"]["dataSource"] = source
            self.apply(wish)
            seconds = self.start(f"of-{name}", name)
            same = self.tester(f"of-{name}", "read", "/volume/after")["sha256"] == wrote
            yield Result(f"a new volume has what {what} has", same, seconds)
            self.stop(f"of-{name}")

    # ---- a node that is lost: another one has to cut its power in between
    def prepare_loss(self) -> dict[str, Any]:
        """A pod that somebody makes anew elsewhere, the node that it is on, and what it wrote."""
        self.space()
        pod = self.pod("lost", "lost")
        away = [{"key": f"node.kubernetes.io/{it}", "operator": "Exists"} for it in ("not-ready", "unreachable")]
        late = {"effect": "NoExecute", "tolerationSeconds": TOLERATION_SECONDS}
        pod["spec"]["tolerations"] = [{**it, **late} for it in away]
        labels = pod["metadata"]["labels"]
        deployment = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "lost"},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod["spec"]},
            },
        }
        self.apply(self.claim("lost", "ReadWriteOnce"), deployment)
        available = ("--for=condition=Available", f"--timeout={SECONDS}s", "deployment/lost")
        self.kubectl.run("wait", f"--namespace={self.namespace}", *available)
        ((name, node),) = self.running().items()
        wrote = self.tester(name, "write", "/volume/data", "8")["sha256"]
        return {"node": node, "pod": name, "sha256": wrote, "began": time.time()}

    def running(self) -> dict[str, str]:
        """Pods that are ready, each with its node."""
        pods = self.kubectl.get(f"--namespace={self.namespace}", "pods").get("items", [])
        return {
            it["metadata"]["name"]: it["spec"]["nodeName"]
            for it in pods
            if any(c["type"] == "Ready" and c["status"] == "True" for c in it["status"].get("conditions", []))
        }

    def lost(self, before: dict[str, Any]) -> Result:
        """Until another node has the pod with its data."""
        what = "a lost node's pod runs elsewhere with its data"
        try:
            if self.bound_to_node:
                return Result(what, None, detail="the volume is the node's")
            elsewhere: list[str] = []

            def moved() -> bool:
                elsewhere[:] = [it for it, node in self.running().items() if node != before["node"]]
                return bool(elsewhere)

            if self.until(moved, LOST_SECONDS) is None:
                return Result(what, False, detail=f"not within {LOST_SECONDS} s")
            same = self.tester(elsewhere[0], "read", "/volume/data")["sha256"] == before["sha256"]
            return Result(what, same, time.time() - before["began"], f"{before['node']} was switched off")
        finally:
            self.kubectl.try_run("delete", "namespace", self.namespace, "--wait=false")

    def goes(self) -> Iterator[Result]:
        """A claim's end is as the class says."""
        self.stop("last")
        name = str(self.kubectl.get(f"--namespace={self.namespace}", "pvc", "one")["spec"]["volumeName"])
        self.kubectl.run("delete", f"--namespace={self.namespace}", "pvc", "one")
        if self.storage_class.get("reclaimPolicy") == "Delete":
            seconds = self.until(lambda: not self.kubectl.get("pv", name), SECONDS)
            yield Result("a volume goes with its claim (Delete)", seconds is not None, seconds)
        else:
            seconds = self.until(lambda: self.released(name), 30)
            yield Result("a volume stays without its claim (Retain)", seconds is not None, seconds, f"pv/{name}")

    def released(self, name: str) -> bool:
        """The volume is there, and nobody's."""
        return bool(self.kubectl.get("pv", name).get("status", {}).get("phase") == "Released")


def table(results: list[Result]) -> list[str]:
    """For people."""
    words = {True: "yes", False: "NO", None: "-"}
    width = max(len(it.check) for it in results)
    return [f"{it.check:{width}}  {words[it.able]:>3}  {_seconds(it):>8}  {it.detail}".rstrip() for it in results]


def _seconds(it: Result) -> str:
    if it.seconds is None:
        return ""
    return f"{it.seconds:.3f} s" if it.seconds < 0.1 else f"{it.seconds:.1f} s"


def plain(results: list[Result]) -> list[dict[str, Any]]:
    """For programs."""
    return [asdict(it) for it in results]
