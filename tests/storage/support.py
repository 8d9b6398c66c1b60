# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of storage share: pods with a volume, and a writer that remembers what was acknowledged."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import yaml
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    KUBECTL,
    OPERATOR,
    OUTSIDE,
    ROOT,
    STORAGE,
    Lab,
    address,
)

LOCK = yaml.safe_load((ROOT / "roles/artifacts/files/lock.yml").read_text(encoding="utf-8"))
IMAGE = f"{address(OUTSIDE[0])}:5000/{LOCK['images']['volume-tester']['ref']}"


def ceph(lab: Lab, command: str) -> dict[str, Any]:
    """What the storage says, asked on a host that answers."""
    for name in STORAGE:
        done = lab[name].run(f"ceph --connect-timeout 10 --format json {command}")
        if done.rc == 0:
            answer: dict[str, Any] = json.loads(done.stdout)
            return answer
    raise AssertionError(f"no storage host answers: ceph {command}")


def healthy(lab: Lab) -> bool:
    """HEALTH_OK, with nothing muted."""
    health = ceph(lab, "health detail")
    return bool(health["status"] == "HEALTH_OK" and not health.get("mutes"))


def claim(name: str, namespace: str, storage_class: str, size: str, mode: str = "ReadWriteOnce") -> dict[str, Any]:
    """A claim of a class."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "accessModes": [mode],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": size}},
        },
    }


def pod(name: str, namespace: str, node: str, volume: dict[str, Any]) -> dict[str, Any]:
    """A pod with a volume, that waits for commands of volume-tester."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {"name": "tester", "image": IMAGE, "volumeMounts": [{"name": "volume", "mountPath": "/volume"}]}
            ],
            "volumes": [{"name": "volume", **volume}],
        },
    }


def of_claim(name: str) -> dict[str, Any]:
    """The volume of a claim."""
    return {"persistentVolumeClaim": {"claimName": name}}


def start(lab: Lab, name: str, namespace: str, node: str, claimed: str) -> None:
    """Until the pod runs."""
    lab.apply(pod(name, namespace, node, of_claim(claimed)))
    lab.kubectl(f"wait --namespace={namespace} --for=condition=Ready --timeout=180s pod/{name}")


def volume_tester(lab: Lab, name: str, namespace: str, command: str) -> dict[str, Any]:
    """What volume-tester answers in a pod."""
    answer: dict[str, Any] = json.loads(lab.kubectl(f"exec --namespace={namespace} {name} -- /volume-tester {command}"))
    return answer


class Writer:
    """Lines of a file in a volume, each fsynced before it is acknowledged; when which one was, is remembered."""

    def __init__(self, lab: Lab, name: str, namespace: str, path: str) -> None:
        words = f"{KUBECTL} exec --namespace={namespace} {name} -- /volume-tester log {path}"
        argv = ["ssh", "-F", str(lab.config), OPERATOR, words]
        self.acknowledged: list[tuple[float, int]] = []
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.acknowledged.append((time.monotonic(), int(line)))

    @property
    def last(self) -> int:
        """The newest number that was acknowledged."""
        return self.acknowledged[-1][1] if self.acknowledged else -1

    def stall(self, since: float) -> float:
        """The longest time without an acknowledgement, up to now."""
        times = [it for it, _ in self.acknowledged if it >= since]
        return max(after - before for before, after in pairwise([since, *times, time.monotonic()]))

    def stop(self) -> int:
        """End it; the last number that was acknowledged."""
        self.process.terminate()
        self.process.wait()
        self.thread.join(timeout=10)
        return self.last


def during(writer: Writer, fault: Callable[[], object], seconds: float, more: int = 50) -> float:
    """The longest stall from a fault on, until many more lines were acknowledged."""
    began, before = time.monotonic(), writer.last
    fault()
    while writer.last < before + more or writer.acknowledged[-1][0] < began:
        assert writer.process.poll() is None, "the writer ended"
        assert time.monotonic() - began < seconds, f"nothing was acknowledged within {seconds} s"
        time.sleep(0.1)
    return writer.stall(began)
