# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take pods off a node and let them come back, with kubectl on a master; the cordon that is ours carries a mark."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

# With it a run that was killed between cordon and uncordon is finished by the next, and the cordon of a person stays.
MARK = "selfhosted.kubernetes/drained"
POLL_SECONDS = 0.5
# kubectl: error when evicting pods/"web-1" -n "shop" (will retry after 5s): Cannot evict pod as it would violate …
EVICTION = re.compile(r'error when (?:evicting|deleting) pods/"([^"]+)" -n "([^"]+)"[^:]*: (.*)')
Kubectl = Callable[..., "tuple[int, str, str]"]


class NodeError(Exception):
    """Something that the user can act on; the text is shown as it is."""


class Node:
    """One node; `kubectl` runs it with arguments and returns exit code, output and errors."""

    def __init__(self, name: str, kubectl: Kubectl, check: bool = False) -> None:
        self.name = name
        self.kubectl = kubectl
        self.check = check

    def drain(self, seconds: int) -> bool:
        """Cordon it and evict its pods; whether anything was done. One that cannot be drained takes pods as before."""
        node = self.get()
        if node is None:
            return False
        if not node["spec"].get("unschedulable"):
            self._schedule(False)
        if self.check:
            return True
        options = ["--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={seconds}s"]
        code, _output, error = self.kubectl("drain", self.name, *options)
        if code:
            self._undo()
            reasons = "; ".join(obstacles(error))
            raise NodeError(f"{self.name} cannot be drained, and takes pods again as before: {reasons}")
        return True

    def resume(self, version: str, seconds: int) -> bool:
        """Wait until it is Ready (at the version, where one is given), then undo our cordon; whether there was one."""
        deadline = time.monotonic() + seconds
        while complaint := self._complaint(version):
            if self.check:
                break
            if time.monotonic() > deadline:
                raise NodeError(f"{self.name} stays as it is: {complaint}")
            time.sleep(POLL_SECONDS)
        return self._undo()

    def delete(self) -> bool:
        """Remove it from the API; whether it was there."""
        if self.get() is None:
            return False
        self._change("delete", "node", self.name, "--ignore-not-found")
        return True

    def get(self) -> dict[str, Any] | None:
        """The object, None when there is none."""
        code, output, error = self.kubectl("get", "node", self.name, "--ignore-not-found", "--output=json")
        if code:
            raise NodeError(f"the API was asked for node {self.name}: {error.strip()}")
        document: dict[str, Any] | None = json.loads(output) if output.strip() else None
        return document

    def _complaint(self, version: str) -> str:
        node = self.get()
        if node is None:
            return "it is not registered"
        conditions = {item["type"]: item for item in node.get("status", {}).get("conditions", [])}
        ready = conditions.get("Ready", {})
        if ready.get("status") != "True":
            return f"it is not ready: {ready.get('message') or 'its kubelet has not reported yet'}"
        found = node["status"]["nodeInfo"]["kubeletVersion"]
        return f"it runs kubelet {found}, wanted v{version}" if version and found != f"v{version}" else ""

    def _undo(self) -> bool:
        node = self.get()
        if node is None or MARK not in node["metadata"].get("annotations", {}):
            return False
        self._schedule(True)
        return True

    def _schedule(self, schedulable: bool) -> None:
        """Cordon and mark in one write, or undo both."""
        mark, cordon = (None, None) if schedulable else ("true", True)
        patch = {"metadata": {"annotations": {MARK: mark}}, "spec": {"unschedulable": cordon}}
        self._change("patch", "node", self.name, f"--patch={json.dumps(patch)}")

    def _change(self, *arguments: str) -> None:
        if self.check:
            return
        code, _output, error = self.kubectl(*arguments)
        if code:
            raise NodeError(f"`kubectl {arguments[0]}` of node {self.name} failed: {error.strip()}")


def obstacles(error: str) -> Sequence[str]:
    """What kubectl says is in the way, each pod once; its own words where they name no pod."""
    found: dict[str, str] = {}
    for pod, namespace, reason in EVICTION.findall(error):
        found.setdefault(f"pod {namespace}/{pod}", reason.strip())
    pods = [f"{pod}: {reason}" for pod, reason in found.items()]
    lines = [line.strip() for line in error.splitlines() if line.strip().startswith("error:")]
    return pods or lines or [error.strip()]
