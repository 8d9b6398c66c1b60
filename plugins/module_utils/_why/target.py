# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which object is meant: KIND/NAME, NAMESPACE/POD or NAME, and what there is of nearly that name."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from .client import WhyError

# Kind: its API, its plural, whether it has a namespace, and what else people call it.
KINDS: dict[str, tuple[str, str, bool, tuple[str, ...]]] = {
    "Pod": ("api/v1", "pods", True, ("pod", "pods", "po")),
    "Deployment": ("apis/apps/v1", "deployments", True, ("deployment", "deployments", "deploy")),
    "StatefulSet": ("apis/apps/v1", "statefulsets", True, ("statefulset", "statefulsets", "sts")),
    "DaemonSet": ("apis/apps/v1", "daemonsets", True, ("daemonset", "daemonsets", "ds")),
    "Job": ("apis/batch/v1", "jobs", True, ("job", "jobs")),
    "CronJob": ("apis/batch/v1", "cronjobs", True, ("cronjob", "cronjobs", "cj")),
    "Service": ("api/v1", "services", True, ("service", "services", "svc")),
    "PersistentVolumeClaim": (
        *("api/v1", "persistentvolumeclaims", True),
        ("persistentvolumeclaim", "persistentvolumeclaims", "pvc"),
    ),
    "ReplicaSet": ("apis/apps/v1", "replicasets", True, ("replicaset", "replicasets", "rs")),
    "Node": ("api/v1", "nodes", False, ("node", "nodes", "no")),
}
# Only looked at, never asked for by name.
OTHERS: dict[str, tuple[str, str, bool]] = {
    "EndpointSlice": ("apis/discovery.k8s.io/v1", "endpointslices", True),
    "StorageClass": ("apis/storage.k8s.io/v1", "storageclasses", False),
    "Secret": ("api/v1", "secrets", True),
    "Lease": ("apis/coordination.k8s.io/v1", "leases", True),
    "Event": ("api/v1", "events", True),
    "Namespace": ("api/v1", "namespaces", False),
}
ALIASES = {alias: kind for kind, (*_rest, aliases) in KINDS.items() for alias in aliases}
# What a name without a kind can be; these are asked for when there is no pod of that name.
GUESSED = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Service")


@dataclass(frozen=True)
class Target:
    """An object; with no kind it is a pod, or else anything of that name."""

    kind: str
    namespace: str
    name: str

    @property
    def shown(self) -> str:
        """As a person would say it."""
        thing = f"{self.kind.lower() or 'pod'}/{self.name}"
        return thing if self.kind == "Node" else f"{thing} in namespace {self.namespace}"

    @property
    def path(self) -> str:
        """In full, as `parse` reads it."""
        return "/".join(part for part in (self.namespace, self.kind.lower(), self.name) if part)


def parse(text: str, namespace: str, given: bool) -> Target:
    """`given`: the namespace was said, and so the first word of two is a kind."""
    parts = text.strip("/").split("/")
    if not all(parts) or len(parts) > 3:
        raise WhyError(f"{text}: say NAMESPACE/POD, KIND/NAME or NAMESPACE/KIND/NAME")
    if len(parts) == 1:
        return Target("", namespace, parts[0])
    *head, kind, named = parts
    found = ALIASES.get(kind.lower())
    if found:
        return Target(found, head[0] if head else namespace, named)
    if head or given:
        near = difflib.get_close_matches(kind.lower(), ALIASES, 1)
        raise WhyError(
            f"{text}: no kind {kind} is known here" + (f"; did you mean {near[0]}?" if near else f": {kinds()}")
        )
    return Target("", kind, named)


def kinds() -> str:
    """Those that can be asked for."""
    return ", ".join(aliases[0] for *_rest, aliases in KINDS.values())


def namespaced(kind: str) -> bool:
    """Whether objects of a kind are in namespaces."""
    return (KINDS.get(kind) or OTHERS[kind])[2]


def path(kind: str, namespace: str = "", name: str = "") -> str:
    """Where the API server has an object, or all of its kind."""
    api, plural = (KINDS.get(kind) or OTHERS[kind])[:2]
    space = f"/namespaces/{namespace}" if namespaced(kind) and namespace else ""
    return f"/{api}{space}/{plural}" + (f"/{name}" if name else "")


def nearest(name: str, there: list[str]) -> str:
    """Names that are nearly it, for an error's end."""
    found = difflib.get_close_matches(name, there, 3, 0.5)
    # A pod's name ends in letters that nobody remembers.
    found += [it for it in there if it.startswith(f"{name}-") and it not in found]
    return f"; nearest: {', '.join(found[:3])}" if found else ""
