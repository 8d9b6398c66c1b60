# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of storage share: pods with a volume, and a writer that remembers what was acknowledged."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import yaml
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
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
        try:
            done = lab[name].run(f"ceph --connect-timeout 10 --format json {command}")
        except RuntimeError:  # ssh's own exit code: the host is away.
            continue
        if done.rc == 0:
            answer: dict[str, Any] = json.loads(done.stdout)
            return answer
    raise AssertionError(f"no storage host answers: ceph {command}")


def healthy(lab: Lab) -> bool:
    """HEALTH_OK, with nothing muted."""
    try:
        health = ceph(lab, "health detail")
    except AssertionError:
        return False
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
    for _ in range(3):
        done = lab.try_kubectl(f"exec --namespace={namespace} {name} -- /volume-tester {command}")
        # A load balancer ends connections of an API server that was too busy to say that it is ready.
        if done.rc == 0 or "websocket" not in done.stderr:
            break
    assert done.rc == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


class Writer:
    """A pod that appends lines to a file in a volume and says each number once its line is fsynced.

    What it said, and when, is read from its container's log on the node: no fault of the API is in the way.
    """

    def __init__(self, lab: Lab, name: str, namespace: str, node: str, claimed: str) -> None:
        self.lab, self.node = lab, node
        self.log = f"/var/log/pods/{namespace}_{name}_*/tester/0.log"
        wish = pod(name, namespace, node, of_claim(claimed))
        wish["spec"]["containers"][0]["args"] = ["log", "/volume/log"]
        wish["spec"]["restartPolicy"] = "Never"
        lab.apply(wish)
        lab.kubectl(f"wait --namespace={namespace} --for=condition=Ready --timeout=180s pod/{name}")

    def _lines(self, count: str) -> list[tuple[float, int]]:
        """When each of the last lines was said, and its number; the machine may be slow to answer."""
        for _ in range(10):
            try:
                # Not the error with which it ends, which is the other stream's.
                lines = f"grep --no-filename --fixed-strings ' stdout F ' {self.log}"
                text = self.lab.run(self.node, f"{lines} | tail --lines={count}")
            except RuntimeError:  # ssh's own exit code
                time.sleep(1)
                continue
            fields = [line.split() for line in text.splitlines()]
            return [(datetime.fromisoformat(it[0][:26]).replace(tzinfo=UTC).timestamp(), int(it[3])) for it in fields]
        raise AssertionError(f"{self.node} does not answer")

    @property
    def last(self) -> int:
        """The newest number that was acknowledged."""
        lines = self._lines("1")
        return lines[-1][1] if lines else -1

    def stall(self, since: float) -> float:
        """The longest time without an acknowledgement, up to the newest one."""
        times = [it for it, _ in self._lines("+1") if it >= since]
        return max(after - before for before, after in pairwise([since, *times]))


def during(writer: Writer, fault: Callable[[], object], seconds: float, more: int = 50) -> float:
    """The longest stall from a fault on, until many more lines were acknowledged."""
    began = time.time()
    fault()
    before = writer.last
    while writer.last < before + more:
        assert time.time() - began < seconds, f"nothing was acknowledged within {seconds} s"
        time.sleep(0.5)
    return writer.stall(began)
