# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which version of Kubernetes may follow which."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from .model import Error, Host, Inventory

VARIABLE = "cluster_kubernetes_version"
# How many minors each may be behind the new version (kubernetes.io, version skew policy): the control plane goes one
# at a time; a node that missed upgrades may catch up.
BEHIND = {"kube-apiserver": 1, "kube-controller-manager": 1, "kube-scheduler": 1, "kubelet": 3, "kube-proxy": 3}
OLDER = "is older"


def minor(version: str) -> tuple[int, int] | None:
    """(1, 37) of v1.37.2, None of anything else."""
    match = re.match(r"v?(\d+)\.(\d+)\.\d+", version)
    return (int(match[1]), int(match[2])) if match else None


def supported(cluster: Inventory) -> Iterator[Error]:
    """The version is one of the lock file's."""
    wanted, known = cluster.settings.kubernetes_version, cluster.supported_versions
    if wanted not in known:
        missing = "install the collection again: its lock file (roles/artifacts/files/lock.yml) lists no version"
        yield Error(f"{wanted} is not supported", f"choose one of {', '.join(known)}" if known else missing, VARIABLE)


def no_skip(host: Host, cluster: Inventory) -> Iterator[Error]:
    """The version is not older than what runs, and skips no minor."""
    wanted = cluster.settings.kubernetes_version
    target = minor(wanted)
    for component, behind in BEHIND.items():
        installed = str(host.facts["versions"].get(component, ""))
        running = minor(installed)
        if running is None or target is None:
            continue
        if wrong := _wrong(running, target, behind):
            fix = f"go to {_next(running, cluster.supported_versions)} first"
            if wrong == OLDER:
                fix = "keep the minor version that runs: Kubernetes cannot go back to an older one"
            yield Error(f"{component} {installed} runs, {wanted} {wrong}", fix, VARIABLE)


def etcd_no_skip(host: Host, cluster: Inventory) -> Iterator[Error]:
    """The same of etcd, by what the version of Kubernetes comes with: one minor up, none down (etcd.io, upgrading)."""
    wanted = cluster.settings.kubernetes_version
    brought, installed = cluster.supported_versions.get(wanted, ""), str(host.facts["versions"].get("etcd", ""))
    running, target = minor(installed), minor(brought)
    if running is None or target is None or any(no_skip(host, cluster)):
        return
    if wrong := _wrong(running, target, 1):
        source = "a version of Kubernetes or of the collection that comes with etcd"
        fix = f"go to {source} {running[0]}.{running[1] + 1} first"
        if wrong == OLDER:
            fix = f"keep {source} {running[0]}.{running[1]}"
        yield Error(f"etcd {installed} runs, {brought} that comes with {wanted} {wrong}", fix, VARIABLE)


def needs_upgrade(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Another version needs order and draining, which upgrade.yml sees to; a site run changes all nodes at once."""
    wanted = cluster.settings.kubernetes_version
    installed = [str(host.facts["versions"].get(component) or wanted) for component in BEHIND]
    other = next((version for version in installed if version.removeprefix("v") != wanted), None)
    if other and not cluster.settings.upgrade and not any(no_skip(host, cluster)):
        fix = f"run upgrade.yml, or set it to {other.removeprefix('v')}"
        yield Error(f"Kubernetes {other} runs, {wanted} is asked for", fix, VARIABLE)


def follows_masters(host: Host, cluster: Inventory) -> Iterator[Error]:
    """No kubelet may be newer than an API server, so a new one is as new as what runs on masters that are not asked."""
    wanted, running = cluster.settings.kubernetes_version, cluster.running_version
    new = cluster.is_node(host.name) and not host.facts["versions"].get("kubelet")
    asked = all(cluster.hosts[name].facts for name in cluster.groups["masters"])
    if new and not asked and running not in ("", wanted):
        fix = f"set it to {running} until upgrade.yml has run"
        yield Error(f"Kubernetes {running} runs on the masters, {wanted} is asked for", fix, VARIABLE)


def needs_masters(cluster: Inventory) -> Iterator[Error]:
    """No kubelet may be newer than an API server, and a snapshot is taken: an upgrade has to see all of both."""
    if cluster.settings.upgrade:
        for name in dict.fromkeys([*cluster.groups["masters"], *cluster.groups["etcd"]]):
            if not cluster.hosts[name].facts:
                kind = "master" if cluster.within(name, "masters") else "host with etcd"
                fix = "let --limit name masters and etcd, too: they are upgraded before any node"
                yield Error(f"it is a {kind} that this upgrade leaves out", fix, host=name)


def _wrong(running: tuple[int, int], target: tuple[int, int], behind: int) -> str:
    """Why a minor version may not follow another, which may be so many behind; empty when it may."""
    if running > target:
        return OLDER
    return "skips a minor version" if running[0] != target[0] or target[1] - running[1] > behind else ""


def _next(running: tuple[int, int], supported_versions: Iterable[str]) -> str:
    """The newest version of the following minor, as far as we know it."""
    following = (running[0], running[1] + 1)
    known = [version for version in supported_versions if minor(version) == following]
    patches = {version: [int(part) for part in re.findall(r"\d+", version)] for version in known}
    return max(known, key=patches.__getitem__, default=f"{following[0]}.{following[1]}")
