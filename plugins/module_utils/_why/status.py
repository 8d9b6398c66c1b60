# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole cluster, or a namespace: everything that is not well, by what is to blame for it."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from . import answer, pods, terminating
from .client import Client
from .fetch import Fetch
from .model import Document, Facts, full, name, namespace

# Of all kinds in one question each; what they have in common is asked for once.
NAMESPACED = (
    *("Pod", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob"),
    *("Service", "PersistentVolumeClaim", "EndpointSlice", "Event"),
)
CLUSTER = ("Node", "StorageClass", "Namespace")
TOPS = (
    "Node",
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "CronJob",
    "Job",
    "PersistentVolumeClaim",
    "Service",
    "Pod",
)


def status(client: Client, space: str = "", now: datetime | None = None) -> dict[str, Any]:
    """Ask for everything at the same time, and judge what nobody owns; `space` is empty for all namespaces."""
    facts = Facts(now or datetime.now(timezone.utc))
    fetch = Fetch(client, facts)
    questions = [fetch.must(fetch.many, "Pod", space)]
    questions += [fetch.may(fetch.many, kind, space) for kind in NAMESPACED if kind != "Pod"]
    questions += [fetch.may(fetch.many, kind) for kind in CLUSTER]
    if not space:
        # Of nodes, which are judged then.
        questions.append(fetch.may(fetch.many, "Lease", "kube-node-lease"))
    client.together(questions)
    facts.add_events(facts.all("Event"))
    return {**judge(facts, nodes=not space), "requests": client.asked}


def judge(facts: Facts, nodes: bool = True) -> dict[str, Any]:
    """Groups of what suffers from the same cause, the largest first; nodes themselves only for the whole cluster."""
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    counts = {"seen": 0, "unhealthy": 0, "starting": 0}
    for item in _tops(facts, nodes):
        counts["seen"] += 1
        said = answer.document(facts, item)
        if said["state"] == "starting":
            counts["starting"] += 1
        found = _causes(said)
        counts["unhealthy"] += bool(found)
        for cause in found:
            _add(groups, cause, item, facts)
    for space in facts.all("Namespace"):
        for stuck in terminating.namespace_stuck(facts, space):
            _add(groups, answer.plain(stuck), space, facts)
    ordered = sorted(groups.values(), key=lambda it: (-it["count"], it["object"]))
    return {"causes": ordered, "counts": counts, "unknown": list(dict.fromkeys(facts.unknown))}


def _tops(facts: Facts, nodes: bool) -> list[Document]:
    """What a person made; a job of a cron job and a pod of a deployment are judged with it."""
    kinds = TOPS if nodes else TOPS[1:]
    return [it for kind in kinds for it in facts.all(kind) if kind == "Node" or pods.owner_of(facts, it) is None]


def _causes(said: dict[str, Any]) -> list[dict[str, Any]]:
    """One for an object, but for each pod of an owner that a node keeps down, that node."""
    if said["state"] not in ("broken", "unclear"):
        return []
    found = [said["cause"]]
    return found + [
        it for it in said["also"] if it["object"].startswith("node/") and it["object"] != found[0]["object"]
    ]


def _add(groups: dict[tuple[str, str], dict[str, Any]], cause: dict[str, Any], item: Document, facts: Facts) -> None:
    blamed = _blamed(cause["object"], item, facts)
    group = groups.setdefault(
        (cause["code"], blamed),
        {
            **{key: cause[key] for key in ("code", "verdict", "todo", "evidence")},
            "object": blamed,
            "affected": [],
            "count": 0,
        },
    )
    suffering = [_shown(it) for it in _pods(facts, item, cause)] or [_shown(item)]
    group["affected"] += [it for it in suffering if it not in group["affected"]]
    group["count"] = len(group["affected"])


def _blamed(about: str, item: Document, facts: Facts) -> str:
    """A pod is not to blame for itself: its owner's pods have the same template."""
    kind, _, rest = about.partition("/")
    if kind != "pod":
        return about
    space, _, named = rest.partition("/")
    pod = facts.get("Pod", space, named)
    above = [pod, *pods.owners(facts, pod)] if pod else [item]
    return full(above[-1])


def _pods(facts: Facts, item: Document, cause: dict[str, Any]) -> list[Document]:
    """Of a node's cause the pods that are on it and not ready; of others the owner alone."""
    kind, _, node = cause["object"].partition("/")
    if kind != "node" or item["kind"] == "Node":
        return []
    return [
        it
        for it in facts.all("Pod", namespace(item))
        if it["spec"].get("nodeName") == node
        and pods.state(facts, it) == "not ready"
        and (it is item or item in pods.owners(facts, it))
    ]


def _shown(item: Document) -> str:
    return f"{namespace(item)}/{item['kind'].lower()}/{name(item)}".lstrip("/")
