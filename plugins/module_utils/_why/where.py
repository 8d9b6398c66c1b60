# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a pod runs, which container it is there, where its log lies, how to ask for it, and what changed last."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from . import pods
from .model import NEVER, Document, Facts, condition, containers, name, names, namespace, ref, span, time, when

# A static pod's folder has the name that its kubelet gave it.
MIRROR = "kubernetes.io/config.mirror"
# Of a node, by site.yml (plugins/modules/cluster_ready.py): a time, and the components that it changed.
SITE_RUN = "selfhosted.kubernetes/site-run"
CONTROLLERS = ("kube-controller-manager", "kube-scheduler", "kubelet")


def pod(item: Document) -> dict[str, Any]:
    """Node, containers and logs of a pod."""
    uid = (item["metadata"].get("annotations") or {}).get(MIRROR) or item["metadata"].get("uid", "")
    folder = f"/var/log/pods/{namespace(item)}_{name(item)}_{uid}"
    return {
        "pod": name(item),
        "namespace": namespace(item),
        "node": item["spec"].get("nodeName") or "",
        "node_address": item.get("status", {}).get("hostIP") or "",
        "pod_address": item.get("status", {}).get("podIP") or "",
        "containers": [_container(item, spec, status, folder) for spec, status, _first in containers(item)],
    }


def _container(item: Document, spec: Document, status: Document, folder: str) -> dict[str, Any]:
    restarts, last = status.get("restartCount", 0), (status.get("lastState") or {}).get("terminated") or {}
    ident = status.get("containerID") or last.get("containerID") or ""
    state, detail = next(iter((status.get("state") or {"waiting": {}}).items()))
    return {
        "name": spec["name"],
        "id": ident.rpartition("//")[2],
        "state": " ".join(part for part in (state, (detail or {}).get("reason")) if part),
        "restarts": restarts,
        "image": spec["image"],
        # The kubelet writes one file for each start, and keeps the last one before.
        "log": f"{folder}/{spec['name']}/{restarts}.log" if ident else "",
        "log_before": f"{folder}/{spec['name']}/{restarts - 1}.log" if restarts else "",
        "log_query": query(namespace(item), name(item), spec["name"]),
    }


def query(space: str, pod_name: str, container: str) -> str:
    """For the log store (LogsQL), with the names that labels have in metrics too."""
    return f'namespace:="{space}" pod:="{pod_name}" container:="{container}"'


def changes(facts: Facts, item: Document, pod_of: Document | None) -> list[str]:
    """What changed last, newest first: rollouts with their images, edits, and what happened to the node."""
    found: list[tuple[datetime, str]] = []
    chain = [item, *pods.owners(facts, item), *(pods.owners(facts, pod_of) if pod_of and pod_of is not item else [])]
    for owner in {it["metadata"].get("uid", name(it)): it for it in chain}.values():
        found += _edited(owner)
        if owner["kind"] == "Deployment":
            found += _rollouts(facts, owner)
    node = facts.get("Node", "", str(pod_of["spec"].get("nodeName") or "")) if pod_of else None
    if item["kind"] == "Node":
        node = item
    if node is not None:
        found += _node(facts, node)
    found = sorted({text: (stamp, text) for stamp, text in found if stamp > NEVER}.values(), reverse=True)
    return [f"{span(facts.now - stamp)} ago: {text}" for stamp, text in found[:3]]


def _rollouts(facts: Facts, owner: Document) -> list[tuple[datetime, str]]:
    sets = sorted(facts.owned("ReplicaSet", owner), key=lambda it: time(it["metadata"].get("creationTimestamp")))
    if len(sets) < 2:
        return [(time(it["metadata"].get("creationTimestamp")), f"{ref(owner)} was created") for it in sets]
    before, now = (
        {it["name"]: it["image"] for it in found["spec"]["template"]["spec"]["containers"]} for found in sets[-2:]
    )
    images = [f"{key} from {before.get(key, 'nothing')} to {now[key]}" for key in now if before.get(key) != now[key]]
    text = f"rollout of {ref(owner)}: " + (
        "image of " + ", ".join(images) if images else "same images, another configuration"
    )
    return [(time(sets[-1]["metadata"].get("creationTimestamp")), text)]


def _edited(item: Document) -> list[tuple[datetime, str]]:
    """The last time that somebody who is no controller changed it."""
    if item["kind"] in ("Pod", "ReplicaSet", "Node"):
        return []
    entries = [
        it
        for it in item["metadata"].get("managedFields") or []
        if not it.get("subresource") and it.get("manager") not in CONTROLLERS
    ]
    last = max(entries, key=lambda it: time(it.get("time")), default=None)
    return [(time(last.get("time")), f"{ref(item)} was changed with {last.get('manager')}")] if last else []


def _node(facts: Facts, node: Document) -> list[tuple[datetime, str]]:
    words = {"Rebooted": "was rebooted", "Starting": "started its kubelet", "NodeNotSchedulable": "was cordoned"}
    words["NodeSchedulable"] = "was uncordoned"
    found = [(when(it), f"node {name(node)} {words[it['reason']]}") for it in facts.about(node, *words)]
    stamp, _, changed = str((node["metadata"].get("annotations") or {}).get(SITE_RUN) or "").partition(" ")
    if changed:
        found.append((time(stamp), f"a site run changed {names(changed.split(', '))} on node {name(node)}"))
    ready = condition(node, "Ready")
    if ready.get("lastTransitionTime"):
        how = "became ready" if ready.get("status") == "True" else "stopped being ready"
        found.append((time(ready["lastTransitionTime"]), f"node {name(node)} {how}"))
    return found
