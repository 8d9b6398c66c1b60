# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which version of Kubernetes may follow which."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .model import Error, Inventory

VARIABLE = "cluster_kubernetes_version"
# How many minors each may be behind (kubernetes.io, version skew policy): the control plane goes one at a time; a node that missed upgrades may catch up.
BEHIND = {"kube-apiserver": 1, "kube-controller-manager": 1, "kube-scheduler": 1, "kubelet": 3, "kube-proxy": 3}


def minor(version: str) -> tuple[int, int] | None:
    """(1, 37) of v1.37.2, None of anything else."""
    match = re.match(r"v?(\d+)\.(\d+)\.\d+", version)
    return (int(match[1]), int(match[2])) if match else None


def version_errors(inventory: Inventory) -> Iterator[Error]:
    """The version is one of the lock's, not older than what runs, and skips no minor."""
    wanted, supported = inventory.settings.kubernetes_version, inventory.supported_versions
    if wanted not in supported:
        fix = f"choose one of {', '.join(supported)}" if supported else "install the collection again: its roles/artifacts/files/lock.yml lists no version"
        yield Error(VARIABLE, f"{wanted} is not a version this collection has artifacts for", fix)
    target = minor(wanted)
    if target is None:
        return
    for host in inventory.answered():
        installed = host.facts.get("versions", {})
        for component, behind in BEHIND.items():
            running = minor(str(installed.get(component, "")))
            if running is None:
                continue
            what = f"{component} {installed[component]} runs"
            if running > target:
                yield Error(VARIABLE, f"{what} and {wanted} is older", "keep the minor version that runs: Kubernetes cannot go back to an older one", host.name)
            elif running[0] != target[0] or target[1] - running[1] > behind:
                yield Error(VARIABLE, f"{what} and {wanted} skips a minor version", f"go to {_next(running, supported)} first", host.name)


def _next(running: tuple[int, int], supported: list[str]) -> str:
    following = (running[0], running[1] + 1)
    known = [version for version in supported if minor(version) == following]
    return max(known, key=lambda version: [int(part) for part in re.findall(r"\d+", version)], default=f"{following[0]}.{following[1]}")
